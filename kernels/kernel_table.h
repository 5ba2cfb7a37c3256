// KernelTable: everything that is worth computing with vector instructions, as plain functions over
// raw pointers.
//
// One table per instruction set; all tables give the same bits (docs/numerics.md). Kernels can not
// fail: shapes, alignment and contents were checked when the weights were bound. Preconditions are
// stated here and nowhere checked again.
//
// Shapes are [slow][fast]. A row tile is 16 consecutive rows of a matrix; one vector lane is one
// row (docs/kernels.md).
#pragma once

#include "core/base/types.h"
#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"

namespace lbm {

constexpr u32 kAttentionTile = 64;     // positions that share one step of the online softmax (R14)
constexpr u32 kAttentionChunk = 1024;  // positions of one partial result (R15)

// 32 activations of one token (R3): x[k] ~ d * q[k].
struct ActivationBlock {
  i8 q[kBlockSize];  // in [-127, 127]
  f32 d;             // amax / 127
  f32 sx;            // d * f32(sum of all q)
  i32 sum_low;       // sum of q[0..15]
  i32 sum_high;      // sum of q[16..31]
};
static_assert(sizeof(ActivationBlock) == 48);

// y[token][row] = sum over k of W[row][k] * x[token][k], for the rows of tiles first_tile ..
// first_tile + n_tile - 1.
struct MatmulArgs {
  const u8* tiles;    // tile 0 of the matrix, in the tile layout of its type (core/tensor/blocks.h)
  usize tile_stride;  // bytes from one tile to the next
  u32 n_col;          // of W; a multiple of 32 for quantized types
  u32 first_tile;
  u32 n_tile;
  const u8* x;     // quantized types: ActivationBlock [n_token][n_col / 32]; F32, F16, BF16: f32
                   // [n_token][n_col]
  usize x_stride;  // bytes from one token to the next
  u32 n_token;
  f32* y;  // [n_token][y_stride], y_stride >= 16 * all tiles; lanes beyond n_row are written with
           // zeros
  usize y_stride;  // elements
};

// Attention of one token over one KV head, for the n_group query heads that share it (R14).
struct AttentionArgs {
  const f32* q;      // [n_group][head_dim], after RoPE
  const u8* keys;    // [n_ctx / 16][head_dim][16], f16 or f32
  const u8* values;  // [n_ctx][head_dim], f16 or f32
  u32 head_dim;      // a multiple of 1; buffers are padded to 16 elements
  u32 n_group;
  u32 first_pos;  // visible positions are [first_pos, end_pos)
  u32 end_pos;
  f32 scale;
  f32* out;          // [n_group][out_stride]
  usize out_stride;  // elements, >= head_dim rounded up to 16
  f32* scratch;      // attention_scratch_floats(head_dim, n_group) elements
};

constexpr usize attention_scratch_floats(u32 head_dim, u32 n_group) {
  const usize padded = (static_cast<usize>(head_dim) + 15) / 16 * 16;
  return n_group * (kAttentionTile + 2 * padded);
}

using MatmulFn = void (*)(const MatmulArgs& args);

struct KernelTable {
  const char* name;  // "scalar", "swar", "avx2" ...

  // By weight type; nullptr where the type is no matrix type of this build.
  MatmulFn matmul[kDTypeLimit];

  // Quantizes n elements (a multiple of 32) by R3. Returns false when one of them is NaN or
  // infinite.
  bool (*quantize_row)(const f32* x, u32 n, ActivationBlock* out);
  // y[i] = (x[i] * (1 / sqrt(mean(x^2) + eps))) * weight[i]   (R11)
  void (*rms_norm)(const f32* x, const f32* weight, u32 n, f32 eps, f32* y);
  // x[i] = x[i] + y[i]
  void (*add)(f32* x, const f32* y, u32 n);
  // y[i] = silu(gate[i]) * up[i]   (R12)
  void (*silu_mul)(const f32* gate, const f32* up, u32 n, f32* y);
  // Rotates n_rot dims of one head by cos_sin [n_rot / 2][2] (R13): neighbours (2i, 2i+1), or
  // halves (i, i + n_rot / 2).
  void (*rope_neighbours)(f32* x, const f32* cos_sin, u32 n_rot);
  void (*rope_halves)(f32* x, const f32* cos_sin, u32 n_rot);
  // Stores head_dim elements of one position into its cache row, rounding to nearest even (R10).
  void (*store_key_f16)(const f32* k, u32 head_dim, u16* keys, u32 pos);
  void (*store_value_f16)(const f32* v, u32 head_dim, u16* values, u32 pos);
  void (*attention_f16)(const AttentionArgs& args);
  void (*attention_f32)(const AttentionArgs& args);
  // False when one of the n elements is NaN or infinite.
  bool (*all_finite)(const f32* x, u32 n);

  // nullptr: no instructions for it; the caller has a portable one.
  void (*sha256_blocks)(u32* state, const u8* blocks, usize n_block);
};

}  // namespace lbm
