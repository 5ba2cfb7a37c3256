// The weights of the layers that carry a state instead of attending: short convolution (lfm2) and
// gated delta net (qwen3next, qwen35).
//
// A convolution has a few taps for each channel, the newest token's last. As a matrix
// [channel][tap] its F32 tiles are [channel / 16][tap][16]: one lane is one channel, as the kernel
// wants it (kernels/recurrent.h).
#pragma once

#include "core/model/matrix.h"

namespace lbm {

// y = out (c * conv(b * x)), b, c and x three projections of the same input.
struct ShortConvWeights {
  Matrix in_b, in_c, in_x;  // [n_embd][n_embd], the three thirds of shortconv.in_proj
  Matrix taps;              // [n_embd][n_tap], F32
  Matrix out;               // [n_embd][n_embd]
};

// Channels of the convolution: queries and keys of all key heads, then values of all value heads.
struct DeltaNetWeights {
  Matrix qkv;                       // [n_channel][n_embd]
  Matrix gate;                      // [n_value_head * value_dim][n_embd]
  Matrix mixed;                     // or, in early files of qwen3next, both: for each key head its
                                    // query, its key, values and gates of its value heads
  Matrix beta, alpha;               // [n_value_head][n_embd] each; or, in files of qwen3next,
  Matrix beta_alpha;                // [2 * n_value_head][n_embd]: for each key head the rows of its
                                    // value heads, beta then alpha
  Matrix taps;                      // [n_channel][n_tap], F32
  const f32* decay_bias = nullptr;  // [n_value_head]
  const f32* decay_rate = nullptr;  // [n_value_head], -exp(A_log)
  const f32* norm = nullptr;        // [value_dim]
  Matrix out;                       // [n_embd][n_value_head * value_dim]
};

}  // namespace lbm
