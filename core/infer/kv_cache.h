// The key/value cache of one conversation.
//
// Attention at position p reads the keys and values of every position <= p, so they are computed
// once and kept. This is the one large buffer that grows with n_ctx (docs/memory.md).
//   keys   : per layer [n_head_kv][n_ctx / 16][head_dim][16]   f16 or f32, lane = position
//   values : per layer [n_head_kv][n_ctx][head_dim]            f16 or f32
// With grouped-query attention, query head h reads KV head h / (n_head / n_head_kv).   Source:
// arXiv:2305.13245, sec. 2.2
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/model/config.h"
#include "kernels/kernel_table.h"

namespace lbm {

enum class KvType : u8 { kF16, kF32 };

[[nodiscard]] inline Str kv_type_name(KvType type) { return type == KvType::kF16 ? "f16" : "f32"; }

class KvCache {
 public:
  // Bytes that create() takes, all layers.
  [[nodiscard]] static u64 bytes_needed(const ModelConfig& config, u32 n_ctx, KvType type);

  // Takes the cache from `arena`, one allocation a layer for keys and one for values. Starts empty.
  // Errors: kOutOfMemory.
  [[nodiscard]] static Result<KvCache> create(Arena& arena, const ModelConfig& config, u32 n_ctx,
                                              KvType type);

  // Writes the key and the value of one head at `pos`. Different (head, pos) may be written from
  // different cores.
  void store(const KernelTable& kernels, u32 layer, u32 head, u32 pos, const f32* key,
             const f32* value);

  [[nodiscard]] const u8* keys(u32 layer, u32 head) const {
    return layers_[layer].keys + head * key_stride_;
  }
  [[nodiscard]] const u8* values(u32 layer, u32 head) const {
    return layers_[layer].values + head * value_stride_;
  }
  [[nodiscard]] KvType type() const { return type_; }

 private:
  struct Layer {
    u8* keys = nullptr;
    u8* values = nullptr;
  };
  Span<Layer> layers_;
  u64 key_stride_ = 0;  // bytes of one head
  u64 value_stride_ = 0;
  u32 head_dim_ = 0;
  KvType type_ = KvType::kF16;
};

}  // namespace lbm
