// The elements of a block before their product: what every dequantizer, of file blocks and of
// tiles, decodes to. So each type has one element formula (R9), whatever order its bits are in.
#pragma once

#include "core/base/types.h"
#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"

namespace lbm {

// 32 columns of one row. Element i is d[i / 16] * q[i], plus m[i / 16] where the type has a
// minimum.
struct Elements {
  f32 d[2];
  f32 m[2];  // of the K types: -(dmin * mn), so that adding it is the subtraction of the reference
  i8 q[kBlockSize];
};

inline void set_scales(Elements& out, f32 d, f32 m = 0) {
  out.d[0] = out.d[1] = d;
  out.m[0] = out.m[1] = m;
}

inline void multiply_out(const Elements& in, bool has_minimum, f32* out) {
  for (u32 i = 0; i < kBlockSize; ++i) {
    const f32 product = in.d[i / 16] * static_cast<f32>(in.q[i]);
    out[i] = has_minimum ? product + in.m[i / 16] : product;
  }
}

[[nodiscard]] constexpr bool has_minimum(DType type) {
  return type == DType::kQ4_1 || type == DType::kQ5_1 || type == DType::kQ2_K ||
         type == DType::kQ4_K || type == DType::kQ5_K;
}

// What the nibbles of IQ4_NL and IQ4_XS stand for.
inline constexpr i8 kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
// FP4 (E2M1) doubled, for MXFP4 and NVFP4. Minus zero counts as zero.
inline constexpr i8 kFp4Values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Half of 2^(e - 127), the scale of MXFP4 for doubled elements. Never overflows; 0 and 1 are
// subnormal.
[[nodiscard]] inline f32 half_power(u8 e) {
  const u32 bits = e < 2 ? 0x00200000u << e : static_cast<u32>(e - 1) << 23;
  return __builtin_bit_cast(f32, bits);
}

// Columns 32 * part .. 32 * part + 31 of one block as the file stores it.
using DecodeBlock = void (*)(const u8* block, u32 part, Elements& out);

// nullptr for the types of another file.
[[nodiscard]] DecodeBlock superblock_decoder(DType type);  // dequantize_k.cpp
[[nodiscard]] DecodeBlock grid_decoder(DType type);        // grid.cpp

}  // namespace lbm
