// Blocks of the grid types as files store them, and what loading asks about them.
#pragma once

#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"

namespace lbm {

#pragma pack(push, 1)
struct BlockIQ1_S {
  f16_bits d;
  u8 qs[32];  // low 8 bits of the grid indices, one of 8 elements each
  u16 qh[8];  // of 32 columns: 4 x 3 high bits, 3 bits of scale, the sign of the shift
};
struct BlockIQ1_M {
  u8 qs[32];
  u8 qh[16];      // of 16 columns: a nibble per index, 3 high bits and the sign of the shift
  u16 scales[4];  // of 64 columns: 4 scales of 3 bits; the tops together are d
};
struct BlockIQ2_XXS {
  f16_bits d;
  u8 parts[8][8];  // 4 grid indices, then a word: 4 x 7 bits of signs, 4 bits of scale
};
struct BlockIQ2_XS {
  f16_bits d;
  u16 qs[32];    // 9 bits of grid index, 7 bits of signs
  u8 scales[8];  // of 16 columns, 4 bits each
};
struct BlockIQ2_S {
  f16_bits d;
  u8 qs[32];
  u8 signs[32];
  u8 qh[8];  // of 32 columns: 4 x 2 high bits
  u8 scales[8];
};
struct BlockIQ3_XXS {
  f16_bits d;
  u8 qs[64];     // grid indices, of 4 elements each
  u8 signs[32];  // of 32 columns a word: 4 x 7 bits of signs, 4 bits of scale
};
struct BlockIQ3_S {
  f16_bits d;
  u8 qs[64];
  u8 qh[8];  // of 32 columns: the ninth bits of 8 indices
  u8 signs[32];
  u8 scales[4];  // of 32 columns, 4 bits each
};
struct BlockTQ1_0 {
  u8 qs[48];  // 5 ternary digits each, most significant first, as a fraction of 256
  u8 qh[4];   // 4 digits each
  f16_bits d;
};
struct BlockTQ2_0 {
  u8 qs[64];
  f16_bits d;
};
struct BlockNVFP4 {
  u8 d[4];  // of 16 columns, unsigned E4M3
  u8 qs[32];
};
struct BlockQ1_0 {
  f16_bits d;
  u8 qs[16];  // 1 bit each: d or -d
};
struct BlockQ2_0 {
  f16_bits d;
  u8 qs[16];
};
#pragma pack(pop)
static_assert(sizeof(BlockIQ1_S) == 50 && sizeof(BlockIQ1_M) == 56 && sizeof(BlockIQ2_XXS) == 66 &&
              sizeof(BlockIQ2_XS) == 74 && sizeof(BlockIQ2_S) == 82 && sizeof(BlockIQ3_XXS) == 98 &&
              sizeof(BlockIQ3_S) == 110 && sizeof(BlockTQ1_0) == 54 && sizeof(BlockTQ2_0) == 66 &&
              sizeof(BlockNVFP4) == 36 && sizeof(BlockQ1_0) == 18 && sizeof(BlockQ2_0) == 18);

// False when a scale of the block is NaN or infinite. `type` is a grid type.
[[nodiscard]] bool grid_scale_is_finite(DType type, const u8* block);

}  // namespace lbm
