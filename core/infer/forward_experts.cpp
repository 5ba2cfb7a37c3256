// A feed-forward network made of experts (R16): route, gather, multiply, combine.
//
// Each step is one parallel region over all experts that have a token. Work is cut between tiles of
// matrices, slots and tokens, never inside a sum, so neither the batch nor the number of cores
// changes a bit.
#include "core/base/fmath.h"
#include "core/infer/forward.h"
#include "core/infer/parallel.h"

namespace lbm {
namespace {

// Reading a tile takes about as long as multiplying it with so many tokens.
constexpr u64 kTokensOfReading = 4;

u64 tile_cost(const Matrix& matrix, u32 n_token) {
  return (n_token + kTokensOfReading) * ceil_div(matrix.n_col, kBlockSize);
}

const FfnWeights& ffn_of(const LayerWeights& w, const ExpertGroup& group) {
  return group.expert < w.experts.size() ? w.experts[group.expert] : w.shared;
}

// Mostly the experts are parts of the same tensors, but each may have its own type.
bool reads_quantized(const LayerWeights& w) {
  bool any = is_quantized(w.router) || is_quantized(w.shared.gate) || is_quantized(w.shared.up);
  for (usize i = 0; i < w.experts.size() && !any; ++i)
    any = is_quantized(w.experts[i].gate) || is_quantized(w.experts[i].up);
  return any;
}

// Calls f(group, matrix, output) for every matrix of the stage, in order.
template <class F>
void for_each_product(const ExpertBuffers& experts, const LayerWeights& w, ExpertStage stage,
                      const F& f) {
  for (u32 i = 0; i < experts.n_group; ++i) {
    const ExpertGroup& group = experts.groups[i];
    const FfnWeights& ffn = ffn_of(w, group);
    if (stage == ExpertStage::kDown) {
      f(group, ffn.down, experts.in_out);
    } else {
      f(group, ffn.gate, experts.gate);
      f(group, ffn.up, experts.up);
    }
  }
}

// Calls f(group, slot) for all slots on all cores.
template <class F>
void for_each_slot(Workers& workers, const ExpertBuffers& experts, const F& f) {
  const u32 n_slot = experts.n_slot();
  const u32 n_task = min_u32(n_slot, workers.n_worker() * kTasksPerWorker);
  parallel(workers, n_task, [&](u32 task) {
    const u32 begin = static_cast<u32>(u64{n_slot} * task / n_task);
    const u32 end = static_cast<u32>(u64{n_slot} * (task + 1) / n_task);
    for (u32 i = 0; i < experts.n_group; ++i) {
      const ExpertGroup& group = experts.groups[i];
      const u32 last = min_u32(end, group.first_slot + group.n);
      for (u32 slot = max_u32(begin, group.first_slot); slot < last; ++slot) f(group, slot);
    }
  });
}

}  // namespace

void Forward::experts_block(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ActivationRows& input = block_input(w.ffn_norm, reads_quantized(w));
  trace(layer, "ffn_norm", input, model_.config.n_embd);
  route(layer, input);
  gather_slots(layer, input);
  multiply_slots(layer, ExpertStage::kGateAndUp, input);
  activate_slots(layer);
  multiply_slots(layer, ExpertStage::kDown, input);
  combine_slots(layer);
  trace(layer, "experts", buffers_.delta, model_.config.n_embd);
}

void Forward::route(u32 layer, const ActivationRows& input) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  const u32 n_used = c.experts.n_used;
  multiply({{&w.router}, {&experts_.scores}, 1}, input);
  trace(layer, "router", experts_.scores, c.experts.n_expert);
  parallel(workers_, n_token_, [&](u32 token) {
    const bool finite = select_experts(kernels_, c.experts, {w.router_bias, w.selection_bias},
                                       experts_.scores.row(token), experts_.expert + token * n_used,
                                       experts_.weights.row(token));
    if (!finite) __atomic_store_n(&finite_, false, __ATOMIC_RELAXED);
    f32 gate = 0.0f;  // a matrix of one row (R8)
    for (u32 k = 0; w.shared_gate != nullptr && k < c.n_embd; ++k)
      gate = gate + w.shared_gate[k] * input.row(token)[k];
    experts_.shared_weight[token] = w.shared_gate != nullptr ? sigmoid_f32(gate) : 1.0f;
  });
  trace(layer, "expert_weights", experts_.weights, n_used);
  experts_.order_slots(c.experts, n_token_);
  end_part(ForwardPart::kMatmul);
}

// The inputs of each expert side by side, as the kernels read them. One token's stand so already,
// and all tokens' do.
void Forward::gather_slots(u32 layer, const ActivationRows& input) {
  if (n_token_ == 1) return;
  const LayerWeights& w = model_.weights.layers[layer];
  const u32 n_embd = model_.config.n_embd;
  const usize n_block = static_cast<usize>(ceil_div(n_embd, kBlockSize));
  for_each_slot(workers_, experts_, [&](const ExpertGroup& group, u32 slot) {
    if (group.n == 1 || group.expert == w.experts.size()) return;
    const FfnWeights& ffn = ffn_of(w, group);
    const u32 token = experts_.token[slot];
    if (is_quantized(ffn.gate) || is_quantized(ffn.up)) {
      __builtin_memcpy(experts_.quantized_row(slot), buffers_.quantized_row(token),
                       n_block * sizeof(ActivationBlock));
    }
    if (!is_quantized(ffn.gate) || !is_quantized(ffn.up))
      __builtin_memcpy(experts_.in_out.row(slot), input.row(token), n_embd * sizeof(f32));
  });
  end_part(ForwardPart::kQuantize);
}

