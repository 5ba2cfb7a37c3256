// Every number is read with a range, and the numbers are then checked against each other; behind
// this border kernels may multiply them without looking.
#include "core/model/config.h"

#include "core/base/fmath.h"
#include "core/base/fmt.h"
#include "core/model/config_reader.h"
#include "core/model/families.h"

namespace lbm {
namespace {

constexpr u64 kMaxWidth = 1 << 20;
constexpr u64 kMaxHeads = 1024;
constexpr u64 kMaxHeadDim = 1024;
constexpr u64 kMaxGroup = 64;  // query heads per KV head

// Entries of the vocabulary: the token list, or the key of files without one.
Result<u32> read_n_vocab(const ModelFile& file, ConfigReader& reader) {
  MetaValue tokens;
  if (!file.find("tokenizer.ggml.tokens", tokens))
    return reader.required("vocab_size", 1, kMaxVocabulary);
  // What is no array has no elements of that type either.
  if (tokens.array.type != MetaType::kString) {
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

// Layers that only predict further tokens follow the others; they are not run.
void read_layers(ConfigReader& reader, ModelConfig& config) {
  const u32 n_block = reader.required("block_count", 1, kMaxLayers);
  const u32 n_ahead = reader.optional("nextn_predict_layers", 0, 0, kMaxLayers);
  if (n_ahead >= n_block) {
    reader.refuse(ErrorCode::kMismatch, "leaves no layer to run", "nextn_predict_layers", n_ahead,
                  n_block);
  }
  config.n_layer = n_ahead < n_block ? n_block - n_ahead : 1;
  config.n_layer_ahead = n_block - config.n_layer;
}

// The sizes of heads, the same in all layers.
void read_heads(ConfigReader& reader, ModelConfig& config) {
  config.n_head = reader.required("attention.head_count", 1, kMaxHeads);
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
}

// KV heads of each layer; 0 makes a layer recurrent, in the families that have such layers.
void read_kv_heads(ConfigReader& reader, const Family& family, ModelConfig& config) {
  const u32 fewest =
      family.recurrent != LayerKind::kAttention && reader.has_array("attention.head_count_kv") ? 0
                                                                                               : 1;
  u32 n_head_kv[kMaxLayers];
  for (u32& n : n_head_kv) n = config.n_head;
  reader.per_layer("attention.head_count_kv", fewest, kMaxHeads, {n_head_kv, config.n_layer});
  config.n_head_kv = 0;
  for (u32 i = 0; i < config.n_layer; ++i) {
    const u32 n = n_head_kv[i];
    config.layers[i].n_head_kv = static_cast<u16>(n);
    config.n_head_kv = max_u32(config.n_head_kv, n);
    if (n == 0) continue;
    if (config.n_head % n != 0) {
      reader.refuse(ErrorCode::kMismatch, "must divide attention.head_count",
                    "attention.head_count_kv", n, config.n_head);
    } else if (config.n_head / n > kMaxGroup) {
      reader.refuse(ErrorCode::kUnsupported, "too many query heads per KV head",
                    "attention.head_count", config.n_head / n, kMaxGroup);
    }
  }
  if (config.n_head_kv == 0) {
    reader.refuse(ErrorCode::kBadValue, "no layer has KV heads", "attention.head_count_kv", 0, 1);
  }
}

// Which layers see a window only: a flag for each in the file, or a period; the last of each
// period sees everything.
void read_windows(ConfigReader& reader, const Family& family, ModelConfig& config) {
  if (family.window == Window::kNone) return;
  if (family.window_n_layer != 0 && config.n_layer != family.window_n_layer) return;
  const char* const key = "attention.sliding_window";
  const bool given = reader.has(key) || family.window_default != 0;
  if (!given && family.window == Window::kOptional) return;
  config.window = family.window_default != 0
                      ? reader.optional(key, family.window_default, 0, 0xffffffff)
                      : reader.required(key, 0, 0xffffffff);
  if (config.window == 0) return;  // none, as some files say it
  const char* const pattern = "attention.sliding_window_pattern";
  u32 windowed[kMaxLayers];
  if (reader.has_array(pattern)) {
    reader.per_layer(pattern, 0, 1, {windowed, config.n_layer});
  } else {
    const u32 period = reader.optional(pattern, family.window_period, 0, kMaxLayers);
    for (u32 i = 0; i < config.n_layer; ++i)
      windowed[i] = period == 0 || i % period < period - 1 ? 1 : 0;
  }
  for (u32 i = 0; i < config.n_layer; ++i) config.layers[i].windowed = windowed[i] != 0;
}

void choose_roped_layers(ConfigReader& reader, const Family& family, ModelConfig& config) {
  const bool all = !family.rope_by_finetuned_key || reader.flag_or("rope.scaling.finetuned", true);
  for (u32 i = 0; i < config.n_layer; ++i) {
    LayerConfig& layer = config.layers[i];
    layer.rope = all && !family.learned_positions;
    if (family.no_rope == NoRope::kEveryFourth && i % 4 == 3) layer.rope = false;
    if (family.no_rope == NoRope::kUnwindowed && config.window != 0 && !layer.windowed)
      layer.rope = false;
  }
}

f64 root(u32 n) { return static_cast<f64>(sqrt_f32(static_cast<f32>(n))); }

void read_scales(ConfigReader& reader, const Family& family, ModelConfig& config) {
  const bool minicpm = family.scales_of_minicpm;
  f64 embedding = minicpm ? 12.0 : 1.0;
  f64 residual = minicpm ? 1.4 / root(config.n_layer) : 1.0;
  f64 logit = minicpm ? static_cast<f64>(config.n_embd) / 256.0 : 1.0;
  f64 attention = 0.0;
  if (family.embedding_scale_root) embedding = root(config.n_embd);
  if (family.scales != Presence::kNever) {
    embedding = reader.number_or("embedding_scale", embedding, -1e6, 1e6);
    residual = reader.number_or("residual_scale", residual, -1e6, 1e6);
    attention = reader.number_or("attention.scale", 0.0, -1e6, 1e6);
  }
  if (family.scales != Presence::kNever || family.logit_scale_key)
    logit = reader.number_or("logit_scale", logit, -1e6, 1e6);
  // Zero stands for "none" in these keys.
  config.embedding_scale = embedding == 0.0 ? 1.0f : static_cast<f32>(embedding);
  config.residual_scale = residual == 0.0 ? 1.0f : static_cast<f32>(residual);
  config.logit_scale = logit == 0.0 ? 1.0f : static_cast<f32>(logit);
  if (family.logit_scale_divides) config.logit_scale = 1.0f / config.logit_scale;
  const u32 width = family.n_layer_wide_scale != 0 && config.n_layer == family.n_layer_wide_scale
                        ? config.n_embd / config.n_head
                        : config.head_dim;
  config.attention_scale =
      attention == 0.0 ? 1.0f / sqrt_f32(static_cast<f32>(width)) : static_cast<f32>(attention);
  config.attention_soft_cap = static_cast<f32>(
      reader.number_or("attn_logit_softcapping", family.attention_soft_cap, 0.0, 1e6));
  config.logit_soft_cap = static_cast<f32>(
      reader.number_or("final_logit_softcapping", family.logit_soft_cap, 0.0, 1e6));
}

void read_norms(ConfigReader& reader, const Family& family, ModelConfig& config) {
  config.norm = family.norm;
  const char* const key = family.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                                        : "attention.layer_norm_epsilon";
  config.norm_eps = static_cast<f32>(reader.number(key, 1e-12, 1.0));
  config.qk_norm = family.qk_norm;
  config.qk_norm_after_rope = family.qk_norm_after_rope;
}

// Files that say nothing of the expert that every token passes and have one all the same.
void find_shared_expert(const ModelFile& file, ModelConfig& config) {
  if (config.experts.n_expert == 0 || config.experts.n_ff_shared != 0) return;
  for (u32 i = 0; i < config.n_layer; ++i) {
    if (!config.layers[i].experts) continue;
    TextBuffer<64> name;
    TensorInfo tensor;
    if (file.find_tensor(name.print("blk.{}.ffn_up_shexp.weight", i).text(), tensor))
      config.experts.n_ff_shared = static_cast<u32>(min_u64(tensor.dims[1], kMaxWidth));
    return;
  }
}

bool is_parallel(const ModelFile& file, const Family& family, ConfigReader& reader) {
  TensorInfo ignored;
  if (family.parallel_without_ffn_norm && !file.find_tensor("blk.0.ffn_norm.weight", ignored))
    return true;
  return family.parallel && reader.flag_or("use_parallel_residual", true);
}

}  // namespace

Result<ModelConfig> read_config(const ModelFile& file) {
  Result<Str> architecture = file.get_text("general.architecture");
  if (!architecture.ok()) return architecture.error();
  const Family* family = find_family(architecture.value());
  if (family == nullptr) {
    return fail(ErrorCode::kUnsupported,
                "architecture this build does not run; docs/families.md lists those it runs")
        .about(architecture.value())
        .at(file.place_of("general.architecture"));
  }
  ModelConfig config;
  ConfigReader reader(file, family->architecture);
  const Str name(family->architecture);
  __builtin_memcpy(config.architecture, name.data(), name.size());

  read_layers(reader, config);
  config.n_embd = reader.required("embedding_length", 1, kMaxWidth);
  config.n_ctx_train = reader.required("context_length", 1, kMaxContext);
  config.n_ff = reader.has("expert_count") ? reader.optional("feed_forward_length", 0, 0, kMaxWidth)
                                           : reader.required("feed_forward_length", 1, kMaxWidth);
  read_heads(reader, config);
  read_kv_heads(reader, *family, config);
  read_norms(reader, *family, config);
  read_windows(reader, *family, config);
  choose_roped_layers(reader, *family, config);
  if (!family->learned_positions) read_rope(reader, *family, config);
  read_scales(reader, *family, config);
  read_recurrent(reader, *family, config);
  read_experts(reader, *family, config);
  find_shared_expert(file, config);
  config.activation = family->activation;
  config.parallel = is_parallel(file, *family, reader);
  config.gated_attention = family->gated_attention;
  Result<u32> n_vocab = read_n_vocab(file, reader);
  if (!reader.status().ok()) return reader.status().error();
  if (!n_vocab.ok()) return n_vocab.error();
  config.n_vocab = n_vocab.value();
  return config;
}

}  // namespace lbm
