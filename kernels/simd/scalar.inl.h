// Vocabulary of the portable table: plain C, one multiply at a time. The definition of what the
// others must equal.

constexpr u32 kPart = 4;
#include "kernels/simd/lanes.inl.h"
#include "kernels/simd/half_portable.inl.h"

// Row tiles and tokens that one pass works on.
constexpr u32 kDecodeTiles = 1;
constexpr u32 kPrefillTiles = 1;
constexpr u32 kPrefillTokens = 4;

// Weight bytes of 16 rows x 4 columns.
struct W64 {
  u8 byte[64];
};
LBM_LANE W64 w_load(const void* p) {
  W64 w;
  __builtin_memcpy(&w, p, sizeof(w));
  return w;
}
LBM_LANE W64 w_low_nibbles(W64 w) {
  for (u8& b : w.byte) b &= 15;
  return w;
}
LBM_LANE W64 w_high_nibbles(W64 w) {
  for (u8& b : w.byte) b = static_cast<u8>(b >> 4);
  return w;
}
// Adds 16 to byte i where bit i of `bits` is set.
LBM_LANE W64 w_add_fifth_bit(W64 w, u64 bits) {
  for (u32 i = 0; i < 64; ++i) w.byte[i] = static_cast<u8>(w.byte[i] | (((bits >> i) & 1) << 4));
  return w;
}

// Four consecutive activations.
struct X4 {
  i8 q[4];
};
LBM_LANE X4 x_load(const i8* q) { return {{q[0], q[1], q[2], q[3]}}; }

// Sums of products with unsigned weights below 32, over at most kQuadsPerSum groups of four
// columns.
constexpr u32 kQuadsPerSum4 = 8;  // 4-bit weights
constexpr u32 kQuadsPerSum5 = 8;  // 5-bit weights
struct SmallSum {
  i32 lane[kLanes];
};
LBM_LANE SmallSum small_zero() { return {}; }
LBM_LANE void small_add(SmallSum& sum, W64 w, X4 x) {
  for (u32 row = 0; row < kLanes; ++row) {
    for (u32 j = 0; j < 4; ++j) sum.lane[row] += w.byte[4 * row + j] * x.q[j];
  }
}
LBM_LANE I32x16 small_finish(SmallSum sum) { return __builtin_bit_cast(I32x16, sum); }

// Sums of products with int8 weights, -128 included: signed_start(sum of the 32 activations), then
// 8 times signed_add.
LBM_LANE I32x16 signed_start(i32) { return i_splat(0); }
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  i32 lane[kLanes];
  __builtin_memcpy(lane, &acc, sizeof(lane));
  for (u32 row = 0; row < kLanes; ++row) {
    for (u32 j = 0; j < 4; ++j) lane[row] += static_cast<i8>(w.byte[4 * row + j]) * x.q[j];
  }
  __builtin_memcpy(&acc, lane, sizeof(lane));
  return acc;
}
