// See kv_snapshot.h.
#include "core/state/kv_snapshot.h"

#include "core/base/byte_reader.h"

namespace lbm {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tokens are kept as they lie in memory");

constexpr Str kMagic = "LBMSNAP1";

void put(u8* out, u64 value, u32 n_byte) {
  for (u32 i = 0; i < n_byte; ++i) out[i] = static_cast<u8>(value >> (8 * i));
}

}  // namespace

Status SnapshotHead::set_name(Str text) {
  if (text.empty() || text.size() > kMaxNameBytes) {
    return fail(ErrorCode::kBadName, "a name has 1 to 32 bytes")
        .about(text)
        .with(text.size(), kMaxNameBytes);
  }
  __builtin_memset(name, 0, sizeof(name));
  __builtin_memcpy(name, text.data(), text.size());
  return {};
}

Str SnapshotHead::name_text() const {
  usize n = 0;
  while (n < kMaxNameBytes && name[n] != '\0') ++n;
  return {name, n};
}

// parse() has seen that the sum does not overflow.
u64 SnapshotHead::payload_bytes() const {
  return kBytes + u64{n_token} * sizeof(u32) + text_bytes + state_bytes;
}

void SnapshotHead::write(u8* out) const {
  __builtin_memcpy(out, kMagic.data(), kMagic.size());
  put(out + 8, n_token, 4);
  put(out + 12, kv_type, 4);
  __builtin_memcpy(out + 16, model.bytes, sizeof(model.bytes));
  put(out + 48, state_bytes, 8);
  put(out + 56, text_bytes, 8);
  __builtin_memcpy(out + 64, name, sizeof(name));
  __builtin_memcpy(out + 96, tokens.bytes, sizeof(tokens.bytes));
}

Result<SnapshotHead> SnapshotHead::parse(Span<const u8> bytes, u64 size) {
  if (bytes.size() < kBytes || size < kBytes)
    return fail(ErrorCode::kTruncated, "too short for a kept context").with(size, kBytes);
  if (Str(bytes.first(kMagic.size())) != kMagic)
    return fail(ErrorCode::kBadMagic, "this is no kept context");
  SnapshotHead head;
  ByteReader reader(bytes);
  reader.skip(kMagic.size());
  head.n_token = reader.read_u32();
  head.kv_type = reader.read_u32();
  __builtin_memcpy(head.model.bytes, bytes.data() + 16, sizeof(head.model.bytes));
  reader.skip(sizeof(head.model.bytes));
  head.state_bytes = reader.read_u64();
  head.text_bytes = reader.read_u64();
  __builtin_memcpy(head.name, bytes.data() + 64, sizeof(head.name));
  __builtin_memcpy(head.tokens.bytes, bytes.data() + 96, sizeof(head.tokens.bytes));
  if (head.n_token > kMaxTokens)
    return fail(ErrorCode::kBadValue, "too many tokens").with(head.n_token, kMaxTokens);
  // Each alone first: together they might overflow.
  if (head.state_bytes > size || head.text_bytes > size || head.payload_bytes() != size) {
    return fail(ErrorCode::kBadValue, "the parts of the kept context do not make up its size")
        .with(size);
  }
  return head;
}

Status match_snapshot(const SnapshotHead& kept, const SnapshotHead& wanted, u32 n_ctx) {
  if (!(kept.model == wanted.model))
    return fail(ErrorCode::kMismatch, "the context was kept with another model")
        .about(kept.name_text());
  if (kept.kv_type != wanted.kv_type) {
    return fail(ErrorCode::kMismatch,
                "the context was kept with another type of KV cache (/set kv)")
        .about(kept.name_text())
        .with(kept.kv_type, wanted.kv_type);
  }
  if (kept.n_token > n_ctx) {
    return fail(ErrorCode::kContextFull, "the kept context is longer than this one (/set ctx)")
        .about(kept.name_text())
        .with(kept.n_token, n_ctx);
  }
  if (kept.state_bytes != wanted.state_bytes) {
    return fail(ErrorCode::kMismatch, "the state has another size than this model's")
        .about(kept.name_text())
        .with(kept.state_bytes, wanted.state_bytes);
  }
  return {};
}

Sha256Digest hash_tokens(Span<const u32> tokens) {
  Sha256 hash;
  hash.update({reinterpret_cast<const u8*>(tokens.data()), tokens.size_bytes()});
  return hash.finish();
}

}  // namespace lbm
