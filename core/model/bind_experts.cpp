// The tensors of a layer with experts: a router, the experts, and what some families add to them.
//
// The matrices of all experts stand one after the other in a tensor [n_expert][n_row][n_col]; each
// becomes a matrix of its own. Files of early Mixtral models have a tensor for each expert instead.
#include "core/model/weight_binder.h"

namespace lbm {
namespace {

// Matrix `index` of n_expert in one tensor.
void bind_expert(WeightBinder& binder, Str name, u32 index, u32 n_expert, Matrix& out, u32 n_col,
                 u32 n_row) {
  binder.matrix_rows(name, n_col, {index * n_row, n_row, n_expert * n_row, n_expert}, out);
}

// The biases of all experts are rows of one tensor.
void bind_bias(WeightBinder& binder, Str name, u32 index, u32 n_expert, u32 n, const f32*& out) {
  if (binder.has(name)) binder.vector_rows(name, n, {index, 1, n_expert}, out);
}

void bind_together(WeightBinder& binder, const ModelConfig& c, u32 layer,
                   Span<FfnWeights> experts) {
  LayerName name(layer);
  const u32 n_expert = c.experts.n_expert;
  const u32 n_ff = c.experts.n_ff;
  const bool fused = binder.has(name("ffn_gate_up_exps.weight"));
  for (u32 i = 0; i < n_expert; ++i) {
    FfnWeights& ffn = experts[i];
    if (fused) {
      const RowRange gate = {2 * i * n_ff, n_ff, 2 * n_ff * n_expert, n_expert};
      const RowRange up = {gate.first + n_ff, n_ff, gate.n_all, n_expert};
      binder.matrix_rows(name("ffn_gate_up_exps.weight"), c.n_embd, gate, ffn.gate);
      binder.matrix_rows(name("ffn_gate_up_exps.weight"), c.n_embd, up, ffn.up);
    } else {
      bind_expert(binder, name("ffn_gate_exps.weight"), i, n_expert, ffn.gate, c.n_embd, n_ff);
      bind_expert(binder, name("ffn_up_exps.weight"), i, n_expert, ffn.up, c.n_embd, n_ff);
    }
    bind_expert(binder, name("ffn_down_exps.weight"), i, n_expert, ffn.down, n_ff, c.n_embd);
    bind_bias(binder, name("ffn_gate_exps.bias"), i, n_expert, n_ff, ffn.b_gate);
    bind_bias(binder, name("ffn_up_exps.bias"), i, n_expert, n_ff, ffn.b_up);
    bind_bias(binder, name("ffn_down_exps.bias"), i, n_expert, c.n_embd, ffn.b_down);
  }
}

void bind_apart(WeightBinder& binder, const ModelConfig& c, u32 layer, Span<FfnWeights> experts) {
  for (u32 i = 0; i < c.experts.n_expert; ++i) {
    TextBuffer<96> buffer;
    const auto name = [&](Str stem) {
      buffer.clear();
      return buffer.print("blk.{}.{}.{}.weight", layer, stem, i).text();
    };
    binder.matrix(name("ffn_gate"), c.n_embd, c.experts.n_ff, experts[i].gate);
    binder.matrix(name("ffn_up"), c.n_embd, c.experts.n_ff, experts[i].up);
    binder.matrix(name("ffn_down"), c.experts.n_ff, c.n_embd, experts[i].down);
  }
}

}  // namespace

void bind_experts(WeightBinder& binder, const ModelConfig& config, u32 layer, LayerWeights& out) {
  LayerName name(layer);
  const u32 n_expert = config.experts.n_expert;
  const u32 n_ff_shared = config.experts.n_ff_shared;
  binder.matrix(name("ffn_gate_inp.weight"), config.n_embd, n_expert, out.router);
  binder.optional_vector(name("ffn_gate_inp.bias"), n_expert, out.router_bias);
  binder.optional_vector(name("exp_probs_b.bias"), n_expert, out.selection_bias);
  if (!binder.status().ok()) return;
  const Result<Span<FfnWeights>> experts =
      binder.arena().take<FfnWeights>(n_expert, "weight table");
  if (!experts.ok()) return binder.keep(experts.error());
  for (FfnWeights& ffn : experts.value()) ffn = FfnWeights();
  out.experts = experts.value();

  if (!binder.has(name("ffn_down_exps.weight")) && binder.has(name("ffn_down.0.weight"))) {
    bind_apart(binder, config, layer, out.experts);
  } else {
    bind_together(binder, config, layer, out.experts);
  }
  if (n_ff_shared == 0) return;
  binder.matrix(name("ffn_gate_shexp.weight"), config.n_embd, n_ff_shared, out.shared.gate);
  binder.matrix(name("ffn_up_shexp.weight"), config.n_embd, n_ff_shared, out.shared.up);
  binder.matrix(name("ffn_down_shexp.weight"), n_ff_shared, config.n_embd, out.shared.down);
  binder.optional_vector(name("ffn_gate_inp_shexp.weight"), config.n_embd, out.shared_gate);
}

}  // namespace lbm
