// What attention and the KV cache agree on: the element types of the cache, their layout, and the
// arguments of the kernels that read and write it.
//
// Keys and values of one KV head are kept in groups of 16 consecutive positions. Keys have the
// position in the lanes, values the element of the head:
//   f16, f32   keys [group][head_dim][16]            values [group][16][head_dim]
//   q8_0       the same as int8, after the f16 scales [head_dim / 32, rounded up][16] of the group
#pragma once

#include "core/base/types.h"

namespace lbm {

constexpr u32 kAttentionTile = 64;     // positions that share one step of the online softmax (R14)
constexpr u32 kAttentionChunk = 1024;  // positions of one partial result (R15)

enum class KvType : u8 { kF16, kF32, kQ8_0 };
constexpr u32 kKvTypeLimit = 3;
constexpr u32 kKvGroup = 16;  // positions
constexpr u32 kKvBlock = 32;  // elements of a head that share a scale in q8_0

constexpr usize kv_scale_bytes(KvType type, u32 head_dim) {
  return type == KvType::kQ8_0 ? (head_dim + kKvBlock - 1) / kKvBlock * kKvGroup * sizeof(u16) : 0;
}
// Bytes of one group, keys or values; a multiple of 16.
constexpr usize kv_group_bytes(KvType type, u32 head_dim) {
  const usize element = type == KvType::kF32 ? 4 : type == KvType::kF16 ? 2 : 1;
  return kv_scale_bytes(type, head_dim) + element * kKvGroup * head_dim;
}

// Keys and values of consecutive positions of one KV head, on their way into the cache.
struct KvStoreArgs {
  const f32* k;  // [n_token][stride], after RoPE
  const f32* v;
  usize stride;  // elements, >= head_dim
  u32 head_dim;
  u32 n_token;
  u32 first_pos;
  u8* keys;  // of the head, group 0
  u8* values;
};
// False when an element is NaN, or too large for the type of the cache.
using KvStoreFn = bool (*)(const KvStoreArgs& args);

constexpr u32 kNoWindow = ~u32{0};

// Attention of n_token consecutive tokens over one KV head, for the n_group query heads that share
// it (R14, R15). One row is one token and one query head: row = token * n_group + head.
struct AttentionArgs {
  const f32* q;      // [n_token][q_stride], the heads of the group side by side, after RoPE
  usize q_stride;    // elements, >= n_group * head_dim
  const u8* keys;    // of the KV head, group 0
  const u8* values;  // of the KV head, group 0
  u32 head_dim;
  u32 n_group;
  u32 n_token;
  u32 first_pos;  // of token 0; a token sees itself and the positions before it,
  u32 window;     // at most this many; kNoWindow: all
  f32 scale;
  f32* out;  // [n_token][out_stride], heads as in q
  usize out_stride;
  f32* scratch;  // attention_scratch_floats(head_dim, n_token * n_group) elements, 64-byte aligned
  f32 soft_cap = 0.0f;         // not 0: a score s becomes soft_cap * tanh(s / soft_cap)
  const f32* sinks = nullptr;  // [n_group], or none: a score that each head always sees, with a
                               // value of zeros (R15)
};
using AttentionFn = void (*)(const AttentionArgs& args);
// The partial result of the positions of one chunk, attention_partial_floats() elements: what lets
// several cores share a long context.
using AttentionPartFn = void (*)(const AttentionArgs& args, u32 chunk, f32* partial);

constexpr u32 kAttentionBatch = 16;  // rows that go through a tile together

constexpr usize attention_partial_floats(u32 head_dim, u32 n_row) {
  const usize rows = (static_cast<usize>(n_row) + 15) / 16 * 16;
  return 2 * rows + n_row * ((static_cast<usize>(head_dim) + 15) / 16 * 16);
}
// A tile of keys and one of values in f32, their scales, the scores of a batch, two partial
// results.
constexpr usize attention_scratch_floats(u32 head_dim, u32 n_row) {
  const usize padded = (static_cast<usize>(head_dim) + 15) / 16 * 16;
  const usize n_block = (static_cast<usize>(head_dim) + kKvBlock - 1) / kKvBlock;
  return kAttentionTile * (2 * padded + 2 * n_block + kAttentionBatch) +
         2 * attention_partial_floats(head_dim, n_row);
}

}  // namespace lbm
