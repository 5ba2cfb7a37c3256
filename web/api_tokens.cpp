// The C functions that need no answer (docs/web.md): text to tokens and back, one by one and in
// batches, and two tools of the core that JavaScript has no equal of: a random order from a seed,
// and SHA-256 in pieces.
#include "core/base/pcg32.h"
#include "web/api_state.h"
#include "web/export.h"
#include "web/hashes.h"

namespace lbm::web {
namespace {

constexpr u32 kAddSpecial = 1;  // flags of lbm_encode()
constexpr u32 kParseSpecial = 2;
constexpr u32 kShowSpecial = 1;  // flags of lbm_decode()
constexpr u32 kAtStart = 2;

constinit Hashes* g_hashes = nullptr;
alignas(Hashes) constinit u8 g_hashes_bytes[sizeof(Hashes)] = {};

Hashes& hashes() {
  if (g_hashes == nullptr) g_hashes = new (PlaceAt{g_hashes_bytes}) Hashes;
  return *g_hashes;
}

Result<u32> encode_one(Str text, u32 flags, Span<u32> out) {
  const EncodeOptions options = {.add_special = (flags & kAddSpecial) != 0,
                                 .parse_special = (flags & kParseSpecial) != 0};
  return engine()->tokenizer().encode(text, options, out, engine()->turn_arena());
}

Result<u32> decode_one(Span<const u32> ids, u32 flags, Span<u8> out) {
  const Span<char> room(reinterpret_cast<char*>(out.data()), out.size());
  const Result<Str> made =
      engine()->tokenizer().decode(ids, (flags & kShowSpecial) != 0, (flags & kAtStart) != 0, room);
  if (!made.ok()) return made.error();
  return static_cast<u32>(made.value().size());
}

Result<u32> encode(const char* at, u32 n_byte, u32 flags, u32* out, u32 n_out) {
  if (!has_model()) return no_model().error();
  const Result<Str> text = buffers().text(at, n_byte);
  if (!text.ok()) return text.error();
  const Result<Span<u32>> ids = buffers().words(out, n_out);
  if (!ids.ok()) return ids.error();
  return encode_one(text.value(), flags, ids.value());
}

Result<u32> decode(u32* ids_at, u32 n_id, u32 flags, u8* out, u32 n_out) {
  if (!has_model()) return no_model().error();
  const Result<Span<u32>> ids = buffers().words(ids_at, n_id);
  if (!ids.ok()) return ids.error();
  const Result<Span<u8>> room = buffers().bytes(out, n_out);
  if (!room.ok()) return room.error();
  return decode_one(ids.value(), flags, room.value());
}

// The pieces of a batch: `ends` [n] ascends to `n_unit`.
Result<Span<u32>> batch_ends(u32* ends_at, u32 n, u32 n_unit) {
  const Result<Span<u32>> ends = buffers().words(ends_at, n);
  if (!ends.ok()) return ends.error();
  u32 begin = 0;
  for (const u32 end : ends.value()) {
    if (end < begin || end > n_unit)
      return fail(ErrorCode::kInvalidArgument, "the ends of a batch do not ascend")
          .with(end, begin);
    begin = end;
  }
  if (begin != n_unit) {
    return fail(ErrorCode::kInvalidArgument, "the last end of a batch is not that of its bytes")
        .with(begin, n_unit);
  }
  return ends.value();
}

Result<u32> encode_batch(const char* at, u32 n_byte, u32* ends_at, u32 n_text, u32 flags, u32* out,
                         u32 n_out) {
  if (!has_model()) return no_model().error();
  const Result<Span<const u8>> bytes = buffers().bytes(reinterpret_cast<const u8*>(at), n_byte);
  if (!bytes.ok()) return bytes.error();
  const Result<Span<u32>> ends = batch_ends(ends_at, n_text, n_byte);
  if (!ends.ok()) return ends.error();
  const Result<Span<u32>> ids = buffers().words(out, n_out);
  if (!ids.ok()) return ids.error();
  // Nothing is written before all is known to be text.
  u32 begin = 0;
  for (const u32 end : ends.value()) {
    const Result<Str> text = buffers().text(at + begin, end - begin);
    if (!text.ok()) return text.error();
    begin = end;
  }
  begin = 0;
  u32 n_id = 0;
  for (u32& end : ends.value()) {
    const Result<u32> n = encode_one({at + begin, end - begin}, flags, ids.value().from(n_id));
    if (!n.ok()) return n.error();
    begin = end;
    n_id += n.value();
    end = n_id;
  }
  return n_id;
}

Result<u32> decode_batch(u32* ids_at, u32 n_id, u32* ends_at, u32 n_text, u32 flags, u8* out,
                         u32 n_out) {
  if (!has_model()) return no_model().error();
  const Result<Span<u32>> ids = buffers().words(ids_at, n_id);
  if (!ids.ok()) return ids.error();
  const Result<Span<u32>> ends = batch_ends(ends_at, n_text, n_id);
  if (!ends.ok()) return ends.error();
  const Result<Span<u8>> room = buffers().bytes(out, n_out);
  if (!room.ok()) return room.error();
  u32 begin = 0;
  u32 n_byte = 0;
  for (u32& end : ends.value()) {
    const Result<u32> n =
        decode_one(ids.value().slice(begin, end - begin), flags, room.value().from(n_byte));
    if (!n.ok()) return n.error();
    begin = end;
    n_byte += n.value();
    end = n_byte;
  }
  return n_byte;
}

constexpr u64 kShuffleStream = 0x73687566;  // "shuf"

// Below n, each with the same chance: numbers that would favour small ones are drawn again.
u32 draw_below(Pcg32& rng, u32 n) {
  const u32 n_odd = (0u - n) % n;  // 2^32 mod n
  for (;;) {
    const u32 drawn = rng.next();
    if (drawn >= n_odd) return drawn % n;
  }
}

// Fisher and Yates, from the end.
Status shuffle(u32* at, u32 n, u64 seed) {
  const Result<Span<u32>> words = buffers().words(at, n);
  if (!words.ok()) return words.error();
  Pcg32 rng(seed, kShuffleStream);
  for (u32 i = n; i > 1; --i) lbm::swap(words.value()[i - 1], words.value()[draw_below(rng, i)]);
  return {};
}

Sha256BlockFn hash_blocks() {
  const KernelTable* tables[8];
  const u32 n_table = usable_tables(tables);
  const Sha256BlockFn fast = n_table != 0 ? tables[n_table - 1]->sha256_blocks : nullptr;
  return fast != nullptr ? fast : sha256_blocks_portable;
}

Status finish_hash(u32 number, u8* out_at) {
  const Result<Span<u8>> out = buffers().bytes(out_at, sizeof(Sha256Digest::bytes));
  if (!out.ok()) return out.error();
  const Result<Sha256Digest> digest = hashes().finish(number);
  if (!digest.ok()) return digest.error();
  __builtin_memcpy(out.value().data(), digest.value().bytes, sizeof(Sha256Digest::bytes));
  return {};
}

}  // namespace

// ---- tokens -------------------------------------------------------------------------------------

// Ids of a text into `out`; how many, or below 0 as lbm_step(). flags: 1, add BOS and EOS as the
// model asks; 2, text that spells a control token is one. lbm_max_ids() is room enough.
LBM_EXPORT(lbm_encode)
i32 lbm_encode(const char* text, u32 n_byte, u32 flags, u32* out, u32 n_out) {
  return count_or_error(encode(text, n_byte, flags, out, n_out));
}
// Most ids that a text of so many bytes has.
LBM_EXPORT(lbm_max_ids) u32 lbm_max_ids(u32 n_byte) {
  const u64 n = has_model() ? engine()->tokenizer().max_ids(n_byte) : 0;
  return n < ~u32{0} ? static_cast<u32>(n) : ~u32{0};
}
// Ids of n_text texts that stand one after the other; `ends` are the ends of the texts, in bytes,
// and become those of their ids. Room: the sum of lbm_max_ids() of each.
LBM_EXPORT(lbm_encode_batch)
i32 lbm_encode_batch(const char* texts, u32 n_byte, u32* ends, u32 n_text, u32 flags, u32* out,
                     u32 n_out) {
  return count_or_error(encode_batch(texts, n_byte, ends, n_text, flags, out, n_out));
}

// The text of ids into `out`; its bytes, or below 0 as lbm_step(). flags: 1, control tokens by
// their spelling; 2, the ids begin a text.
LBM_EXPORT(lbm_decode) i32 lbm_decode(u32* ids, u32 n_id, u32 flags, u8* out, u32 n_out) {
  return count_or_error(decode(ids, n_id, flags, out, n_out));
}
// Bytes that a token has at most.
LBM_EXPORT(lbm_max_piece) u32 lbm_max_piece() {
  return has_model() ? engine()->tokenizer().max_piece_bytes() : 0;
}
// The texts of n_text lists of ids; `ends` as above, the other way round.
LBM_EXPORT(lbm_decode_batch)
i32 lbm_decode_batch(u32* ids, u32 n_id, u32* ends, u32 n_text, u32 flags, u8* out, u32 n_out) {
  return count_or_error(decode_batch(ids, n_id, ends, n_text, flags, out, n_out));
}

// ---- tools --------------------------------------------------------------------------------------

// A random order of n numbers, in place: a function of the seed, by the generator that sampling
// uses, in a stream of its own.
LBM_EXPORT(lbm_shuffle) u32 lbm_shuffle(u32* at, u32 n, u32 seed_low, u32 seed_high) {
  return report(shuffle(at, n, u64{seed_high} << 32 | seed_low));
}

// Begins a hash: its number, or below 0 as lbm_step(). At most 8 at a time.
LBM_EXPORT(lbm_sha256_new) i32 lbm_sha256_new() {
  return count_or_error(hashes().add(hash_blocks()));
}
LBM_EXPORT(lbm_sha256_update) u32 lbm_sha256_update(u32 number, const u8* at, u32 n_byte) {
  const Result<Span<const u8>> bytes = buffers().bytes(at, n_byte);
  return report(bytes.ok() ? hashes().update(number, bytes.value()) : bytes.error());
}
// 32 bytes into `out`; the hash is gone then.
LBM_EXPORT(lbm_sha256_finish) u32 lbm_sha256_finish(u32 number, u8* out) {
  return report(finish_hash(number, out));
}

}  // namespace lbm::web
