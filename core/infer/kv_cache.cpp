#include "core/infer/kv_cache.h"

namespace lbm {
namespace {

constexpr const char* kTypeNames[kKvTypeLimit] = {"f16", "f32", "q8_0"};

// Bytes of the keys, or of the values, of one head.
u64 head_bytes(const ModelConfig& c, u32 n_ctx, KvType type) {
  return ceil_div(n_ctx, kKvGroup) * kv_group_bytes(type, c.head_dim);
}

}  // namespace

Str kv_type_name(KvType type) { return kTypeNames[static_cast<u32>(type)]; }

bool parse_kv_type(Str name, KvType& type) {
  for (u32 i = 0; i < kKvTypeLimit; ++i) {
    if (name != kTypeNames[i]) continue;
    type = static_cast<KvType>(i);
    return true;
  }
  return false;
}

u64 KvCache::bytes_needed(const ModelConfig& config, u32 n_ctx, KvType type) {
  u64 sum = config.n_layer * sizeof(Layer) + Arena::kDefaultAlignment;
  for (u32 i = 0; i < config.n_layer; ++i) {
    sum += 2 * align_up(config.layers[i].n_head_kv * head_bytes(config, n_ctx, type),
                        Arena::kDefaultAlignment);
  }
  return sum;
}

Result<KvCache> KvCache::create(Arena& arena, const ModelConfig& config, u32 n_ctx, KvType type) {
  KvCache cache;
  cache.type_ = type;
  cache.head_dim_ = config.head_dim;
  cache.head_stride_ = static_cast<usize>(head_bytes(config, n_ctx, type));
  Result<Span<Layer>> layers = arena.take<Layer>(config.n_layer, "KV cache");
  if (!layers.ok()) return layers.error();
  cache.layers_ = layers.value();
  for (u32 i = 0; i < config.n_layer; ++i) {
    cache.layers_[i] = {};
    const u64 bytes = config.layers[i].n_head_kv * head_bytes(config, n_ctx, type);
    if (bytes == 0) continue;  // a recurrent layer
    Result<Span<u8>> keys = arena.take_raw(bytes, "KV cache");
    if (!keys.ok()) return keys.error();
    Result<Span<u8>> values = arena.take_raw(bytes, "KV cache");
    if (!values.ok()) return values.error();
    cache.layers_[i] = {keys.value().data(), values.value().data()};
  }
  return cache;
}

bool KvCache::store(const KernelTable& kernels, u32 layer, u32 head, const KvRows& rows) {
  return kernels.store_kv[static_cast<u32>(type_)](
      {rows.keys, rows.values, rows.stride, head_dim_, rows.n_token, rows.first_pos,
       layers_[layer].keys + head * head_stride_, layers_[layer].values + head * head_stride_});
}

}  // namespace lbm
