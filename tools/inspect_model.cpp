// Puts the report together. The order of its parts is the order of a load, and each says by itself
// what is wrong with it: a model can have a sound vocabulary and a broken configuration.
#include <algorithm>
#include <vector>

#include "core/chat/think.h"
#include "core/chat/template.h"
#include "core/infer/recurrent_state.h"
#include "core/infer/session.h"
#include "core/model/model.h"
#include "core/tensor/grid.h"
#include "tools/inspect_model.h"
#include "tools/loaded_model.h"
#include "tools/model_reader.h"

namespace lbm::cli {
namespace {

// ---- metadata -----------------------------------------------------------------------------------

Json describe_metadata(const ModelFile& file) {
  Json out = Json::object();
  for (u32 i = 0; i < file.n_meta(); ++i)
    out[to_string(file.meta_key(i))] = describe_value(file.meta_value(i));
  return out;
}

Json text_or_null(const ModelFile& file, Str key) {
  Result<Str> text = file.get_text(key);
  return text.ok() ? Json(to_string(text.value())) : Json(nullptr);
}

// ---- configuration ------------------------------------------------------------------------------

// What sets this model apart from the plain llama shape, in words.
Json features_of(const ModelConfig& config) {
  Json out = Json::array();
  u32 n_windowed = 0;
  u32 n_unrotated = 0;
  u32 n_recurrent = 0;
  for (u32 i = 0; i < config.n_layer; ++i) {
    const LayerConfig& layer = config.layers[i];
    n_recurrent += layer.kind == LayerKind::kAttention ? 0 : 1;
    if (layer.kind != LayerKind::kAttention) continue;
    n_windowed += layer.windowed ? 1 : 0;
    n_unrotated += layer.rope ? 0 : 1;
  }
  const auto of_layers = [&](u32 n) { return format(" in %u of %u layers", n, config.n_layer); };
  static constexpr const char* kActivations[] = {"", "GELU", "ReLU squared", "clamped SwiGLU"};
  if (config.norm == NormKind::kLayer) out.push_back("LayerNorm");
  if (config.activation != Activation::kSilu)
    out.push_back(kActivations[static_cast<u32>(config.activation)]);
  if (config.parallel) out.push_back("attention and FFN in parallel");
  if (config.qk_norm != QkNorm::kNone) out.push_back("norms of queries and keys");
  if (config.gated_attention) out.push_back("gated attention");
  if (n_windowed != 0)
    out.push_back(format("a window of %u tokens", config.window) + of_layers(n_windowed));
  if (n_unrotated != 0) out.push_back("no RoPE" + of_layers(n_unrotated));
  if (n_recurrent != 0) {
    const char* kind = config.delta_net.n_tap != 0 ? "gated delta net" : "short convolution";
    out.push_back(kind + of_layers(n_recurrent));
  }
  if (config.experts.n_expert != 0) {
    out.push_back(
        format("%u of %u experts for each token", config.experts.n_used, config.experts.n_expert));
  }
  if (config.attention_soft_cap != 0.0f || config.logit_soft_cap != 0.0f)
    out.push_back("soft caps");
  return out;
}

Json describe_config(const ModelConfig& config) {
  static constexpr const char* kScaling[] = {"none", "linear", "yarn", "longrope"};
  Json out;
  out["n_ctx_train"] = config.n_ctx_train;
  out["n_vocab"] = config.n_vocab;
  out["n_embd"] = config.n_embd;
  out["n_layer"] = config.n_layer;
  out["n_ff"] = config.n_ff;
  out["n_head"] = config.n_head;
  out["n_head_kv"] = config.n_head_kv;
  out["head_dim"] = config.head_dim;
  out["norm_eps"] = static_cast<f64>(config.norm_eps);
  out["rope"] = {{"base", config.rope.freq_base},
                 {"n_rot", config.rope.n_rot},
                 {"scaling", kScaling[static_cast<u32>(config.rope.scaling)]},
                 {"scale", config.rope.freq_scale}};
  // Where layers differ; 0 for one without attention.
  bool differ = false;
  Json heads = Json::array();
  for (u32 i = 0; i < config.n_layer; ++i) {
    heads.push_back(config.layers[i].n_head_kv);
    differ = differ || config.layers[i].n_head_kv != config.n_head_kv;
  }
  if (differ) out["n_head_kv_of_layers"] = heads;
  out["features"] = features_of(config);
  return out;
}

// ---- tokenizer and template ---------------------------------------------------------------------

Json token_or_null(const Tokenizer& tokenizer, u32 id) {
  if (id == Tokenizer::kNoToken) return nullptr;
  return Json{{"id", id}, {"text", decode_ids(tokenizer, {id})}};
}

Json describe_tokenizer(const Tokenizer& tokenizer) {
  Json out;
  out["model"] = to_string(tokenizer.model_name());
  out["pre"] = to_string(tokenizer.pretokenizer_name());
  out["n_vocab"] = tokenizer.n_vocab();
  out["bos"] = token_or_null(tokenizer, tokenizer.bos());
  out["eos"] = token_or_null(tokenizer, tokenizer.eos());
  out["add_bos"] = tokenizer.add_bos();
  out["add_eos"] = tokenizer.add_eos();
  Json ends = Json::array();
  u32 n_control = 0;
  for (u32 id = 0; id < tokenizer.n_vocab(); ++id) {
    n_control += tokenizer.is_control(id) ? 1u : 0u;
    if (tokenizer.is_end_of_generation(id)) ends.push_back(token_or_null(tokenizer, id));
  }
  out["n_control"] = n_control;
  out["ends"] = ends;
  return out;
}

// The family of a template, by the marks of a turn that only it has.
const char* template_kind(Str source) {
  struct Mark {
    const char* text;
    const char* kind;
  };
  static constexpr Mark kMarks[] = {{"<|im_start|>", "ChatML"},
                                    {"<|start_header_id|>", "Llama 3"},
                                    {"<start_of_turn>", "Gemma"},
                                    {"<|START_OF_TURN_TOKEN|>", "Command R"},
                                    {"<|channel|>", "Harmony (gpt-oss)"},
                                    {"<|start_of_role|>", "Granite"},
                                    {"[|assistant|]", "EXAONE"},
                                    {"<\xEF\xBD\x9C"
                                     "Assistant",
                                     "DeepSeek"},
                                    {"[gMASK]", "GLM"},
                                    {"[INST]", "Mistral or Llama 2"},
                                    {"<|assistant|>", "Phi or Zephyr"},
                                    {"### Response", "Alpaca"},
                                    {"ASSISTANT:", "Vicuna"}};
  for (const Mark& mark : kMarks) {
    if (source.contains(mark.text)) return mark.kind;
  }
  return "its own";
}

// A template that does not parse is no reason not to run: a built-in one takes its place.
Json describe_template(const ModelFile& file, Arena& arena) {
  Result<Str> source = file.get_text("tokenizer.chat_template");
  Json out = {{"present", source.ok()}};
  if (!source.ok()) return out;
  out["kind"] = template_kind(source.value());
  out["size_bytes"] = source.value().size();
  out["think_blocks"] = source.value().contains("<think>") || source.value().contains("[THINK]") ||
                        source.value().contains("thinking");
  out["think_switch"] = has_think_switch(source.value());
  const Arena::Mark mark = arena.mark();
  Result<ChatTemplate*> parsed = ChatTemplate::parse(arena, source.value());
  out["usable"] = parsed.ok();
  if (!parsed.ok()) out["error"] = describe(parsed.error(), "");
  arena.rewind(mark);
  return out;
}

// ---- tensors ------------------------------------------------------------------------------------

// "slow": expanded anew for every token (core/tensor/grid.h), so decoding is bound by the
// processor.
const char* support_of(DType type) {
  if (!dtype_traits(type).is_weight) return "unsupported";
  return is_grid_type(type) ? "slow" : "fast";
}

// Type by type, the largest first.
Json describe_types(const ModelFile& file) {
  struct Total {
    DType type;
    u64 n_tensor, n_byte, n_element;
  };
  std::vector<Total> totals;
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    auto total = std::find_if(totals.begin(), totals.end(),
                              [&](const Total& t) { return t.type == tensor.dtype; });
    if (total == totals.end()) total = totals.insert(totals.end(), Total{tensor.dtype, 0, 0, 0});
    ++total->n_tensor;
    total->n_byte += tensor.n_byte;
    total->n_element += tensor.n_element();
  }
  std::sort(totals.begin(), totals.end(),
            [](const Total& a, const Total& b) { return a.n_byte > b.n_byte; });
  Json out = Json::array();
  for (const Total& total : totals) {
    const DTypeTraits traits = dtype_traits(total.type);
    out.push_back({{"type", traits.name},
                   {"n_tensor", total.n_tensor},
                   {"n_byte", total.n_byte},
                   {"n_element", total.n_element},
                   {"support", support_of(total.type)}});
  }
  return out;
}

u64 n_parameter(const ModelFile& file) {
  u64 n = 0;
  for (u32 i = 0; i < file.n_tensor(); ++i) n += file.tensor(i).n_element();
  return n;
}

Json describe_tensors(const ModelFile& file) {
  Json out = Json::array();
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    out.push_back({{"name", to_string(tensor.name)},
                   {"type", dtype_traits(tensor.dtype).name},
                   {"dims", std::vector<u64>(tensor.dims, tensor.dims + tensor.n_dim)},
                   {"n_byte", tensor.n_byte},
                   {"offset", tensor.file_offset}});
  }
  return out;
}

