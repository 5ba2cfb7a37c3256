#include "tools/hf_families.h"

#include <cmath>

#include "tools/hf_directory.h"

namespace lbm::cli {
namespace {

using F = HfFamily;

constexpr u32 kLlama = F::kPermuteHeads | F::kLlamaKeys;
constexpr u32 kGemma = F::kNormPlusOne | F::kNoSpacePrefix;
constexpr u32 kGemma1 = kGemma | F::kDropHead | F::kNoRopeKeys;
constexpr u32 kGemma3 = kGemma | F::kSandwichNorms | F::kWindow | F::kDefaultHeads;

constexpr HfFamily kFamilies[] = {
    {"LlamaForCausalLM", "llama", kLlama},
    {"MistralForCausalLM", "llama", kLlama},
    {"MixtralForCausalLM", "llama", kLlama},
    {"SmolLM3ForCausalLM", "smollm3", kLlama},
    {"GraniteForCausalLM", "granite", kLlama | F::kGraniteScales},
    {"Qwen2ForCausalLM", "qwen2", 0},
    {"Qwen3ForCausalLM", "qwen3", 0},
    {"Qwen3MoeForCausalLM", "qwen3moe", 0},
    {"GemmaForCausalLM", "gemma", kGemma1},
    {"Gemma2ForCausalLM", "gemma2", kGemma1 | F::kSandwichNorms | F::kSoftcaps | F::kWindow},
    {"Gemma3ForCausalLM", "gemma3", kGemma3},
    {"Gemma3ForConditionalGeneration", "gemma3", kGemma3},
    {"Phi3ForCausalLM", "phi3", F::kLongRope},
    {"Olmo2ForCausalLM", "olmo2", F::kSandwichNorms | F::kWindowPattern},
    {"Olmo3ForCausalLM", "olmo2", F::kSandwichNorms | F::kWindowPattern},
    {"OlmoeForCausalLM", "olmoe", F::kFixedEpsilon},
    {"SeedOssForCausalLM", "seed_oss", 0},
    {"Exaone4ForCausalLM", "exaone4", F::kSandwichNorms | F::kWindowPattern},
    {"Starcoder2ForCausalLM", "starcoder2", 0},
};

// ---- numbers ------------------------------------------------------------------------------------

struct Number {
  const char* key;  // after "ARCH."
  std::initializer_list<const char*> names;
  bool is_real;
};

const Number kNumbers[] = {
    {"block_count", {"num_hidden_layers", "n_layer", "num_layers"}, false},
    {"context_length", {"max_position_embeddings", "n_ctx", "n_positions"}, false},
    {"embedding_length", {"hidden_size", "n_embd"}, false},
    {"feed_forward_length", {"intermediate_size", "n_inner"}, false},
    {"attention.head_count", {"num_attention_heads", "n_head"}, false},
    {"attention.head_count_kv", {"num_key_value_heads"}, false},
    {"attention.layer_norm_rms_epsilon", {"rms_norm_eps"}, true},
    {"attention.layer_norm_epsilon",
     {"layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"},
     true},
    {"expert_count", {"num_local_experts", "num_experts"}, false},
    {"expert_used_count", {"num_experts_per_tok"}, false},
    {"expert_feed_forward_length", {"moe_intermediate_size"}, false},
};

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw CommandError(ExitCode::kModel, path + ": " + what);
}

class NumberWriter {
 public:
  NumberWriter(const HfFamily& family, const Json& config, const std::string& path,
               GgufMetadata& meta)
      : family_(family),
        config_(config),
        path_(path),
        meta_(meta),
        rope_(rope_parameters(config)) {}

  void write() {
    for (const Number& number : kNumbers) write_number(number);
    write_head_dim();
    write_defaults();
    write_family();
    write_window();
    if (!family_.has(F::kNoRopeKeys)) write_rope();
    if (family_.has(F::kLongRope)) write_long_rope();
  }

 private:
  [[nodiscard]] std::string key(const std::string& name) const {
    return std::string(family_.architecture) + "." + name;
  }
  [[nodiscard]] u32 u32_of(const Json& value, const char* name) const {
    if (!value.is_number_unsigned() || value.get<u64>() > 0xffffffffu)
      refuse(path_, std::string(name) + ": no whole number that fits [bad_value]");
    return value.get<u32>();
  }
  void set_real(const std::string& name, const Json& value, const char* hf_name) {
    meta_.set_f32(key(name), static_cast<f32>(config_f64(value, hf_name, path_)));
  }
  void set_optional(const std::string& name, const char* hf_name) {
    const Json value = first_of(config_, {hf_name});
    if (!value.is_null()) set_real(name, value, hf_name);
  }
  [[nodiscard]] u64 need(std::initializer_list<const char*> names) const {
    return config_u64(config_, names, path_);
  }

