// The key/value cache of one conversation.
//
// Attention at position p reads the keys and values of every position <= p, so they are computed
// once and kept. This is the one large buffer that grows with n_ctx (docs/memory.md). Recurrent
// layers have none; layers may differ in their number of KV heads.
//   keys   : per layer [n_head_kv][n_ctx / 16][head_dim][16]   lane = position
//   values : per layer [n_head_kv][n_ctx / 16][16][head_dim]
// f16, f32, or q8_0, whose groups of 16 positions begin with their scales (kernels/attention.h).
// With grouped-query attention, query head h reads KV head h / (n_head / n_head_kv).   Source:
// arXiv:2305.13245, sec. 2.2
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/model/config.h"
#include "kernels/kernel_table.h"

namespace lbm {

// "f16", "f32", "q8_0": what options, reports and digest records say.
[[nodiscard]] Str kv_type_name(KvType type);
// False, and `type` as it was, where no type has that name.
[[nodiscard]] bool parse_kv_type(Str name, KvType& type);

// Rows of one KV head on their way into the cache, [n_token][stride].
struct KvRows {
  const f32* keys;
  const f32* values;
  usize stride;
  u32 n_token;
  u32 first_pos;
};

class KvCache {
 public:
  // Bytes that create() takes, all layers.
  [[nodiscard]] static u64 bytes_needed(const ModelConfig& config, u32 n_ctx, KvType type);

  // Takes the cache from `arena`, one allocation a layer for keys and one for values, and leaves
  // the memory as it is: what was not stored is never part of a result (R14), and a context that is
  // not used costs no page. Errors: kOutOfMemory.
  [[nodiscard]] static Result<KvCache> create(Arena& arena, const ModelConfig& config, u32 n_ctx,
                                              KvType type);

  // Writes the keys and values of one head. Different (head, position) may be written from
  // different cores. False when an element is NaN, or too large for the type of the cache.
  [[nodiscard]] bool store(const KernelTable& kernels, u32 layer, u32 head, const KvRows& rows);

  [[nodiscard]] const u8* keys(u32 layer, u32 head) const {
    return layers_[layer].keys + head * head_stride_;
  }
  [[nodiscard]] const u8* values(u32 layer, u32 head) const {
    return layers_[layer].values + head * head_stride_;
  }
  [[nodiscard]] KvType type() const { return type_; }

 private:
  struct Layer {
    u8* keys = nullptr;
    u8* values = nullptr;
  };
  Span<Layer> layers_;
  usize head_stride_ = 0;  // bytes of the keys, or the values, of one head
  u32 head_dim_ = 0;
  KvType type_ = KvType::kF16;
};

}  // namespace lbm
