// Types whose elements come from a small grid of integers (IQ1, IQ2, IQ3, TQ1, TQ2, Q1_0, Q2_0,
// NVFP4): stored as in the file, expanded exactly to int8 where they are multiplied (R6).
//
// They are kept small in memory and run through the same integer kernels as every other type; what
// they cost is the expansion, done once per 16 rows x 32 columns and batch.
#pragma once

#include "core/base/types.h"
#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"

namespace lbm {

// How the integer dot products of 32 columns enter the sum (docs/numerics.md, R5 and R6).
enum class GridStep : u8 {
  kScale,     // acc + (d * dx) * f32(dot of 32)
  kHalves,    // acc + (d * dx) * f32(scale[0] * dot of 0..15 + scale[1] * dot of 16..31)
  kTwoSteps,  // acc + (d * dx) * f32(dot of 0..15), then acc + (d_high * dx) * f32(dot of 16..31)
};

// 16 rows x 32 columns.
struct GridTile {
  alignas(64) i8 q[8][64];  // quad c: element 4 * row + j is column 4c + j
  alignas(64) f32 d[kTileRows];
  alignas(64) f32 d_high[kTileRows];    // kTwoSteps only
  alignas(64) i32 scale[2][kTileRows];  // kHalves only
};

// True where `type` is one of these types.
[[nodiscard]] bool is_grid_type(DType type);
[[nodiscard]] GridStep grid_step(DType type);

// Expands columns 32 * block .. 32 * block + 31 of a tile row ([n_col / block size][16 rows] of
// file blocks). Every bit pattern of a block is defined.
void expand_grid(DType type, const u8* tile, u32 block, GridTile& out);

}  // namespace lbm