  void write_number(const Number& number) {
    const Json value = first_of(config_, number.names);
    if (value.is_null()) return;
    const char* name = *number.names.begin();
    if (number.is_real) {
      set_real(number.key, value, name);
    } else {
      meta_.set_u32(key(number.key), u32_of(value, name));
    }
  }

  void write_head_dim() {
    const Json head_dim = first_of(config_, {"head_dim"});
    if (head_dim.is_null() || family_.has(F::kGraniteScales) || family_.has(F::kLongRope)) return;
    meta_.set_u32(key("attention.key_length"), u32_of(head_dim, "head_dim"));
    meta_.set_u32(key("attention.value_length"), u32_of(head_dim, "head_dim"));
  }

  void set_default(const std::string& name, u32 value) {
    if (!meta_.contains(key(name))) meta_.set_u32(key(name), value);
  }
  void set_default_real(const std::string& name, f32 value) {
    if (!meta_.contains(key(name))) meta_.set_f32(key(name), value);
  }

  void write_defaults() {
    if (family_.has(F::kFixedEpsilon)) set_default_real("attention.layer_norm_rms_epsilon", 1e-5f);
    if (!family_.has(F::kDefaultHeads)) return;
    set_default("context_length", 131072);
    set_default("attention.head_count", 8);
    set_default("attention.head_count_kv", 4);
    set_default("attention.key_length", 256);
    set_default("attention.value_length", 256);
    set_default_real("attention.layer_norm_rms_epsilon", 1e-6f);
    set_default_real("rope.freq_base", 1000000.0f);  // replaced where config.json has one
  }

  void write_family() {
    if (family_.has(F::kLlamaKeys)) {
      meta_.set_u32(key("vocab_size"), static_cast<u32>(need({"vocab_size"})));
      meta_.set_u32(key("rope.dimension_count"), head_dim());
    }
    if (family_.has(F::kSoftcaps)) set_optional("attn_logit_softcapping", "attn_logit_softcapping");
    if (family_.has(F::kSoftcaps) || family_.has(F::kDefaultHeads))
      set_optional("final_logit_softcapping", "final_logit_softcapping");
    if (family_.has(F::kGraniteScales)) {
      set_optional("attention.scale", "attention_multiplier");
      set_optional("embedding_scale", "embedding_multiplier");
      set_optional("residual_scale", "residual_multiplier");
      set_optional("logit_scale", "logits_scaling");
    }
  }

  void write_window() {
    const Json window = first_of(config_, {"sliding_window"});
    if (window.is_null()) {
      // 0 tells Phi-4 from the other models of the family.
      if (family_.has(F::kLongRope)) meta_.set_u32(key("attention.sliding_window"), 0);
      return;
    }
    if (!(family_.has(F::kWindow) || family_.has(F::kWindowPattern) || family_.has(F::kLongRope)))
      return;
    meta_.set_u32(key("attention.sliding_window"), u32_of(window, "sliding_window"));
    if (!family_.has(F::kWindowPattern)) return;
    std::vector<bool> pattern;
    const u64 n_layer = need({"num_hidden_layers"});
    const Json types = first_of(config_, {"layer_types"});
    for (u64 i = 0; i < n_layer; ++i) {
      const bool listed = types.is_array() && i < types.size();
      pattern.push_back(listed ? types[i] == "sliding_attention" : (i + 1) % 4 != 0);
    }
    meta_.set_bool_array(key("attention.sliding_window_pattern"), pattern);
  }

  [[nodiscard]] u32 head_dim() const {
    const Json value = first_of(config_, {"head_dim"});
    if (!value.is_null() && !family_.has(F::kGraniteScales)) return u32_of(value, "head_dim");
    return static_cast<u32>(need({"hidden_size"}) / need({"num_attention_heads"}));
  }

