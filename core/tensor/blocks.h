// The bytes of quantized weights: blocks as files store them, and the row tiles that the kernels
// read.
//
// A file stores each row as blocks of 32 elements, scale first. The kernels want one lane per row,
// so 16 rows are interleaved when the weights are loaded: for every 32 columns the 16 scales stand
// together, then the elements, 4 consecutive columns of one row at a time (a 32-bit group that one
// multiply-add instruction consumes). The size does not change.
//
//   file:  row 0: [d q0..q31] [d q0..q31] ...
//          row 1: [d q0..q31] ...
//   tile:  d of rows 0..15 | columns 0..3 of rows 0..15 | columns 4..7 of rows 0..15 | ...
//
// Nibbles: 64 bytes hold columns 8g..8g+3 of 16 rows in the low halves, 8g+4..8g+7 in the high
// ones. Fifth bits: 8 words of 64 bits; bit (4 * row + j) of word c belongs to column 4c + j of
// `row`. Layouts of file blocks: ggml-common.h of the GGUF specification's reference
// implementation.
#pragma once

#include "core/base/types.h"

namespace lbm {

constexpr u32 kTileRows = 16;   // rows of a tile = virtual lanes of every reduction
constexpr u32 kBlockSize = 32;  // elements of an activation block, and of the file blocks below

using f16_bits = u16;

struct BlockQ4_0 {
  f16_bits d;
  u8 qs[16];  // element i in the low half of qs[i], i + 16 in the high half
};
struct BlockQ4_1 {
  f16_bits d;
  f16_bits m;
  u8 qs[16];
};
struct BlockQ5_0 {
  f16_bits d;
  u8 qh[4];  // fifth bits, bit i of the little-endian word belongs to element i
  u8 qs[16];
};
struct BlockQ5_1 {
  f16_bits d;
  f16_bits m;
  u8 qh[4];
  u8 qs[16];
};
struct BlockQ8_0 {
  f16_bits d;
  i8 qs[32];
};
static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22 &&
              sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34);

// 16 rows x 32 columns.
struct TileQ4_0 {
  f16_bits d[kTileRows];
  u8 nibbles[4][64];
};
struct TileQ4_1 {
  f16_bits d[kTileRows];
  f16_bits m[kTileRows];
  u8 nibbles[4][64];
};
struct TileQ5_0 {
  f16_bits d[kTileRows];
  u64 high[8];
  u8 nibbles[4][64];
};
struct TileQ5_1 {
  f16_bits d[kTileRows];
  f16_bits m[kTileRows];
  u64 high[8];
  u8 nibbles[4][64];
};
struct TileQ8_0 {
  f16_bits d[kTileRows];
  i8 q[8][64];
};
static_assert(sizeof(TileQ4_0) == 16 * sizeof(BlockQ4_0) &&
              sizeof(TileQ4_1) == 16 * sizeof(BlockQ4_1) &&
              sizeof(TileQ5_0) == 16 * sizeof(BlockQ5_0) &&
              sizeof(TileQ5_1) == 16 * sizeof(BlockQ5_1) &&
              sizeof(TileQ8_0) == 16 * sizeof(BlockQ8_0));

// F32, F16, BF16: [column][16 rows].

}  // namespace lbm
