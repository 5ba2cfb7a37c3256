#include "core/infer/forward.h"

#include "core/infer/parallel.h"

namespace lbm {
namespace {

// Divisors of the frequencies: the model's only ones, or those for the length of the context.
const f32* rope_factors(const Model& model, u32 n_ctx) {
  const Weights& w = model.weights;
  if (w.rope_freqs != nullptr) return w.rope_freqs;
  return n_ctx > model.config.rope.n_ctx_orig ? w.rope_long : w.rope_short;
}

}  // namespace

u64 Forward::bytes_needed(const ModelConfig& config, const SessionParams& params, u32 n_ctx,
                          u32 n_worker) {
  return align_up(sizeof(Forward), Arena::kDefaultAlignment) +
         KvCache::bytes_needed(config, n_ctx, params.kv) + RecurrentState::bytes_needed(config) +
         2 * align_up(Rope::bytes_needed(config.rope), Arena::kDefaultAlignment) +
         Activations::bytes_needed(config, params.n_batch, n_ctx, n_worker) +
         ExpertBuffers::bytes_needed(config, params.n_batch);
}

Result<Forward*> Forward::create(Arena& arena, const Model& model, const SessionParams& params,
                                 u32 n_ctx, const KernelTable& kernels, Workers& workers) {
  Rope ropes[2];
  for (u32 i = 0; i < 2; ++i) {
    if (i == 1 && !model.config.two_ropes) break;
    const RopeConfig& config = i == 0 ? model.config.rope : model.config.rope_local;
    Result<Rope> rope = Rope::create(arena, config, i == 0 ? rope_factors(model, n_ctx) : nullptr);
    if (!rope.ok()) return rope.error();
    ropes[i] = rope.value();
  }
  Result<Activations> buffers =
      Activations::create(arena, model.config, params.n_batch, n_ctx, workers.n_worker());
  if (!buffers.ok()) return buffers.error();
  Result<ExpertBuffers> experts = ExpertBuffers::create(arena, model.config, params.n_batch);
  if (!experts.ok()) return experts.error();
  Result<KvCache> cache = KvCache::create(arena, model.config, n_ctx, params.kv);
  if (!cache.ok()) return cache.error();
  Result<RecurrentState> recurrent = RecurrentState::create(arena, model.config);
  if (!recurrent.ok()) return recurrent.error();
  return arena.make<Forward>("forward pass", model, kernels, workers, cache.value(),
                             recurrent.value(), ropes, buffers.value(), experts.value(),
                             Activations::n_logit_row(model.config, params.n_batch));
}

Status Forward::run(Span<const u32> tokens, u32 first_pos, Session::Interrupt interrupt) {
  n_token_ = static_cast<u32>(tokens.size());
  first_pos_ = first_pos;
  finite_ = true;
  end_part(ForwardPart::kOutside);
  embed(tokens);
  for (u32 layer = 0; layer < model_.config.n_layer; ++layer) {
    if (interrupt.asked != nullptr && interrupt.asked(interrupt.context)) {
      return fail(ErrorCode::kCancelled, "stopped by the user");
    }
    run_layer(layer);
    if (!finite_)
      return fail(ErrorCode::kNumeric, "NaN or infinity in the activations of layer").with(layer);
  }
  return {};
}

// x += mixed(x); x += ffn(x). Where both are parallel they read the same x, and what attention
// gave waits for the FFN.
void Forward::run_layer(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  const ActivationRows& mixed = c.parallel ? buffers_.attention_delta : buffers_.delta;
  if (c.layers[layer].kind == LayerKind::kAttention) {
    attention_block(layer, mixed);
  } else {
    recurrent_block(layer);
  }
  if (!c.parallel) {
    add_delta(mixed, w.bo, w.attn_post_norm);
    trace(layer, "attn_residual", buffers_.x, c.n_embd);
  }
  if (c.layers[layer].experts) {
    experts_block(layer);
  } else {
    ffn_block(layer);
  }
  if (c.parallel) add_delta(mixed, w.bo, w.attn_post_norm);
  add_delta(buffers_.delta, w.ffn.b_down, w.ffn_post_norm);
  trace(layer, "ffn_residual", buffers_.x, c.n_embd);
}

void Forward::ffn_block(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  const FfnWeights& ffn = w.ffn;
  const bool quantized = is_quantized(ffn.up) || is_quantized(ffn.gate);
  // In a parallel layer without a norm of its own, what attention read still stands in `normed`.
  const bool shared = c.parallel && !w.ffn_norm.present();
  if (shared && quantized) quantize(buffers_.normed, c.n_embd);
  const ActivationRows& input = shared ? buffers_.normed : block_input(w.ffn_norm, quantized);
  trace(layer, "ffn_norm", input, c.n_embd);
  if (ffn.gate.present()) {
    multiply({{&ffn.gate, &ffn.up}, {&buffers_.gate, &buffers_.up}, 2}, input);
  } else {
    multiply({{&ffn.up}, {&buffers_.up}, 1}, input);
  }
  activate(ffn, c.n_ff);
  const ActivationRows& activated = ffn.gate.present() ? buffers_.gate : buffers_.up;
  trace(layer, "ffn_act", activated, c.n_ff);
  if (is_quantized(ffn.down)) quantize(activated, c.n_ff);
  multiply({{&ffn.down}, {&buffers_.delta}, 1}, activated);
}

// gate = act(gate + bias) * (up + bias), or without a gate up = act(up + bias)
void Forward::activate(const FfnWeights& ffn, u32 n_ff) {
  const Activation activation = model_.config.activation;
  parallel(workers_, n_token_, [&](u32 token) {
    f32* const up = buffers_.up.row(token);
    add_bias(kernels_, up, ffn.b_up, n_ff);
    if (!ffn.gate.present()) {
      activate_alone(kernels_, activation, up, n_ff);
      return;
    }
    f32* const gate = buffers_.gate.row(token);
    add_bias(kernels_, gate, ffn.b_gate, n_ff);
    activate_gated(kernels_, activation, gate, up, n_ff);
  });
  end_part(ForwardPart::kActivation);
}

void Forward::embed(Span<const u32> tokens) {
  const ModelConfig& c = model_.config;
  parallel(workers_, n_token_, [&](u32 token) {
    f32* const x = buffers_.x.row(token);
    const u32 pos = first_pos_ + token;
    model_.weights.embedding.gather(tokens[token], x);
    if (c.embedding_scale != 1.0f) kernels_.scale(x, c.embedding_scale, c.n_embd);
    if (model_.weights.positions.n_row != 0) {
      f32* const learned = buffers_.delta.row(token);
      model_.weights.positions.gather(pos, learned);
      kernels_.add(x, learned, c.n_embd);
    }
    ropes_[0].angles(pos, buffers_.angles.row(token));
    if (c.two_ropes) ropes_[1].angles(pos, buffers_.local_angles.row(token));
  });
  end_part(ForwardPart::kEmbedding);
  trace(TraceSink::kNoLayer, "embedding", buffers_.x, c.n_embd);
}

void Forward::norm_row(const f32* x, const NormWeights& norm, u32 n, f32* y) const {
  const ModelConfig& c = model_.config;
  if (c.norm == NormKind::kRms) {
    kernels_.rms_norm(x, norm.weight, n, c.norm_eps, y);
  } else {
    kernels_.layer_norm(x, norm.weight, norm.bias, n, c.norm_eps, y);
  }
}

const ActivationRows& Forward::block_input(const NormWeights& norm, bool quantized) {
  const u32 n_embd = model_.config.n_embd;
  if (!norm.present()) {
    if (quantized) quantize(buffers_.x, n_embd);
    return buffers_.x;
  }
  parallel(workers_, n_token_, [&](u32 token) {
    norm_row(buffers_.x.row(token), norm, n_embd, buffers_.normed.row(token));
    if (quantized) quantize_row(token, buffers_.normed.row(token), n_embd);
  });
  end_part(ForwardPart::kNorm);
  return buffers_.normed;
}

void Forward::quantize(const ActivationRows& rows, u32 n_col) {
  parallel(workers_, n_token_, [&](u32 token) { quantize_row(token, rows.row(token), n_col); });
  end_part(ForwardPart::kQuantize);
}

void Forward::quantize_row(u32 token, const f32* row, u32 n_col) {
  if (!kernels_.quantize_row(row, n_col, buffers_.quantized_row(token))) {
    __atomic_store_n(&finite_, false, __ATOMIC_RELAXED);
  }
}

// The tiles of all matrices are one list, cut into equal stretches: one region for q, k and v, one
// for gate and up.
void Forward::multiply(const MatmulGroup& group, const ActivationRows& input) {
  u32 n_tile = 0;
  for (u32 i = 0; i < group.n; ++i) n_tile += group.matrices[i]->n_tile();
  const u32 n_worker = workers_.n_worker();
  const u32 n_task = n_worker == 1 ? 1 : min_u32(n_tile, n_worker * kTasksPerWorker);
  parallel(workers_, n_task, [&](u32 task) {
    u32 begin = static_cast<u32>(static_cast<u64>(n_tile) * task / n_task);
    u32 end = static_cast<u32>(static_cast<u64>(n_tile) * (task + 1) / n_task);
    for (u32 i = 0; i < group.n && end != 0; ++i) {
      const Matrix& matrix = *group.matrices[i];
      const u32 own = matrix.n_tile();
      if (begin < own)
        multiply_tiles(matrix, *group.outputs[i], input, begin, min_u32(end, own) - begin);
      begin = begin > own ? begin - own : 0;
      end = end > own ? end - own : 0;
    }
  });
  end_part(ForwardPart::kMatmul);
}

void Forward::multiply_tiles(const Matrix& matrix, const ActivationRows& output,
                             const ActivationRows& input, u32 first, u32 n_tile) const {
  const bool quantized = is_quantized(matrix);
  const MatmulArgs args = {
      matrix.tiles,
      matrix.tile_stride,
      matrix.n_col,
      first,
      n_tile,
      quantized ? reinterpret_cast<const u8*>(buffers_.quantized)
                : reinterpret_cast<const u8*>(input.data),
      quantized ? buffers_.quantized_stride * sizeof(ActivationBlock) : input.stride * sizeof(f32),
      n_token_,
      output.data,
      output.stride};
  kernels_.matmul(matrix.dtype, n_token_)(args);
}

void Forward::add_delta(const ActivationRows& delta, const f32* bias,
                        const NormWeights& post_norm) {
  const ModelConfig& c = model_.config;
  parallel(workers_, n_token_, [&](u32 token) {
    f32* const row = delta.row(token);
    add_bias(kernels_, row, bias, c.n_embd);
    if (post_norm.present()) norm_row(row, post_norm, c.n_embd, row);
    if (c.residual_scale == 1.0f) {
      kernels_.add(buffers_.x.row(token), row, c.n_embd);
    } else {
      kernels_.add_scaled(buffers_.x.row(token), row, c.residual_scale, c.n_embd);
    }
  });
  end_part(ForwardPart::kResidual);
}

Status Forward::logits(u32 first, u32 n) {
  LBM_CHECK(n != 0 && n <= n_logit_row_ && first + n <= n_token_);
  const ModelConfig& c = model_.config;
  const u32 n_token = n_token_;
  const u32 first_pos = first_pos_;
  // From here on the batch is the rows that are asked for.
  n_token_ = n;
  first_pos_ = first_pos + first;
  const bool quantized = is_quantized(model_.weights.output);
  u32 n_finite = 0;  // rows before the first that can not be quantized
  for (u32 i = 0; i < n; ++i) {
    norm_row(buffers_.x.row(first + i), model_.weights.output_norm, c.n_embd,
             buffers_.normed.row(i));
    if (quantized) quantize_row(i, buffers_.normed.row(i), c.n_embd);
    n_finite += finite_ ? 1 : 0;
  }
  end_part(ForwardPart::kNorm);
  trace(TraceSink::kNoLayer, "output_norm", buffers_.normed, c.n_embd);
  multiply({{&model_.weights.output}, {&buffers_.logits}, 1}, buffers_.normed);
  for (u32 i = 0; i < n; ++i) {
    f32* const row = buffers_.logits.row(i);
    add_bias(kernels_, row, model_.weights.output_bias, c.n_vocab);
    if (c.logit_scale != 1.0f) kernels_.scale(row, c.logit_scale, c.n_vocab);
    if (c.logit_soft_cap != 0.0f) kernels_.soft_cap(row, c.logit_soft_cap, c.n_vocab);
  }
  trace(TraceSink::kNoLayer, "logits", buffers_.logits, c.n_vocab);
  n_token_ = n_token;
  first_pos_ = first_pos;
  for (u32 i = 0; i < n; ++i) {
    if (i < n_finite && kernels_.all_finite(buffers_.logits.row(i), c.n_vocab)) continue;
    return fail(ErrorCode::kNumeric, "NaN or infinity in the logits at position")
        .with(first_pos + first + i);
  }
  return {};
}

void Forward::trace(u32 layer, Str operation, const ActivationRows& rows, u32 n_value) {
  if (trace_ == nullptr) return;
  for (u32 token = 0; token < n_token_; ++token) {
    trace_->on_operation(layer, operation, first_pos_ + token, {rows.row(token), n_value});
  }
}

}  // namespace lbm