  void write_rope() {
    if (const Json base = first_of(rope_, {"rope_theta"}); !base.is_null())
      set_real("rope.freq_base", base, "rope_theta");
    if (const Json base = first_of(rope_, {"local_rope_theta"}); !base.is_null())
      set_real("rope.freq_base_swa", base, "rope_local_base_freq");
    const Json type = first_of(rope_, {"rope_type"});
    if (!type.is_string()) return;
    const std::string name = type.get<std::string>();
    const Json factor = first_of(rope_, {"factor"});
    if (name == "linear" || name == "yarn") {
      meta_.set_text(key("rope.scaling.type"), name);
      set_real("rope.scaling.factor", factor, "factor");
      if (name == "yarn") write_yarn();
    } else if (name == "su" || name == "longrope") {
      meta_.set_text(key("rope.scaling.type"), "longrope");
    } else if (name != "default" && name != "llama3") {
      refuse(path_, "rope_type " + printable(to_str(name)) + " is not known [unsupported]");
    }
  }

  [[nodiscard]] Json original_context() const {
    return first_of(rope_, {"original_max_position_embeddings"});
  }

  void write_yarn() {
    meta_.set_u32(key("rope.scaling.original_context_length"),
                  u32_of(original_context(), "original_max_position_embeddings"));
    static constexpr const char* kYarn[][2] = {{"extrapolation_factor", "yarn_ext_factor"},
                                               {"attention_factor", "yarn_attn_factor"},
                                               {"beta_fast", "yarn_beta_fast"},
                                               {"beta_slow", "yarn_beta_slow"}};
    for (const auto& [hf_name, name] : kYarn) {
      if (const Json value = first_of(rope_, {hf_name}); !value.is_null())
        set_real(std::string("rope.scaling.") + name, value, hf_name);
    }
  }

  void write_long_rope() {
    const Json part = first_of(rope_, {"partial_rotary_factor"});
    const f64 share = part.is_null() ? 1.0 : config_f64(part, "partial_rotary_factor", path_);
    const u64 n_embd = static_cast<u64>(share * static_cast<f64>(need({"hidden_size"})));
    meta_.set_u32(key("rope.dimension_count"),
                  static_cast<u32>(n_embd / need({"num_attention_heads"})));
    const u32 n_ctx_old = u32_of(original_context(), "original_max_position_embeddings");
    meta_.set_u32(key("rope.scaling.original_context_length"), n_ctx_old);
    if (first_of(rope_, {"long_factor"}).is_null()) return;
    // What attention is sharpened by, from how far the context was stretched (arXiv:2402.13753).
    const f64 scale = static_cast<f64>(need({"max_position_embeddings"})) / n_ctx_old;
    const f64 factor = scale > 1 ? std::sqrt(1 + std::log(scale) / std::log(n_ctx_old)) : 1;
    meta_.set_f32(key("rope.scaling.attn_factor"), static_cast<f32>(factor));
  }

  const HfFamily& family_;
  const Json& config_;
  const std::string& path_;
  GgufMetadata& meta_;
  const Json rope_;
};

// ---- names --------------------------------------------------------------------------------------

constexpr const char* kNames[][2] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};

