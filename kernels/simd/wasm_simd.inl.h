// Vocabulary of the WebAssembly table for 128-bit SIMD, which every engine has had for years.
//
// The only multiply-add of whole sums is i32x4.dot_i16x8: products of 16-bit lanes, added in pairs.
// A 16-bit lane holds an even and an odd element, e + 256 o, and the sum of a pair of lanes stays
// in its row, so nothing has to be folded at the end.
//
// Small unsigned elements need no unpacking of the odd ones: with the activations x of the even and
// y of the odd column,
//   (e + 256 o) y + e (256 x - y)  =  256 (e x + o y),
// two multiplications of 16-bit lanes (|256 x - y| <= 32,639; e + 256 o <= 127 * 257), and the
// factor 256 leaves at the end by an exact shift. A block sums to at most 256 * 32 * 127 * 127 <
// 2^28, and so does every partial sum; the two halves of the formula stay below 2^31 one by one:
// 16 * 2 * 32,639 * 127 < 2^28.

constexpr u32 kPart = 4;
#include "kernels/simd/lanes.inl.h"
#include "kernels/simd/v128.inl.h"

constexpr u32 kDecodeTiles = 1;
constexpr u32 kPanelTiles = 1;
constexpr u32 kPanelTokens = 4;
constexpr u32 kPlainTokens = 2;

// Indices below 16 only.
LBM_LANE W64 w_lookup(W64 nibbles, const i8* table) {
  const v128_t values = wasm_v128_load(table);
  LBM_EACH_PART nibbles.part[i] = wasm_i8x16_swizzle(values, nibbles.part[i]);
  return nibbles;
}

template <u32 kLargest>
constexpr u32 kQuadsPerSum = 8;
struct SmallSum {
  v128_t part[kParts];  // 256 times the sums of 4 rows
};
LBM_LANE SmallSum small_zero() {
  SmallSum sum;
  LBM_EACH_PART sum.part[i] = wasm_i32x4_const_splat(0);
  return sum;
}
LBM_LANE void small_add(SmallSum& sum, W64 w, X4 x) {
  const v128_t odd = wasm_i16x8_shr(x.q, 8);
  const v128_t mixed = wasm_i16x8_sub(wasm_i16x8_shl(x.q, 8), odd);
  LBM_EACH_PART {
    const v128_t even = wasm_v128_and(w.part[i], wasm_u16x8_const_splat(0xff));
    sum.part[i] = wasm_i32x4_add(sum.part[i], wasm_i32x4_dot_i16x8(w.part[i], odd));
    sum.part[i] = wasm_i32x4_add(sum.part[i], wasm_i32x4_dot_i16x8(even, mixed));
  }
}
LBM_LANE I32x16 small_finish(SmallSum sum) {
  I32x16 r;
  LBM_EACH_PART r.part[i] = __builtin_bit_cast(IPart, wasm_i32x4_shr(sum.part[i], 8));
  return r;
}

// Signed bytes are widened: both halves of a lane, both of the activations.
LBM_LANE I32x16 signed_start(i32) { return i_splat(0); }
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  const v128_t x_even = wasm_i16x8_shr(wasm_i16x8_shl(x.q, 8), 8);
  const v128_t x_odd = wasm_i16x8_shr(x.q, 8);
  LBM_EACH_PART {
    const v128_t even = wasm_i16x8_shr(wasm_i16x8_shl(w.part[i], 8), 8);
    const v128_t odd = wasm_i16x8_shr(w.part[i], 8);
    acc.part[i] += __builtin_bit_cast(IPart, wasm_i32x4_dot_i16x8(even, x_even));
    acc.part[i] += __builtin_bit_cast(IPart, wasm_i32x4_dot_i16x8(odd, x_odd));
  }
  return acc;
}
