// Attention in the forward pass: projections, heads, cache, scores.
#include "core/infer/forward.h"
#include "core/infer/parallel.h"

namespace lbm {

void Forward::attention_block(u32 layer, const ActivationRows& delta) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  const ActivationRows& input =
      block_input(w.attn_norm, is_quantized(w.wq) || is_quantized(w.wk) || is_quantized(w.wv));
  trace(layer, "attn_norm", input, c.n_embd);
  multiply({{&w.wq, &w.wk, &w.wv}, {&buffers_.q, &buffers_.k, &buffers_.v}, 3}, input);
  prepare_heads(layer);
  trace(layer, "q", buffers_.q, c.n_embd_q());
  trace(layer, "k", buffers_.k, c.n_embd_kv(layer));
  trace(layer, "v", buffers_.v, c.n_embd_kv(layer));
  attend(layer);
  if (c.gated_attention) {
    parallel(workers_, n_token_, [&](u32 token) {
      kernels_.sigmoid_mul(buffers_.attention_gate.row(token), buffers_.attended.row(token),
                           c.n_embd_q());
    });
    end_part(ForwardPart::kAttention);
  }
  trace(layer, "attended", buffers_.attended, c.n_embd_q());
  if (is_quantized(w.wo)) quantize(buffers_.attended, c.n_embd_q());
  multiply({{&w.wo}, {&delta}, 1}, buffers_.attended);
}

// One task is the tokens of one group of 16 positions: they share the lines of memory that keys are
// stored to.
void Forward::prepare_heads(u32 layer) {
  const ModelConfig& c = model_.config;
  const u32 end_pos = first_pos_ + n_token_;
  const u32 first_group = first_pos_ / kKvGroup;
  const u32 n_task = (end_pos - 1) / kKvGroup - first_group + 1;
  parallel(workers_, n_task, [&](u32 task) {
    const u32 group_pos = (first_group + task) * kKvGroup;
    const u32 begin = max_u32(group_pos, first_pos_) - first_pos_;
    const u32 end = min_u32(group_pos + kKvGroup, end_pos) - first_pos_;
    for (u32 token = begin; token < end; ++token) prepare_token(layer, token);
    for (u32 head = 0; head < c.layers[layer].n_head_kv; ++head) {
      KvRows rows = {buffers_.k.row(begin) + head * c.head_dim,
                     buffers_.v.row(begin) + head * c.head_dim, buffers_.k.stride, end - begin,
                     first_pos_ + begin};
      if (!cache_.store(kernels_, layer, head, rows))
        __atomic_store_n(&finite_, false, __ATOMIC_RELAXED);
    }
  });
  end_part(ForwardPart::kRope);
}

// Biases, then norms and RoPE in the order of the family.
void Forward::prepare_token(u32 layer, u32 token) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  const u32 n_head_kv = c.layers[layer].n_head_kv;
  f32* const q = buffers_.q.row(token);
  f32* const k = buffers_.k.row(token);
  add_bias(kernels_, q, w.bq, w.wq.n_row);
  add_bias(kernels_, k, w.bk, c.n_embd_kv(layer));
  add_bias(kernels_, buffers_.v.row(token), w.bv, c.n_embd_kv(layer));
  if (c.gated_attention) separate_gates(token);
  if (!c.qk_norm_after_rope) {
    norm_heads(q, w.q_norm, c.n_head);
    norm_heads(k, w.k_norm, n_head_kv);
  }
  if (c.layers[layer].rope) {
    rotate_heads(layer, token, q, c.n_head);
    rotate_heads(layer, token, k, n_head_kv);
  }
  if (c.qk_norm_after_rope) {
    norm_heads(q, w.q_norm, c.n_head);
    norm_heads(k, w.k_norm, n_head_kv);
  }
}

// Each query head comes with its gate behind it: the queries move together, the gates out.
void Forward::separate_gates(u32 token) const {
  const ModelConfig& c = model_.config;
  f32* const q = buffers_.q.row(token);
  f32* const gate = buffers_.attention_gate.row(token);
  for (u32 head = 0; head < c.n_head; ++head) {
    const f32* const from = q + 2 * head * c.head_dim;
    const usize n_byte = c.head_dim * sizeof(f32);
    __builtin_memcpy(gate + head * c.head_dim, from + c.head_dim, n_byte);
    __builtin_memmove(q + head * c.head_dim, from, n_byte);
  }
}

void Forward::norm_heads(f32* row, const f32* weight, u32 n_head) const {
  const ModelConfig& c = model_.config;
  if (weight == nullptr) return;
  if (c.qk_norm == QkNorm::kAllHeads) {
    norm_row(row, {weight, nullptr}, n_head * c.head_dim, row);
    return;
  }
  const u32 own = c.qk_norm == QkNorm::kOwnPerHead ? c.head_dim : 0;
  for (u32 head = 0; head < n_head; ++head)
    norm_row(row + head * c.head_dim, {weight + head * own, nullptr}, c.head_dim,
             row + head * c.head_dim);
}

