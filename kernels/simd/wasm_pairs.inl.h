// Vocabulary of the second WebAssembly table for relaxed SIMD, for processors without an
// instruction that adds four products of bytes: most x86-64 ones, where the dot product of
// wasm_relaxed.inl.h is three instructions and a constant.
//
// i16x8.relaxed_dot_i8x16_i7x16 multiplies signed bytes by bytes of 0..127 and adds two products to
// a 16-bit lane, which is one instruction there (pmaddubsw). As in avx2.inl.h, several pairs of
// small weights fit into 16 bits, so they are widened only once: weights below 16: 2 * 15 * 127 =
// 3,810 a pair, 8 sums 30,480; below 32: 7,874, 4 sums 31,496; below 64: 16,002, 2 sums 32,004.
// Signed weights as in wasm_relaxed.inl.h; w x of a pair is at most 2 * 128 * 127 = 32,512, so the
// difference of two sums modulo 2^16 is exact.

constexpr u32 kPart = 4;
#include "kernels/simd/lanes.inl.h"
#include "kernels/simd/v128.inl.h"

constexpr u32 kDecodeTiles = 1;
constexpr u32 kPanelTiles = 1;
constexpr u32 kPanelTokens = 1;
constexpr u32 kPlainTokens = 2;

// Indices below 16 only, for which the relaxed one is not.
LBM_LANE W64 w_lookup(W64 nibbles, const i8* table) {
  const v128_t values = wasm_v128_load(table);
  LBM_EACH_PART nibbles.part[i] = wasm_i8x16_relaxed_swizzle(values, nibbles.part[i]);
  return nibbles;
}

LBM_LANE IPart add_pairs(v128_t pairs) {
  return __builtin_bit_cast(IPart, wasm_i32x4_dot_i16x8(pairs, wasm_i16x8_const_splat(1)));
}

template <u32 kLargest>
constexpr u32 kQuadsPerSum = kLargest <= 15   ? 8
                             : kLargest <= 31 ? 4
                                              : 2;
struct SmallSum {
  v128_t part[kParts];  // 16-bit lanes
};
LBM_LANE SmallSum small_zero() {
  SmallSum sum;
  LBM_EACH_PART sum.part[i] = wasm_i16x8_const_splat(0);
  return sum;
}
LBM_LANE void small_add(SmallSum& sum, W64 w, X4 x) {
  LBM_EACH_PART {
    sum.part[i] = wasm_i16x8_add(sum.part[i], wasm_i16x8_relaxed_dot_i8x16_i7x16(x.q, w.part[i]));
  }
}
LBM_LANE I32x16 small_finish(SmallSum sum) {
  I32x16 r;
  LBM_EACH_PART r.part[i] = add_pairs(sum.part[i]);
  return r;
}

LBM_LANE I32x16 signed_start(i32) { return i_splat(0); }
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  const v128_t negative = wasm_i8x16_lt(x.q, wasm_i8x16_const_splat(0));
  const v128_t magnitude = wasm_i8x16_abs(x.q);
  const v128_t excess = wasm_i16x8_relaxed_dot_i8x16_i7x16(negative, magnitude);
  LBM_EACH_PART {
    const v128_t pairs =
        wasm_i16x8_relaxed_dot_i8x16_i7x16(wasm_v128_xor(w.part[i], negative), magnitude);
    acc.part[i] = acc.part[i] + add_pairs(wasm_i16x8_sub(pairs, excess));
  }
  return acc;
}
