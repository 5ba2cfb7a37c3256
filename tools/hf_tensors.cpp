#include "tools/hf_tensors.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/tensor/dequantize.h"

namespace lbm::cli {
namespace {

// False for what is no weight.
bool weight_dtype(const std::string& name, DType& out) {
  if (name == "F32") {
    out = DType::kF32;
  } else if (name == "F16") {
    out = DType::kF16;
  } else if (name == "BF16") {
    out = DType::kBF16;
  } else {
    return false;
  }
  return true;
}

// Rows of one head, n_half pairs: (first half, second half) become neighbours.
//   HF   : x0 x1 .. | y0 y1 ..      rotates (x_i, y_i)
//   GGUF : x0 y0 x1 y1 ..           rotates neighbours
void interleave_halves(std::vector<u8>& bytes, u64 n_row, u64 n_head) {
  const u64 row_bytes = bytes.size() / n_row;
  const u64 n_half = n_row / n_head / 2;
  const std::vector<u8> before = bytes;
  for (u64 head = 0; head < n_head; ++head) {
    for (u64 i = 0; i < 2 * n_half; ++i) {
      const u64 from = head * 2 * n_half + i;
      const u64 to = head * 2 * n_half + 2 * (i % n_half) + i / n_half;
      std::memcpy(bytes.data() + to * row_bytes, before.data() + from * row_bytes,
                  static_cast<usize>(row_bytes));
    }
  }
}

}  // namespace

HfTensors::HfTensors(const HfDirectory& directory, const HfFamily& family, u64 n_vocab_limit)
    : directory_(directory),
      family_(family),
      config_path_(directory.path_of("config.json")),
      n_vocab_limit_(n_vocab_limit) {
  add_rope_factors();
  for (const StoredPlace& place : directory.tensors()) {
    const std::string name = gguf_tensor_name(family, place.tensor->name);
    if (name.empty()) {
      left_out_.push_back(place.tensor->name);
    } else if (name.find('{') != std::string::npos) {
      add_expert(name, place);
    } else {
      add_stored(name, place);
    }
  }
  complete_experts();
}

DType HfTensors::stored_as() const {
  for (const GgufTensor& tensor : tensors_) {
    if (tensor.dims.size() > 1) return tensor.dtype;
  }
  return DType::kF32;
}

void HfTensors::refuse(const std::string& name, const std::string& what) const {
  throw CommandError(ExitCode::kModel,
                     directory_.path() + ": " + printable(to_str(name)) + ": " + what);
}

u64 HfTensors::n_expert() const {
  return config_u64(directory_.config(), {"num_local_experts", "num_experts"}, config_path_);
}

GgufTensor HfTensors::describe(const std::string& name, const StoredTensor& stored) const {
  GgufTensor tensor;
  tensor.name = name;
  if (!weight_dtype(stored.dtype, tensor.dtype))
    refuse(stored.name, stored.dtype + " is not read; F32, F16 and BF16 are [unsupported]");
  if (stored.shape.empty() || stored.shape.size() > 4)
    refuse(stored.name, "1 to 4 dimensions are needed [bad_shape]");
  tensor.dims.assign(stored.shape.rbegin(), stored.shape.rend());
  if (std::find(tensor.dims.begin(), tensor.dims.end(), 0) != tensor.dims.end())
    refuse(stored.name, "a dimension of 0 [bad_shape]");
  if (n_vocab_limit_ > 0 && name == "token_embd.weight" && tensor.dims.size() == 2)
    tensor.dims[1] = std::min(tensor.dims[1], n_vocab_limit_);
  return tensor;
}

// 0 for tensors whose rows stay where they are.
u64 HfTensors::heads_of(const std::string& name) const {
  if (!family_.has(HfFamily::kPermuteHeads)) return 0;
  const Json& config = directory_.config();
  if (name.find(".attn_q.") != std::string::npos)
    return config_u64(config, {"num_attention_heads"}, config_path_);
  if (name.find(".attn_k.") != std::string::npos)
    return config_u64(config, {"num_key_value_heads", "num_attention_heads"}, config_path_);
  return 0;
}

void HfTensors::add_stored(const std::string& name, const StoredPlace& place) {
  GgufTensor tensor = describe(name, *place.tensor);
  Origin origin;
  origin.parts = {place};
  origin.n_head = heads_of(name);
  if (origin.n_head > 0) {
    origin.change = Change::kPermuteHeads;
    if (tensor.dims.back() % (2 * origin.n_head) != 0)
      refuse(place.tensor->name, "its rows are no pairs for every head [bad_shape]");
  } else if (family_.has(HfFamily::kNormPlusOne) && to_str(name).ends_with("norm.weight")) {
    origin.change = Change::kAddOne;
    tensor.dtype = DType::kF32;
  }
  tensors_.push_back(std::move(tensor));
  origins_.push_back(std::move(origin));
}

// "blk.0.ffn_up_exps{3}.weight" is part 3 of "blk.0.ffn_up_exps.weight".
void HfTensors::add_expert(const std::string& name, const StoredPlace& place) {
  const usize open = name.find('{');
  const usize close = name.find('}');
  const usize expert = std::stoul(name.substr(open + 1, close - open - 1));
  const GgufTensor tensor = describe(name.substr(0, open) + name.substr(close + 1), *place.tensor);
  if (expert >= n_expert() || tensor.dims.size() != 2)
    refuse(place.tensor->name, "no matrix of one of the experts [bad_shape]");
  const auto at = std::find_if(tensors_.begin(), tensors_.end(),
                               [&](const GgufTensor& other) { return other.name == tensor.name; });
  const usize index = static_cast<usize>(at - tensors_.begin());
  if (at == tensors_.end()) {
    tensors_.push_back(tensor);
    origins_.emplace_back().parts.resize(static_cast<usize>(n_expert()));
  } else if (at->dims != tensor.dims || at->dtype != tensor.dtype) {
    refuse(place.tensor->name, "is not like the other experts [mismatch]");
  }
  origins_[index].parts[expert] = place;
}

void HfTensors::complete_experts() {
  for (usize i = 0; i < tensors_.size(); ++i) {
    const std::vector<StoredPlace>& parts = origins_[i].parts;
    if (!to_str(tensors_[i].name).ends_with("_exps.weight")) continue;
    if (std::any_of(parts.begin(), parts.end(),
                    [](const StoredPlace& part) { return part.tensor == nullptr; })) {
      refuse(tensors_[i].name, "experts are missing [missing]");
    }
    tensors_[i].dims.push_back(parts.size());
  }
}

void HfTensors::add_constants(const std::string& name, std::vector<f32> values) {
  if (values.empty()) refuse(name, "has no values [bad_shape]");
  tensors_.push_back({name, DType::kF32, {values.size()}});
  origins_.emplace_back().constants = std::move(values);
}

// ---- rope factors -------------------------------------------------------------------------------

void HfTensors::add_rope_factors() {
  const Json rope = rope_parameters(directory_.config());
  if (first_of(rope, {"rope_type"}) == "llama3") add_llama3_factors(rope);
  if (!family_.has(HfFamily::kLongRope) || first_of(rope, {"long_factor"}).is_null()) return;
  for (const std::string length : {"long", "short"}) {
    const std::string name = length + "_factor";
    std::vector<f32> values;
    for (const Json& value : first_of(rope, {name.c_str()}))
      values.push_back(static_cast<f32>(config_f64(value, name.c_str(), config_path_)));
    add_constants("rope_factors_" + length + ".weight", std::move(values));
  }
}

// Llama 3.1: wavelengths beyond the old context are stretched by `factor`, short ones stay, and
// between the two the change is smooth. Source: transformers, modeling_rope_utils.py. The
// arithmetic is f32 where that of the reference is.
void HfTensors::add_llama3_factors(const Json& rope) {
  const Json& config = directory_.config();
  const auto number = [&](const char* name, f64 fallback) {
    const Json value = first_of(rope, {name});
    return value.is_null() ? fallback : config_f64(value, name, config_path_);
  };
  const u64 n_rot = first_of(config, {"head_dim"}).is_null()
                        ? config_u64(config, {"hidden_size"}, config_path_) /
                              config_u64(config, {"num_attention_heads"}, config_path_)
                        : config_u64(config, {"head_dim"}, config_path_);
  const f64 factor = number("factor", 8.0);
  const f64 low = number("low_freq_factor", 1.0);
  const f64 high = number("high_freq_factor", 4.0);
  const f64 n_ctx_old = number("original_max_position_embeddings", 8192);
  const f32 base = static_cast<f32>(number("rope_theta", 10000.0));
  constexpr f32 kTurn = static_cast<f32>(2 * 3.14159265358979323846);
  std::vector<f32> factors;
  for (u64 i = 0; i < n_rot; i += 2) {
    const f32 frequency = 1.0f / std::pow(base, static_cast<f32>(i) / static_cast<f32>(n_rot));
    const f64 wavelength = static_cast<f64>(kTurn / frequency);
    f64 value = 1;
    if (wavelength > n_ctx_old / low) {
      value = factor;
    } else if (wavelength >= n_ctx_old / high) {
      const f64 smooth = (n_ctx_old / wavelength - low) / (high - low);
      value = 1.0 / ((1.0 - smooth) / factor + smooth);
    }
    factors.push_back(static_cast<f32>(value));
  }
  add_constants("rope_freqs.weight", std::move(factors));
}

// ---- data ---------------------------------------------------------------------------------------

void HfTensors::read(usize tensor, u64 offset, Span<u8> out) {
  const Origin& origin = origins_[tensor];
  if (!origin.constants.empty()) {
    std::memcpy(out.data(), reinterpret_cast<const u8*>(origin.constants.data()) + offset,
                out.size());
    return;
  }
  if (origin.change == Change::kNone) {
    read_stored(origin, offset, out);
    return;
  }
  if (changed_index_ != tensor) load_changed(tensor);
  std::memcpy(out.data(), changed_.data() + offset, out.size());
}

void HfTensors::read_stored(const Origin& origin, u64 offset, Span<u8> out) const {
  const u64 part_bytes = origin.parts[0].tensor->end - origin.parts[0].tensor->begin;
  while (!out.empty()) {
    const StoredPlace& part = origin.parts[static_cast<usize>(offset / part_bytes)];
    const u64 at = offset % part_bytes;
    const usize n = static_cast<usize>(std::min<u64>(out.size(), part_bytes - at));
    part.file->read(*part.tensor, at, out.first(n));
    out = out.from(n);
    offset += n;
  }
}

// A tensor whose rows move, or whose numbers change, is read whole.
void HfTensors::load_changed(usize tensor) {
  const Origin& origin = origins_[tensor];
  const StoredTensor& stored = *origin.parts[0].tensor;
  std::vector<u8> bytes(static_cast<usize>(stored.end - stored.begin));
  read_stored(origin, 0, Span<u8>(bytes.data(), bytes.size()));
  if (origin.change == Change::kPermuteHeads) {
    interleave_halves(bytes, tensors_[tensor].dims.back(), origin.n_head);
    changed_ = std::move(bytes);
  } else {
    DType dtype = DType::kF32;
    static_cast<void>(weight_dtype(stored.dtype, dtype));
    std::vector<f32> values(bytes.size() / dtype_traits(dtype).block_bytes);
    expect(dequantize(dtype, {bytes.data(), bytes.size()}, {values.data(), values.size()}),
           stored.name, Stage::kModel);
    for (f32& value : values) value += 1.0f;
    changed_.resize(values.size() * sizeof(f32));
    std::memcpy(changed_.data(), values.data(), changed_.size());
  }
  changed_index_ = tensor;
}

}  // namespace lbm::cli