Json describe_parts(const ModelFile& file) {
  Json out = Json::array();
  for (const ModelPart& part : file.parts()) {
    out.push_back(
        {{"file", to_string(part.name)}, {"size_bytes", part.n_byte}, {"n_tensor", part.n_tensor}});
  }
  return out;
}

// ---- the report ---------------------------------------------------------------------------------

class Inspection {
 public:
  explicit Inspection(const InspectFlags& flags)
      : flags_(flags), reader_(flags.path, {flags.tokenizer, true}) {}

  [[nodiscard]] Json report() {
    const ModelFile& file = reader_.file();
    out_["file"] = flags_.path;
    out_["size_bytes"] = file.file_size();
    out_["format"] = to_string(file_format_name(file.format()));
    out_["version"] = file.version();
    out_["alignment"] = file.alignment();
    out_["n_tensor"] = file.n_tensor();
    out_["n_metadata"] = file.n_meta();
    out_["n_parameter"] = n_parameter(file);
    out_["parts"] = describe_parts(file);
    for (const char* key : {"architecture", "name", "license"}) {
      out_[key] = text_or_null(file, to_str(std::string("general.") + key));
    }
    Result<ModelConfig> config = read_config(file);
    out_["config"] = config.ok() ? describe_config(config.value()) : problem(config.error());
    Result<const Tokenizer*> tokenizer = reader_.try_tokenizer();
    out_["tokenizer"] =
        tokenizer.ok() ? describe_tokenizer(*tokenizer.value()) : problem(tokenizer.error());
    out_["template"] = describe_template(file, reader_.arena());
    out_["types"] = describe_types(file);
    out_["memory"] = nullptr;
    if (file.n_tensor() == 0) {
      problems_.push_back("there are no weights in it: a vocabulary, to tokenize with, not to run");
    } else if (config.ok()) {
      describe_memory(config.value());
    }
    out_["runs"] = problems_.empty();
    out_["problems"] = problems_;
    out_["notes"] = notes();
    out_["metadata"] = describe_metadata(file);
    if (flags_.tensors) out_["tensors"] = describe_tensors(file);
    return out_;
  }

