// ModelConfig: the hyper-parameters of a model, read from its metadata, every number in range and
// cross-checked.
#pragma once

#include "core/base/result.h"
#include "core/format/model_file.h"

namespace lbm {

enum class RopeScaling : u8 { kNone, kLinear, kYarn };
// Which pairs RoPE rotates: neighbours (x0, x1), or halves (x0, x[n/2]).
enum class RopeLayout : u8 { kNeighbours, kHalves };

struct RopeConfig {
  f64 freq_base = 10000.0;
  f64 freq_scale = 1.0;  // 1 / factor of linear and YaRN scaling
  RopeScaling scaling = RopeScaling::kNone;
  RopeLayout layout = RopeLayout::kNeighbours;
  u32 n_rot = 0;              // rotated dims of each head, even
  u32 n_ctx_orig = 0;         // YaRN: the context it was trained with first
  f64 yarn_ext_factor = 0.0;  // 1 with YaRN, else 0
  f64 yarn_attn_factor = 1.0;
  f64 yarn_beta_fast = 32.0;
  f64 yarn_beta_slow = 1.0;
};

struct ModelConfig {
  char architecture[32] = {};  // "llama"
  u32 n_vocab = 0;
  u32 n_embd = 0;
  u32 n_layer = 0;
  u32 n_ff = 0;
  u32 n_head = 0;
  u32 n_head_kv = 0;
  u32 head_dim = 0;    // of queries and keys
  u32 head_dim_v = 0;  // of values; equal to head_dim in every family so far
  u32 n_ctx_train = 0;
  f32 rms_eps = 1e-5f;
  f32 attention_scale = 0.0f;  // 1 / sqrt(head_dim)
  RopeConfig rope;

  [[nodiscard]] u32 n_embd_q() const { return n_head * head_dim; }
  [[nodiscard]] u32 n_embd_kv() const { return n_head_kv * head_dim; }
};

// Reads the configuration of `file`.
// Errors: kMissing, kBadType, kBadValue, kMismatch with the key; kUnsupported for an architecture
// this build has not got.
[[nodiscard]] Result<ModelConfig> read_config(const ModelFile& file);

}  // namespace lbm
