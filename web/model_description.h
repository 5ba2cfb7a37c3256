// A model as JavaScript has to know it to evaluate it elsewhere (WebGPU): one JSON object.
//
//   { "family": "llama", "n_vocab", "n_embd", "n_layer", "n_ff", "n_head", "n_head_kv", "head_dim",
//     "n_ctx_train", "n_ctx",               n_ctx: of the session, what a KV cache has to hold
//     "norm": "rms" | "layer", "norm_eps",
//     "activation": "silu" | "gelu" | "relu_squared" | "clamped_swiglu",
//     "parallel", "qk_norm": "none" | "per_head" | "own_per_head" | "all_heads",
//     "qk_norm_after_rope", "gated_attention",
//     "embedding_scale", "residual_scale", "attention_scale", "logit_scale",
//     "attention_soft_cap", "logit_soft_cap", "window",
//     "rope": { "freq_base", "freq_scale", "scaling": "none" | "linear" | "yarn" | "longrope",
//               "layout": "neighbours" | "halves", "n_rot", "n_ctx_orig", "yarn_ext_factor",
//               "attn_factor", "yarn_beta_fast", "yarn_beta_slow" },
//     "rope_local": null | the same, of the windowed layers where it differs,
//     "experts": null | { "n_expert", "n_used", "n_ff", "n_ff_shared",
//                "gating": "softmax" | "sigmoid" | "softmax_selected", "normalised", "scale" },
//     "short_conv": null | { "n_tap" },
//     "delta_net": null | { "n_tap", "n_key_head", "n_value_head", "key_dim", "value_dim",
//                  "grouped" },
//     "layers": [ { "kind": "attention" | "short_conv" | "delta_net", "rope", "windowed",
//                   "experts", "n_head_kv" }, ... ],
//     "tied",                               the output matrix is the embedding; it has no tensor
//     "tensors": [ { "role", "name", "dtype", "shape", "offset", "bytes" }, ... ] }
//
// Names and meanings are those of ModelConfig (core/model/config.h). Tensors come in the order of
// the file. `role` is what the forward pass reads it as, by the member of Weights and LayerWeights
// (core/model/weights.h): "embedding", "positions", "output_norm.weight", "output_norm.bias",
// "output", "output_bias", "rope_freqs", "rope_long", "rope_short", and of a layer "layers.3.wq",
// "layers.3.bq", "layers.3.attn_norm.weight", "layers.3.ffn.gate", "layers.3.ffn.b_gate",
// "layers.3.router", "layers.3.experts.7.down", "layers.3.shared.up", "layers.3.shared_gate" ...
// `name` is that of the tensor in the file; a tensor that holds several matrices (queries, keys and
// values; all experts) appears once for each, with the rows of that one. `dtype` is a name of
// core/tensor/dtype.h ("Q4_1"), `shape` is [slow][fast], so [n_row, n_col], or [n] of a vector;
// `offset` and `bytes` are its place in the file, which holds it row by row.
#pragma once

#include "core/base/fmt.h"
#include "core/chat/engine.h"

namespace lbm::web {

// Of a loaded model whose file holds its weights as they are (ModelFile::is_translated()). `out` is
// truncated() where it has no room.
void write_model_description(TextWriter& out, Engine& engine);

}  // namespace lbm::web
