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
  static constexpr u32 kMaxLogitRows = 16;

  // Most tokens whose logits are computed together, so that the output matrix is read once for all
  // of them: kMaxLogitRows, less where the vocabulary is so large that they would pass 4 MiB.
  [[nodiscard]] static u32 n_logit_row(const ModelConfig& config, u32 n_batch);

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
  ActivationRows logits;                 // [n_logit_row][n_vocab]
  ActivationBlock* quantized = nullptr;  // [n_batch][quantized_stride]
  usize quantized_stride = 0;            // blocks
  f32* attention_scratch = nullptr;      // [n_worker][attention_scratch_stride]
  usize attention_scratch_stride = 0;
  f32* attention_partials = nullptr;  // [n_head_kv][n_chunk][attention_partial_stride]; one token
  usize attention_partial_stride = 0;
  u32 n_chunk = 0;  // of n_ctx

  [[nodiscard]] static u64 bytes_needed(const ModelConfig& config, u32 n_batch, u32 n_ctx,
                                        u32 n_worker);
  [[nodiscard]] static Result<Activations> create(Arena& arena, const ModelConfig& config,
                                                  u32 n_batch, u32 n_ctx, u32 n_worker);

  // Most tokens that one call of an attention kernel is given, of `n_token`.
  [[nodiscard]] static u32 n_attention_token(const ModelConfig& config, u32 n_token);

  [[nodiscard]] f32* attention_partial(u32 head, u32 chunk) const {
    return attention_partials +
           (static_cast<usize>(head) * n_chunk + chunk) * attention_partial_stride;
  }
  [[nodiscard]] ActivationBlock* quantized_row(u32 token) const {
    return quantized + token * quantized_stride;
  }
};

}  // namespace lbm
