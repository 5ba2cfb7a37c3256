// The keys of models with recurrent layers: which layers those are, and their sizes.
#include "core/model/config_reader.h"

namespace lbm {
namespace {

constexpr u64 kMaxHeads = 1024;
constexpr u64 kMaxHeadDim = 1024;
constexpr u64 kMaxInner = 1 << 20;
constexpr u32 kDefaultInterval = 4;

// By a flag for each layer; else every n-th layer attends. Layers whose number of KV heads is zero
// are recurrent in any case.
void choose_layers(ConfigReader& reader, const Family& family, ModelConfig& config) {
  u32 recurrent[kMaxLayers] = {};
  if (family.recurrent == LayerKind::kDeltaNet &&
      !reader.per_layer("attention.recurrent_layers", 0, 1, {recurrent, config.n_layer})) {
    const u32 interval =
        reader.optional("full_attention_interval", kDefaultInterval, 1, kMaxLayers);
    for (u32 i = 0; i < config.n_layer; ++i) recurrent[i] = (i + 1) % interval != 0 ? 1 : 0;
  }
  for (u32 i = 0; i < config.n_layer; ++i) {
    LayerConfig& layer = config.layers[i];
    if (recurrent[i] == 0 && layer.n_head_kv != 0) continue;
    layer.kind = family.recurrent;
    layer.n_head_kv = 0;
    layer.windowed = false;
  }
}

void read_delta_net(ConfigReader& reader, const Family& family, DeltaNetConfig& config) {
  config.n_tap = reader.required("ssm.conv_kernel", 2, kMaxConvTaps);
  config.n_key_head = reader.required("ssm.group_count", 1, kMaxHeads);
  config.n_value_head = reader.required("ssm.time_step_rank", 1, kMaxHeads);
  config.key_dim = reader.required("ssm.state_size", 1, kMaxHeadDim);
  const u32 inner = reader.required("ssm.inner_size", 1, kMaxInner);
  config.value_dim = inner / config.n_value_head;
  config.grouped = family.delta_net_grouped;
  if (inner % config.n_value_head != 0) {
    reader.refuse(ErrorCode::kMismatch, "must be a multiple of ssm.time_step_rank",
                  "ssm.inner_size", inner, config.n_value_head);
  } else if (config.value_dim > kMaxHeadDim) {
    reader.refuse(ErrorCode::kBadValue, "value heads are too large", "ssm.inner_size",
                  config.value_dim, kMaxHeadDim);
  }
  if (config.n_value_head % config.n_key_head != 0) {
    reader.refuse(ErrorCode::kMismatch, "must divide ssm.time_step_rank", "ssm.group_count",
                  config.n_key_head, config.n_value_head);
  }
  if (config.n_channel() > kMaxInner) {
    reader.refuse(ErrorCode::kLimit, "the convolution has too many channels", "ssm.state_size",
                  config.n_channel(), kMaxInner);
  }
}

}  // namespace

void read_recurrent(ConfigReader& reader, const Family& family, ModelConfig& config) {
  if (family.recurrent == LayerKind::kAttention) return;
  choose_layers(reader, family, config);
  bool any = false;
  for (u32 i = 0; i < config.n_layer; ++i)
    any = any || config.layers[i].kind != LayerKind::kAttention;
  if (!any) return;
  if (family.recurrent == LayerKind::kDeltaNet) {
    read_delta_net(reader, family, config.delta_net);
  } else {
    config.short_conv.n_tap = reader.required("shortconv.l_cache", 2, kMaxConvTaps);
  }
}

}  // namespace lbm
