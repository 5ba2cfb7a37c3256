// Vocabulary of the AVX2 table (with F16C): two 256-bit vectors make the 16 lanes.
//
// maddubs multiplies unsigned by signed bytes and adds pairs into i16 with saturation, so every use
// proves that it can not saturate (R7): unsigned weights below 16: 2 * 15 * 127 = 3,810 a pair, 8
// sums 30,480; below 32: 7,874, 4 sums 31,496; below 64: 16,002, 2 sums 32,004; signed weights as
// |w| times the activation with w's sign: 2 * 128 * 127 = 32,512.

constexpr u32 kPart = 8;
#include "kernels/simd/lanes.inl.h"
#include "kernels/simd/ymm.inl.h"

constexpr u32 kDecodeTiles = 1;
constexpr u32 kPanelTiles = 1;
constexpr u32 kPanelTokens = 4;
constexpr u32 kPlainTokens = 4;

template <u32 kLargest>
constexpr u32 kQuadsPerSum = kLargest <= 15   ? 8
                             : kLargest <= 31 ? 4
                                              : 2;
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
LBM_LANE I32x16 signed_start(i32) { return i_splat(0); }
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  const __m256i ones = _mm256_set1_epi16(1);
  for (u32 i = 0; i < 2; ++i) {
    const __m256i pairs =
        _mm256_maddubs_epi16(_mm256_abs_epi8(w.part[i]), _mm256_sign_epi8(x.q, w.part[i]));
    acc.part[i] = acc.part[i] + __builtin_bit_cast(IPart, _mm256_madd_epi16(pairs, ones));
  }
  return acc;
}

constexpr PanelForm kPanelForm = PanelForm::kAsUnpacked;
constexpr bool kMatrixUnit = false;
constexpr bool kDecodeUnit = false;
template <i32 kOffset>
LBM_LANE W64 w_to_panel(W64 w) {
  return w;
}
LBM_LANE I32x16 raised_add(I32x16 acc, W64, X4) { return acc; }
