// Weights, activations and halves in pairs of 256-bit vectors: what the AVX2 and AVX-VNNI tables
// share.

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
    const __m128i h =
        _mm256_cvtps_ph(__builtin_bit_cast(__m256, v.part[i]), _MM_FROUND_TO_NEAREST_INT);
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
template <u32 kIndex>
LBM_LANE W64 w_two_bits(W64 w) {
  const __m256i mask = _mm256_set1_epi8(3);
  return {{_mm256_and_si256(_mm256_srli_epi16(w.part[0], 2 * kIndex), mask),
           _mm256_and_si256(_mm256_srli_epi16(w.part[1], 2 * kIndex), mask)}};
}
// kValue in byte i where bit i is set: copies each byte of the mask to the 8 bytes it speaks for,
// then tests one bit in each.
template <u32 kValue>
LBM_LANE __m256i spread_bits(u32 bits) {
  const __m256i copy = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2,
                                        2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  const __m256i one_bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<i32>(bits)), copy);
  const __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, one_bit), one_bit);
  return _mm256_and_si256(set, _mm256_set1_epi8(kValue));
}
template <u32 kValue>
LBM_LANE W64 w_add_bit(W64 w, u64 bits) {
  return {{_mm256_or_si256(w.part[0], spread_bits<kValue>(static_cast<u32>(bits))),
           _mm256_or_si256(w.part[1], spread_bits<kValue>(static_cast<u32>(bits >> 32)))}};
}
LBM_LANE W64 w_join(W64 nibbles, W64 two_bits) {
  return {{_mm256_or_si256(nibbles.part[0], _mm256_slli_epi16(two_bits.part[0], 4)),
           _mm256_or_si256(nibbles.part[1], _mm256_slli_epi16(two_bits.part[1], 4))}};
}
LBM_LANE W64 w_lookup(W64 nibbles, const i8* table) {
  const __m256i t =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  return {{_mm256_shuffle_epi8(t, nibbles.part[0]), _mm256_shuffle_epi8(t, nibbles.part[1])}};
}
LBM_LANE void w_store(void* p, W64 w) {
  __m256i* v = static_cast<__m256i*>(p);
  _mm256_storeu_si256(v, w.part[0]);
  _mm256_storeu_si256(v + 1, w.part[1]);
}

struct X4 {
  __m256i q;  // the four activations in every 32-bit lane
};
LBM_LANE X4 x_load(const i8* q) {
  i32 four = 0;
  __builtin_memcpy(&four, q, 4);
  return {_mm256_set1_epi32(four)};
}