void Forward::rotate_heads(u32 layer, u32 token, f32* row, u32 n_head) const {
  const ModelConfig& c = model_.config;
  const bool local = c.two_ropes && c.layers[layer].windowed;
  const RopeConfig& rope = local ? c.rope_local : c.rope;
  const f32* const angles = (local ? buffers_.local_angles : buffers_.angles).row(token);
  const auto rotate =
      rope.layout == RopeLayout::kNeighbours ? kernels_.rope_neighbours : kernels_.rope_halves;
  for (u32 head = 0; head < n_head; ++head) rotate(row + head * c.head_dim, angles, rope.n_rot);
}

// The query heads that share KV head `head`, for `n` tokens from `first` on.
AttentionArgs Forward::attention_args(u32 layer, u32 head, u32 first, u32 n, u32 worker) const {
  const ModelConfig& c = model_.config;
  const u32 n_group = c.n_group(layer);
  const usize column = static_cast<usize>(head) * n_group * c.head_dim;
  const f32* const sinks = model_.weights.layers[layer].sinks;
  return {buffers_.q.row(first) + column,
          buffers_.q.stride,
          cache_.keys(layer, head),
          cache_.values(layer, head),
          c.head_dim,
          n_group,
          n,
          first_pos_ + first,
          c.layers[layer].windowed ? c.window : kNoWindow,
          c.attention_scale,
          buffers_.attended.row(first) + column,
          buffers_.attended.stride,
          buffers_.attention_scratch + worker * buffers_.attention_scratch_stride,
          c.attention_soft_cap,
          sinks == nullptr ? nullptr : sinks + head * n_group};
}

// One item is a block of tokens and one KV head. Blocks are as large as sharing the keys and values
// asks for, smaller where there would be too few items; later tokens see more, so the longest items
// go first, each to the core that is free.
void Forward::attend(u32 layer) {
  const ModelConfig& c = model_.config;
  const u32 n_head_kv = c.layers[layer].n_head_kv;
  const u32 n_worker = workers_.n_worker();
  const u32 last_pos = first_pos_ + n_token_ - 1;
  const u32 first_seen =
      c.layers[layer].windowed && last_pos >= c.window ? last_pos - c.window + 1 : 0;
  const u32 first_chunk = first_seen / kAttentionChunk;
  const u32 n_chunk = last_pos / kAttentionChunk - first_chunk + 1;
  if (n_token_ == 1 && n_chunk > 1 && n_worker > 1) {
    attend_in_chunks(layer, first_chunk, n_chunk);
    end_part(ForwardPart::kAttention);
    return;
  }
  const u32 most = Activations::n_attention_token(c.n_group(layer), n_token_);
  const u64 fair = ceil_div(n_token_ * n_head_kv, n_worker * kTasksPerWorker);
  const u32 block = n_worker == 1 ? most : static_cast<u32>(min_u64(most, fair));
  const u32 n_block = static_cast<u32>(ceil_div(n_token_, block));
  const u32 n_item = n_block * n_head_kv;
  const auto kernel = kernels_.attention[static_cast<u32>(cache_.type())];
  u32 next = 0;
  parallel(workers_, min_u32(n_item, n_worker), [&](u32 worker) {
    for (;;) {
      const u32 item = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
      if (item >= n_item) return;
      const u32 first = (n_block - 1 - item / n_head_kv) * block;
      kernel(
          attention_args(layer, item % n_head_kv, first, min_u32(block, n_token_ - first), worker));
    }
  });
  end_part(ForwardPart::kAttention);
}

// One token and a long context, on several cores: one item is one chunk of one KV head. The partial
// results are merged in the order of R15.
void Forward::attend_in_chunks(u32 layer, u32 first_chunk, u32 n_chunk) {
  const u32 n_head_kv = model_.config.layers[layer].n_head_kv;
  const u32 n_item = n_chunk * n_head_kv;
  const auto part = kernels_.attention_part[static_cast<u32>(cache_.type())];
  u32 next = 0;
  parallel(workers_, min_u32(n_item, workers_.n_worker()), [&](u32 worker) {
    for (;;) {
      const u32 item = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED);
      if (item >= n_item) return;
      part(attention_args(layer, item / n_chunk, 0, 1, worker), first_chunk + item % n_chunk,
           buffers_.attention_partial(item / n_chunk, item % n_chunk));
    }
  });
  for (u32 head = 0; head < n_head_kv; ++head) {
    kernels_.attention_join(attention_args(layer, head, 0, 1, 0),
                            buffers_.attention_partial(head, 0), n_chunk);
  }
}

}  // namespace lbm
