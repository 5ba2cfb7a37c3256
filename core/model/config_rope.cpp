// The keys of RoPE: base, rotated dims, and the ways of scaling it.
#include "core/base/fmath.h"
#include "core/model/config_reader.h"

namespace lbm {
namespace {

constexpr u64 kMaxHeadDim = 1024;

RopeScaling read_scaling(ConfigReader& reader, f64 factor) {
  const Str kind = reader.text_or("rope.scaling.type", "");
  if (kind == "yarn") return RopeScaling::kYarn;
  if (kind == "longrope") return RopeScaling::kLongrope;
  if (kind == "linear" || (kind.empty() && factor != 1.0)) return RopeScaling::kLinear;
  if (!kind.empty() && !(kind == "none")) {
    reader.refuse(ErrorCode::kUnsupported, "RoPE scaling of a kind this build has not got",
                  "rope.scaling.type", 0, 0);
  }
  return RopeScaling::kNone;
}

// The windowed layers: their own base, in some families without the scaling of the others.
void read_local(ConfigReader& reader, const Family& family, ModelConfig& config) {
  RopeConfig& local = config.rope_local;
  local = config.rope;
  if (config.window == 0) return;
  if (family.local_unscaled) {
    local.scaling = RopeScaling::kNone;
    local.freq_scale = 1.0;
    local.yarn_ext_factor = 0.0;
    local.attn_factor = 1.0;
  }
  const f64 base = family.local_freq_base != 0.0 ? family.local_freq_base : config.rope.freq_base;
  local.freq_base = reader.number_or("rope.freq_base_swa", base, 1e-3, 1e12);
  config.two_ropes = local.freq_base != config.rope.freq_base ||
                     (family.local_unscaled && config.rope.scaling != RopeScaling::kNone);
}

}  // namespace

void read_rope(ConfigReader& reader, const Family& family, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  rope.layout = family.rope;
  rope.n_rot = reader.optional("rope.dimension_count", config.head_dim, 2, kMaxHeadDim);
  if (rope.n_rot % 2 != 0 || rope.n_rot > config.head_dim) {
    reader.refuse(ErrorCode::kMismatch, "must be even and at most the size of a head",
                  "rope.dimension_count", rope.n_rot, config.head_dim);
  }
  rope.freq_base = reader.number_or("rope.freq_base", 10000.0, 1e-3, 1e12);
  // A longer context by a larger base, as a factor that the file leaves to its reader.
  const f64 alpha = reader.number_or("rope.scaling.alpha", 0.0, 0.0, 1e6);
  if (alpha > 0.0 && config.head_dim > 2) {
    const f64 dim = static_cast<f64>(config.head_dim);
    rope.freq_base = rope.freq_base * pow_f64(alpha, dim / (dim - 2.0));
  }
  f64 factor = reader.number_or("rope.scale_linear", 1.0, 0.0, 1e6);  // the older key
  factor = reader.number_or("rope.scaling.factor", factor, 0.0, 1e6);
  if (factor == 0.0) factor = 1.0;
  rope.scaling = read_scaling(reader, factor);
  rope.freq_scale = rope.scaling == RopeScaling::kNone ? 1.0 : 1.0 / factor;
  rope.n_ctx_orig =
      reader.optional("rope.scaling.original_context_length", config.n_ctx_train, 1, kMaxContext);
  rope.yarn_ext_factor = reader.number_or(
      "rope.scaling.yarn_ext_factor", rope.scaling == RopeScaling::kYarn ? 1.0 : 0.0, -1.0, 1e3);
  rope.attn_factor = reader.number_or("rope.scaling.attn_factor", 1.0, 1e-3, 1e3);
  // YaRN has a factor of its own (core/infer/rope.cpp), whatever this older key says.
  const f64 older = reader.number_or("rope.scaling.yarn_attn_factor", 1.0, 1e-3, 1e3);
  if (rope.yarn_ext_factor == 0.0) rope.attn_factor *= older;
  rope.yarn_beta_fast = reader.number_or("rope.scaling.yarn_beta_fast", 32.0, 1e-3, 1e6);
  rope.yarn_beta_slow = reader.number_or("rope.scaling.yarn_beta_slow", 1.0, 1e-3, 1e6);
  read_local(reader, family, config);
}

}  // namespace lbm