 private:
  Json problem(const Error& error) {
    const std::string text = describe(error, "");
    if (std::find(problems_.begin(), problems_.end(), text) == problems_.end())
      problems_.push_back(text);
    return nullptr;
  }

  // What is worth knowing of a model that runs.
  [[nodiscard]] Json notes() const {
    Json out = Json::array();
    for (const Json& type : out_["types"]) {
      if (type["support"] != "slow") continue;
      out.push_back(type["type"].get<std::string>() +
                    " is expanded anew for every token, so that the processor bounds decoding: "
                    "lbm quantize makes a faster type of it");
    }
    const ModelFile& file = reader_.file();
    u64 n_byte = 0;
    for (u32 i = 0; i < file.n_tensor(); ++i) n_byte += file.tensor(i).n_byte;
    if (file.is_translated() && n_byte > 2 * file.file_size()) {
      out.push_back("scales that no half-precision number holds make its weights F32 in memory, " +
                    format_bytes(n_byte) + ": lbm convert, then lbm quantize, makes a small model");
    }
    return out;
  }

  [[nodiscard]] u64 session_bytes(const ModelConfig& config, u32 n_ctx,
                                  const std::string& kv) const {
    SessionParams params;
    params.n_ctx = n_ctx;
    params.kv = kv_type_of(kv);
    return Session::bytes_needed(config, params, count_physical_cores());
  }

