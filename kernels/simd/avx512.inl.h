// Vocabulary of the AVX-512 table (F, BW, VL, DQ, VNNI): one 512-bit vector is the 16 lanes, one
// lane is one row.
//
// vpdpbusd adds four products of unsigned and signed bytes into each i32 lane without an
// intermediate that could saturate. Signed weights enter as w + 128, which is unsigned for every w,
// -128 included; signed_start() subtracts 128 times the sum of the block's activations beforehand
// (R7): at most 32 * 255 * 127 in magnitude.

constexpr u32 kPart = 16;
#include "kernels/simd/lanes.inl.h"

constexpr u32 kDecodeTiles = 1;
// 12 sums and 12 running accumulators, 2 vectors of weights: 26 of 32 registers, and 8 loads for 12
// multiply-adds.
constexpr u32 kPanelTiles = 2;
constexpr u32 kPanelTokens = 6;
constexpr u32 kPlainTokens = 8;

// The forms with a (full) mask: without one gcc 12 warns about its own header (its bug 105593).
constexpr __mmask16 kAllLanes = 0xffff;
LBM_LANE F32x16 f_load_f16(const u16* p) {
  const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {{__builtin_bit_cast(FPart, _mm512_maskz_cvtph_ps(kAllLanes, h))}};
}
LBM_LANE void f_store_f16(u16* p, F32x16 v) {
  const __m256i h = _mm512_maskz_cvtps_ph(kAllLanes, __builtin_bit_cast(__m512, v.part[0]),
                                          _MM_FROUND_TO_NEAREST_INT);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), h);
}

struct W64 {
  __m512i bytes;
};
LBM_LANE W64 w_load(const void* p) { return {_mm512_loadu_si512(p)}; }
LBM_LANE W64 w_low_nibbles(W64 w) { return {_mm512_and_si512(w.bytes, _mm512_set1_epi8(15))}; }
LBM_LANE W64 w_high_nibbles(W64 w) {
  return {_mm512_and_si512(_mm512_srli_epi16(w.bytes, 4), _mm512_set1_epi8(15))};
}
template <u32 kIndex>
LBM_LANE W64 w_two_bits(W64 w) {
  return {_mm512_and_si512(_mm512_srli_epi16(w.bytes, 2 * kIndex), _mm512_set1_epi8(3))};
}
template <u32 kValue>
LBM_LANE W64 w_add_bit(W64 w, u64 bits) {
  return {_mm512_mask_add_epi8(w.bytes, static_cast<__mmask64>(bits), w.bytes,
                               _mm512_set1_epi8(kValue))};
}
LBM_LANE W64 w_join(W64 nibbles, W64 two_bits) {
  return {_mm512_or_si512(nibbles.bytes, _mm512_slli_epi16(two_bits.bytes, 4))};
}
LBM_LANE W64 w_lookup(W64 nibbles, const i8* table) {
  const __m128i t = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
  return {_mm512_shuffle_epi8(_mm512_maskz_broadcast_i32x4(kAllLanes, t), nibbles.bytes)};
}
LBM_LANE void w_store(void* p, W64 w) { _mm512_storeu_si512(p, w.bytes); }

struct X4 {
  __m512i q;  // the four activations in every lane
};
LBM_LANE X4 x_load(const i8* q) {
  i32 four = 0;
  __builtin_memcpy(&four, q, 4);
  return {_mm512_set1_epi32(four)};
}

template <u32 kLargest>
constexpr u32 kQuadsPerSum = 8;
struct SmallSum {
  __m512i lanes;
};
LBM_LANE SmallSum small_zero() { return {_mm512_setzero_si512()}; }
LBM_LANE void small_add(SmallSum& sum, W64 w, X4 x) {
  sum.lanes = _mm512_dpbusd_epi32(sum.lanes, w.bytes, x.q);
}
LBM_LANE I32x16 small_finish(SmallSum sum) { return {{__builtin_bit_cast(IPart, sum.lanes)}}; }

LBM_LANE I32x16 signed_start(i32 sum_q) { return i_splat(-128 * sum_q); }
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  const __m512i raised = _mm512_xor_si512(w.bytes, _mm512_set1_epi8(static_cast<char>(0x80)));
  return {{__builtin_bit_cast(
      IPart, _mm512_dpbusd_epi32(__builtin_bit_cast(__m512i, acc.part[0]), raised, x.q))}};
}
