#include "core/tensor/repack.h"

#include "core/tensor/f16.h"
#include "core/tensor/grid.h"
#include "core/tensor/grid_blocks.h"
#include "core/tensor/repack_rows.h"

namespace lbm {

// A transpose of 16 rows x 8 nibbles: two rows at a time make bytes, which are written one by one.
void put_bits(const u32 (&rows)[kTileRows], u64 (&out)[8]) {
  u8* bytes = reinterpret_cast<u8*>(out);
  for (u32 row = 0; row < kTileRows; row += 2) {
    const NibblePair pair = pair_nibbles(rows[row], rows[row + 1]);
    for (u32 i = 0; i < 4; ++i) {
      bytes[8 * (2 * i) + row / 2] = static_cast<u8>(pair.low >> (8 * i));
      bytes[8 * (2 * i + 1) + row / 2] = static_cast<u8>(pair.high >> (8 * i));
    }
  }
}

u32 first_not_finite(const f16_bits (&scales)[kTileRows]) {
  u32 n_bad = 0;
  for (const f16_bits scale : scales) n_bad += f16_is_finite(scale) ? 0u : 1u;
  if (n_bad == 0) return kTileRows;
  u32 row = 0;
  while (f16_is_finite(scales[row])) ++row;
  return row;
}

namespace {

template <class Block, class Tile>
void fill_low(RowBlocks<Block> at, Tile& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const Block& block = *at[row];
    tile.d[row] = block.d;
    if constexpr (requires { tile.m; }) tile.m[row] = block.m;
    put_nibbles(block.qs, row, tile.nibbles);
  }
}
// The types with a fifth bit.
template <class Block, class Tile>
void fill_high(RowBlocks<Block> at, Tile& tile) {
  fill_low<Block>(at, tile);
  u32 high[kTileRows];
  for (u32 row = 0; row < kTileRows; ++row) high[row] = load_word(at[row]->qh);
  put_bits(high, tile.bits);
}

void fill_q8(RowBlocks<BlockQ8_0> at, TileQ8_0& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const BlockQ8_0& block = *at[row];
    tile.d[row] = block.d;
    for (u32 c = 0; c < 8; ++c) __builtin_memcpy(&tile.q[c][4 * row], &block.qs[4 * c], 4);
  }
}

void fill_mxfp4(RowBlocks<BlockMXFP4> at, TileMXFP4& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const BlockMXFP4& block = *at[row];
    tile.e[row] = block.e;
    put_nibbles(block.qs, row, tile.nibbles);
  }
}

template <class Tile>
u32 bad_row(const Tile& tile) {
  u32 bad = first_not_finite(tile.d);
  if constexpr (requires { tile.m; }) {
    const u32 bad_min = first_not_finite(tile.m);
    bad = bad_min < bad ? bad_min : bad;
  }
  return bad;
}

u32 bad_row_mxfp4(const TileMXFP4& tile) {
  constexpr u8 kNotANumber = 0xff;
  u32 row = 0;
  while (row < kTileRows && tile.e[row] != kNotANumber) ++row;
  return row;
}

// Plain element types: [column][row]. A square of 4 columns of 4 rows at a time, in registers.
void transpose_square(const u8* const* at, u8* out, u32 /* element of 4 bytes */) {
  u32 w[4][4];
  for (u32 row = 0; row < 4; ++row) __builtin_memcpy(w[row], at[row], 16);
  for (u32 col = 0; col < 4; ++col) {
    const u32 column[4] = {w[0][col], w[1][col], w[2][col], w[3][col]};
    __builtin_memcpy(out + col * kTileRows * 4, column, 16);
  }
}
void transpose_square(const u8* const* at, u8* out, u16 /* element of 2 bytes */) {
  constexpr u64 kEven = 0x0000ffff0000ffffull;
  const u64 r0 = load_two_words(at[0]);
  const u64 r1 = load_two_words(at[1]);
  const u64 r2 = load_two_words(at[2]);
  const u64 r3 = load_two_words(at[3]);
  const u64 a0 = (r0 & kEven) | ((r1 & kEven) << 16);  // columns 0 and 2 of rows 0 and 1
  const u64 a1 = ((r0 >> 16) & kEven) | (r1 & ~kEven);
  const u64 b0 = (r2 & kEven) | ((r3 & kEven) << 16);
  const u64 b1 = ((r2 >> 16) & kEven) | (r3 & ~kEven);
  const u64 columns[4] = {(a0 & 0xffffffffu) | (b0 << 32), (a1 & 0xffffffffu) | (b1 << 32),
                          (a0 >> 32) | (b0 & ~0xffffffffull), (a1 >> 32) | (b1 & ~0xffffffffull)};
  for (u32 col = 0; col < 4; ++col) __builtin_memcpy(out + col * kTileRows * 2, &columns[col], 8);
}

