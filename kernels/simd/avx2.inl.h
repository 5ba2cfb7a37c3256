// Vocabulary of the AVX2 table (with F16C): two 256-bit vectors make the 16 lanes.
//
// maddubs multiplies unsigned by signed bytes and adds pairs into i16 with saturation, so every use proves that it can not
// saturate (R7): unsigned weights below 16: 2 * 15 * 127 = 3,810 a pair, 8 sums 30,480; below 32: 7,874, 4 sums 31,496;
// signed weights as |w| times the activation with w's sign: 2 * 128 * 127 = 32,512.

constexpr u32 kPart = 8;
#include "kernels/simd/lanes.inl.h"

constexpr u32 kDecodeTiles = 1;
constexpr u32 kPrefillTiles = 1;
constexpr u32 kPrefillTokens = 4;

LBM_LANE F32x16 f_load_f16(const u16* p) {
  F32x16 r;
  LBM_EACH_PART {
    const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + i * kPart));
    r.part[i] = __builtin_bit_cast(FPart, _mm256_cvtph_ps(h));
  }
  return r;
}
LBM_LANE void f_store_f16(u16* p, F32x16 v) {
  LBM_EACH_PART {
    const __m128i h = _mm256_cvtps_ph(__builtin_bit_cast(__m256, v.part[i]), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + i * kPart), h);
  }
}

struct W64 {
  __m256i part[2];  // rows 0..7 and 8..15
};
LBM_LANE W64 w_load(const void* p) {
  const __m256i* v = static_cast<const __m256i*>(p);
  return {{_mm256_loadu_si256(v), _mm256_loadu_si256(v + 1)}};
}
LBM_LANE W64 w_low_nibbles(W64 w) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {{_mm256_and_si256(w.part[0], mask), _mm256_and_si256(w.part[1], mask)}};
}
LBM_LANE W64 w_high_nibbles(W64 w) {
  const __m256i mask = _mm256_set1_epi8(15);
  return {{_mm256_and_si256(_mm256_srli_epi16(w.part[0], 4), mask),
           _mm256_and_si256(_mm256_srli_epi16(w.part[1], 4), mask)}};
}
// 16 in byte i where bit i is set: copies each byte of the mask to the 8 bytes it speaks for, then tests one bit in each.
LBM_LANE __m256i fifth_bits(u32 bits) {
  const __m256i copy = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3,
                                        3, 3, 3);
  const __m256i one_bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<i32>(bits)), copy);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, one_bit), one_bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(16));
}
LBM_LANE W64 w_add_fifth_bit(W64 w, u64 bits) {
  return {{_mm256_or_si256(w.part[0], fifth_bits(static_cast<u32>(bits))),
           _mm256_or_si256(w.part[1], fifth_bits(static_cast<u32>(bits >> 32)))}};
}

struct X4 {
  __m256i q;  // the four activations in every 32-bit lane
};
LBM_LANE X4 x_load(const i8* q) {
  i32 four = 0;
  __builtin_memcpy(&four, q, 4);
  return {_mm256_set1_epi32(four)};
}

constexpr u32 kQuadsPerSum4 = 8;
constexpr u32 kQuadsPerSum5 = 4;
struct SmallSum {
  __m256i part[2];  // i16
};
LBM_LANE SmallSum small_zero() { return {{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
LBM_LANE void small_add(SmallSum& sum, W64 w, X4 x) {
  sum.part[0] = _mm256_add_epi16(sum.part[0], _mm256_maddubs_epi16(w.part[0], x.q));
  sum.part[1] = _mm256_add_epi16(sum.part[1], _mm256_maddubs_epi16(w.part[1], x.q));
}
LBM_LANE I32x16 small_finish(SmallSum sum) {
  const __m256i ones = _mm256_set1_epi16(1);
  I32x16 r;
  r.part[0] = __builtin_bit_cast(IPart, _mm256_madd_epi16(sum.part[0], ones));
  r.part[1] = __builtin_bit_cast(IPart, _mm256_madd_epi16(sum.part[1], ones));
  return r;
}
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (u32 i = 0; i < 2; ++i) {
    const __m256i pairs =
        _mm256_maddubs_epi16(_mm256_abs_epi8(w.part[i]), _mm256_sign_epi8(x.q, w.part[i]));
    acc.part[i] = acc.part[i] + __builtin_bit_cast(IPart, _mm256_madd_epi16(pairs, ones));
  }
  return acc;
}
