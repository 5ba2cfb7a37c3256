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
#include "core/tensor/grid.h"
#include "kernels/attention.h"
#include "kernels/recurrent.h"

namespace lbm {

// 32 activations of one token (R3): x[k] ~ d * q[k].
struct ActivationBlock {
  i8 q[kBlockSize];  // in [-127, 127]
  f32 d;             // amax / 127
  f32 sx;            // d * f32(sum of all q)
  i32 sum_low;       // sum of q[0..15]
  i32 sum_high;      // sum of q[16..31]
  // What an integer dot product with weights raised by 128 starts from: -128 * sum of all q. Here,
  // so that a kernel loads it instead of computing it for every row tile.
  i32 raised_start;
  i32 padding[3];  // a block is a cache line
};
static_assert(sizeof(ActivationBlock) == 64);

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

using MatmulFn = void (*)(const MatmulArgs& args);

// The gated unit of gpt-oss: swiglu_clamped().
constexpr f32 kSwigluLimit = 7.0f;
constexpr f32 kSwigluAlpha = 1.702f;

constexpr u32 kDecodeTokens = 4;  // up to here `decode` is the better one of the two

struct KernelTable {
  const char* name;  // "scalar", "swar", "avx2" ...

  // By weight type; nullptr where the type is no matrix type of this build. Both take any number of
  // tokens and give the same bits: `decode` streams the weights as they are, which is best for few
  // tokens; `prefill` unpacks each tile once for all tokens.
  MatmulFn decode[kDTypeLimit];
  MatmulFn prefill[kDTypeLimit];
  // Of the table that compose_fastest() made: the names of the tables that the entries come from.
  // Otherwise nullptr.
  const char* decode_from[kDTypeLimit];
  const char* prefill_from[kDTypeLimit];

  // Quantizes n elements (a multiple of 32) by R3. Returns false when one of them is NaN or
  // infinite.
  bool (*quantize_row)(const f32* x, u32 n, ActivationBlock* out);
  // In the operations on rows that follow y may be x (or gate): each element is read before it is
  // written. A NaN stays a NaN.
  //
  // y[i] = (x[i] * (1 / sqrt(mean(x^2) + eps))) * weight[i]   (R11)
  void (*rms_norm)(const f32* x, const f32* weight, u32 n, f32 eps, f32* y);
  // y[i] = ((x[i] - m) * (1 / sqrt(mean((x - m)^2) + eps))) * weight[i] + bias[i], m = mean(x)
  // (R11); bias may be nullptr.
  void (*layer_norm)(const f32* x, const f32* weight, const f32* bias, u32 n, f32 eps, f32* y);
  // x[i] = x[i] + y[i]
  void (*add)(f32* x, const f32* y, u32 n);
  // y[i] = silu(gate[i]) * up[i]   (R12)
  void (*silu_mul)(const f32* gate, const f32* up, u32 n, f32* y);
  // y[i] = gelu(gate[i]) * up[i], and gelu alone; GELU in its tanh form (R12)
  void (*gelu_mul)(const f32* gate, const f32* up, u32 n, f32* y);
  void (*gelu)(f32* x, u32 n);
  // x[i] = max(x[i], 0)^2
  void (*relu_squared)(f32* x, u32 n);
  // y[i] = g * sigmoid(kSwigluAlpha * g) * (u + 1), g = min(gate[i], kSwigluLimit), u = up[i] held
  // within [-kSwigluLimit, kSwigluLimit]   (R12)
  void (*swiglu_clamped)(const f32* gate, const f32* up, u32 n, f32* y);
  // x[i] = x[i] * sigmoid(gate[i])   (R12)
  void (*sigmoid_mul)(const f32* gate, f32* x, u32 n);
  // x[i] = x[i] * factor
  void (*scale)(f32* x, f32 factor, u32 n);
  // x[i] = x[i] + y[i] * factor
  void (*add_scaled)(f32* x, const f32* y, f32 factor, u32 n);
  // x[i] = cap * tanh(x[i] / cap)   (R12); cap > 0
  void (*soft_cap)(f32* x, f32 cap, u32 n);
  // x[i] = exp(x[i] - max(x)) / sum, the sum by R11: routers. All results are NaN where an element
  // is NaN or +infinity, or all are -infinity.
  void (*softmax)(f32* x, u32 n);
  // Rotates n_rot dims of one head (R13): neighbours (2i, 2i+1) by cos_sin [n_rot / 2][2], or
  // halves (i, i + n_rot / 2) by cos_sin [2][n_rot / 2].
  void (*rope_neighbours)(f32* x, const f32* cos_sin, u32 n_rot);
  void (*rope_halves)(f32* x, const f32* cos_sin, u32 n_rot);

  // By element type of the KV cache (kernels/attention.h). attention() is attention_part() of every
  // chunk with a visible position, in ascending order, and attention_join() of those.
  KvStoreFn store_kv[kKvTypeLimit];
  AttentionFn attention[kKvTypeLimit];
  AttentionPartFn attention_part[kKvTypeLimit];
  // Merges the partial results of consecutive chunks, one after the other in memory; they are
  // overwritten.
  void (*attention_join)(const AttentionArgs& args, f32* partials, u32 n_partial);

  // Layers with a state (kernels/recurrent.h, R17).
  ConvFn conv;
  DeltaNetFn delta_net;
  // y[i] = (x[i] * (1 / sqrt(sum(x^2) + eps))) * factor   (R11); y may be x
  void (*l2_norm)(const f32* x, u32 n, f32 eps, f32 factor, f32* y);

  // False when one of the n elements is NaN or infinite.
  bool (*all_finite)(const f32* x, u32 n);

  // nullptr: no instructions for it; the caller has a portable one.
  void (*sha256_blocks)(u32* state, const u8* blocks, usize n_block);

  [[nodiscard]] MatmulFn matmul(DType type, u32 n_token) const {
    return (n_token <= kDecodeTokens ? decode : prefill)[static_cast<u32>(type)];
  }
};

}  // namespace lbm
