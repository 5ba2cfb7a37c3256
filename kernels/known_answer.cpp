#include "kernels/known_answer.h"

#include "core/tensor/blocks.h"

namespace lbm {
namespace {

constexpr u32 kTokens = 7;  // a pass of each width, however wide a table's passes are

// One row tile of 32 columns, and tokens. All scales are 1, so a product is its dot product.
struct Problem {
  alignas(64) u8 tile[sizeof(TileQ8_0)];
  alignas(64) ActivationBlock x[kTokens];
  alignas(64) f32 y[kTokens][kTileRows];
  i32 weights[kTileRows][kBlockSize];  // the same as the tile
};

// Every fourth element is at a limit: `smallest`, `largest`; the others go through all in between.
i32 weight_at(u32 row, u32 k, i32 smallest, i32 largest) {
  const u32 i = row * kBlockSize + k;
  if (i % 4 == 0) return (i / 4) % 2 == 0 ? smallest : largest;
  return smallest + static_cast<i32>(i * 37 % static_cast<u32>(largest - smallest + 1));
}

void fill(Problem& p, i32 smallest, i32 largest) {
  for (u32 row = 0; row < kTileRows; ++row) {
    for (u32 k = 0; k < kBlockSize; ++k) p.weights[row][k] = weight_at(row, k, smallest, largest);
  }
  // The first row and the first token are at their limits throughout.
  for (i32& w : p.weights[0]) w = smallest != 0 ? smallest : largest;
  for (u32 t = 0; t < kTokens; ++t) {
    ActivationBlock& x = p.x[t];
    x = {};
    x.d = 1.0f;
    for (u32 k = 0; k < kBlockSize; ++k) {
      const i32 q = t == 0 ? -127 : static_cast<i32>((k * 29 + t * 53) % 255) - 127;
      x.q[k] = static_cast<i8>(q);
      (k < kBlockSize / 2 ? x.sum_low : x.sum_high) += q;
    }
    x.sx = static_cast<f32>(x.sum_low + x.sum_high);
    x.raised_start = -128 * (x.sum_low + x.sum_high);
  }
}

constexpr f16_bits kOne = 0x3c00;

void pack_small(Problem& p) {
  TileQ4_0& tile = *reinterpret_cast<TileQ4_0*>(p.tile);
  for (u32 row = 0; row < kTileRows; ++row) {
    tile.d[row] = kOne;
    for (u32 k = 0; k < kBlockSize; ++k) {
      const u32 shift = 4 * (k / 4 % 2);
      u8& byte = tile.nibbles[k / 8][4 * row + k % 4];
      byte = static_cast<u8>((byte & ~(15u << shift)) |
                             (static_cast<u32>(p.weights[row][k] + 8) << shift));
    }
  }
}

void pack_signed(Problem& p) {
  TileQ8_0& tile = *reinterpret_cast<TileQ8_0*>(p.tile);
  for (u32 row = 0; row < kTileRows; ++row) {
    tile.d[row] = kOne;
    for (u32 k = 0; k < kBlockSize; ++k)
      tile.q[k / 4][4 * row + k % 4] = static_cast<i8>(p.weights[row][k]);
  }
}

bool is_right(Problem& p, MatmulFn matmul, u32 n_token) {
  MatmulArgs args = {};
  args.tiles = p.tile;
  args.tile_stride = sizeof(p.tile);
  args.n_col = kBlockSize;
  args.n_tile = 1;
  args.x = reinterpret_cast<const u8*>(p.x);
  args.x_stride = sizeof(ActivationBlock);
  args.n_token = n_token;
  args.y = p.y[0];
  args.y_stride = kTileRows;
  matmul(args);
  for (u32 t = 0; t < n_token; ++t) {
    for (u32 row = 0; row < kTileRows; ++row) {
      i32 dot = 0;
      for (u32 k = 0; k < kBlockSize; ++k) dot += p.weights[row][k] * p.x[t].q[k];
      if (p.y[t][row] != static_cast<f32>(dot)) return false;
    }
  }
  return true;
}

bool is_right(Problem& p, const KernelTable& table, DType type) {
  const u32 id = static_cast<u32>(type);
  return is_right(p, table.decode[id], 1) && is_right(p, table.decode[id], kTokens) &&
         is_right(p, table.prefill[id], kTokens);
}

}  // namespace

bool gives_known_answers(const KernelTable& table) {
  Problem p = {};
  fill(p, -8, 7);
  pack_small(p);
  if (!is_right(p, table, DType::kQ4_0)) return false;
  fill(p, -128, 127);
  pack_signed(p);
  return is_right(p, table, DType::kQ8_0);
}

}  // namespace lbm
