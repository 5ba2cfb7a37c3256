// What a token costs: the bytes that have to be read and the operations that have to be done for
// it. A rate of tokens becomes a share of what the machine can do through these
// (docs/performance.md).
#pragma once

#include "core/infer/kv_cache.h"
#include "core/model/model.h"

namespace lbm {

struct TokenCost {
  // Read for one decoded token: every matrix once, the tied head included, norms and biases; of an
  // embedding table of its own, one row. As dense as in the file.
  u64 weight_bytes = 0;
  u64 tile_bytes = 0;         // the same as it lies in memory (core/tensor/blocks.h)
  u64 kv_position_bytes = 0;  // keys and values of one position, all layers
  // Multiplications and additions of the matrices, two for each element; attention is not in there.
  u64 layer_ops = 0;
  u64 head_ops = 0;         // once for each row of logits
  bool is_integer = false;  // most of the layers' operations are on quantized types

  // Weights and cache read for one token that sees n_position positions, its own included.
  [[nodiscard]] u64 decode_bytes(u32 n_position) const {
    return weight_bytes + u64{n_position} * kv_position_bytes;
  }
};

[[nodiscard]] TokenCost token_cost(const Model& model, KvType kv);

}  // namespace lbm
