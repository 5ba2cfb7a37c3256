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

  // One number for each value head of a delta net, in whole lanes.
  [[nodiscard]] static u32 head_gate_stride(const ModelConfig& config) {
    return static_cast<u32>(align_up(config.delta_net.n_value_head, 16));
  }

  ActivationRows x;                // [n_embd]      the residual stream
  ActivationRows normed;           // [n_embd]
  ActivationRows q;                // [n_head * head_dim], or twice that with gates
  ActivationRows k;                // [n_head_kv * head_dim]
  ActivationRows v;                // [n_head_kv * head_dim]
  ActivationRows attention_gate;   // [n_head * head_dim] of gated attention
  ActivationRows attended;         // [n_head * head_dim]
  ActivationRows delta;            // [n_embd]      what a block adds to x
  ActivationRows attention_delta;  // [n_embd]      of attention, where the FFN is parallel
  ActivationRows gate;             // [n_ff]
  ActivationRows up;               // [n_ff]
  ActivationRows angles;           // [n_rot]       cosines and sines of the token's position
  ActivationRows local_angles;     // [n_rot]       of windowed layers that rotate otherwise
  // Of recurrent layers (core/infer/forward_recurrent.cpp):
  ActivationRows recurrent_in;           // [n_embd] x, or [n_channel] queries, keys and values
  ActivationRows recurrent_gate;         // [n_embd] b, or [n_value_head * value_dim]
  ActivationRows recurrent_out;          // [n_embd] c and the result, or the same of value heads
  ActivationRows recurrent_mixed;        // both of a delta net, as early files hold them
  ActivationRows head_gates;             // [4][head_gate_stride]: two as the projections give them,
                                         // then beta and decay
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

  // Most tokens that one call of an attention kernel is given, of `n_token`, where n_group query
  // heads share a KV head.
  [[nodiscard]] static u32 n_attention_token(u32 n_group, u32 n_token);

  [[nodiscard]] f32* attention_partial(u32 head, u32 chunk) const {
    return attention_partials +
           (static_cast<usize>(head) * n_chunk + chunk) * attention_partial_stride;
  }
  [[nodiscard]] ActivationBlock* quantized_row(u32 token) const {
    return quantized + token * quantized_stride;
  }
};

}  // namespace lbm
