// What a token costs, against sizes counted by hand.
#include "core/infer/token_cost.h"

#include "tests/test.h"

using namespace lbm;

namespace {

Matrix matrix(DType type, u32 n_row, u32 n_col, usize tile_stride) {
  Matrix m;
  m.dtype = type;
  m.n_row = n_row;
  m.n_col = n_col;
  m.tile_stride = tile_stride;
  return m;
}

// One layer: 64 wide, 2 heads of 32, one KV head, n_ff 96, 100 tokens. Q8_0 has 34 bytes for 32
// elements, a tile of 16 rows 16 * 2 * 34 = 1088 for 64 columns.
struct TinyModel {
  f32 vector[100] = {};
  LayerWeights layer;
  Model model;

  TinyModel() {
    ModelConfig& c = model.config;
    c.n_vocab = 100;
    c.n_embd = 64;
    c.n_layer = 1;
    c.n_ff = 96;
    c.n_head = 2;
    c.n_head_kv = 1;
    c.head_dim = c.head_dim_v = 32;
    c.n_ctx_train = 4096;
    c.make_layers_alike();
    layer.attn_norm.weight = layer.ffn_norm.weight = vector;
    layer.wq = matrix(DType::kQ8_0, 64, 64, 1088);
    layer.wk = layer.wv = matrix(DType::kQ8_0, 32, 64, 1088);
    layer.wo = matrix(DType::kQ8_0, 64, 64, 1088);
    layer.ffn.gate = layer.ffn.up = matrix(DType::kQ8_0, 96, 64, 1088);
    layer.ffn.down = matrix(DType::kQ8_0, 64, 96, 1632);
    model.weights.layers = {&layer, 1};
    model.weights.output_norm.weight = vector;
    model.weights.output = matrix(DType::kQ8_0, 100, 64, 1088);
    model.weights.embedding.dtype = DType::kQ8_0;
    model.weights.embedding.tiled = true;
  }
};

constexpr u64 kLayerElements = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64;
constexpr u64 kHeadElements = 100 * 64;
constexpr u64 kNormBytes = 3 * 64 * 4;

}  // namespace

TEST_CASE("token_cost: every matrix once, a tied head included", "[infer]") {
  const TinyModel tiny;
  const TokenCost cost = token_cost(tiny.model, KvType::kF16);
  CHECK(cost.weight_bytes == (kLayerElements + kHeadElements) / 32 * 34 + kNormBytes);
  // In memory the head has 7 tiles for its 100 rows.
  CHECK(cost.tile_bytes == kLayerElements / 32 * 34 + 7 * 1088 + kNormBytes);
  CHECK(cost.layer_ops == 2 * kLayerElements);
  CHECK(cost.head_ops == 2 * kHeadElements);
  CHECK(cost.is_integer);
}

TEST_CASE("token_cost: the cache counts by position and type", "[infer]") {
  const TinyModel tiny;
  const TokenCost f16 = token_cost(tiny.model, KvType::kF16);
  const TokenCost f32_cost = token_cost(tiny.model, KvType::kF32);
  // Keys and values of 32 elements; the cache's own bookkeeping is less than a byte a position.
  CHECK(f16.kv_position_bytes == 2 * 32 * 2);
  CHECK(f32_cost.kv_position_bytes == 2 * 32 * 4);
  CHECK(f16.decode_bytes(0) == f16.weight_bytes);
  CHECK(f16.decode_bytes(1000) == f16.weight_bytes + 128000);
}

TEST_CASE("token_cost: an embedding of its own costs a row, biases and float types count",
          "[infer]") {
  TinyModel tiny;
  const TokenCost tied = token_cost(tiny.model, KvType::kF16);
  tiny.model.weights.embedding.tiled = false;
  tiny.layer.bq = tiny.vector;
  TokenCost cost = token_cost(tiny.model, KvType::kF16);
  CHECK(cost.weight_bytes == tied.weight_bytes + 64 / 32 * 34 + 64 * 4);
  // The larger part of the operations decides.
  tiny.layer.ffn.gate.dtype = tiny.layer.ffn.up.dtype = DType::kF16;
  CHECK(token_cost(tiny.model, KvType::kF16).is_integer);
  tiny.layer.ffn.down.dtype = DType::kF16;
  CHECK(!token_cost(tiny.model, KvType::kF16).is_integer);
}
