// The buffers of one forward pass: a row of f32 per token for each intermediate result, and the
// quantized copy that the integer kernels read. Sized once for n_batch tokens; nothing is allocated
// while tokens are evaluated.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/model/config.h"
#include "kernels/kernel_table.h"

namespace lbm {

// f32 [n_batch][stride]; stride is the width rounded up to 16, so that kernels may write whole
// lanes.
struct ActivationRows {
  f32* data = nullptr;
  usize stride = 0;

  [[nodiscard]] f32* row(u32 token) const { return data + token * stride; }
};

struct Activations {
  ActivationRows x;                      // [n_embd]      the residual stream
  ActivationRows normed;                 // [n_embd]
  ActivationRows q;                      // [n_head * head_dim]
  ActivationRows k;                      // [n_head_kv * head_dim]
  ActivationRows v;                      // [n_head_kv * head_dim]
  ActivationRows attended;               // [n_head * head_dim]
  ActivationRows delta;                  // [n_embd]      what a block adds to x
  ActivationRows gate;                   // [n_ff]
  ActivationRows up;                     // [n_ff]
  ActivationRows angles;                 // [n_rot]       cosines and sines of the token's position
  ActivationRows logits;                 // one row [n_vocab]
  ActivationBlock* quantized = nullptr;  // [n_batch][quantized_stride]
  usize quantized_stride = 0;            // blocks
  f32* attention_scratch = nullptr;      // [n_task][attention_scratch_stride]
  usize attention_scratch_stride = 0;

  [[nodiscard]] static u64 bytes_needed(const ModelConfig& config, u32 n_batch, u32 n_worker);
  [[nodiscard]] static Result<Activations> create(Arena& arena, const ModelConfig& config,
                                                  u32 n_batch, u32 n_worker);

  [[nodiscard]] ActivationBlock* quantized_row(u32 token) const {
    return quantized + token * quantized_stride;
  }
};

}  // namespace lbm
