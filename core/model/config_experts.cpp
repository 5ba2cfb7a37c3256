// The keys of mixture-of-experts models.
#include "core/model/config_reader.h"

namespace lbm {
namespace {

constexpr u64 kMaxExperts = 1024;
constexpr u64 kMaxWidth = 1 << 20;

ExpertGating read_gating(ConfigReader& reader, ExpertGating fallback) {
  const u32 gating = reader.optional("expert_gating_func", 0, 0, 255);
  switch (gating) {
    case 0: return fallback;
    case 1: return ExpertGating::kSoftmax;
    case 2: return ExpertGating::kSigmoid;
    case 3: return ExpertGating::kSoftmaxSelected;
    default: break;
  }
  reader.refuse(ErrorCode::kUnsupported, "a way of weighing experts this build has not got",
                "expert_gating_func", gating, 3);
  return fallback;
}

}  // namespace

void read_experts(ConfigReader& reader, const Family& family, ModelConfig& config) {
  ExpertConfig& experts = config.experts;
  experts.n_expert = reader.optional("expert_count", 0, 0, kMaxExperts);
  if (experts.n_expert == 0) {
    if (config.n_ff == 0) {
      reader.refuse(ErrorCode::kBadValue, "a model without experts needs a width",
                    "feed_forward_length", 0, kMaxWidth);
    }
    return;
  }
  experts.n_used = reader.required("expert_used_count", 1, experts.n_expert);
  const u32 n_ff = family.experts_split_n_ff ? config.n_ff / experts.n_used : config.n_ff;
  experts.n_ff = reader.optional("expert_feed_forward_length", n_ff, 0, kMaxWidth);
  if (experts.n_ff == 0) experts.n_ff = n_ff;
  if (experts.n_ff == 0) {
    reader.refuse(ErrorCode::kMissing, "experts have no width", "expert_feed_forward_length", 0,
                  kMaxWidth);
  }
  experts.n_ff_shared = reader.optional("expert_shared_feed_forward_length", 0, 0, kMaxWidth);
  experts.gating = read_gating(reader, family.gating);
  experts.normalised = reader.flag_or("expert_weights_norm", family.experts_normalised);
  experts.scale = static_cast<f32>(reader.number_or("expert_weights_scale", 1.0, 0.0, 1e6));
  if (experts.scale == 0.0f) experts.scale = 1.0f;
  const u32 n_dense = reader.optional("leading_dense_block_count", 0, 0, kMaxLayers);
  if (n_dense != 0 && config.n_ff == 0) {
    reader.refuse(ErrorCode::kBadValue, "layers without experts need a width",
                  "feed_forward_length", 0, kMaxWidth);
  }
  for (u32 i = 0; i < config.n_layer; ++i) config.layers[i].experts = i >= n_dense;
}

}  // namespace lbm
