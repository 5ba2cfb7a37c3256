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

void add_vectors(const LayerWeights& layer, const ModelConfig& c, TokenCost& cost) {
  add_vector(layer.attn_norm, c.n_embd, cost);
  add_vector(layer.bq, c.n_embd_q(), cost);
  add_vector(layer.bk, c.n_embd_kv(), cost);
  add_vector(layer.bv, c.n_embd_kv(), cost);
  add_vector(layer.bo, c.n_embd, cost);
  add_vector(layer.ffn_norm, c.n_embd, cost);
  add_vector(layer.b_gate, c.n_ff, cost);
  add_vector(layer.b_up, c.n_ff, cost);
  add_vector(layer.b_down, c.n_embd, cost);
}

}  // namespace

TokenCost token_cost(const Model& model, KvType kv) {
  const ModelConfig& c = model.config;
  TokenCost cost;
  u64 integer_ops = 0;
  for (const LayerWeights& layer : model.weights.layers) {
    const Matrix* const matrices[] = {&layer.wq,     &layer.wk,   &layer.wv,    &layer.wo,
                                      &layer.w_gate, &layer.w_up, &layer.w_down};
    for (const Matrix* matrix : matrices) {
      add_bytes(*matrix, cost);
      const u64 ops = 2 * n_element(*matrix);
      cost.layer_ops += ops;
      if (dtype_traits(matrix->dtype).block_size != 1) integer_ops += ops;
    }
    add_vectors(layer, c, cost);
  }
  cost.is_integer = 2 * integer_ops > cost.layer_ops;
  add_vector(model.weights.output_norm, c.n_embd, cost);
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