  // The KV cache at several lengths and types: it is what a person can choose.
  [[nodiscard]] Json contexts(const ModelConfig& config) const {
    Json out = Json::array();
    const auto add = [&](u32 n_ctx) {
      Json row = {{"n_ctx", n_ctx}};
      for (const char* kv : {"f16", "f32", "q8_0"})
        row["kv_bytes"][kv] = KvCache::bytes_needed(config, n_ctx, kv_type_of(kv));
      row["session_bytes"] = session_bytes(config, n_ctx, flags_.kv);
      out.push_back(row);
    };
    for (u64 n_ctx = 1024; n_ctx < config.n_ctx_train; n_ctx *= 4) add(static_cast<u32>(n_ctx));
    add(config.n_ctx_train);
    return out;
  }

  void describe_memory(const ModelConfig& config) {
    Result<WeightPlan> plan = plan_weights(reader_.file(), config, reader_.arena());
    if (!plan.ok()) {
      problem(plan.error());
      return;
    }
    SessionParams params;
    params.n_ctx = flags_.n_ctx;
    const u32 n_ctx = Session::effective_n_ctx(config, params);
    const u64 kv_bytes = KvCache::bytes_needed(config, n_ctx, kv_type_of(flags_.kv));
    const u64 recurrent_bytes = RecurrentState::bytes_needed(config);
    const u64 session = session_bytes(config, n_ctx, flags_.kv);
    const u64 total = plan.value().n_byte + plan.value().chunk_bytes + session;
    const u64 available = PosixPages().bytes_free();
    out_["memory"] = {{"weight_bytes", plan.value().n_byte},
                      {"load_bytes", plan.value().chunk_bytes},
                      {"session_bytes", session},
                      {"kv_bytes", kv_bytes},
                      {"recurrent_bytes", recurrent_bytes},
                      {"activation_bytes", session - kv_bytes - recurrent_bytes},
                      {"n_ctx", n_ctx},
                      {"kv", flags_.kv},
                      {"total_bytes", total},
                      {"available_bytes", available},
                      {"contexts", contexts(config)}};
    if (total > available) {
      problems_.push_back("needs " + format_bytes(total) + " of memory, " +
                          format_bytes(available) + " are free: a smaller -c needs less");
    }
  }

  InspectFlags flags_;
  ModelReader reader_;
  Json out_;
  std::vector<std::string> problems_;
};

}  // namespace

Json inspect_model(const InspectFlags& flags) { return Inspection(flags).report(); }

}  // namespace lbm::cli
