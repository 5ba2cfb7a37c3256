// Vocabulary of the portable table: plain C, one multiply at a time. The definition of what the
// others must equal.

constexpr u32 kPart = 4;
#include "kernels/simd/lanes.inl.h"
#include "kernels/simd/half_portable.inl.h"

// Row tiles and tokens that one pass works on: with one token; with a panel; with plain weights.
constexpr u32 kDecodeTiles = 1;
constexpr u32 kPanelTiles = 1;
constexpr u32 kPanelTokens = 4;
constexpr u32 kPlainTokens = 4;

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
// Bits 2 * kIndex and the next of each byte.
template <u32 kIndex>
LBM_LANE W64 w_two_bits(W64 w) {
  for (u8& b : w.byte) b = (b >> (2 * kIndex)) & 3;
  return w;
}
// Adds kValue, a power of two that the byte has not got, to byte i where bit i of `bits` is set.
template <u32 kValue>
LBM_LANE W64 w_add_bit(W64 w, u64 bits) {
  for (u32 i = 0; i < 64; ++i) {
    if (((bits >> i) & 1) != 0) w.byte[i] = static_cast<u8>(w.byte[i] | kValue);
  }
  return w;
}
// Nibbles with two more bits above them.
LBM_LANE W64 w_join(W64 nibbles, W64 two_bits) {
  for (u32 i = 0; i < 64; ++i) {
    nibbles.byte[i] = static_cast<u8>(nibbles.byte[i] | (two_bits.byte[i] << 4));
  }
  return nibbles;
}
LBM_LANE W64 w_lookup(W64 nibbles, const i8* table) {
  for (u8& b : nibbles.byte) b = static_cast<u8>(table[b]);
  return nibbles;
}
LBM_LANE void w_store(void* p, W64 w) { __builtin_memcpy(p, &w, sizeof(w)); }

// Four consecutive activations.
struct X4 {
  i8 q[4];
};
LBM_LANE X4 x_load(const i8* q) { return {{q[0], q[1], q[2], q[3]}}; }

// Sums of products with unsigned weights of at most kLargest, over so many quads before
// small_finish() must read them out.
template <u32 kLargest>
constexpr u32 kQuadsPerSum = 8;
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

// Sums of products with int8 weights, -128 included; a sum starts from signed_start(sum of the
// activations it will meet).
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

constexpr PanelForm kPanelForm = PanelForm::kAsUnpacked;
constexpr bool kMatrixUnit = false;
constexpr bool kDecodeUnit = false;
template <i32 kOffset>
LBM_LANE W64 w_to_panel(W64 w) {
  return w;
}
LBM_LANE I32x16 raised_add(I32x16 acc, W64, X4) { return acc; }
