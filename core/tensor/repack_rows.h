// What repacking is made of: packed elements moved between the order of a row and that of a tile, a
// word of 4 bytes (4 consecutive columns of one row) at a time.
//
// Everything here is a shuffle: no bit is lost, none computed. Words are little-endian, so byte j
// of a word is column j of its quad.
#pragma once

#include "core/base/result.h"
#include "core/base/span.h"
#include "core/tensor/block_bytes.h"
#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"

namespace lbm {

// The same block of each of the 16 rows, as the file stores it. A row that is not there is a block
// of zeros.
template <class Block>
using RowBlocks = const Block* const (&)[kTileRows];

// Two words a, b of packed nibbles: `low` is the low halves of a below those of b, `high` the high
// ones likewise.
struct NibblePair {
  u32 low;
  u32 high;
};
inline NibblePair pair_nibbles(u32 a, u32 b) {
  constexpr u32 kLow = 0x0f0f0f0f;
  return {(a & kLow) | ((b & kLow) << 4), ((a >> 4) & kLow) | (b & ~kLow)};
}

// 16 bytes that hold columns 0..15 in their low halves and 16..31 in their high ones.
inline void put_nibbles(const u8* qs, u32 row, u8 (&out)[4][64]) {
  for (u32 g = 0; g < 2; ++g) {
    const NibblePair pair = pair_nibbles(load_word(qs + 8 * g), load_word(qs + 8 * g + 4));
    store_word(&out[g][4 * row], pair.low);
    store_word(&out[g + 2][4 * row], pair.high);
  }
}

// 32 bytes that hold 32 columns of one sub-block in their low halves and of another in their high
// ones.
inline void put_two_nibbles(const u8* qs, u32 row, u8 (&low)[4][64], u8 (&high)[4][64]) {
  for (u32 g = 0; g < 4; ++g) {
    const NibblePair pair = pair_nibbles(load_word(qs + 8 * g), load_word(qs + 8 * g + 4));
    store_word(&low[g][4 * row], pair.low);
    store_word(&high[g][4 * row], pair.high);
  }
}

// A 4 x 4 transpose of 2-bit fields, in each byte of 4 words: field j of word i goes to field i of
// word j. So 4 words that each hold a quad of 4 sub-blocks become a word of 4 quads of each.
inline void transpose_fields(u32 (&w)[4]) {
  constexpr u32 kEven = 0x33333333;  // fields 0 and 2
  constexpr u32 kLow = 0x0f0f0f0f;   // fields 0 and 1
  const u32 a0 = (w[0] & kEven) | ((w[1] & kEven) << 2);
  const u32 a1 = ((w[0] >> 2) & kEven) | (w[1] & ~kEven);
  const u32 a2 = (w[2] & kEven) | ((w[3] & kEven) << 2);
  const u32 a3 = ((w[2] >> 2) & kEven) | (w[3] & ~kEven);
  w[0] = (a0 & kLow) | ((a2 & kLow) << 4);
  w[1] = (a1 & kLow) | ((a3 & kLow) << 4);
  w[2] = ((a0 >> 4) & kLow) | (a2 & ~kLow);
  w[3] = ((a1 >> 4) & kLow) | (a3 & ~kLow);
}

// 32 bytes that hold 32 columns of 4 sub-blocks in their 2-bit fields. `Sub` has pairs[2][64].
template <class Sub>
void put_pairs(const u8* qs, u32 row, Sub* sub) {
  for (u32 h = 0; h < 2; ++h) {
    u32 w[4];
    for (u32 i = 0; i < 4; ++i) w[i] = load_word(qs + 16 * h + 4 * i);
    transpose_fields(w);
    for (u32 j = 0; j < 4; ++j) store_word(&sub[j].pairs[h][4 * row], w[j]);
  }
}

// 16 words of 32 single bits (one of each column) become one bit of each element of each quad.
void put_bits(const u32 (&rows)[kTileRows], u64 (&out)[8]);

// Index of the first scale that is NaN or infinite, or kTileRows.
[[nodiscard]] u32 first_not_finite(const f16_bits (&scales)[kTileRows]);

// Repacks the superblocks of 256 columns (repack_k.cpp). As repack_tile().
[[nodiscard]] Status repack_superblocks(DType type, Span<const u8> rows, u32 n_row, Span<u8> tile);

[[nodiscard]] inline Status scale_error(u32 row) {
  return fail(ErrorCode::kNumeric, "a weight scale is NaN or infinite, row in tile").with(row);
}

// Calls fill(blocks, tile) for each tile of one block per row, and bad_row(tile) after it.
template <class Block, class Tile, class Fill, class BadRow>
Status repack_blocks(Span<const u8> rows, u32 n_row, Span<u8> out, Fill fill, BadRow bad_row) {
  static constexpr Block kZeros = {};
  const usize n_block = out.size() / sizeof(Tile);
  for (usize b = 0; b < n_block; ++b) {
    const Block* at[kTileRows];
    for (u32 row = 0; row < kTileRows; ++row)
      at[row] = row < n_row ? &block_at<Block>(rows.data() + (row * n_block + b) * sizeof(Block))
                            : &kZeros;
    Tile& tile = *reinterpret_cast<Tile*>(out.data() + b * sizeof(Tile));
    fill(at, tile);
    if (const u32 row = bad_row(tile); row < kTileRows) return scale_error(row);
  }
  return {};
}

}  // namespace lbm
