#include "core/infer/forward.h"

namespace lbm {
namespace {

// More tasks than cores, so that a core that is busy elsewhere costs only its share.
constexpr u32 kTasksPerWorker = 4;

// Calls f(task) for 0 .. n_task - 1 on all cores.
template <class F>
void parallel(Workers& workers, u32 n_task, const F& f) {
  if (n_task == 1 || workers.n_worker() == 1) {
    for (u32 task = 0; task < n_task; ++task) f(task);
    return;
  }
  const Workers::Task call = [](void* job, u32 task) { (*static_cast<const F*>(job))(task); };
  workers.run(call, const_cast<F*>(&f),
              n_task);  // NOLINT: the pool passes a void*, f is only called
}

bool is_quantized(const Matrix& matrix) { return dtype_traits(matrix.dtype).block_size != 1; }

// out[i] += bias[i]
void add_bias(const KernelTable& kernels, f32* out, const f32* bias, u32 n) {
  if (bias != nullptr) kernels.add(out, bias, n);
}

}  // namespace

u64 Forward::bytes_needed(const ModelConfig& config, const SessionParams& params, u32 n_ctx,
                          u32 n_worker) {
  return align_up(sizeof(Forward), Arena::kDefaultAlignment) +
         KvCache::bytes_needed(config, n_ctx, params.kv) +
         align_up(Rope::bytes_needed(config.rope), Arena::kDefaultAlignment) +
         Activations::bytes_needed(config, params.n_batch, n_worker * kTasksPerWorker);
}

Result<Forward*> Forward::create(Arena& arena, const Model& model, const SessionParams& params,
                                 u32 n_ctx, const KernelTable& kernels, Workers& workers) {
  Result<Rope> rope = Rope::create(arena, model.config.rope, model.weights.rope_freqs);
  if (!rope.ok()) return rope.error();
  Result<Activations> buffers = Activations::create(arena, model.config, params.n_batch,
                                                    workers.n_worker() * kTasksPerWorker);
  if (!buffers.ok()) return buffers.error();
  Result<KvCache> cache = KvCache::create(arena, model.config, n_ctx, params.kv);
  if (!cache.ok()) return cache.error();
  return arena.make<Forward>("forward pass", model, kernels, workers, cache.value(), rope.value(),
                             buffers.value());
}

Status Forward::run(Span<const u32> tokens, u32 first_pos, Session::Interrupt interrupt) {
  n_token_ = static_cast<u32>(tokens.size());
  first_pos_ = first_pos;
  finite_ = true;
  embed(tokens);
  for (u32 layer = 0; layer < model_.config.n_layer; ++layer) {
    if (interrupt.asked != nullptr && interrupt.asked(interrupt.context)) {
      return fail(ErrorCode::kCancelled, "stopped by the user");
    }
    attention_block(layer);
    ffn_block(layer);
    if (!finite_)
      return fail(ErrorCode::kNumeric, "NaN or infinity in the activations of layer").with(layer);
  }
  return {};
}

void Forward::attention_block(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  norm(w.attn_norm, is_quantized(w.wq) || is_quantized(w.wk) || is_quantized(w.wv));
  trace(layer, "attn_norm", buffers_.normed, c.n_embd);
  multiply({{&w.wq, &w.wk, &w.wv}, {&buffers_.q, &buffers_.k, &buffers_.v}, 3}, buffers_.normed);
  rotate_and_store(layer);
  trace(layer, "q", buffers_.q, c.n_embd_q());
  trace(layer, "k", buffers_.k, c.n_embd_kv());
  trace(layer, "v", buffers_.v, c.n_embd_kv());
  attend(layer);
  trace(layer, "attended", buffers_.attended, c.n_embd_q());
  if (is_quantized(w.wo)) quantize(buffers_.attended, c.n_embd_q());
  multiply({{&w.wo}, {&buffers_.delta}, 1}, buffers_.attended);
  add_delta(w.bo);
  trace(layer, "attn_residual", buffers_.x, c.n_embd);
}

void Forward::ffn_block(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  norm(w.ffn_norm, is_quantized(w.w_gate) || is_quantized(w.w_up));
  trace(layer, "ffn_norm", buffers_.normed, c.n_embd);
  multiply({{&w.w_gate, &w.w_up}, {&buffers_.gate, &buffers_.up}, 2}, buffers_.normed);
  parallel(workers_, n_token_, [&](u32 token) {
    f32* gate = buffers_.gate.row(token);
    add_bias(kernels_, gate, w.b_gate, c.n_ff);
    add_bias(kernels_, buffers_.up.row(token), w.b_up, c.n_ff);
    kernels_.silu_mul(gate, buffers_.up.row(token), c.n_ff, gate);
  });
  trace(layer, "ffn_act", buffers_.gate, c.n_ff);
  if (is_quantized(w.w_down)) quantize(buffers_.gate, c.n_ff);
  multiply({{&w.w_down}, {&buffers_.delta}, 1}, buffers_.gate);
  add_delta(w.b_down);
  trace(layer, "ffn_residual", buffers_.x, c.n_embd);
}

void Forward::embed(Span<const u32> tokens) {
  parallel(workers_, n_token_, [&](u32 token) {
    model_.weights.embedding.gather(tokens[token], buffers_.x.row(token));
    rope_.angles(first_pos_ + token, buffers_.angles.row(token));
  });
  trace(TraceSink::kNoLayer, "embedding", buffers_.x, model_.config.n_embd);
}

void Forward::norm(const f32* weight, bool quantized) {
  const ModelConfig& c = model_.config;
  parallel(workers_, n_token_, [&](u32 token) {
    kernels_.rms_norm(buffers_.x.row(token), weight, c.n_embd, c.rms_eps,
                      buffers_.normed.row(token));
    if (quantized) quantize_row(token, buffers_.normed.row(token), c.n_embd);
  });
}

void Forward::quantize(const ActivationRows& rows, u32 n_col) {
  parallel(workers_, n_token_, [&](u32 token) { quantize_row(token, rows.row(token), n_col); });
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
  kernels_.matmul[static_cast<u32>(matrix.dtype)](args);
}

void Forward::rotate_and_store(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  const auto rotate =
      c.rope.layout == RopeLayout::kNeighbours ? kernels_.rope_neighbours : kernels_.rope_halves;
  parallel(workers_, n_token_, [&](u32 token) {
    f32* q = buffers_.q.row(token);
    f32* k = buffers_.k.row(token);
    f32* v = buffers_.v.row(token);
    add_bias(kernels_, q, w.bq, c.n_embd_q());
    add_bias(kernels_, k, w.bk, c.n_embd_kv());
    add_bias(kernels_, v, w.bv, c.n_embd_kv());
    const f32* angles = buffers_.angles.row(token);
    for (u32 head = 0; head < c.n_head; ++head) rotate(q + head * c.head_dim, angles, c.rope.n_rot);
    for (u32 head = 0; head < c.n_head_kv; ++head) {
      rotate(k + head * c.head_dim, angles, c.rope.n_rot);
      cache_.store(kernels_, layer, head, first_pos_ + token, k + head * c.head_dim,
                   v + head * c.head_dim);
    }
  });
}

// One item is one token and one KV head with the query heads that share it.
void Forward::attend(u32 layer) {
  const ModelConfig& c = model_.config;
  const u32 n_item = n_token_ * c.n_head_kv;
  const u32 n_task = min_u32(n_item, workers_.n_worker() * kTasksPerWorker);
  const u32 n_group = c.n_head / c.n_head_kv;
  const auto kernel =
      cache_.type() == KvType::kF16 ? kernels_.attention_f16 : kernels_.attention_f32;
  parallel(workers_, n_task, [&](u32 task) {
    for (u32 item = task; item < n_item; item += n_task) {
      const u32 token = item / c.n_head_kv;
      const u32 head = item % c.n_head_kv;
      const usize first_value = static_cast<usize>(head) * n_group * c.head_dim;
      kernel({buffers_.q.row(token) + first_value, cache_.keys(layer, head),
              cache_.values(layer, head), c.head_dim, n_group, 0, first_pos_ + token + 1,
              c.attention_scale, buffers_.attended.row(token) + first_value, c.head_dim,
              buffers_.attention_scratch + task * buffers_.attention_scratch_stride});
    }
  });
}

void Forward::add_delta(const f32* bias) {
  const u32 n_embd = model_.config.n_embd;
  parallel(workers_, n_token_, [&](u32 token) {
    add_bias(kernels_, buffers_.delta.row(token), bias, n_embd);
    kernels_.add(buffers_.x.row(token), buffers_.delta.row(token), n_embd);
  });
}

Result<Span<const f32>> Forward::logits(u32 index) {
  LBM_CHECK(index < n_token_);
  const ModelConfig& c = model_.config;
  const u32 n_token = n_token_;
  const u32 first_pos = first_pos_;
  // From here on the batch is the one row that is asked for.
  n_token_ = 1;
  first_pos_ = first_pos + index;
  kernels_.rms_norm(buffers_.x.row(index), model_.weights.output_norm, c.n_embd, c.rms_eps,
                    buffers_.normed.row(0));
  trace(TraceSink::kNoLayer, "output_norm", buffers_.normed, c.n_embd);
  if (is_quantized(model_.weights.output)) quantize_row(0, buffers_.normed.row(0), c.n_embd);
  multiply({{&model_.weights.output}, {&buffers_.logits}, 1}, buffers_.normed);
  trace(TraceSink::kNoLayer, "logits", buffers_.logits, c.n_vocab);
  n_token_ = n_token;
  first_pos_ = first_pos;
  if (!finite_ || !kernels_.all_finite(buffers_.logits.data, c.n_vocab)) {
    return fail(ErrorCode::kNumeric, "NaN or infinity in the logits at position")
        .with(first_pos + index);
  }
  return last_logits();
}

Span<const f32> Forward::last_logits() const {
  return {buffers_.logits.data, model_.config.n_vocab};
}

void Forward::trace(u32 layer, Str operation, const ActivationRows& rows, u32 n_value) {
  if (trace_ == nullptr) return;
  for (u32 token = 0; token < n_token_; ++token) {
    trace_->on_operation(layer, operation, first_pos_ + token, {rows.row(token), n_value});
  }
}

}  // namespace lbm