// Below model.layers.N.
constexpr const char* kLayerNames[][2] = {
    {"input_layernorm", "attn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"pre_feedforward_layernorm", "ffn_norm"},
    {"post_feedforward_layernorm", "post_ffw_norm"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.c_fc", "ffn_up"},
    {"mlp.c_proj", "ffn_down"},
    {"mlp.gate", "ffn_gate_inp"},
    {"block_sparse_moe.gate", "ffn_gate_inp"},
};

// Below mlp.experts.N or block_sparse_moe.experts.N.
constexpr const char* kExpertNames[][2] = {
    {"gate_proj", "ffn_gate_exps"}, {"up_proj", "ffn_up_exps"}, {"down_proj", "ffn_down_exps"},
    {"w1", "ffn_gate_exps"},        {"w3", "ffn_up_exps"},      {"w2", "ffn_down_exps"}};

template <usize kN>
std::string look_up(const char* const (&names)[kN][2], const std::string& name) {
  for (const auto& [hf_name, gguf_name] : names) {
    if (name == hf_name) return gguf_name;
  }
  return {};
}

// Takes "12." off the front; false where there is no number of at most six digits.
bool take_number(std::string& text, std::string& number) {
  const usize dot = text.find('.');
  if (dot == 0 || dot == std::string::npos || dot > 6) return false;
  number = text.substr(0, dot);
  text.erase(0, dot + 1);
  return number.find_first_not_of("0123456789") == std::string::npos;
}

bool take_prefix(std::string& text, const std::string& prefix) {
  if (text.rfind(prefix, 0) != 0) return false;
  text.erase(0, prefix.size());
  return true;
}

std::string layer_tensor_name(const HfFamily& family, std::string name) {
  if (take_prefix(name, "mlp.experts.") || take_prefix(name, "block_sparse_moe.experts.")) {
    std::string expert;
    if (!take_number(name, expert)) return {};
    const std::string stacked = look_up(kExpertNames, name);
    return stacked.empty() ? stacked : stacked + "{" + expert + "}";
  }
  if (name == "post_attention_layernorm")
    return family.has(F::kSandwichNorms) ? "post_attention_norm" : "ffn_norm";
  return look_up(kLayerNames, name);
}

}  // namespace

const HfFamily& find_hf_family(const Json& config, const std::string& path) {
  const Json names = first_of(config, {"architectures"});
  std::string name;
  if (names.is_array() && !names.empty() && names[0].is_string())
    name = names[0].get<std::string>();
  std::string known;
  for (const HfFamily& family : kFamilies) {
    if (name == family.hf_name) return family;
    known += std::string(known.empty() ? "" : ", ") + family.hf_name;
  }
  refuse(path, "architecture " + (name.empty() ? "(none)" : printable(to_str(name))) +
                   " can not be converted; there are " + known + " [unsupported]");
}

void set_model_numbers(const HfFamily& family, const Json& config, const std::string& path,
                       GgufMetadata& meta) {
  NumberWriter(family, config, path, meta).write();
}

std::string gguf_tensor_name(const HfFamily& family, const std::string& hf_name) {
  std::string name = hf_name;
  // Models that also see keep their text part one level down.
  if (take_prefix(name, "model.language_model.")) {
    name = "model." + name;
  } else {
    take_prefix(name, "language_model.");
  }
  const usize dot = name.rfind('.');
  if (dot == std::string::npos) return {};
  const std::string suffix = name.substr(dot);
  if (suffix != ".weight" && suffix != ".bias") return {};
  name.resize(dot);
  std::string layer;
  if (!take_prefix(name, "model.layers.")) {
    if (name == "lm_head" && family.has(F::kDropHead)) return {};
    const std::string found = look_up(kNames, name);
    return found.empty() ? found : found + suffix;
  }
  if (!take_number(name, layer)) return {};
  const std::string found = layer_tensor_name(family, name);
  return found.empty() ? found : "blk." + std::to_string(std::stoul(layer)) + "." + found + suffix;
}

u64 config_u64(const Json& config, std::initializer_list<const char*> names,
               const std::string& path) {
  const Json value = first_of(config, names);
  const char* name = *names.begin();
  if (value.is_null()) refuse(path, std::string(name) + ": is missing [missing]");
  if (!value.is_number_unsigned() || value.get<u64>() == 0 || value.get<u64>() > 0x7fffffff)
    refuse(path, std::string(name) + ": no whole number above 0 that fits [bad_value]");
  return value.get<u64>();
}

f64 config_f64(const Json& value, const char* name, const std::string& path) {
  if (!value.is_number() || !std::isfinite(value.get<f64>()))
    refuse(path, std::string(name) + ": no number [bad_type]");
  return value.get<f64>();
}

Json rope_parameters(const Json& config) {
  Json rope = first_of(config, {"rope_parameters", "rope_scaling"});
  if (!rope.is_object()) rope = Json::object();
  Json local = first_of(first_of(rope, {"sliding_attention"}), {"rope_theta"});
  if (const Json full = first_of(rope, {"full_attention"}); full.is_object()) rope = full;
  const auto fill = [&](const char* name, std::initializer_list<const char*> sources) {
    const Json value = first_of(config, sources);
    if (first_of(rope, {name}).is_null() && !value.is_null()) rope[name] = value;
  };
  fill("rope_theta", {"rope_theta", "rotary_emb_base"});
  fill("partial_rotary_factor", {"partial_rotary_factor", "rope_pct"});
  fill("original_max_position_embeddings", {"original_max_position_embeddings"});
  fill("local_rope_theta", {"rope_local_base_freq"});
  if (!local.is_null()) rope["local_rope_theta"] = local;
  if (!rope.contains("rope_type") && rope.contains("type")) rope["rope_type"] = rope["type"];
  return rope;
}

}  // namespace lbm::cli