template <class Element>
void transpose(Span<const u8> rows, u32 n_row, u64 n_col, Span<u8> out) {
  static constexpr u8 kZeros[4 * sizeof(Element)] = {};
  const u64 n_square = n_col / 4;
  const u64 row_bytes = n_col * sizeof(Element);
  for (u64 square = 0; square < n_square; ++square) {
    const u8* at[kTileRows];
    for (u32 row = 0; row < kTileRows; ++row)
      at[row] = row < n_row ? rows.data() + row * row_bytes + square * 4 * sizeof(Element) : kZeros;
    u8* to = out.data() + square * 4 * kTileRows * sizeof(Element);
    for (u32 row = 0; row < kTileRows; row += 4)
      transpose_square(at + row, to + row * sizeof(Element), Element{});
  }
  for (u64 col = n_square * 4; col < n_col; ++col) {
    for (u32 row = 0; row < kTileRows; ++row) {
      __builtin_memcpy(out.data() + (col * kTileRows + row) * sizeof(Element),
                       row < n_row ? rows.data() + row * row_bytes + col * sizeof(Element) : kZeros,
                       sizeof(Element));
    }
  }
}

// Types that are expanded where they are multiplied: [block][row], unchanged.
Status interleave(DType type, Span<const u8> rows, u32 n_row, Span<u8> out) {
  const usize n_byte = dtype_traits(type).block_bytes;
  const usize n_block = out.size() / n_byte / kTileRows;
  for (usize b = 0; b < n_block; ++b) {
    u8* to = out.data() + b * n_byte * kTileRows;
    for (u32 row = 0; row < n_row; ++row, to += n_byte) {
      const u8* block = rows.data() + (row * n_block + b) * n_byte;
      if (!grid_scale_is_finite(type, block)) return scale_error(row);
      __builtin_memcpy(to, block, n_byte);
    }
    __builtin_memset(to, 0, n_byte * (kTileRows - n_row));
  }
  return {};
}

template <class Block, class Tile>
Status repack_low(Span<const u8> rows, u32 n_row, Span<u8> out) {
  return repack_blocks<Block, Tile>(rows, n_row, out, fill_low<Block, Tile>, bad_row<Tile>);
}
template <class Block, class Tile>
Status repack_high(Span<const u8> rows, u32 n_row, Span<u8> out) {
  return repack_blocks<Block, Tile>(rows, n_row, out, fill_high<Block, Tile>, bad_row<Tile>);
}

}  // namespace

u64 tile_bytes(DType type, u64 n_col) {
  const DTypeTraits traits = dtype_traits(type);
  LBM_CHECK(traits.block_size != 0 && n_col % traits.block_size == 0);
  return n_col / traits.block_size * traits.block_bytes * kTileRows;
}

Status repack_tile(DType type, Span<const u8> rows, u32 n_row, u64 n_col, Span<u8> tile) {
  LBM_CHECK(n_row >= 1 && n_row <= kTileRows && tile.size() == tile_bytes(type, n_col));
  LBM_CHECK(rows.size() == tile.size() / kTileRows * n_row);
  LBM_CHECK(reinterpret_cast<uintptr_t>(tile.data()) % alignof(u64) == 0);
  switch (type) {
    case DType::kF32: transpose<u32>(rows, n_row, n_col, tile); return {};
    case DType::kF16:
    case DType::kBF16: transpose<u16>(rows, n_row, n_col, tile); return {};
    case DType::kQ4_0:
    case DType::kIQ4_NL: return repack_low<BlockQ4_0, TileQ4_0>(rows, n_row, tile);
    case DType::kQ4_1: return repack_low<BlockQ4_1, TileQ4_1>(rows, n_row, tile);
    case DType::kQ5_0: return repack_high<BlockQ5_0, TileQ5_0>(rows, n_row, tile);
    case DType::kQ5_1: return repack_high<BlockQ5_1, TileQ5_1>(rows, n_row, tile);
    case DType::kQ8_0:
      return repack_blocks<BlockQ8_0, TileQ8_0>(rows, n_row, tile, fill_q8, bad_row<TileQ8_0>);
    case DType::kMXFP4:
      return repack_blocks<BlockMXFP4, TileMXFP4>(rows, n_row, tile, fill_mxfp4, bad_row_mxfp4);
    default: break;
  }
  return is_grid_type(type) ? interleave(type, rows, n_row, tile)
                            : repack_superblocks(type, rows, n_row, tile);
}

}  // namespace lbm
