// ModelConfig: the hyper-parameters of a model, read from its metadata, every number in range and
// cross-checked.
//
// What differs between families stands here as numbers and flags; forward() reads them and never
// asks for a name (core/model/families.h says which family sets what).
#pragma once

#include "core/base/result.h"
#include "core/format/limits.h"
#include "core/format/model_file.h"

namespace lbm {

enum class RopeScaling : u8 { kNone, kLinear, kYarn, kLongrope };
// Which pairs RoPE rotates: neighbours (x0, x1), or halves (x0, x[n/2]).
enum class RopeLayout : u8 { kNeighbours, kHalves };

struct RopeConfig {
  f64 freq_base = 10000.0;
  f64 freq_scale = 1.0;  // 1 / factor of linear and YaRN scaling
  RopeScaling scaling = RopeScaling::kNone;
  RopeLayout layout = RopeLayout::kNeighbours;
  u32 n_rot = 0;              // rotated dims of each head, even
  u32 n_ctx_orig = 0;         // YaRN, longrope: the context it was trained with first
  f64 yarn_ext_factor = 0.0;  // 1 with YaRN, else 0
  f64 attn_factor = 1.0;      // on cosine and sine
  f64 yarn_beta_fast = 32.0;
  f64 yarn_beta_slow = 1.0;
};

enum class NormKind : u8 { kRms, kLayer };
enum class Activation : u8 { kSilu, kGelu, kReluSquared, kClampedSwiglu };
// Norms of queries and keys: none; one weight of head_dim for all heads; a weight of its own for
// each head; one norm over all heads together.
enum class QkNorm : u8 { kNone, kPerHead, kOwnPerHead, kAllHeads };
// How a layer mixes tokens.
enum class LayerKind : u8 { kAttention, kShortConv, kDeltaNet };
// What the scores of a router become: softmax over all experts; sigmoid of each; softmax over the
// selected ones.
enum class ExpertGating : u8 { kSoftmax, kSigmoid, kSoftmaxSelected };

struct ExpertConfig {
  u32 n_expert = 0;     // 0: no layer has experts
  u32 n_used = 0;       // experts of one token
  u32 n_ff = 0;         // width of one expert
  u32 n_ff_shared = 0;  // width of the expert that every token passes; 0: none
  ExpertGating gating = ExpertGating::kSoftmax;
  bool normalised = false;  // the weights of the selected experts are divided by their sum
  f32 scale = 1.0f;         // on the weights
};

// Most taps of a convolution.
inline constexpr u32 kMaxConvTaps = 16;

struct ShortConvConfig {
  u32 n_tap = 0;
};

struct DeltaNetConfig {
  u32 n_tap = 0;  // of the convolution before it
  u32 n_key_head = 0;
  u32 n_value_head = 0;
  u32 key_dim = 0;       // of one head
  u32 value_dim = 0;     // of one head
  bool grouped = false;  // the value heads of a key head stand together, else n_key_head apart

  [[nodiscard]] u32 n_key() const { return n_key_head * key_dim; }
  [[nodiscard]] u32 n_value() const { return n_value_head * value_dim; }
  [[nodiscard]] u32 n_channel() const { return 2 * n_key() + n_value(); }
};

struct LayerConfig {
  LayerKind kind = LayerKind::kAttention;
  bool rope = true;       // false: positions enter this layer in no way (NoPE)
  bool windowed = false;  // sees the last `window` positions only; rotates by rope_local
  bool experts = false;
  u16 n_head_kv = 0;  // 0 where kind is not kAttention
};

struct ModelConfig {
  char architecture[32] = {};  // "llama"
  u32 n_vocab = 0;
  u32 n_embd = 0;
  u32 n_layer = 0;
  u32 n_layer_ahead = 0;  // layers after those, for predicting further tokens; not run
  u32 n_ff = 0;           // of the layers without experts; 0 where every layer has them
  u32 n_head = 0;
  u32 n_head_kv = 0;   // of the layer that has most
  u32 head_dim = 0;    // of queries and keys
  u32 head_dim_v = 0;  // of values; equal to head_dim in every family so far
  u32 n_ctx_train = 0;

  NormKind norm = NormKind::kRms;
  f32 norm_eps = 1e-5f;
  Activation activation = Activation::kSilu;
  // Attention and FFN read the same x and are added to it together.
  bool parallel = false;
  QkNorm qk_norm = QkNorm::kNone;
  bool qk_norm_after_rope = false;
  bool gated_attention = false;  // attn_q holds a gate beside each query head

  f32 embedding_scale = 1.0f;
  f32 residual_scale = 1.0f;   // on what a block adds to x
  f32 attention_scale = 0.0f;  // on the scores, mostly 1 / sqrt(head_dim)
  f32 logit_scale = 1.0f;
  f32 attention_soft_cap = 0.0f;  // 0: none
  f32 logit_soft_cap = 0.0f;      // 0: none

  u32 window = 0;          // positions that a windowed layer sees, its own included
  RopeConfig rope;         // n_rot 0: no rotation at all
  RopeConfig rope_local;   // of the windowed layers
  bool two_ropes = false;  // rope_local differs from rope
  ExpertConfig experts;
  ShortConvConfig short_conv;
  DeltaNetConfig delta_net;

  LayerConfig layers[kMaxLayers];  // the first n_layer count

  [[nodiscard]] u32 n_embd_q() const { return n_head * head_dim; }
  [[nodiscard]] u32 n_embd_kv() const { return n_head_kv * head_dim; }
  [[nodiscard]] u32 n_embd_kv(u32 layer) const { return layers[layer].n_head_kv * head_dim; }
  // Query heads that share a KV head of an attention layer.
  [[nodiscard]] u32 n_group(u32 layer) const { return n_head / layers[layer].n_head_kv; }
  [[nodiscard]] bool has_recurrent() const { return short_conv.n_tap != 0 || delta_net.n_tap != 0; }
  // Makes all layers alike: attention with n_head_kv heads.
  void make_layers_alike() {
    for (u32 i = 0; i < n_layer; ++i) {
      layers[i] = LayerConfig();
      layers[i].n_head_kv = static_cast<u16>(n_head_kv);
    }
  }
};

// Reads the configuration of `file`.
// Errors: kMissing, kBadType, kBadValue, kMismatch with the key; kUnsupported for an architecture
// this build has not got.
[[nodiscard]] Result<ModelConfig> read_config(const ModelFile& file);

}  // namespace lbm
