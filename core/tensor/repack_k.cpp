// Repacking of superblocks of 256 columns: the K types and IQ4_XS.
#include "core/tensor/repack_rows.h"

namespace lbm {
namespace {

// Fields t of byte p <-> p of byte t, in a word of 4 bytes x 4 fields of 2 bits.
u32 transpose_within(u32 x) {
  u32 swap = ((x >> 6) ^ x) & 0x00cc00ccu;
  x ^= swap ^ (swap << 6);
  swap = ((x >> 12) ^ x) & 0x0000f0f0u;
  return x ^ swap ^ (swap << 12);
}

// An 8 x 8 transpose of bits: bit s of byte i goes to bit i of byte s.
u64 transpose_bits(u64 x) {
  u64 swap = ((x >> 7) ^ x) & 0x00aa00aa00aa00aaull;
  x ^= swap ^ (swap << 7);
  swap = ((x >> 14) ^ x) & 0x0000cccc0000ccccull;
  x ^= swap ^ (swap << 14);
  swap = ((x >> 28) ^ x) & 0x00000000f0f0f0f0ull;
  return x ^ swap ^ (swap << 28);
}

// Byte l of 32, the field `bytes` of a block, holds a bit of column l of each of 8 sub-blocks.
// `Sub` has bits[8].
template <class Block, class Sub>
void put_sub_bits(RowBlocks<Block> at, u8 (Block::*bytes)[32], Sub (&sub)[kSubBlocks]) {
  constexpr u64 kLow = 0x0f0f0f0f0f0f0f0full;
  for (u32 row = 0; row < kTileRows; row += 2) {
    for (u32 i = 0; i < 4; ++i) {  // 8 columns, that is quads 2i and 2i + 1
      const u64 x = transpose_bits(load_two_words(at[row]->*bytes + 8 * i));
      const u64 y = transpose_bits(load_two_words(at[row + 1]->*bytes + 8 * i));
      const u64 even = (x & kLow) | ((y & kLow) << 4);
      const u64 odd = ((x >> 4) & kLow) | (y & ~kLow);
      for (u32 s = 0; s < kSubBlocks; ++s) {
        u8* bits = reinterpret_cast<u8*>(sub[s].bits) + row / 2;
        bits[8 * (2 * i)] = static_cast<u8>(even >> (8 * s));
        bits[8 * (2 * i + 1)] = static_cast<u8>(odd >> (8 * s));
      }
    }
  }
}

// 12 bytes of 8 scales and 8 minima of 6 bits. Sub-blocks 0..3 have theirs in the low 6 bits of
// bytes 0..3 and 4..7; 4..7 have the nibbles in bytes 8..11 and the rest in the tops of bytes 0..7.
template <class Tile>
void put_scales(const u8 (&scales)[12], u32 row, Tile& tile) {
  const u32 a = load_word(scales);
  const u32 b = load_word(scales + 4);
  const u32 low[2] = {pair_nibbles(a, b).low, load_word(scales + 8)};
  const u32 high[2] = {((a >> 4) & 0x03030303u) | ((b >> 2) & 0x0c0c0c0cu),
                       ((a >> 6) & 0x03030303u) | ((b >> 4) & 0x0c0c0c0cu)};
  for (u32 half = 0; half < 2; ++half) {
    for (u32 i = 0; i < 4; ++i)
      tile.sub[4 * half + i].scales_low[row] = static_cast<u8>(low[half] >> (8 * i));
    const u32 two = high[half] | (high[half] >> 4);
    tile.scales_high[2 * half][row] = static_cast<u8>(two);
    tile.scales_high[2 * half + 1][row] = static_cast<u8>(two >> 16);
  }
}

void fill(RowBlocks<BlockQ2_K> at, TileQ2_K& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const BlockQ2_K& block = *at[row];
    tile.d[row] = block.d;
    tile.dmin[row] = block.dmin;
    for (u32 s = 0; s < kSubBlocks; ++s) {
      tile.sub[s].scales[0][row] = block.scales[2 * s];
      tile.sub[s].scales[1][row] = block.scales[2 * s + 1];
    }
    for (u32 half = 0; half < 2; ++half) put_pairs(block.qs + 32 * half, row, &tile.sub[4 * half]);
  }
}

void fill(RowBlocks<BlockQ3_K> at, TileQ3_K& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const BlockQ3_K& block = *at[row];
    tile.d[row] = block.d;
    // Scale i = 2 * sub-block + half has its nibble in byte i % 8, halves of 8 in the halves of the
    // byte, and its top two bits in field i / 4 of byte 8 + i % 4.
    for (u32 s = 0; s < 4; ++s) {
      const u32 a = block.scales[2 * s];
      const u32 b = block.scales[2 * s + 1];
      const NibblePair pair = pair_nibbles(a, b);
      tile.sub[s].scales_low[row] = static_cast<u8>(pair.low);
      tile.sub[s + 4].scales_low[row] = static_cast<u8>(pair.high);
    }
    const u32 high = transpose_within(load_word(block.scales + 8));
    for (u32 p = 0; p < 4; ++p) tile.scales_high[p][row] = static_cast<u8>(high >> (8 * p));
    for (u32 half = 0; half < 2; ++half) put_pairs(block.qs + 32 * half, row, &tile.sub[4 * half]);
  }
  put_sub_bits<BlockQ3_K>(at, &BlockQ3_K::hmask, tile.sub);
}

