// Vocabulary of the AVX-VNNI table: AVX2 with the 256-bit vpdpbusd of processors that have no
// AVX-512. As avx512.inl.h, halved.

constexpr u32 kPart = 8;
#include "kernels/simd/lanes.inl.h"
#include "kernels/simd/ymm.inl.h"

constexpr u32 kDecodeTiles = 1;
constexpr u32 kPanelTiles = 1;
constexpr u32 kPanelTokens = 4;
constexpr u32 kPlainTokens = 4;

template <u32 kLargest>
constexpr u32 kQuadsPerSum = 8;
struct SmallSum {
  __m256i part[2];
};
LBM_LANE SmallSum small_zero() { return {{_mm256_setzero_si256(), _mm256_setzero_si256()}}; }
LBM_LANE void small_add(SmallSum& sum, W64 w, X4 x) {
  sum.part[0] = _mm256_dpbusd_avx_epi32(sum.part[0], w.part[0], x.q);
  sum.part[1] = _mm256_dpbusd_avx_epi32(sum.part[1], w.part[1], x.q);
}
LBM_LANE I32x16 small_finish(SmallSum sum) { return __builtin_bit_cast(I32x16, sum); }

LBM_LANE I32x16 signed_start(i32 sum_q) { return i_splat(-128 * sum_q); }
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  const __m256i top = _mm256_set1_epi8(static_cast<char>(0x80));
  for (u32 i = 0; i < 2; ++i) {
    const __m256i raised = _mm256_xor_si256(w.part[i], top);
    acc.part[i] = __builtin_bit_cast(
        IPart, _mm256_dpbusd_avx_epi32(__builtin_bit_cast(__m256i, acc.part[i]), raised, x.q));
  }
  return acc;
}

constexpr PanelForm kPanelForm = PanelForm::kRaised;
constexpr bool kMatrixUnit = false;
constexpr bool kDecodeUnit = false;
template <i32 kOffset>
LBM_LANE W64 w_to_panel(W64 w) {
  const __m256i up = _mm256_set1_epi8(static_cast<char>(128 - kOffset));
  return {{_mm256_add_epi8(w.part[0], up), _mm256_add_epi8(w.part[1], up)}};
}
LBM_LANE I32x16 raised_add(I32x16 acc, W64 w, X4 x) {
  for (u32 i = 0; i < 2; ++i) {
    acc.part[i] = __builtin_bit_cast(
        IPart, _mm256_dpbusd_avx_epi32(__builtin_bit_cast(__m256i, acc.part[i]), w.part[i], x.q));
  }
  return acc;
}
