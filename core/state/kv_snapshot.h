// The head of a kept KV cache: what it belongs to. The payload of the record SNAPSHOT is
//
//    0  "LBMSNAP1"      8  u32 tokens    12  u32 type of the KV cache (kernels: 0 f16, 1 f32, 2
//    q8_0)
//   16  identity of the model: SHA-256 of its file, or of its name and size where that is not known
//   48  u64 bytes of state               56  u64 bytes of conversation
//   64  name, 32 bytes, filled up with zeros
//   96  SHA-256 of the tokens
//  128  tokens, u32 each; the conversation (session_text.h); the state, in the order of
//       Session::visit_state()
//
// little-endian. A state fits the model, the type of cache and the tokens it was made with, and no
// other: match() compares them all. Every number is a stranger's until parse() has seen it.
#pragma once

#include "core/base/result.h"
#include "core/base/sha256.h"

namespace lbm {

struct SnapshotHead {
  static constexpr usize kBytes = 128;
  static constexpr usize kMaxNameBytes = 32;
  static constexpr u32 kMaxTokens = 1u << 24;

  u32 n_token = 0;
  u32 kv_type = 0;
  Sha256Digest model;
  u64 state_bytes = 0;
  u64 text_bytes = 0;
  char name[kMaxNameBytes] = {};
  Sha256Digest tokens;

  // Errors: kBadName  empty or longer than kMaxNameBytes.
  [[nodiscard]] Status set_name(Str text);
  [[nodiscard]] Str name_text() const;
  // Bytes of the whole payload.
  [[nodiscard]] u64 payload_bytes() const;

  void write(u8* out) const;  // kBytes
  // Reads the head of a payload of `size` bytes. Errors: kBadMagic, kTruncated, kBadValue.
  [[nodiscard]] static Result<SnapshotHead> parse(Span<const u8> bytes, u64 size);
};

// Whether what was kept (`kept`) can be used where `wanted` says the model, the type of cache, and
// the bytes of state that so many tokens have here; n_ctx is the room for tokens. Errors:
// kMismatch, naming what differs.   kContextFull  more tokens than n_ctx.
[[nodiscard]] Status match_snapshot(const SnapshotHead& kept, const SnapshotHead& wanted,
                                    u32 n_ctx);

[[nodiscard]] Sha256Digest hash_tokens(Span<const u32> tokens);

}  // namespace lbm
