#include "core/tensor/repack.h"

#include "core/tensor/blocks.h"
#include "core/tensor/f16.h"

namespace lbm {
namespace {

// Element i of a block of 16 packed bytes: low halves first.
u32 nibble_of(const u8* qs, u32 i) {
  return i < 16 ? qs[i] & 15u : static_cast<u32>(qs[i - 16]) >> 4;
}

void put_nibbles(const u8* qs, u32 row, u8 (&out)[4][64]) {
  for (u32 g = 0; g < 4; ++g) {
    for (u32 j = 0; j < 4; ++j) {
      const u32 low = nibble_of(qs, 8 * g + j);
      const u32 high = nibble_of(qs, 8 * g + 4 + j);
      out[g][4 * row + j] = static_cast<u8>(low | (high << 4));
    }
  }
}

void put_high_bits(const u8* qh, u32 row, u64* high) {
  for (u32 c = 0; c < 8; ++c) {
    const u64 four = (static_cast<u32>(qh[c / 2]) >> (4 * (c % 2))) & 15u;
    high[c] |= four << (4 * row);
  }
}

// One block of one row into its tile; false when a scale is not finite. The tile was cleared
// before.
bool put(const BlockQ4_0& block, u32 row, TileQ4_0& tile) {
  tile.d[row] = block.d;
  put_nibbles(block.qs, row, tile.nibbles);
  return f16_is_finite(block.d);
}
bool put(const BlockQ4_1& block, u32 row, TileQ4_1& tile) {
  tile.d[row] = block.d;
  tile.m[row] = block.m;
  put_nibbles(block.qs, row, tile.nibbles);
  return f16_is_finite(block.d) && f16_is_finite(block.m);
}
bool put(const BlockQ5_0& block, u32 row, TileQ5_0& tile) {
  tile.d[row] = block.d;
  put_nibbles(block.qs, row, tile.nibbles);
  put_high_bits(block.qh, row, tile.high);
  return f16_is_finite(block.d);
}
bool put(const BlockQ5_1& block, u32 row, TileQ5_1& tile) {
  tile.d[row] = block.d;
  tile.m[row] = block.m;
  put_nibbles(block.qs, row, tile.nibbles);
  put_high_bits(block.qh, row, tile.high);
  return f16_is_finite(block.d) && f16_is_finite(block.m);
}
bool put(const BlockQ8_0& block, u32 row, TileQ8_0& tile) {
  tile.d[row] = block.d;
  for (u32 c = 0; c < 8; ++c) __builtin_memcpy(&tile.q[c][4 * row], &block.qs[4 * c], 4);
  return f16_is_finite(block.d);
}

template <class Block, class Tile>
Status repack_blocks(Span<const u8> rows, u32 n_row, u64 n_col, Span<u8> out) {
  const u64 n_block = n_col / 32;
  for (u64 b = 0; b < n_block; ++b) {
    Tile tile = {};
    for (u32 row = 0; row < n_row; ++row) {
      Block block;
      __builtin_memcpy(&block, rows.data() + (row * n_block + b) * sizeof(Block), sizeof(Block));
      if (!put(block, row, tile)) {
        return fail(ErrorCode::kNumeric, "a weight scale is NaN or infinite, row in tile")
            .with(row);
      }
    }
    __builtin_memcpy(out.data() + b * sizeof(Tile), &tile, sizeof(Tile));
  }
  return {};
}

// Plain element types: [column][row].
template <class Element>
Status transpose(Span<const u8> rows, u32 n_row, u64 n_col, Span<u8> out) {
  __builtin_memset(out.data(), 0, out.size());
  for (u32 row = 0; row < n_row; ++row) {
    const u8* in = rows.data() + row * n_col * sizeof(Element);
    u8* to = out.data() + row * sizeof(Element);
    for (u64 col = 0; col < n_col; ++col) {
      __builtin_memcpy(to + col * kTileRows * sizeof(Element), in + col * sizeof(Element),
                       sizeof(Element));
    }
  }
  return {};
}

// The values of row `lane`, block by block. `kOffset` is what the type subtracts from its unsigned
// elements.
template <class Tile, i32 kOffset, bool kHasHigh, bool kHasMin>
void expand_nibble_row(const u8* bytes, u32 lane, u64 n_col, f32* out) {
  for (u64 b = 0; b < n_col / 32; ++b) {
    Tile tile;
    __builtin_memcpy(&tile, bytes + b * sizeof(Tile), sizeof(Tile));
    const f32 d = f16_to_f32(tile.d[lane]);
    for (u32 k = 0; k < 32; ++k) {
      const u32 packed = tile.nibbles[k / 8][4 * lane + k % 4];
      u32 q = (k / 4) % 2 == 0 ? packed & 15u : packed >> 4;
      if constexpr (kHasHigh)
        q |= static_cast<u32>((tile.high[k / 4] >> (4 * lane + k % 4)) & 1u) << 4;
      f32 value = d * static_cast<f32>(static_cast<i32>(q) - kOffset);
      if constexpr (kHasMin) value = value + f16_to_f32(tile.m[lane]);
      out[b * 32 + k] = value;
    }
  }
}

void expand_q8_row(const u8* bytes, u32 lane, u64 n_col, f32* out) {
  for (u64 b = 0; b < n_col / 32; ++b) {
    TileQ8_0 tile;
    __builtin_memcpy(&tile, bytes + b * sizeof(tile), sizeof(tile));
    const f32 d = f16_to_f32(tile.d[lane]);
    for (u32 k = 0; k < 32; ++k)
      out[b * 32 + k] = d * static_cast<f32>(tile.q[k / 4][4 * lane + k % 4]);
  }
}

template <f32 (*kConvert)(u16)>
void expand_half_row(const u8* bytes, u32 lane, u64 n_col, f32* out) {
  for (u64 col = 0; col < n_col; ++col) {
    u16 bits = 0;
    __builtin_memcpy(&bits, bytes + (col * kTileRows + lane) * 2, 2);
    out[col] = kConvert(bits);
  }
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
  switch (type) {
    case DType::kF32: return transpose<u32>(rows, n_row, n_col, tile);
    case DType::kF16:
    case DType::kBF16: return transpose<u16>(rows, n_row, n_col, tile);
    case DType::kQ4_0: return repack_blocks<BlockQ4_0, TileQ4_0>(rows, n_row, n_col, tile);
    case DType::kQ4_1: return repack_blocks<BlockQ4_1, TileQ4_1>(rows, n_row, n_col, tile);
    case DType::kQ5_0: return repack_blocks<BlockQ5_0, TileQ5_0>(rows, n_row, n_col, tile);
    case DType::kQ5_1: return repack_blocks<BlockQ5_1, TileQ5_1>(rows, n_row, n_col, tile);
    case DType::kQ8_0: return repack_blocks<BlockQ8_0, TileQ8_0>(rows, n_row, n_col, tile);
    default:
      return fail(ErrorCode::kUnsupported, "no tile layout for this type")
          .about(dtype_traits(type).name);
  }
}

void dequantize_tile_row(DType type, const u8* tile, u32 lane, u64 n_col, f32* out) {
  LBM_CHECK(lane < kTileRows);
  switch (type) {
    case DType::kF32:
      for (u64 col = 0; col < n_col; ++col)
        __builtin_memcpy(&out[col], tile + (col * kTileRows + lane) * 4, 4);
      break;
    case DType::kF16: expand_half_row<f16_to_f32>(tile, lane, n_col, out); break;
    case DType::kBF16: expand_half_row<bf16_to_f32>(tile, lane, n_col, out); break;
    case DType::kQ4_0: expand_nibble_row<TileQ4_0, 8, false, false>(tile, lane, n_col, out); break;
    case DType::kQ4_1: expand_nibble_row<TileQ4_1, 0, false, true>(tile, lane, n_col, out); break;
    case DType::kQ5_0: expand_nibble_row<TileQ5_0, 16, true, false>(tile, lane, n_col, out); break;
    case DType::kQ5_1: expand_nibble_row<TileQ5_1, 0, true, true>(tile, lane, n_col, out); break;
    case DType::kQ8_0: expand_q8_row(tile, lane, n_col, out); break;
    default: panic("dequantize_tile_row: no tile layout", __FILE__, __LINE__);
  }
}

}  // namespace lbm
