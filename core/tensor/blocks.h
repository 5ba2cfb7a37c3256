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
// A quad c is 4 consecutive columns (4c .. 4c+3) of 16 rows: 64 elements, element 4 * row + j.
//   nibbles[g]  64 bytes: quad 2g in the low halves, quad 2g + 1 in the high ones
//   pairs[h]    64 bytes of 2-bit elements: quad 4h + i in bits 2i and 2i + 1
//   bits[c]     one bit of each element of quad c, as a 64-bit word
// The types with superblocks of 256 columns hold 8 sub-blocks of 32 columns each; their 6-bit
// scales stand as a nibble beside the sub-block, and 2 high bits in the superblock's head. Layouts
// of file blocks: ggml-common.h of the GGUF specification's reference implementation.
#pragma once

#include "core/base/types.h"

namespace lbm {

constexpr u32 kTileRows = 16;   // rows of a tile = virtual lanes of every reduction
constexpr u32 kBlockSize = 32;  // elements of an activation block, and of the file blocks below

using f16_bits = u16;

// The bytes of a file carry no alignment, and neither do its blocks.
#pragma pack(push, 1)
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
struct BlockMXFP4 {
  u8 e;  // exponent: d = 2^(e - 127)
  u8 qs[16];
};

// Superblocks of 256.
constexpr u32 kSuperSize = 256;
constexpr u32 kSubBlocks = kSuperSize / kBlockSize;
struct BlockQ2_K {
  u8 scales[16];  // of 16 elements: scale in the low half, minimum in the high one
  u8 qs[64];
  f16_bits d;
  f16_bits dmin;
};
struct BlockQ3_K {
  u8 hmask[32];  // third bits
  u8 qs[64];
  u8 scales[12];  // 16 of 6 bits
  f16_bits d;
};
struct BlockQ4_K {
  f16_bits d;
  f16_bits dmin;
  u8 scales[12];  // 8 scales and 8 minima of 6 bits
  u8 qs[128];
};
struct BlockQ5_K {
  f16_bits d;
  f16_bits dmin;
  u8 scales[12];
  u8 qh[32];  // fifth bits
  u8 qs[128];
};
struct BlockQ6_K {
  u8 ql[128];
  u8 qh[64];
  i8 scales[16];  // of 16 elements
  f16_bits d;
};
struct BlockIQ4_XS {
  f16_bits d;
  u16 scales_h;
  u8 scales_l[4];  // 8 scales of 6 bits
  u8 qs[128];
};
#pragma pack(pop)
static_assert(sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110 && sizeof(BlockQ4_K) == 144 &&
              sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210 && sizeof(BlockIQ4_XS) == 136 &&
              sizeof(BlockMXFP4) == 17);
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
  u64 bits[8];
  u8 nibbles[4][64];
};
struct TileQ5_1 {
  f16_bits d[kTileRows];
  f16_bits m[kTileRows];
  u64 bits[8];
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

struct TileMXFP4 {
  u8 e[kTileRows];
  u8 nibbles[4][64];  // index into the type's table of 16
};
// IQ4_NL has the layout of TileQ4_0, its nibbles are indices into a table of 16.

// 16 rows x 256 columns. `sub[s]` is columns 32s .. 32s + 31.
struct TileQ2_K {
  f16_bits d[kTileRows];
  f16_bits dmin[kTileRows];
  struct Sub {
    u8 scales[2][kTileRows];  // of columns 0..15 and 16..31: scale low half, minimum high half
    u8 pairs[2][64];
  } sub[kSubBlocks];
};
struct TileQ3_K {
  f16_bits d[kTileRows];
  u8 scales_high[4][kTileRows];  // [s / 2]: bits 4 (s % 2) + 2 half, two each
  struct Sub {
    u8 scales_low[kTileRows];  // half 0 in the low nibble, half 1 in the high one
    u64 bits[8];               // third bit of each element; the element is minus 4
    u8 pairs[2][64];
  } sub[kSubBlocks];
};
struct TileQ4_K {
  f16_bits d[kTileRows];
  f16_bits dmin[kTileRows];
  u8 scales_high[4][kTileRows];  // [s / 2]: bits 4 (s % 2) + 0..1 of the scale, + 2..3 minimum
  struct Sub {
    u8 scales_low[kTileRows];  // scale in the low nibble, minimum in the high one
    u8 nibbles[4][64];
  } sub[kSubBlocks];
};
struct TileQ5_K {
  f16_bits d[kTileRows];
  f16_bits dmin[kTileRows];
  u8 scales_high[4][kTileRows];  // as TileQ4_K
  struct Sub {
    u8 scales_low[kTileRows];
    u64 bits[8];  // fifth bit of each element
    u8 nibbles[4][64];
  } sub[kSubBlocks];
};
struct TileQ6_K {
  f16_bits d[kTileRows];
  struct Sub {
    i8 scales[2][kTileRows];  // of columns 0..15 and 16..31
    u8 nibbles[4][64];
    u8 pairs[2][64];  // bits 4 and 5 of each element; the element is minus 32
  } sub[kSubBlocks];
};
struct TileIQ4_XS {
  f16_bits d[kTileRows];
  u8 scales_high[2][kTileRows];  // [s / 4]: bits 2 (s % 4) and the next; the scale is minus 32
  u8 scales_low[4][kTileRows];   // [s / 2]: nibble s % 2
  u8 nibbles[kSubBlocks][4][64];
};
static_assert(sizeof(TileMXFP4) == 16 * sizeof(BlockMXFP4) &&
              sizeof(TileQ2_K) == 16 * sizeof(BlockQ2_K) &&
              sizeof(TileQ3_K) == 16 * sizeof(BlockQ3_K) &&
              sizeof(TileQ4_K) == 16 * sizeof(BlockQ4_K) &&
              sizeof(TileQ5_K) == 16 * sizeof(BlockQ5_K) &&
              sizeof(TileQ6_K) == 16 * sizeof(BlockQ6_K) &&
              sizeof(TileIQ4_XS) == 16 * sizeof(BlockIQ4_XS));

// F32, F16, BF16: [column][16 rows].
// All other types (core/tensor/grid.h): [block][16 rows], each block as the file stores it.

}  // namespace lbm
