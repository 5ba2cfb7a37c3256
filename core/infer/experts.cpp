#include "core/infer/experts.h"

#include "core/base/fmath.h"

namespace lbm {
namespace {

// The smallest sum that weights are divided by, as the models were trained with: the smallest
// normal f16.
constexpr f32 kLeastWeightSum = 0x1p-14f;

// What an expert is chosen by. A NaN among the selection biases is no hazard, only a strange order.
f32 choice_of(const RouterBias& bias, const f32* scores, u32 expert) {
  return bias.selection == nullptr ? scores[expert] : scores[expert] + bias.selection[expert];
}

// Keeps the best `n_used` so far in order; the strict comparison leaves ties to the lower index.
void choose(const ExpertConfig& config, const RouterBias& bias, const f32* scores, u32* expert) {
  u32 n = 0;
  for (u32 candidate = 0; candidate < config.n_expert; ++candidate) {
    const f32 choice = choice_of(bias, scores, candidate);
    if (n == config.n_used && !(choice > choice_of(bias, scores, expert[n - 1]))) continue;
    u32 rank = n < config.n_used ? n++ : n - 1;
    for (; rank > 0 && choice > choice_of(bias, scores, expert[rank - 1]); --rank)
      expert[rank] = expert[rank - 1];
    expert[rank] = candidate;
  }
}

u32 n_slot_of(const ExpertConfig& config, u32 n_token) {
  return n_token * (config.n_used + (config.n_ff_shared != 0 ? 1 : 0));
}
u32 widest_ff(const ExpertConfig& config) { return max_u32(config.n_ff, config.n_ff_shared); }
// Odd, as in Activations.
u64 blocks_per_slot(const ModelConfig& c) {
  return ceil_div(max_u32(c.n_embd, widest_ff(c.experts)), kBlockSize) | 1;
}

// Visits every buffer with its number of elements; the one description of what create() takes and
// bytes_needed() sums.
template <class VisitRows, class VisitArray>
void for_each_buffer(ExpertBuffers& b, const ModelConfig& c, u32 n_batch, VisitRows rows,
                     VisitArray array) {
  const ExpertConfig& e = c.experts;
  if (e.n_expert == 0) return;
  const u64 n_slot = n_slot_of(e, n_batch);
  rows(b.scores, e.n_expert, n_batch);
  rows(b.weights, e.n_used, n_batch);
  array(b.expert, u64{n_batch} * e.n_used);
  array(b.slot, u64{n_batch} * e.n_used);
  array(b.shared_weight, u64{n_batch});
  array(b.token, n_slot);
  array(b.groups, u64{e.n_expert} + 1);
  rows(b.in_out, c.n_embd, n_slot);
  rows(b.gate, widest_ff(e), n_slot);
  rows(b.up, widest_ff(e), n_slot);
  array(b.quantized, n_slot * blocks_per_slot(c));
}

}  // namespace

bool select_experts(const KernelTable& kernels, const ExpertConfig& config, RouterBias bias,
                    f32* scores, u32* expert, f32* weight) {
  const u32 n = config.n_expert;
  if (bias.score != nullptr) kernels.add(scores, bias.score, n);
  const bool finite = kernels.all_finite(scores, n);
  if (config.gating == ExpertGating::kSoftmax) kernels.softmax(scores, n);
  if (config.gating == ExpertGating::kSigmoid) {
    for (u32 i = 0; i < n; ++i) scores[i] = sigmoid_f32(scores[i]);
  }
  choose(config, bias, scores, expert);
  for (u32 rank = 0; rank < config.n_used; ++rank) weight[rank] = scores[expert[rank]];
  if (config.gating == ExpertGating::kSoftmaxSelected) kernels.softmax(weight, config.n_used);
  if (config.normalised) {
    f32 sum = 0.0f;
    for (u32 rank = 0; rank < config.n_used; ++rank) sum = sum + weight[rank];
    if (sum < kLeastWeightSum) sum = kLeastWeightSum;
    for (u32 rank = 0; rank < config.n_used; ++rank) weight[rank] = weight[rank] / sum;
  }
  if (config.scale != 1.0f) kernels.scale(weight, config.scale, config.n_used);
  return finite;
}

u64 ExpertBuffers::bytes_needed(const ModelConfig& config, u32 n_batch) {
  ExpertBuffers plan;
  u64 sum = 0;
  const auto add = [&sum](u64 n_byte) { sum += align_up(n_byte, Arena::kDefaultAlignment); };
  for_each_buffer(
      plan, config, n_batch,
      [&](ActivationRows&, u32 width, u64 n_row) {
        add(n_row * align_up(width, 16) * sizeof(f32));
      },
      [&]<class Element>(Element*&, u64 n) { add(n * sizeof(Element)); });
  return sum;
}

Result<ExpertBuffers> ExpertBuffers::create(Arena& arena, const ModelConfig& config, u32 n_batch) {
  ExpertBuffers b;
  Status status;
  const auto take = [&]<class Element>(Element*& array, u64 n) {
    Result<Span<Element>> taken = arena.take<Element>(n, "experts");
    if (taken.ok()) {
      array = taken.value().data();
    } else if (status.ok()) {
      status = taken.error();
    }
  };
  b.quantized_stride = static_cast<usize>(blocks_per_slot(config));
  for_each_buffer(
      b, config, n_batch,
      [&](ActivationRows& rows, u32 width, u64 n_row) {
        rows.stride = static_cast<usize>(align_up(width, 16));
        take(rows.data, n_row * rows.stride);
      },
      take);
  if (!status.ok()) return status.error();
  return b;
}

// A counting sort. It is stable, so a group's tokens ascend.
void ExpertBuffers::order_slots(const ExpertConfig& config, u32 n_token) {
  const u32 n_routed = n_token * config.n_used;
  for (u32 i = 0; i <= config.n_expert; ++i) groups[i] = {i, 0, 0};
  for (u32 i = 0; i < n_routed; ++i) ++groups[expert[i]].n;
  u32 next = 0;
  for (u32 i = 0; i < config.n_expert; ++i) {
    groups[i].first_slot = next;
    next += groups[i].n;
    groups[i].n = 0;
  }
  for (u32 i = 0; i < n_routed; ++i) {
    ExpertGroup& group = groups[expert[i]];
    slot[i] = group.first_slot + group.n++;
    token[slot[i]] = i / config.n_used;
  }
  if (config.n_ff_shared != 0) groups[config.n_expert] = {config.n_expert, n_routed, n_token};
  n_group = 0;
  for (u32 i = 0; i <= config.n_expert; ++i) {
    if (groups[i].n != 0) groups[n_group++] = groups[i];
  }
}

}  // namespace lbm
