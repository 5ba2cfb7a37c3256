#include "core/infer/activations.h"

namespace lbm {
namespace {

constexpr u64 kLogitBytes = 4 * kMiB;

// Visits every buffer with its width and number of rows; the one description of what create() takes
// and bytes_needed() sums.
template <class Visit>
void for_each_rows(Activations& a, const ModelConfig& c, u32 n_batch, Visit visit) {
  visit(a.x, c.n_embd, n_batch);
  visit(a.normed, c.n_embd, n_batch);
  visit(a.q, c.n_embd_q() * (c.gated_attention ? 2 : 1), n_batch);
  visit(a.k, c.n_embd_kv(), n_batch);
  visit(a.v, c.n_embd_kv(), n_batch);
  if (c.gated_attention) visit(a.attention_gate, c.n_embd_q(), n_batch);
  visit(a.attended, c.n_embd_q(), n_batch);
  visit(a.delta, c.n_embd, n_batch);
  if (c.parallel) visit(a.attention_delta, c.n_embd, n_batch);
  visit(a.gate, c.n_ff, n_batch);
  visit(a.up, c.n_ff, n_batch);
  visit(a.angles, c.rope.n_rot, n_batch);
  if (c.two_ropes) visit(a.local_angles, c.rope_local.n_rot, n_batch);
  if (c.short_conv.n_tap != 0) {
    visit(a.recurrent_in, c.n_embd, n_batch);
    visit(a.recurrent_gate, c.n_embd, n_batch);
    visit(a.recurrent_out, c.n_embd, n_batch);
  }
  if (c.delta_net.n_tap != 0) {
    visit(a.recurrent_in, c.delta_net.n_channel(), n_batch);
    visit(a.recurrent_gate, c.delta_net.n_value(), n_batch);
    visit(a.recurrent_out, c.delta_net.n_value(), n_batch);
    if (c.delta_net.grouped)
      visit(a.recurrent_mixed, c.delta_net.n_channel() + c.delta_net.n_value(), n_batch);
    visit(a.head_gates, 4 * Activations::head_gate_stride(c), n_batch);
  }
  visit(a.logits, c.n_vocab, Activations::n_logit_row(c, n_batch));
}

// Of the inputs of all matrices.
u64 widest_input(const ModelConfig& c) {
  const u64 ffn = max_u64(c.n_ff, max_u64(c.experts.n_ff, c.experts.n_ff_shared));
  const u64 mixed = max_u64(c.n_embd_q(), u64{c.delta_net.n_value_head} * c.delta_net.value_dim);
  return max_u64(c.n_embd, max_u64(mixed, ffn));
}
// Odd, so that the same block of consecutive tokens does not fall on the same few cache sets.
u64 blocks_per_row(const ModelConfig& c) { return ceil_div(widest_input(c), kBlockSize) | 1; }

// Rows (tokens times query heads) of one attention kernel: enough that converting keys and values
// costs little beside them, few enough that their results stay in a core's second-level cache.
constexpr u32 kAttentionRows = 128;

u64 scratch_floats(const ModelConfig& c, u32 n_batch) {
  u64 most = 0;
  for (u32 i = 0; i < c.n_layer; ++i) {
    if (c.layers[i].n_head_kv == 0) continue;
    const u32 n_group = c.n_group(i);
    const u32 n_row = Activations::n_attention_token(n_group, n_batch) * n_group;
    most = max_u64(most, attention_scratch_floats(c.head_dim, n_row));
  }
  return align_up(most, 16);
}
// The partial results of one token and one KV head, for the largest group.
u64 partial_floats(const ModelConfig& c) {
  u64 most = 0;
  for (u32 i = 0; i < c.n_layer; ++i) {
    if (c.layers[i].n_head_kv != 0)
      most = max_u64(most, attention_partial_floats(c.head_dim, c.n_group(i)));
  }
  return most;
}
// They are kept where several cores share its context.
u64 partials_floats(const ModelConfig& c, u32 n_ctx, u32 n_worker) {
  if (n_worker == 1 || n_ctx <= kAttentionChunk) return 0;
  return ceil_div(n_ctx, kAttentionChunk) * c.n_head_kv * partial_floats(c);
}

}  // namespace

u32 Activations::n_logit_row(const ModelConfig& config, u32 n_batch) {
  const u64 row_bytes = align_up(config.n_vocab, 16) * sizeof(f32);
  const u64 fit = max_u64(1, kLogitBytes / row_bytes);
  return static_cast<u32>(min_u64(min_u64(fit, kMaxLogitRows), n_batch));
}

u32 Activations::n_attention_token(u32 n_group, u32 n_token) {
  return min_u32(max_u32(1, kAttentionRows / n_group), n_token);
}

u64 Activations::bytes_needed(const ModelConfig& config, u32 n_batch, u32 n_ctx, u32 n_worker) {
  Activations plan;
  u64 sum = 0;
  const auto add = [&sum](u64 n_byte) { sum += align_up(n_byte, Arena::kDefaultAlignment); };
  for_each_rows(plan, config, n_batch, [&](ActivationRows&, u32 width, u32 n_row) {
    add(n_row * align_up(width, 16) * sizeof(f32));
  });
  add(n_batch * blocks_per_row(config) * sizeof(ActivationBlock));
  add(n_worker * scratch_floats(config, n_batch) * sizeof(f32));
  add(partials_floats(config, n_ctx, n_worker) * sizeof(f32));
  return sum;
}

Result<Activations> Activations::create(Arena& arena, const ModelConfig& config, u32 n_batch,
                                        u32 n_ctx, u32 n_worker) {
  Activations a;
  Status status;
  for_each_rows(a, config, n_batch, [&](ActivationRows& rows, u32 width, u32 n_row) {
    rows.stride = static_cast<usize>(align_up(width, 16));
    Result<Span<f32>> data = arena.take<f32>(static_cast<u64>(n_row) * rows.stride, "activations");
    if (data.ok()) {
      rows.data = data.value().data();
    } else if (status.ok()) {
      status = data.error();
    }
  });
  if (!status.ok()) return status.error();
  a.quantized_stride = static_cast<usize>(blocks_per_row(config));
  Result<Span<ActivationBlock>> blocks =
      arena.take<ActivationBlock>(n_batch * blocks_per_row(config), "activations");
  if (!blocks.ok()) return blocks.error();
  a.quantized = blocks.value().data();
  a.attention_scratch_stride = static_cast<usize>(scratch_floats(config, n_batch));
  Result<Span<f32>> scratch =
      arena.take<f32>(n_worker * scratch_floats(config, n_batch), "activations");
  if (!scratch.ok()) return scratch.error();
  a.attention_scratch = scratch.value().data();
  a.n_chunk = static_cast<u32>(ceil_div(n_ctx, kAttentionChunk));
  a.attention_partial_stride = static_cast<usize>(partial_floats(config));
  Result<Span<f32>> partials =
      arena.take<f32>(partials_floats(config, n_ctx, n_worker), "activations");
  if (!partials.ok()) return partials.error();
  a.attention_partials = partials.value().data();
  return a;
}

}  // namespace lbm