void fill(RowBlocks<BlockQ4_K> at, TileQ4_K& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const BlockQ4_K& block = *at[row];
    tile.d[row] = block.d;
    tile.dmin[row] = block.dmin;
    put_scales(block.scales, row, tile);
    for (u32 s = 0; s < kSubBlocks; s += 2)
      put_two_nibbles(block.qs + 16 * s, row, tile.sub[s].nibbles, tile.sub[s + 1].nibbles);
  }
}

void fill(RowBlocks<BlockQ5_K> at, TileQ5_K& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const BlockQ5_K& block = *at[row];
    tile.d[row] = block.d;
    tile.dmin[row] = block.dmin;
    put_scales(block.scales, row, tile);
    for (u32 s = 0; s < kSubBlocks; s += 2)
      put_two_nibbles(block.qs + 16 * s, row, tile.sub[s].nibbles, tile.sub[s + 1].nibbles);
  }
  put_sub_bits<BlockQ5_K>(at, &BlockQ5_K::qh, tile.sub);
}

void fill(RowBlocks<BlockQ6_K> at, TileQ6_K& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const BlockQ6_K& block = *at[row];
    tile.d[row] = block.d;
    for (u32 s = 0; s < kSubBlocks; ++s) {
      tile.sub[s].scales[0][row] = block.scales[2 * s];
      tile.sub[s].scales[1][row] = block.scales[2 * s + 1];
    }
    for (u32 half = 0; half < 2; ++half) {  // of 128 columns: sub-blocks j and j + 2 share bytes
      TileQ6_K::Sub* sub = &tile.sub[4 * half];
      const u8* ql = block.ql + 64 * half;
      put_two_nibbles(ql, row, sub[0].nibbles, sub[2].nibbles);
      put_two_nibbles(ql + 32, row, sub[1].nibbles, sub[3].nibbles);
      put_pairs(block.qh + 32 * half, row, sub);
    }
  }
}

void fill(RowBlocks<BlockIQ4_XS> at, TileIQ4_XS& tile) {
  for (u32 row = 0; row < kTileRows; ++row) {
    const BlockIQ4_XS& block = *at[row];
    tile.d[row] = block.d;
    tile.scales_high[0][row] = static_cast<u8>(block.scales_h);
    tile.scales_high[1][row] = static_cast<u8>(block.scales_h >> 8);
    for (u32 p = 0; p < 4; ++p) tile.scales_low[p][row] = block.scales_l[p];
    for (u32 s = 0; s < kSubBlocks; ++s) put_nibbles(block.qs + 16 * s, row, tile.nibbles[s]);
  }
}

template <class Block, class Tile>
Status repack(Span<const u8> rows, u32 n_row, Span<u8> out) {
  return repack_blocks<Block, Tile>(
      rows, n_row, out, [](RowBlocks<Block> at, Tile& tile) { fill(at, tile); },
      [](const Tile& tile) {
        u32 bad = first_not_finite(tile.d);
        if constexpr (requires { tile.dmin; }) {
          const u32 bad_min = first_not_finite(tile.dmin);
          bad = bad_min < bad ? bad_min : bad;
        }
        return bad;
      });
}

}  // namespace

Status repack_superblocks(DType type, Span<const u8> rows, u32 n_row, Span<u8> tile) {
  switch (type) {
    case DType::kQ2_K: return repack<BlockQ2_K, TileQ2_K>(rows, n_row, tile);
    case DType::kQ3_K: return repack<BlockQ3_K, TileQ3_K>(rows, n_row, tile);
    case DType::kQ4_K: return repack<BlockQ4_K, TileQ4_K>(rows, n_row, tile);
    case DType::kQ5_K: return repack<BlockQ5_K, TileQ5_K>(rows, n_row, tile);
    case DType::kQ6_K: return repack<BlockQ6_K, TileQ6_K>(rows, n_row, tile);
    case DType::kIQ4_XS: return repack<BlockIQ4_XS, TileIQ4_XS>(rows, n_row, tile);
    default: break;
  }
  return fail(ErrorCode::kUnsupported, "no tile layout for this type")
      .about(dtype_traits(type).name);
}

}  // namespace lbm
