// Vocabulary of the WebAssembly table for relaxed SIMD.
//
// i32x4.relaxed_dot_i8x16_i7x16_add multiplies signed bytes by bytes of 0..127 and adds four
// products to a 32-bit lane: one instruction where the processor has one. What is relaxed about it
// are second operands above 127, whose sign is left open, and sums of pairs beyond 16 bits, which
// may saturate; neither occurs here (R7). Small weights are second operands as they are; a pair is
// at most 2 * 127 * 127. Signed weights are first operands, and the second is |x|: with s = -1
// where x is negative and 0 elsewhere,
//   w x  =  (w ^ s) |x| - s |x|,
// since ~w = -w - 1, which is a byte for every byte w, -128 included. The second term is the same
// for all rows. A pair is at most 2 * 128 * 127 = 32,512.

constexpr u32 kPart = 4;
#include "kernels/simd/lanes.inl.h"
#include "kernels/simd/v128.inl.h"

constexpr u32 kDecodeTiles = 1;
constexpr u32 kPanelTiles = 1;
constexpr u32 kPanelTokens = 2;
constexpr u32 kPlainTokens = 2;

// Indices below 16 only, for which the relaxed one is not.
LBM_LANE W64 w_lookup(W64 nibbles, const i8* table) {
  const v128_t values = wasm_v128_load(table);
  LBM_EACH_PART nibbles.part[i] = wasm_i8x16_relaxed_swizzle(values, nibbles.part[i]);
  return nibbles;
}

template <u32 kLargest>
constexpr u32 kQuadsPerSum = 8;
struct SmallSum {
  v128_t part[kParts];
};
LBM_LANE SmallSum small_zero() {
  SmallSum sum;
  LBM_EACH_PART sum.part[i] = wasm_i32x4_const_splat(0);
  return sum;
}
LBM_LANE void small_add(SmallSum& sum, W64 w, X4 x) {
  LBM_EACH_PART {
    sum.part[i] = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x.q, w.part[i], sum.part[i]);
  }
}
LBM_LANE I32x16 small_finish(SmallSum sum) { return __builtin_bit_cast(I32x16, sum); }

LBM_LANE I32x16 signed_start(i32) { return i_splat(0); }
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  const v128_t negative = wasm_i8x16_lt(x.q, wasm_i8x16_const_splat(0));
  const v128_t magnitude = wasm_i8x16_abs(x.q);
  const v128_t excess =
      wasm_i32x4_relaxed_dot_i8x16_i7x16_add(negative, magnitude, wasm_i32x4_const_splat(0));
  LBM_EACH_PART {
    const v128_t sum = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(
        wasm_v128_xor(w.part[i], negative), magnitude, __builtin_bit_cast(v128_t, acc.part[i]));
    acc.part[i] = __builtin_bit_cast(IPart, wasm_i32x4_sub(sum, excess));
  }
  return acc;
}
