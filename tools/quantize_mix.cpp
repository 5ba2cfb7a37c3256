#include "tools/quantize_mix.h"

#include <strings.h>

#include <algorithm>

namespace lbm::cli {
namespace {

// ---- the mixes ----------------------------------------------------------------------------------

constexpr Mix kMixes[] = {
    {"F32", 0, DType::kF32},       {"F16", 1, DType::kF16},       {"BF16", 32, DType::kBF16},
    {"Q8_0", 7, DType::kQ8_0},     {"Q4_0", 2, DType::kQ4_0},     {"Q4_1", 3, DType::kQ4_1},
    {"Q5_0", 8, DType::kQ5_0},     {"Q5_1", 9, DType::kQ5_1},     {"Q2_K", 10, DType::kQ2_K},
    {"Q3_K_S", 11, DType::kQ3_K},  {"Q3_K_M", 12, DType::kQ3_K},  {"Q3_K_L", 13, DType::kQ3_K},
    {"Q4_K_S", 14, DType::kQ4_K},  {"Q4_K_M", 15, DType::kQ4_K},  {"Q5_K_S", 16, DType::kQ5_K},
    {"Q5_K_M", 17, DType::kQ5_K},  {"Q6_K", 18, DType::kQ6_K},    {"IQ4_NL", 25, DType::kIQ4_NL},
    {"IQ4_XS", 30, DType::kIQ4_XS}};

// ---- the rules ----------------------------------------------------------------------------------

enum class Role { kEmbedding, kOutput, kQuery, kKey, kValue, kAttentionOutput, kDown, kOther };

// Which layers a rule is about. The first and the last ones are worth more bits.
enum class Layers { kAll, kFirst2, kFirst4, kFirstSixteenth, kFirstEighth, kMoreBits };

// Which models. A falcon shares one key head among all queries, and Mixtral has 8 experts: there the
// small attention matrices are nearly free.
enum class Models { kAny, kPlain, kFalcon, kNotFalcon, kShared4, kExperts8, kGuided, kUnguided };

struct Rule {
  std::initializer_list<const char*> mixes;  // empty: all that quantize
  Role role;
  Layers layers;
  Models models;
  DType type;
};

// The first that applies decides; where none does, the base type of the mix.
const Rule kRules[] = {
    {{}, Role::kValue, Layers::kAll, Models::kExperts8, DType::kQ8_0},
    {{"Q2_K"}, Role::kValue, Layers::kAll, Models::kShared4, DType::kQ4_K},
    {{"Q2_K"}, Role::kValue, Layers::kAll, Models::kAny, DType::kQ3_K},
    {{"Q3_K_M"}, Role::kValue, Layers::kFirst2, Models::kAny, DType::kQ5_K},
    {{"Q3_K_M"}, Role::kValue, Layers::kAll, Models::kAny, DType::kQ4_K},
    {{"Q3_K_L"}, Role::kValue, Layers::kAll, Models::kAny, DType::kQ5_K},
    {{"IQ4_NL", "IQ4_XS"}, Role::kValue, Layers::kAll, Models::kShared4, DType::kQ5_K},
    {{"Q4_K_M", "Q5_K_M"}, Role::kValue, Layers::kMoreBits, Models::kAny, DType::kQ6_K},
    {{"Q4_K_S"}, Role::kValue, Layers::kFirst4, Models::kAny, DType::kQ5_K},

    {{}, Role::kKey, Layers::kAll, Models::kExperts8, DType::kQ8_0},

    {{"Q2_K"}, Role::kDown, Layers::kAll, Models::kAny, DType::kQ3_K},
    {{"Q3_K_M"}, Role::kDown, Layers::kFirstSixteenth, Models::kAny, DType::kQ5_K},
    {{"Q3_K_M"}, Role::kDown, Layers::kAll, Models::kNotFalcon, DType::kQ4_K},
    {{"Q3_K_M"}, Role::kDown, Layers::kMoreBits, Models::kFalcon, DType::kQ4_K},
    {{"Q3_K_L"}, Role::kDown, Layers::kAll, Models::kFalcon, DType::kQ4_K},
    {{"Q3_K_L"}, Role::kDown, Layers::kAll, Models::kAny, DType::kQ5_K},
    {{"Q4_K_M"}, Role::kDown, Layers::kFirstSixteenth, Models::kFalcon, DType::kQ6_K},
    {{"Q4_K_M"}, Role::kDown, Layers::kMoreBits, Models::kFalcon, DType::kQ5_K},
    {{"Q4_K_M"}, Role::kDown, Layers::kMoreBits, Models::kNotFalcon, DType::kQ6_K},
    {{"Q5_K_M"}, Role::kDown, Layers::kMoreBits, Models::kAny, DType::kQ6_K},
    {{"Q4_K_S"}, Role::kDown, Layers::kFirstEighth, Models::kNotFalcon, DType::kQ5_K},
    {{"IQ4_NL", "IQ4_XS"}, Role::kDown, Layers::kFirstEighth, Models::kUnguided, DType::kQ5_K},
    {{"Q4_0"}, Role::kDown, Layers::kFirstEighth, Models::kGuided, DType::kQ4_1},
    {{"Q5_0"}, Role::kDown, Layers::kFirstEighth, Models::kGuided, DType::kQ5_1},

    {{"Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "Q4_K_M", "IQ4_NL", "IQ4_XS"},
     Role::kAttentionOutput,
     Layers::kAll,
     Models::kExperts8,
     DType::kQ5_K},
    {{"Q2_K"}, Role::kAttentionOutput, Layers::kAll, Models::kPlain, DType::kQ3_K},
    {{"Q3_K_M"}, Role::kAttentionOutput, Layers::kAll, Models::kPlain, DType::kQ4_K},
    {{"Q3_K_L"}, Role::kAttentionOutput, Layers::kAll, Models::kPlain, DType::kQ5_K},
    {{"Q3_K_L"}, Role::kAttentionOutput, Layers::kAll, Models::kFalcon, DType::kQ4_K},
};

struct Place {
  u64 index;  // of the tensor among those of its role
  u64 count;
};

bool applies(Layers layers, Place place) {
  const u64 i = place.index;
  const u64 n = place.count;
  switch (layers) {
    case Layers::kAll: return true;
    case Layers::kFirst2: return i < 2;
    case Layers::kFirst4: return i < 4;
    case Layers::kFirstSixteenth: return i < n / 16;
    case Layers::kFirstEighth: return i < n / 8;
    case Layers::kMoreBits: return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
  }
  return false;
}

bool applies(Models models, const ModelShape& shape, bool has_importance) {
  const bool falcon = shape.architecture == "falcon";
  switch (models) {
    case Models::kAny: return true;
    case Models::kPlain: return !falcon && shape.n_expert != 8;
    case Models::kFalcon: return falcon;
    case Models::kNotFalcon: return !falcon;
    case Models::kShared4: return shape.n_query_per_key >= 4;
    case Models::kExperts8: return shape.n_expert == 8;
    case Models::kGuided: return has_importance;
    case Models::kUnguided: return !has_importance;
  }
  return false;
}

bool applies(const Rule& rule, const Mix& mix) {
  if (rule.mixes.size() == 0) return true;
  return std::any_of(rule.mixes.begin(), rule.mixes.end(),
                     [&](const char* name) { return std::string(name) == mix.name; });
}

// ---- tensors ------------------------------------------------------------------------------------

bool contains(const std::string& name, const char* part) {
  return name.find(part) != std::string::npos;
}

Role role_of(const std::string& name) {
  if (name == "output.weight") return Role::kOutput;
  if (name == "token_embd.weight" || name == "per_layer_token_embd.weight") return Role::kEmbedding;
  if (contains(name, "attn_qkv.weight") || contains(name, "attn_kv_b.weight") ||
      contains(name, "attn_v.weight")) {
    return Role::kValue;
  }
  if (contains(name, "attn_k.weight")) return Role::kKey;
  if (contains(name, "attn_q.weight")) return Role::kQuery;
  if (contains(name, "attn_output.weight")) return Role::kAttentionOutput;
  if (contains(name, "ffn_down")) return Role::kDown;
  return Role::kOther;
}

// The number in "blk.12.attn_v.weight"; 0 for tensors of no layer.
u64 layer_of(const std::string& name) {
  if (name.rfind("blk.", 0) != 0) return 0;
  return std::strtoull(name.c_str() + 4, nullptr, 10);
}

DType smaller_blocks(DType type) {
  switch (type) {
    case DType::kIQ4_XS: return DType::kIQ4_NL;
    case DType::kQ2_K:
    case DType::kQ3_K: return DType::kQ4_0;
    case DType::kQ4_K: return DType::kQ5_0;
    case DType::kQ5_K: return DType::kQ5_1;
    case DType::kQ6_K: return DType::kQ8_0;
    default: return type;
  }
}

class Chooser {
 public:
  Chooser(const std::vector<GgufTensor>& tensors, const ModelShape& shape,
          const MixOptions& options)
      : shape_(shape), options_(options), base_(options.mix->base) {
    for (const GgufTensor& tensor : tensors) {
      if (tensor.name == "output.weight") tied_ = false;
      if (role_of(tensor.name) == Role::kValue && is_quantizable(tensor))
        value_layers_.push_back(layer_of(tensor.name));
    }
    std::sort(value_layers_.begin(), value_layers_.end());
  }

  [[nodiscard]] TensorType choose(const GgufTensor& tensor) const {
    if (!is_quantizable(tensor)) return {tensor.dtype, false};
    const DType wanted = wanted_type(tensor);
    const DType type = fitting(wanted, n_column(tensor));
    return {type, type != wanted};
  }

 private:
  static u64 n_column(const GgufTensor& tensor) { return tensor.dims[0]; }
  static bool fits(DType type, u64 n_col) { return n_col % dtype_traits(type).block_size == 0; }

  static DType fitting(DType type, u64 n_col) {
    if (!fits(type, n_col)) type = smaller_blocks(type);
    return fits(type, n_col) ? type : DType::kF16;
  }

  [[nodiscard]] DType wanted_type(const GgufTensor& tensor) const {
    const Role role = role_of(tensor.name);
    const bool is_head = role == Role::kOutput || (tied_ && tensor.name == "token_embd.weight");
    for (const auto& [pattern, type] : options_.overrides) {
      if (std::regex_search(tensor.name, pattern)) return type;
    }
    if (role == Role::kEmbedding && options_.embedding) return *options_.embedding;
    if (is_head && options_.output) return *options_.output;
    if (options_.pure || dtype_traits(base_).block_size == 1) return base_;
    if (is_head) return head_type(n_column(tensor));
    const Place place = place_of(role, tensor.name);
    for (const Rule& rule : kRules) {
      if (rule.role == role && applies(rule, *options_.mix) && applies(rule.layers, place) &&
          applies(rule.models, shape_, options_.has_importance)) {
        return rule.type;
      }
    }
    return base_;
  }

  // The matrix that makes the logits: its errors reach the result undamped.
  [[nodiscard]] DType head_type(u64 n_col) const {
    if (shape_.architecture == "falcon" || !fits(base_, n_col)) return DType::kQ8_0;
    return base_ == DType::kQ8_0 ? base_ : DType::kQ6_K;
  }

  // In a hybrid not every layer has attention: there the count is of those that do.
  [[nodiscard]] Place place_of(Role role, const std::string& name) const {
    const u64 layer = layer_of(name);
    if (role != Role::kValue) return {layer, shape_.n_layer};
    const auto at = std::lower_bound(value_layers_.begin(), value_layers_.end(), layer);
    return {static_cast<u64>(at - value_layers_.begin()), value_layers_.size()};
  }

  const ModelShape& shape_;
  const MixOptions& options_;
  DType base_;
  bool tied_ = true;
  std::vector<u64> value_layers_;
};

// The largest element of a number or an array of numbers; 0 where the key is absent.
u64 largest_of(const ModelFile& file, const std::string& key) {
  MetaValue value;
  if (!file.find(to_str(key), value)) return 0;
  if (value.is_integer()) return value.integer > 0 ? static_cast<u64>(value.integer) : 0;
  u64 largest = 0;
  if (value.type == MetaType::kArray &&
      (value.array.type == MetaType::kU32 || value.array.type == MetaType::kI32)) {
    for (u64 i = 0; i < value.array.count; ++i)
      largest = std::max(largest, static_cast<u64>(std::max<i64>(0, value.array.integer(i))));
  }
  return largest;
}

}  // namespace

const Mix* find_mix(const std::string& name) {
  std::string full = name;
  for (const char* family : {"Q3_K", "Q4_K", "Q5_K"}) {
    if (strcasecmp(name.c_str(), family) == 0) full += "_M";
  }
  for (const Mix& mix : kMixes) {
    if (strcasecmp(mix.name, full.c_str()) == 0) return &mix;
  }
  return nullptr;
}

std::string mix_names() {
  std::string names;
  for (const Mix& mix : kMixes) names += std::string(names.empty() ? "" : ", ") + mix.name;
  return names;
}

ModelShape model_shape(const ModelFile& file) {
  ModelShape shape;
  Result<Str> architecture = file.get_text("general.architecture");
  if (!architecture.ok()) return shape;
  shape.architecture = to_string(architecture.value());
  const std::string prefix = shape.architecture + ".";
  shape.n_layer = largest_of(file, prefix + "block_count");
  shape.n_expert = largest_of(file, prefix + "expert_count");
  const u64 n_head = largest_of(file, prefix + "attention.head_count");
  const u64 n_head_kv = largest_of(file, prefix + "attention.head_count_kv");
  shape.n_query_per_key = n_head_kv == 0 ? 1 : n_head / n_head_kv;
  return shape;
}

bool is_quantizable(const GgufTensor& tensor) {
  const std::string& name = tensor.name;
  if (tensor.dims.size() < 2 || !dtype_traits(tensor.dtype).is_weight) return false;
  if (name.size() < 6 || name.compare(name.size() - 6, 6, "weight") != 0) return false;
  if (name == "position_embd.weight" || name == "token_types.weight") return false;
  for (const char* part : {"_norm.weight", "ffn_gate_inp", "ssm_conv1d", "shortconv.conv.weight",
                           "attn_rel_b.weight", "altup", "laurel", "per_layer_model_proj"}) {
    if (contains(name, part)) return false;
  }
  // A matrix of one row is a vector with a dimension to spare.
  return std::any_of(tensor.dims.begin() + 1, tensor.dims.end(), [](u64 n) { return n > 1; });
}

std::vector<TensorType> choose_types(const std::vector<GgufTensor>& tensors,
                                     const ModelShape& shape, const MixOptions& options) {
  const Chooser chooser(tensors, shape, options);
  std::vector<TensorType> types;
  for (const GgufTensor& tensor : tensors) types.push_back(chooser.choose(tensor));
  return types;
}

}  // namespace lbm::cli
