#include "core/infer/kv_cache.h"

namespace lbm {
namespace {

u64 element_bytes(KvType type) { return type == KvType::kF16 ? 2 : 4; }
u64 key_head_bytes(const ModelConfig& c, u32 n_ctx, KvType type) {
  return align_up(n_ctx, kTileRows) * c.head_dim * element_bytes(type);
}
u64 value_head_bytes(const ModelConfig& c, u32 n_ctx, KvType type) {
  return static_cast<u64>(n_ctx) * c.head_dim * element_bytes(type);
}

}  // namespace

u64 KvCache::bytes_needed(const ModelConfig& config, u32 n_ctx, KvType type) {
  const u64 per_layer =
      align_up(config.n_head_kv * key_head_bytes(config, n_ctx, type), Arena::kDefaultAlignment) +
      align_up(config.n_head_kv * value_head_bytes(config, n_ctx, type), Arena::kDefaultAlignment);
  return config.n_layer * (per_layer + sizeof(Layer)) + Arena::kDefaultAlignment;
}

Result<KvCache> KvCache::create(Arena& arena, const ModelConfig& config, u32 n_ctx, KvType type) {
  KvCache cache;
  cache.type_ = type;
  cache.head_dim_ = config.head_dim;
  cache.key_stride_ = key_head_bytes(config, n_ctx, type);
  cache.value_stride_ = value_head_bytes(config, n_ctx, type);
  Result<Span<Layer>> layers = arena.take<Layer>(config.n_layer, "KV cache");
  if (!layers.ok()) return layers.error();
  cache.layers_ = layers.value();
  for (Layer& layer : cache.layers_) {
    // Cleared: the lanes of a group of 16 positions beyond the last one are computed with, then
    // masked.
    Result<Span<u8>> keys = arena.take_bytes(config.n_head_kv * cache.key_stride_, "KV cache");
    if (!keys.ok()) return keys.error();
    Result<Span<u8>> values = arena.take_bytes(config.n_head_kv * cache.value_stride_, "KV cache");
    if (!values.ok()) return values.error();
    layer = {keys.value().data(), values.value().data()};
  }
  return cache;
}

void KvCache::store(const KernelTable& kernels, u32 layer, u32 head, u32 pos, const f32* key,
                    const f32* value) {
  u8* keys = layers_[layer].keys + head * key_stride_;
  u8* values = layers_[layer].values + head * value_stride_;
  if (type_ == KvType::kF16) {
    kernels.store_key_f16(key, head_dim_, reinterpret_cast<u16*>(keys), pos);
    kernels.store_value_f16(value, head_dim_, reinterpret_cast<u16*>(values), pos);
    return;
  }
  f32* key_row = reinterpret_cast<f32*>(keys) +
                 static_cast<usize>(pos / kTileRows) * head_dim_ * kTileRows + pos % kTileRows;
  for (u32 d = 0; d < head_dim_; ++d) key_row[d * kTileRows] = key[d];
  __builtin_memcpy(reinterpret_cast<f32*>(values) + static_cast<usize>(pos) * head_dim_, value,
                   head_dim_ * sizeof(f32));
}

}  // namespace lbm
