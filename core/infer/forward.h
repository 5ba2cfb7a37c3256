// The forward pass of a transformer over a batch of tokens: one page of named operations, in order.
//
// Work is shared out by rows of matrices, by heads and by tokens, never inside a sum, so neither
// the batch nor the number of cores changes a bit (docs/numerics.md).
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/infer/activations.h"
#include "core/infer/experts.h"
#include "core/infer/kv_cache.h"
#include "core/infer/profile.h"
#include "core/infer/recurrent_state.h"
#include "core/infer/rope.h"
#include "core/infer/session.h"
#include "core/model/model.h"
#include "core/platform.h"

namespace lbm {

class Forward {
 public:
  [[nodiscard]] static u64 bytes_needed(const ModelConfig& config, const SessionParams& params,
                                        u32 n_ctx, u32 n_worker);
  [[nodiscard]] static Result<Forward*> create(Arena& arena, const Model& model,
                                               const SessionParams& params, u32 n_ctx,
                                               const KernelTable& kernels, Workers& workers);

  // Runs tokens [1..n_batch] at positions first_pos and up through all layers; their keys and
  // values enter the cache. Errors: kNumeric with the layer; kCancelled.
  [[nodiscard]] Status run(Span<const u32> tokens, u32 first_pos, Session::Interrupt interrupt);

  // Most tokens that one call of logits() serves.
  [[nodiscard]] u32 n_logit_row() const { return n_logit_row_; }
  // Computes the logits of tokens first .. first + n - 1 of the batch that ran last, n <=
  // n_logit_row(), in one pass over the output matrix. logit_row(i) is that of token first + i
  // until the next call. Errors: kNumeric  a logit is NaN or infinite, with the first such
  // position.
  [[nodiscard]] Status logits(u32 first, u32 n);
  [[nodiscard]] Span<const f32> logit_row(u32 i) const {
    return {buffers_.logits.row(i), model_.config.n_vocab};
  }

  // What the output matrix reads for token i of the batch that ran last [n_embd]: the state behind
  // the last layer, normed. Until the next call.
  [[nodiscard]] Span<const f32> final_state(u32 i) {
    f32* const row = buffers_.normed.row(0);
    norm_row(buffers_.x.row(i), model_.weights.output_norm, model_.config.n_embd, row);
    return {row, model_.config.n_embd};
  }

  [[nodiscard]] const Model& model() const { return model_; }
  [[nodiscard]] KvType kv_type() const { return cache_.type(); }
  // The session tells it where batches begin and end, run() changes it.
  [[nodiscard]] RecurrentState& recurrent() { return recurrent_; }
  [[nodiscard]] const KvCache& cache() const { return cache_; }
  void set_trace(TraceSink* sink) { trace_ = sink; }
  void set_profile(ProfileSink* sink) { profile_ = sink; }

 private:
  friend class Arena;
  // Matrices that read the same input, multiplied in one parallel region.
  struct MatmulGroup {
    const Matrix* matrices[3];
    const ActivationRows* outputs[3];
    u32 n;
  };

  // What the convolution of recurrent_in is multiplied with and where it goes
  // (kernels/recurrent.h).
  struct Convolution {
    const f32* before;
    const f32* after;
    f32* out;
    bool silu;
  };

  Forward(const Model& model, const KernelTable& kernels, Workers& workers, const KvCache& cache,
          const RecurrentState& recurrent, const Rope (&ropes)[2], const Activations& buffers,
          const ExpertBuffers& experts, u32 n_logit_row)
      : model_(model),
        kernels_(kernels),
        workers_(workers),
        cache_(cache),
        recurrent_(recurrent),
        ropes_{ropes[0], ropes[1]},
        buffers_(buffers),
        experts_(experts),
        n_logit_row_(n_logit_row) {}

  void run_layer(u32 layer);
  // What attention, a recurrent layer, the FFN or the experts add to x: into `delta` or, of the
  // second two, into buffers_.delta.
  void attention_block(u32 layer, const ActivationRows& delta);
  void recurrent_block(u32 layer);
  void short_conv_block(u32 layer);
  void delta_net_block(u32 layer);
  void convolve(u32 layer, const Matrix& taps, const Convolution& with);
  void project_delta_net(const DeltaNetWeights& weights, const ActivationRows& input);
  void separate_mixed(u32 token);
  void prepare_delta_net(const DeltaNetWeights& weights, u32 token);
  void run_delta_net(u32 layer, u32 head);
  void check_finite(const f32* row, u32 n);
  void ffn_block(u32 layer);
  void experts_block(u32 layer);
  // Its steps, in order: experts and their weights; inputs; products; activations; sums.
  void route(u32 layer, const ActivationRows& input);
  void gather_slots(u32 layer, const ActivationRows& input);
  void multiply_slots(u32 layer, ExpertStage stage, const ActivationRows& input);
  [[nodiscard]] MatmulArgs slot_args(u32 layer, ExpertStage stage, const ExpertGroup& group,
                                     const Matrix& matrix, const ActivationRows& input) const;
  void activate_slots(u32 layer);
  void combine_slots(u32 layer);
  void embed(Span<const u32> tokens);
  // The input of a block: x normed, or x itself where there is no norm; and its quantized copy
  // where a matrix asks for it.
  const ActivationRows& block_input(const NormWeights& norm, bool quantized);
  void norm_row(const f32* x, const NormWeights& norm, u32 n, f32* y) const;
  void quantize(const ActivationRows& rows, u32 n_col);
  void quantize_row(u32 token, const f32* row, u32 n_col);
  void multiply(const MatmulGroup& group, const ActivationRows& input);
  void multiply_tiles(const Matrix& matrix, const ActivationRows& output,
                      const ActivationRows& input, u32 first, u32 n_tile) const;
  // Biases, norms and RoPE of q and k; k and v enter the cache.
  void prepare_heads(u32 layer);
  void prepare_token(u32 layer, u32 token);
  void separate_gates(u32 token) const;
  void norm_heads(f32* row, const f32* weight, u32 n_head) const;
  void rotate_heads(u32 layer, u32 token, f32* row, u32 n_head) const;
  void attend(u32 layer);
  void attend_in_chunks(u32 layer, u32 first_chunk, u32 n_chunk);
  [[nodiscard]] AttentionArgs attention_args(u32 layer, u32 head, u32 first, u32 n,
                                             u32 worker) const;
  void activate(const FfnWeights& ffn, u32 n_ff);
  // x += (delta + bias, normed) * residual_scale
  void add_delta(const ActivationRows& delta, const f32* bias, const NormWeights& post_norm);
  void trace(u32 layer, Str operation, const ActivationRows& rows, u32 n_value);
  void end_part(ForwardPart part) {
    if (profile_ != nullptr) profile_->on_part_end(part);
  }

  const Model& model_;
  const KernelTable& kernels_;
  Workers& workers_;
  KvCache cache_;
  RecurrentState recurrent_;
  Rope ropes_[2];  // of all layers, and of the windowed ones
  Activations buffers_;
  ExpertBuffers experts_;
  u32 n_logit_row_;
  TraceSink* trace_ = nullptr;
  ProfileSink* profile_ = nullptr;
  u32 n_token_ = 0;  // of the batch at work
  u32 first_pos_ = 0;
  bool finite_ = true;  // false once a value that must be quantized was NaN or infinite
};

}  // namespace lbm
