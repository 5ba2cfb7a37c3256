// dequantize_tile_row: a row read back out of its tile, for embeddings that are tied to the output.
//
// Each type has a decoder that follows the comments of blocks.h element by element; the products
// are those of dequantize().
#include "core/tensor/blocks.h"
#include "core/tensor/elements.h"
#include "core/tensor/f16.h"
#include "core/tensor/grid.h"
#include "core/tensor/repack.h"

namespace lbm {
namespace {

i32 nibble_at(const u8 (&nibbles)[4][64], u32 lane, u32 i) {
  return (nibbles[i / 8][4 * lane + i % 4] >> (4 * (i / 4 % 2))) & 15;
}
i32 two_bits_at(const u8 (&pairs)[2][64], u32 lane, u32 i) {
  return (pairs[i / 16][4 * lane + i % 4] >> (2 * (i / 4 % 4))) & 3;
}
i32 bit_at(const u64 (&bits)[8], u32 lane, u32 i) {
  return static_cast<i32>((bits[i / 4] >> (4 * lane + i % 4)) & 1);
}

// Tiles of 32 columns. `kOffset` is what the type takes off its unsigned elements.
template <class Tile, i32 kOffset>
void decode(const Tile& tile, u32 lane, u32 /*part*/, Elements& out) {
  f32 m = 0;
  if constexpr (requires { tile.m; }) m = f16_to_f32(tile.m[lane]);
  set_scales(out, f16_to_f32(tile.d[lane]), m);
  for (u32 i = 0; i < kBlockSize; ++i) {
    i32 q = nibble_at(tile.nibbles, lane, i);
    if constexpr (requires { tile.bits; }) q |= bit_at(tile.bits, lane, i) << 4;
    out.q[i] = static_cast<i8>(q - kOffset);
  }
}

void decode_q8_0(const TileQ8_0& tile, u32 lane, u32 /*part*/, Elements& out) {
  set_scales(out, f16_to_f32(tile.d[lane]));
  for (u32 i = 0; i < kBlockSize; ++i) out.q[i] = tile.q[i / 4][4 * lane + i % 4];
}

void decode_iq4_nl(const TileQ4_0& tile, u32 lane, u32 /*part*/, Elements& out) {
  set_scales(out, f16_to_f32(tile.d[lane]));
  for (u32 i = 0; i < kBlockSize; ++i) out.q[i] = kIq4Values[nibble_at(tile.nibbles, lane, i)];
}

void decode_mxfp4(const TileMXFP4& tile, u32 lane, u32 /*part*/, Elements& out) {
  set_scales(out, half_power(tile.e[lane]));
  for (u32 i = 0; i < kBlockSize; ++i) out.q[i] = kFp4Values[nibble_at(tile.nibbles, lane, i)];
}

void decode_q2_k(const TileQ2_K& tile, u32 lane, u32 part, Elements& out) {
  const TileQ2_K::Sub& sub = tile.sub[part];
  for (u32 half = 0; half < 2; ++half) {
    const u32 scale = sub.scales[half][lane];
    out.d[half] = f16_to_f32(tile.d[lane]) * static_cast<f32>(scale & 15);
    out.m[half] = -(f16_to_f32(tile.dmin[lane]) * static_cast<f32>(scale >> 4));
  }
  for (u32 i = 0; i < kBlockSize; ++i) out.q[i] = static_cast<i8>(two_bits_at(sub.pairs, lane, i));
}

void decode_q3_k(const TileQ3_K& tile, u32 lane, u32 part, Elements& out) {
  const TileQ3_K::Sub& sub = tile.sub[part];
  for (u32 half = 0; half < 2; ++half) {
    const i32 low = (sub.scales_low[lane] >> (4 * half)) & 15;
    const i32 high = (tile.scales_high[part / 2][lane] >> (4 * (part % 2) + 2 * half)) & 3;
    out.d[half] = f16_to_f32(tile.d[lane]) * static_cast<f32>((low | (high << 4)) - 32);
  }
  for (u32 i = 0; i < kBlockSize; ++i) {
    const i32 q = two_bits_at(sub.pairs, lane, i) | (bit_at(sub.bits, lane, i) << 2);
    out.q[i] = static_cast<i8>(q - 4);
  }
}

// Q4_K and Q5_K.
template <class Tile>
void decode_k_with_minimum(const Tile& tile, u32 lane, u32 part, Elements& out) {
  const auto& sub = tile.sub[part];
  const i32 high = tile.scales_high[part / 2][lane] >> (4 * (part % 2));
  const i32 scale = (sub.scales_low[lane] & 15) | ((high & 3) << 4);
  const i32 minimum = (sub.scales_low[lane] >> 4) | (((high >> 2) & 3) << 4);
  set_scales(out, f16_to_f32(tile.d[lane]) * static_cast<f32>(scale),
             -(f16_to_f32(tile.dmin[lane]) * static_cast<f32>(minimum)));
  for (u32 i = 0; i < kBlockSize; ++i) {
    i32 q = nibble_at(sub.nibbles, lane, i);
    if constexpr (requires { sub.bits; }) q |= bit_at(sub.bits, lane, i) << 4;
    out.q[i] = static_cast<i8>(q);
  }
}

void decode_q6_k(const TileQ6_K& tile, u32 lane, u32 part, Elements& out) {
  const TileQ6_K::Sub& sub = tile.sub[part];
  for (u32 half = 0; half < 2; ++half)
    out.d[half] = f16_to_f32(tile.d[lane]) * static_cast<f32>(sub.scales[half][lane]);
  for (u32 i = 0; i < kBlockSize; ++i) {
    const i32 q = nibble_at(sub.nibbles, lane, i) | (two_bits_at(sub.pairs, lane, i) << 4);
    out.q[i] = static_cast<i8>(q - 32);
  }
}

void decode_iq4_xs(const TileIQ4_XS& tile, u32 lane, u32 part, Elements& out) {
  const i32 low = (tile.scales_low[part / 2][lane] >> (4 * (part % 2))) & 15;
  const i32 high = (tile.scales_high[part / 4][lane] >> (2 * (part % 4))) & 3;
  set_scales(out, f16_to_f32(tile.d[lane]) * static_cast<f32>((low | (high << 4)) - 32));
  for (u32 i = 0; i < kBlockSize; ++i)
    out.q[i] = kIq4Values[nibble_at(tile.nibbles[part], lane, i)];
}

struct TileRow {
  DType type;
  const u8* bytes;
  u32 lane;
  u64 n_col;
  f32* out;
};

template <class Tile>
void expand(const TileRow& row, void (*decode_tile)(const Tile&, u32, u32, Elements&)) {
  const u32 n_part = dtype_traits(row.type).block_size / kBlockSize;
  const bool minimum = has_minimum(row.type);
  Elements elements;
  for (u64 i = 0; i < row.n_col / kBlockSize; ++i) {
    const Tile& tile = *reinterpret_cast<const Tile*>(row.bytes + i / n_part * sizeof(Tile));
    decode_tile(tile, row.lane, static_cast<u32>(i % n_part), elements);
    multiply_out(elements, minimum, row.out + i * kBlockSize);
  }
}

void expand_grid_row(const TileRow& row) {
  const DTypeTraits traits = dtype_traits(row.type);
  const u32 n_part = traits.block_size / kBlockSize;
  const DecodeBlock decode_block = grid_decoder(row.type);
  LBM_CHECK(decode_block != nullptr);
  Elements elements;
  for (u64 i = 0; i < row.n_col / kBlockSize; ++i) {
    const u8* block = row.bytes + (i / n_part * kTileRows + row.lane) * traits.block_bytes;
    decode_block(block, static_cast<u32>(i % n_part), elements);
    multiply_out(elements, false, row.out + i * kBlockSize);
  }
}

template <f32 (*kConvert)(u16)>
void expand_half(const TileRow& row) {
  for (u64 col = 0; col < row.n_col; ++col) {
    u16 bits = 0;
    __builtin_memcpy(&bits, row.bytes + (col * kTileRows + row.lane) * 2, 2);
    row.out[col] = kConvert(bits);
  }
}

}  // namespace

void dequantize_tile_row(DType type, const u8* tile, u32 lane, u64 n_col, f32* out) {
  LBM_CHECK(lane < kTileRows);
  const TileRow row = {type, tile, lane, n_col, out};
  switch (type) {
    case DType::kF32:
      for (u64 col = 0; col < n_col; ++col)
        __builtin_memcpy(&out[col], tile + (col * kTileRows + lane) * 4, 4);
      return;
    case DType::kF16: return expand_half<f16_to_f32>(row);
    case DType::kBF16: return expand_half<bf16_to_f32>(row);
    case DType::kQ4_0: return expand(row, decode<TileQ4_0, 8>);
    case DType::kQ4_1: return expand(row, decode<TileQ4_1, 0>);
    case DType::kQ5_0: return expand(row, decode<TileQ5_0, 16>);
    case DType::kQ5_1: return expand(row, decode<TileQ5_1, 0>);
    case DType::kQ8_0: return expand(row, decode_q8_0);
    case DType::kQ2_K: return expand(row, decode_q2_k);
    case DType::kQ3_K: return expand(row, decode_q3_k);
    case DType::kQ4_K: return expand(row, decode_k_with_minimum<TileQ4_K>);
    case DType::kQ5_K: return expand(row, decode_k_with_minimum<TileQ5_K>);
    case DType::kQ6_K: return expand(row, decode_q6_k);
    case DType::kIQ4_NL: return expand(row, decode_iq4_nl);
    case DType::kIQ4_XS: return expand(row, decode_iq4_xs);
    case DType::kMXFP4: return expand(row, decode_mxfp4);
    default: return expand_grid_row(row);
  }
}

}  // namespace lbm
