// Every number is read with a range, and the numbers are then checked against each other; behind
// this border kernels may multiply them without looking.
#include "core/model/config.h"

#include "core/base/fmath.h"
#include "core/base/fmt.h"
#include "core/format/limits.h"
#include "core/model/families.h"

namespace lbm {
namespace {

constexpr u64 kMaxWidth = 1 << 20;
constexpr u64 kMaxHeads = 1024;
constexpr u64 kMaxHeadDim = 1024;
constexpr u64 kMaxGroup = 64;  // query heads per KV head

// Reads "<architecture>.<key>" values and keeps the first error, so that a list of reads stays a
// list.
class ConfigReader {
 public:
  ConfigReader(const ModelFile& file, Str architecture)
      : file_(file), architecture_(architecture) {}

  [[nodiscard]] u32 required(Str key, u64 low, u64 high) {
    return take(file_.get_u64(full(key), low, high), static_cast<u32>(low));
  }
  [[nodiscard]] u32 optional(Str key, u64 fallback, u64 low, u64 high) {
    return take(file_.get_u64_or(full(key), fallback, low, high), static_cast<u32>(fallback));
  }
  [[nodiscard]] f64 number(Str key, f64 low, f64 high) {
    return take_f64(file_.get_f64(full(key), low, high));
  }
  [[nodiscard]] f64 number_or(Str key, f64 fallback, f64 low, f64 high) {
    return take_f64(file_.get_f64_or(full(key), fallback, low, high));
  }
  [[nodiscard]] Str text_or(Str key, Str fallback) {
    Result<Str> r = file_.get_text_or(full(key), fallback);
    if (r.ok()) return r.value();
    keep(r.error());
    return fallback;
  }
  [[nodiscard]] bool has(Str key) {
    MetaValue ignored;
    return file_.find(full(key), ignored);
  }
  void refuse(ErrorCode code, const char* what, Str key, u64 value, u64 limit) {
    keep(fail(code, what).about(full(key)).with(value, limit));
  }
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  Str full(Str key) {
    name_.clear();
    return name_.print("{}.{}", architecture_, key).text();
  }
  u32 take(Result<u64> r, u32 fallback) {
    if (r.ok()) return static_cast<u32>(r.value());
    keep(r.error());
    return fallback;
  }
  f64 take_f64(Result<f64> r) {
    if (r.ok()) return r.value();
    keep(r.error());
    return 1.0;
  }
  void keep(const Error& error) {
    if (status_.ok()) status_ = error;
  }

