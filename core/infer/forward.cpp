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
         Activations::bytes_needed(config, params.n_batch, n_ctx, n_worker);
}

Result<Forward*> Forward::create(Arena& arena, const Model& model, const SessionParams& params,
                                 u32 n_ctx, const KernelTable& kernels, Workers& workers) {
  Result<Rope> rope = Rope::create(arena, model.config.rope, model.weights.rope_freqs);
  if (!rope.ok()) return rope.error();
  Result<Activations> buffers =
      Activations::create(arena, model.config, params.n_batch, n_ctx, workers.n_worker());
  if (!buffers.ok()) return buffers.error();
  Result<KvCache> cache = KvCache::create(arena, model.config, n_ctx, params.kv);
  if (!cache.ok()) return cache.error();
  return arena.make<Forward>("forward pass", model, kernels, workers, cache.value(), rope.value(),
                             buffers.value(),
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
  end_part(ForwardPart::kActivation);
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
  end_part(ForwardPart::kEmbedding);
  trace(TraceSink::kNoLayer, "embedding", buffers_.x, model_.config.n_embd);
}

void Forward::norm(const f32* weight, bool quantized) {
  const ModelConfig& c = model_.config;
  parallel(workers_, n_token_, [&](u32 token) {
    kernels_.rms_norm(buffers_.x.row(token), weight, c.n_embd, c.rms_eps,
                      buffers_.normed.row(token));
    if (quantized) quantize_row(token, buffers_.normed.row(token), c.n_embd);
  });
  end_part(ForwardPart::kNorm);
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

// One task is the tokens of one group of 16 positions: they share the lines of memory that keys are
// stored to.
void Forward::rotate_and_store(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  const auto rotate =
      c.rope.layout == RopeLayout::kNeighbours ? kernels_.rope_neighbours : kernels_.rope_halves;
  const u32 end_pos = first_pos_ + n_token_;
  const u32 first_group = first_pos_ / kKvGroup;
  const u32 n_task = (end_pos - 1) / kKvGroup - first_group + 1;
  parallel(workers_, n_task, [&](u32 task) {
    const u32 group_pos = (first_group + task) * kKvGroup;
    const u32 begin = max_u32(group_pos, first_pos_) - first_pos_;
    const u32 end = min_u32(group_pos + kKvGroup, end_pos) - first_pos_;
    for (u32 token = begin; token < end; ++token) {
      f32* q = buffers_.q.row(token);
      f32* k = buffers_.k.row(token);
      add_bias(kernels_, q, w.bq, c.n_embd_q());
      add_bias(kernels_, k, w.bk, c.n_embd_kv());
      add_bias(kernels_, buffers_.v.row(token), w.bv, c.n_embd_kv());
      const f32* angles = buffers_.angles.row(token);
      for (u32 head = 0; head < c.n_head; ++head)
        rotate(q + head * c.head_dim, angles, c.rope.n_rot);
      for (u32 head = 0; head < c.n_head_kv; ++head)
        rotate(k + head * c.head_dim, angles, c.rope.n_rot);
    }
    for (u32 head = 0; head < c.n_head_kv; ++head) {
      KvRows rows = {buffers_.k.row(begin) + head * c.head_dim,
                     buffers_.v.row(begin) + head * c.head_dim, buffers_.k.stride, end - begin,
                     first_pos_ + begin};
      if (!cache_.store(kernels_, layer, head, rows))
        __atomic_store_n(&finite_, false, __ATOMIC_RELAXED);
    }
  });
  end_part(ForwardPart::kRope);
}

// The query heads that share KV head `head`, for `n` tokens from `first` on.
AttentionArgs Forward::attention_args(u32 layer, u32 head, u32 first, u32 n, u32 worker) const {
  const ModelConfig& c = model_.config;
  const u32 n_group = c.n_head / c.n_head_kv;
  const usize column = static_cast<usize>(head) * n_group * c.head_dim;
  return {buffers_.q.row(first) + column,
          buffers_.q.stride,
          cache_.keys(layer, head),
          cache_.values(layer, head),
          c.head_dim,
          n_group,
          n,
          first_pos_ + first,
          kNoWindow,
          c.attention_scale,
          buffers_.attended.row(first) + column,
          buffers_.attended.stride,
          buffers_.attention_scratch + worker * buffers_.attention_scratch_stride};
}

// One item is a block of tokens and one KV head. Blocks are as large as sharing the keys and values
// asks for, smaller where there would be too few items; later tokens see more, so the longest items
// go first, each to the core that is free.
void Forward::attend(u32 layer) {
  const ModelConfig& c = model_.config;
  const u32 n_worker = workers_.n_worker();
  const u32 n_chunk = (first_pos_ + n_token_ - 1) / kAttentionChunk + 1;
  if (n_token_ == 1 && n_chunk > 1 && n_worker > 1) {
    attend_in_chunks(layer, n_chunk);
    end_part(ForwardPart::kAttention);
    return;
  }
  const u32 most = Activations::n_attention_token(c, n_token_);
  const u64 fair = ceil_div(n_token_ * c.n_head_kv, n_worker * kTasksPerWorker);
  const u32 block = n_worker == 1 ? most : static_cast<u32>(min_u64(most, fair));
  const u32 n_block = static_cast<u32>(ceil_div(n_token_, block));
  const u32 n_item = n_block * c.n_head_kv;
  const auto kernel = kernels_.attention[static_cast<u32>(cache_.type())];
  u32 next = 0;
  parallel(workers_, min_u32(n_item, n_worker), [&](u32 worker) {
    for (;;) {
      const u32 item = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
      if (item >= n_item) return;
      const u32 first = (n_block - 1 - item / c.n_head_kv) * block;
      kernel(attention_args(layer, item % c.n_head_kv, first, min_u32(block, n_token_ - first),
                            worker));
    }
  });
  end_part(ForwardPart::kAttention);
}

// One token and a long context, on several cores: one item is one chunk of one KV head. The partial
// results are merged in the order of R15.
void Forward::attend_in_chunks(u32 layer, u32 n_chunk) {
  const ModelConfig& c = model_.config;
  const u32 n_item = n_chunk * c.n_head_kv;
  const auto part = kernels_.attention_part[static_cast<u32>(cache_.type())];
  u32 next = 0;
  parallel(workers_, min_u32(n_item, workers_.n_worker()), [&](u32 worker) {
    for (;;) {
      const u32 item = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
      if (item >= n_item) return;
      part(attention_args(layer, item / n_chunk, 0, 1, worker), item % n_chunk,
           buffers_.attention_partial(item / n_chunk, item % n_chunk));
    }
  });
  for (u32 head = 0; head < c.n_head_kv; ++head) {
    kernels_.attention_join(attention_args(layer, head, 0, 1, 0),
                            buffers_.attention_partial(head, 0), n_chunk);
  }
}

void Forward::add_delta(const f32* bias) {
  const u32 n_embd = model_.config.n_embd;
  parallel(workers_, n_token_, [&](u32 token) {
    add_bias(kernels_, buffers_.delta.row(token), bias, n_embd);
    kernels_.add(buffers_.x.row(token), buffers_.delta.row(token), n_embd);
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
    kernels_.rms_norm(buffers_.x.row(first + i), model_.weights.output_norm, c.n_embd, c.rms_eps,
                      buffers_.normed.row(i));
    if (quantized) quantize_row(i, buffers_.normed.row(i), c.n_embd);
    n_finite += finite_ ? 1 : 0;
  }
  end_part(ForwardPart::kNorm);
  trace(TraceSink::kNoLayer, "output_norm", buffers_.normed, c.n_embd);
  multiply({{&model_.weights.output}, {&buffers_.logits}, 1}, buffers_.normed);
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
