// Weights in quarters of 128 bits: what the WebAssembly tables share.
//
// A quarter is 4 rows x 4 columns, so a 32-bit lane holds four consecutive elements of one row, and
// a 16-bit lane an even and an odd one.

#include "kernels/simd/half_portable.inl.h"

struct W64 {
  v128_t part[kParts];
};
LBM_LANE W64 w_load(const void* p) {
  const v128_t* v = static_cast<const v128_t*>(p);
  return {{wasm_v128_load(v), wasm_v128_load(v + 1), wasm_v128_load(v + 2), wasm_v128_load(v + 3)}};
}
LBM_LANE W64 w_and(W64 w, u32 mask) {
  LBM_EACH_PART w.part[i] = wasm_v128_and(w.part[i], wasm_u32x4_splat(mask));
  return w;
}
// Shifts pairs of bytes: the processors behind most engines have no shift of single ones.
LBM_LANE W64 w_shift_right(W64 w, u32 n_bit) {
  LBM_EACH_PART w.part[i] = wasm_u16x8_shr(w.part[i], n_bit);
  return w;
}
LBM_LANE W64 w_low_nibbles(W64 w) { return w_and(w, 0x0f0f0f0f); }
LBM_LANE W64 w_high_nibbles(W64 w) { return w_and(w_shift_right(w, 4), 0x0f0f0f0f); }
template <u32 kIndex>
LBM_LANE W64 w_two_bits(W64 w) {
  return w_and(w_shift_right(w, 2 * kIndex), 0x03030303);
}
// kValue in each of 16 bytes whose bit in bytes kByte and kByte + 1 of `bits` is set: copies each
// byte of the mask to the 8 bytes it speaks for, then tests one bit in each.
template <u32 kByte, u32 kValue>
LBM_LANE v128_t spread_bits(v128_t bits) {
  constexpr u32 a = kByte;
  constexpr u32 b = kByte + 1;
  const v128_t copy =
      wasm_i8x16_shuffle(bits, bits, a, a, a, a, a, a, a, a, b, b, b, b, b, b, b, b);
  const v128_t one_bit = wasm_u64x2_const_splat(0x8040201008040201u);
  const v128_t set = wasm_i8x16_eq(wasm_v128_and(copy, one_bit), one_bit);
  return wasm_v128_and(set, wasm_u8x16_const_splat(kValue));
}
template <u32 kValue>
LBM_LANE W64 w_add_bit(W64 w, u64 bits) {
  const v128_t all = wasm_u64x2_splat(bits);
  return {{wasm_v128_or(w.part[0], spread_bits<0, kValue>(all)),
           wasm_v128_or(w.part[1], spread_bits<2, kValue>(all)),
           wasm_v128_or(w.part[2], spread_bits<4, kValue>(all)),
           wasm_v128_or(w.part[3], spread_bits<6, kValue>(all))}};
}
LBM_LANE W64 w_join(W64 nibbles, W64 two_bits) {
  LBM_EACH_PART {
    nibbles.part[i] = wasm_v128_or(nibbles.part[i], wasm_i16x8_shl(two_bits.part[i], 4));
  }
  return nibbles;
}
LBM_LANE void w_store(void* p, W64 w) {
  LBM_EACH_PART wasm_v128_store(static_cast<v128_t*>(p) + i, w.part[i]);
}

struct X4 {
  v128_t q;  // the four activations in every 32-bit lane
};
LBM_LANE X4 x_load(const i8* q) { return {wasm_v128_load32_splat(q)}; }

// Unsigned elements stay so in a panel, signed ones too.
constexpr PanelForm kPanelForm = PanelForm::kAsUnpacked;
constexpr bool kMatrixUnit = false;
constexpr bool kDecodeUnit = false;
template <i32 kOffset>
LBM_LANE W64 w_to_panel(W64 w) {
  return w;
}
LBM_LANE I32x16 raised_add(I32x16 acc, W64, X4) { return acc; }
