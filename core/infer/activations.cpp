#include "core/infer/activations.h"

namespace lbm {
namespace {

// Visits every buffer with its width and number of rows; the one description of what create() takes
// and bytes_needed() sums.
template <class Visit>
void for_each_rows(Activations& a, const ModelConfig& c, u32 n_batch, Visit visit) {
  visit(a.x, c.n_embd, n_batch);
  visit(a.normed, c.n_embd, n_batch);
  visit(a.q, c.n_embd_q(), n_batch);
  visit(a.k, c.n_embd_kv(), n_batch);
  visit(a.v, c.n_embd_kv(), n_batch);
  visit(a.attended, c.n_embd_q(), n_batch);
  visit(a.delta, c.n_embd, n_batch);
  visit(a.gate, c.n_ff, n_batch);
  visit(a.up, c.n_ff, n_batch);
  visit(a.angles, c.rope.n_rot, n_batch);
  visit(a.logits, c.n_vocab, u32{1});
}

u64 widest_input(const ModelConfig& c) { return max_u64(max_u64(c.n_embd, c.n_embd_q()), c.n_ff); }
u64 blocks_per_row(const ModelConfig& c) { return ceil_div(widest_input(c), kBlockSize); }
u64 scratch_floats(const ModelConfig& c) {
  return align_up(attention_scratch_floats(c.head_dim, c.n_head / c.n_head_kv), 16);
}

}  // namespace

u64 Activations::bytes_needed(const ModelConfig& config, u32 n_batch, u32 n_worker) {
  Activations plan;
  u64 sum = 0;
  const auto add = [&sum](u64 n_byte) { sum += align_up(n_byte, Arena::kDefaultAlignment); };
  for_each_rows(plan, config, n_batch, [&](ActivationRows&, u32 width, u32 n_row) {
    add(n_row * align_up(width, 16) * sizeof(f32));
  });
  add(n_batch * blocks_per_row(config) * sizeof(ActivationBlock));
  add(n_worker * scratch_floats(config) * sizeof(f32));
  return sum;
}

Result<Activations> Activations::create(Arena& arena, const ModelConfig& config, u32 n_batch,
                                        u32 n_worker) {
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
  a.attention_scratch_stride = static_cast<usize>(scratch_floats(config));
  Result<Span<f32>> scratch = arena.take<f32>(n_worker * scratch_floats(config), "activations");
  if (!scratch.ok()) return scratch.error();
  a.attention_scratch = scratch.value().data();
  return a;
}

}  // namespace lbm
