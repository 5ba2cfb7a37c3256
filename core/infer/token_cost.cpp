#include "core/infer/token_cost.h"

namespace lbm {
namespace {

u64 file_bytes(DType type, u64 n_element) {
  const DTypeTraits traits = dtype_traits(type);
  return n_element / traits.block_size * traits.block_bytes;
}

u64 n_element(const Matrix& matrix) { return u64{matrix.n_row} * matrix.n_col; }

void add_bytes(const Matrix& matrix, TokenCost& cost) {
  cost.weight_bytes += file_bytes(matrix.dtype, n_element(matrix));
  cost.tile_bytes += u64{matrix.n_tile()} * matrix.tile_stride;
}

void add_vector(const f32* values, u32 n, TokenCost& cost) {
  if (values == nullptr) return;
  cost.weight_bytes += u64{n} * sizeof(f32);
  cost.tile_bytes += u64{n} * sizeof(f32);
}

void add_norm(const NormWeights& norm, u32 n, TokenCost& cost) {
  add_vector(norm.weight, n, cost);
  add_vector(norm.bias, n, cost);
}

// Sums up what one token multiplies with.
class MatrixSum {
 public:
  explicit MatrixSum(TokenCost& cost) : cost_(cost) {}

  void add(const Matrix& matrix, u32 times = 1) {
    for (u32 i = 0; i < times; ++i) add_bytes(matrix, cost_);
    const u64 ops = 2 * times * n_element(matrix);
    cost_.layer_ops += ops;
    if (dtype_traits(matrix.dtype).block_size != 1) integer_ops_ += ops;
  }
  void add(const FfnWeights& ffn, u32 n_ff, u32 n_embd, u32 times = 1) {
    add(ffn.gate, times);
    add(ffn.up, times);
    add(ffn.down, times);
    for (u32 i = 0; i < times; ++i) {
      add_vector(ffn.b_gate, n_ff, cost_);
      add_vector(ffn.b_up, n_ff, cost_);
      add_vector(ffn.b_down, n_embd, cost_);
    }
  }
  [[nodiscard]] bool is_integer() const { return 2 * integer_ops_ > cost_.layer_ops; }

 private:
  TokenCost& cost_;
  u64 integer_ops_ = 0;
};

void add_attention(const LayerWeights& layer, const ModelConfig& c, MatrixSum& sum,
                   TokenCost& cost) {
  sum.add(layer.wq);
  sum.add(layer.wk);
  sum.add(layer.wv);
  sum.add(layer.wo);
  add_vector(layer.bq, layer.wq.n_row, cost);
  add_vector(layer.bk, layer.wk.n_row, cost);
  add_vector(layer.bv, layer.wv.n_row, cost);
  add_vector(layer.bo, c.n_embd, cost);
  const u32 n_norm = c.qk_norm == QkNorm::kPerHead ? c.head_dim : layer.wq.n_row;
  add_vector(layer.q_norm, n_norm, cost);
  add_vector(layer.k_norm, c.qk_norm == QkNorm::kPerHead ? c.head_dim : layer.wk.n_row, cost);
  add_vector(layer.sinks, c.n_head, cost);
}

void add_recurrent(const LayerWeights& layer, const ModelConfig& c, MatrixSum& sum,
                   TokenCost& cost) {
  const ShortConvWeights& conv = layer.short_conv;
  const Matrix* const conv_matrices[] = {&conv.in_b, &conv.in_c, &conv.in_x, &conv.taps, &conv.out};
  for (const Matrix* matrix : conv_matrices) sum.add(*matrix);
  const DeltaNetWeights& net = layer.delta_net;
  const Matrix* const net_matrices[] = {&net.qkv,   &net.gate,       &net.mixed, &net.beta,
                                        &net.alpha, &net.beta_alpha, &net.taps,  &net.out};
  for (const Matrix* matrix : net_matrices) sum.add(*matrix);
  add_vector(net.decay_bias, c.delta_net.n_value_head, cost);
  add_vector(net.decay_rate, c.delta_net.n_value_head, cost);
  add_vector(net.norm, c.delta_net.value_dim, cost);
}

// Of the experts, as many as one token is routed to.
void add_experts(const LayerWeights& layer, const ModelConfig& c, MatrixSum& sum, TokenCost& cost) {
  const ExpertConfig& experts = c.experts;
  sum.add(layer.router);
  add_vector(layer.router_bias, experts.n_expert, cost);
  add_vector(layer.selection_bias, experts.n_expert, cost);
  if (!layer.experts.empty()) sum.add(layer.experts[0], experts.n_ff, c.n_embd, experts.n_used);
  sum.add(layer.shared, experts.n_ff_shared, c.n_embd);
  add_vector(layer.shared_gate, c.n_embd, cost);
}

}  // namespace

TokenCost token_cost(const Model& model, KvType kv) {
  const ModelConfig& c = model.config;
  TokenCost cost;
  MatrixSum sum(cost);
  for (const LayerWeights& layer : model.weights.layers) {
    add_attention(layer, c, sum, cost);
    add_recurrent(layer, c, sum, cost);
    sum.add(layer.ffn, c.n_ff, c.n_embd);
    add_experts(layer, c, sum, cost);
    const NormWeights* const norms[] = {&layer.attn_norm, &layer.attn_post_norm, &layer.ffn_norm,
                                        &layer.ffn_post_norm};
    for (const NormWeights* norm : norms) add_norm(*norm, c.n_embd, cost);
  }
  cost.is_integer = sum.is_integer();
  add_norm(model.weights.output_norm, c.n_embd, cost);
  add_vector(model.weights.output_bias, c.n_vocab, cost);
  add_bytes(model.weights.output, cost);
  cost.head_ops = 2 * n_element(model.weights.output);
  if (!model.weights.embedding.tiled) {
    const u64 row_bytes = file_bytes(model.weights.embedding.dtype, c.n_embd);
    cost.weight_bytes += row_bytes;
    cost.tile_bytes += row_bytes;
  }
  // Per position of a long cache: what one has besides its positions does not count.
  constexpr u32 kPositions = 4096;
  cost.kv_position_bytes = KvCache::bytes_needed(c, kPositions, kv) / kPositions;
  return cost;
}

}  // namespace lbm