  const ModelFile& file_;
  Str architecture_;
  TextBuffer<160> name_;
  Status status_;
};

// Entries of the vocabulary: the token list, or the key of files without one.
Result<u32> read_n_vocab(const ModelFile& file, ConfigReader& reader) {
  MetaValue tokens;
  if (!file.find("tokenizer.ggml.tokens", tokens))
    return reader.required("vocab_size", 1, kMaxVocabulary);
  if (tokens.type != MetaType::kArray || tokens.array.type != MetaType::kString) {
    return fail(ErrorCode::kBadType, "must be an array of strings")
        .about("tokenizer.ggml.tokens")
        .at(tokens.file_offset);
  }
  if (tokens.array.count == 0 || tokens.array.count > kMaxVocabulary) {
    return fail(ErrorCode::kLimit, "number of tokens out of range")
        .about("tokenizer.ggml.tokens")
        .with(tokens.array.count, kMaxVocabulary)
        .at(tokens.file_offset);
  }
  return static_cast<u32>(tokens.array.count);
}

void read_rope(ConfigReader& reader, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  rope.n_rot = reader.optional("rope.dimension_count", config.head_dim, 2, kMaxHeadDim);
  if (rope.n_rot % 2 != 0 || rope.n_rot > config.head_dim) {
    reader.refuse(ErrorCode::kMismatch, "must be even and at most the size of a head",
                  "rope.dimension_count", rope.n_rot, config.head_dim);
  }
  rope.freq_base = reader.number_or("rope.freq_base", 10000.0, 1e-3, 1e12);
  const Str kind = reader.text_or("rope.scaling.type", "");
  f64 factor = reader.number_or("rope.scale_linear", 1.0, 1e-3, 1e6);  // the older key
  factor = reader.number_or("rope.scaling.factor", factor, 0.0, 1e6);
  if (factor == 0.0) factor = 1.0;
  if (kind == "yarn") {
    rope.scaling = RopeScaling::kYarn;
  } else if (kind == "linear" || (kind.empty() && factor != 1.0)) {
    rope.scaling = RopeScaling::kLinear;
  } else if (!kind.empty() && !(kind == "none")) {
    reader.refuse(ErrorCode::kUnsupported, "RoPE scaling of a kind this build has not got",
                  "rope.scaling.type", 0, 0);
  }
  rope.freq_scale = rope.scaling == RopeScaling::kNone ? 1.0 : 1.0 / factor;
  rope.n_ctx_orig =
      reader.optional("rope.scaling.original_context_length", config.n_ctx_train, 1, kMaxContext);
  rope.yarn_ext_factor = reader.number_or(
      "rope.scaling.yarn_ext_factor", rope.scaling == RopeScaling::kYarn ? 1.0 : 0.0, -1.0, 1e3);
  rope.yarn_attn_factor = reader.number_or("rope.scaling.attn_factor", 1.0, 1e-3, 1e3);
  rope.yarn_attn_factor =
      reader.number_or("rope.scaling.yarn_attn_factor", rope.yarn_attn_factor, 1e-3, 1e3);
  rope.yarn_beta_fast = reader.number_or("rope.scaling.yarn_beta_fast", 32.0, 1e-3, 1e6);
  rope.yarn_beta_slow = reader.number_or("rope.scaling.yarn_beta_slow", 1.0, 1e-3, 1e6);
}

void check_heads(ConfigReader& reader, const ModelConfig& config) {
  if (config.n_head_kv > config.n_head || config.n_head % config.n_head_kv != 0) {
    reader.refuse(ErrorCode::kMismatch, "must divide attention.head_count",
                  "attention.head_count_kv", config.n_head_kv, config.n_head);
  } else if (config.n_head / config.n_head_kv > kMaxGroup) {
    reader.refuse(ErrorCode::kUnsupported, "too many query heads per KV head",
                  "attention.head_count", config.n_head / config.n_head_kv, kMaxGroup);
  }
}

}  // namespace

Result<ModelConfig> read_config(const ModelFile& file) {
  Result<Str> architecture = file.get_text("general.architecture");
  if (!architecture.ok()) return architecture.error();
  const Family* family = find_family(architecture.value());
  if (family == nullptr) {
    return fail(ErrorCode::kUnsupported, "architecture this build does not run; it runs llama")
        .about(architecture.value());
  }
  Result<u64> n_file = file.get_u64_or("split.count", 1, 0, 65535);
  if (!n_file.ok()) return n_file.error();
  if (n_file.value() > 1) {
    return fail(ErrorCode::kUnsupported,
                "one part of a model that was split; merge it with gguf-split. Parts")
        .about("split.count")
        .with(n_file.value());
  }
  ModelConfig config;
  ConfigReader reader(file, family->architecture);
  const Str name(family->architecture);
  __builtin_memcpy(config.architecture, name.data(), name.size());

  config.n_layer = reader.required("block_count", 1, kMaxLayers);
  config.n_embd = reader.required("embedding_length", 1, kMaxWidth);
  config.n_ff = reader.required("feed_forward_length", 1, kMaxWidth);
  config.n_ctx_train = reader.required("context_length", 1, kMaxContext);
  config.n_head = reader.required("attention.head_count", 1, kMaxHeads);
  config.n_head_kv = reader.optional("attention.head_count_kv", config.n_head, 1, kMaxHeads);
  if (!reader.has("attention.key_length") && config.n_embd % config.n_head != 0) {
    reader.refuse(ErrorCode::kMismatch, "must divide embedding_length", "attention.head_count",
                  config.n_head, config.n_embd);
  }
  const u32 head_dim = config.n_embd / config.n_head;
  config.head_dim = reader.optional("attention.key_length", head_dim, 2, kMaxHeadDim);
  config.head_dim_v = reader.optional("attention.value_length", config.head_dim, 2, kMaxHeadDim);
  if (config.head_dim_v != config.head_dim) {
    reader.refuse(ErrorCode::kUnsupported, "differs from attention.key_length",
                  "attention.value_length", config.head_dim_v, config.head_dim);
  }
  if (config.head_dim < 2 || config.head_dim > kMaxHeadDim) {
    reader.refuse(ErrorCode::kBadValue, "head size out of range", "embedding_length",
                  config.head_dim, kMaxHeadDim);
  }
  if (reader.optional("expert_count", 0, 0, 65536) != 0) {
    reader.refuse(ErrorCode::kUnsupported, "mixture of experts is not in this build",
                  "expert_count", 1, 0);
  }
  if (!reader.status().ok()) return reader.status().error();
  check_heads(reader, config);
  const f64 eps = reader.number("attention.layer_norm_rms_epsilon", 1e-12, 1.0);
  config.rms_eps = static_cast<f32>(eps);
  config.attention_scale = 1.0f / sqrt_f32(static_cast<f32>(config.head_dim));
  read_rope(reader, config);
  config.rope.layout = family->rope_layout;
  Result<u32> n_vocab = read_n_vocab(file, reader);
  if (!reader.status().ok()) return reader.status().error();
  if (!n_vocab.ok()) return n_vocab.error();
  config.n_vocab = n_vocab.value();
  return config;
}

}  // namespace lbm