// The tiles of all matrices of the stage are one list, cut into stretches of equal work.
void Forward::multiply_slots(u32 layer, ExpertStage stage, const ActivationRows& input) {
  const LayerWeights& w = model_.weights.layers[layer];
  u64 work = 0;
  u32 n_tile = 0;
  for_each_product(experts_, w, stage,
                   [&](const ExpertGroup& group, const Matrix& matrix, const ActivationRows&) {
                     work += tile_cost(matrix, group.n) * matrix.n_tile();
                     n_tile += matrix.n_tile();
                   });
  const u32 n_worker = workers_.n_worker();
  const u32 n_task = n_worker == 1 ? 1 : min_u32(n_tile, n_worker * kTasksPerWorker);
  parallel(workers_, n_task, [&](u32 task) {
    const u64 begin = work * task / n_task;
    const u64 end = work * (task + 1) / n_task;
    u64 at = 0;  // where the matrix begins
    for_each_product(
        experts_, w, stage,
        [&](const ExpertGroup& group, const Matrix& matrix, const ActivationRows& output) {
          const u64 cost = tile_cost(matrix, group.n);
          // The tiles that begin within the stretch.
          const u64 first = begin > at ? ceil_div(begin - at, cost) : 0;
          const u64 last = end > at ? min_u64(ceil_div(end - at, cost), matrix.n_tile()) : 0;
          at += cost * matrix.n_tile();
          if (first >= last) return;
          MatmulArgs args = slot_args(layer, stage, group, matrix, input);
          args.first_tile = static_cast<u32>(first);
          args.n_tile = static_cast<u32>(last - first);
          args.y = output.row(group.first_slot);
          args.y_stride = output.stride;
          kernels_.matmul(matrix.dtype, group.n)(args);
        });
  });
  end_part(ForwardPart::kMatmul);
}

// What the matrices of a group read.
MatmulArgs Forward::slot_args(u32 layer, ExpertStage stage, const ExpertGroup& group,
                              const Matrix& matrix, const ActivationRows& input) const {
  const bool shared = group.expert == model_.weights.layers[layer].experts.size();
  const f32* row = nullptr;
  usize stride = input.stride;
  const ActivationBlock* blocks = nullptr;
  usize blocks_stride = buffers_.quantized_stride;
  if (stage == ExpertStage::kGateAndUp && (shared || group.n == 1)) {
    const u32 token = shared ? 0 : experts_.token[group.first_slot];
    row = input.row(token);
    blocks = buffers_.quantized_row(token);
  } else {
    const ActivationRows& rows = stage == ExpertStage::kGateAndUp ? experts_.in_out : experts_.gate;
    row = rows.row(group.first_slot);
    stride = rows.stride;
    blocks = experts_.quantized_row(group.first_slot);
    blocks_stride = experts_.quantized_stride;
  }
  MatmulArgs args = {};
  args.tiles = matrix.tiles;
  args.tile_stride = matrix.tile_stride;
  args.n_col = matrix.n_col;
  args.n_token = group.n;
  if (is_quantized(matrix)) {
    args.x = reinterpret_cast<const u8*>(blocks);
    args.x_stride = blocks_stride * sizeof(ActivationBlock);
  } else {
    args.x = reinterpret_cast<const u8*>(row);
    args.x_stride = stride * sizeof(f32);
  }
  return args;
}

void Forward::activate_slots(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const Activation activation = model_.config.activation;
  for_each_slot(workers_, experts_, [&](const ExpertGroup& group, u32 slot) {
    const FfnWeights& ffn = ffn_of(w, group);
    const u32 n_ff = ffn.gate.n_row;
    f32* const gate = experts_.gate.row(slot);
    f32* const up = experts_.up.row(slot);
    add_bias(kernels_, gate, ffn.b_gate, n_ff);
    add_bias(kernels_, up, ffn.b_up, n_ff);
    activate_gated(kernels_, activation, gate, up, n_ff);
    if (is_quantized(ffn.down) &&
        !kernels_.quantize_row(gate, n_ff, experts_.quantized_row(slot))) {
      __atomic_store_n(&finite_, false, __ATOMIC_RELAXED);
    }
  });
  end_part(ForwardPart::kActivation);
}

// delta = +0, + weight * output of each expert by rank, + the shared one's.
void Forward::combine_slots(u32 layer) {
  const LayerWeights& w = model_.weights.layers[layer];
  const ModelConfig& c = model_.config;
  const u32 n_used = c.experts.n_used;
  parallel(workers_, n_token_, [&](u32 token) {
    f32* const sum = buffers_.delta.row(token);
    __builtin_memset(sum, 0, c.n_embd * sizeof(f32));
    const auto add = [&](const FfnWeights& ffn, u32 slot, f32 weight) {
      f32* const output = experts_.in_out.row(slot);
      add_bias(kernels_, output, ffn.b_down, c.n_embd);
      kernels_.add_scaled(sum, output, weight, c.n_embd);
    };
    for (u32 rank = 0; rank < n_used; ++rank) {
      const u32 i = token * n_used + rank;
      add(w.experts[experts_.expert[i]], experts_.slot[i], experts_.weights.row(token)[rank]);
    }
    if (c.experts.n_ff_shared != 0)
      add(w.shared, n_token_ * n_used + token, experts_.shared_weight[token]);
  });
  end_part(ForwardPart::kResidual);
}

}  // namespace lbm
