// The .slm tokenizer sections, as byte-level vocabularies.
//
//    0 "BTOK" or "BPE1"   4 u32 version = 1   8 u32 n_vocab   12 u32 flags (1: BOS, 2: EOS is
//    added)
//   16 u32 BOS, EOS, padding, unknown; 2^32-1 for none
//   32 u32 n_merge, 0 in BTOK   36 zeros up to 64
//   64 BPE1: n_merge x { u32 left, u32 right, u32 result, u32 0 }
//
// Ids 0 to 255 are the bytes, the special tokens follow, then the results of the merges in their
// order. A piece is known by its two halves, so that no string is stored.
#include "core/base/arith.h"
#include "core/base/byte_level.h"
#include "core/base/utf8.h"
#include "core/format/limits.h"
#include "core/format/slm.h"

namespace lbm {
namespace {

constexpr u32 kVersion = 1;
constexpr u32 kBytes = 256;
constexpr u32 kMaxSpecial = 64;
constexpr u32 kMaxPieceBytes = 128;
constexpr u32 kIdsAt = 16;
constexpr u32 kMergesAt = 32;
constexpr Str kIdNames[] = {"<s>", "</s>", "<pad>", "<unk>"};
constexpr Str kIdKeys[] = {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                           "tokenizer.ggml.padding_token_id", "tokenizer.ggml.unknown_token_id"};
// tokenizer.ggml.token_type
constexpr u32 kTypeNormal = 1;
constexpr u32 kTypeControl = 3;

}  // namespace

Status SlmTokenizer::read(Span<const u8> bytes, u64 offset, u32 n_vocab, Arena& arena) {
  bytes_ = bytes;
  offset_ = offset;
  n_vocab_ = n_vocab;
  ByteReader in(bytes);
  const Str magic = in.read_text(4);
  if (magic == "GGUF") {
    kind_ = Kind::kGguf;
    return {};
  }
  if (magic != "BTOK" && magic != "BPE1") {
    return fail(ErrorCode::kBadMagic, "the tokenizer is none of BTOK, BPE1 and GGUF").at(offset);
  }
  kind_ = magic == "BTOK" ? Kind::kBytes : Kind::kMerges;
  if (bytes.size() < slm::kTokenizerBytes) {
    return fail(ErrorCode::kTruncated, "the tokenizer section is too short; bytes needed")
        .with(slm::kTokenizerBytes, bytes.size())
        .at(offset);
  }
  if (Status s = check_head(in); !s.ok()) return s;
  return check_merges(arena);
}

// `in` stands after the magic.
Status SlmTokenizer::check_head(ByteReader in) {
  if (const u32 version = in.read_u32(); version != kVersion) {
    return fail(ErrorCode::kBadVersion, "unknown version of the tokenizer")
        .with(version, kVersion)
        .at(offset_ + 4);
  }
  if (const u32 n = in.read_u32(); n != n_vocab_) {
    return fail(ErrorCode::kMismatch, "header and tokenizer differ in the number of tokens")
        .with(n, n_vocab_)
        .at(offset_ + 8);
  }
  flags_ = in.read_u32();
  if ((flags_ & ~(slm::kAddBosFlag | slm::kAddEosFlag)) != 0) {
    return fail(ErrorCode::kBadVersion, "flags that version 1 has not got")
        .with(flags_, slm::kAddBosFlag | slm::kAddEosFlag)
        .at(offset_ + 12);
  }
  for (u32& id : ids_) id = in.read_u32();
  n_merge_ = in.read_u32();
  for (u32 at = kMergesAt + 4; at < slm::kTokenizerBytes; at += 4) {
    if (in.read_u32() == 0) continue;
    return fail(ErrorCode::kBadValue, "a field that version 1 leaves 0 is not").at(offset_ + at);
  }
  const u64 wanted = slm::kTokenizerBytes + u64{n_merge_} * slm::kMergeBytes;
  if (kind_ == Kind::kBytes && n_merge_ != 0) {
    return fail(ErrorCode::kBadValue, "BTOK has no merges")
        .with(n_merge_, 0)
        .at(offset_ + kMergesAt);
  }
  if (bytes_.size() != wanted) {
    return fail(bytes_.size() < wanted ? ErrorCode::kTruncated : ErrorCode::kMismatch,
                "the merges ask for another length of the tokenizer section")
        .with(wanted, bytes_.size())
        .at(offset_ + kMergesAt);
  }
  const u64 n_known = kBytes + u64{n_merge_};
  if (n_vocab_ < n_known || n_vocab_ > n_known + kMaxSpecial) {
    return fail(ErrorCode::kMismatch,
                "the tokens are not 256 bytes, at most 64 specials and merges")
        .with(n_vocab_, n_known)
        .at(offset_ + 8);
  }
  for (u32 i = 0; i < 4; ++i) {
    if (ids_[i] == slm::kNoId || is_special(ids_[i])) continue;
    return fail(ErrorCode::kBadValue, "no special token has this id")
        .about(kIdNames[i])
        .with(ids_[i], first_merge())
        .at(offset_ + kIdsAt + 4 * u64{i});
  }
  const bool lacks_bos = (flags_ & slm::kAddBosFlag) != 0 && ids_[0] == slm::kNoId;
  const bool lacks_eos = (flags_ & slm::kAddEosFlag) != 0 && ids_[1] == slm::kNoId;
  if (lacks_bos || lacks_eos) {
    return fail(ErrorCode::kMismatch, "the token to add is not named")
        .about(kIdNames[lacks_bos ? 0 : 1])
        .at(offset_ + 12);
  }
  return {};
}

// Every merge joins tokens before it, so its length is known when it is met.
Status SlmTokenizer::check_merges(Arena& arena) {
  Result<Span<u32>> n_bytes = arena.take<u32>(n_vocab_, "tokenizer");
  if (!n_bytes.ok()) return n_bytes.error();
  n_bytes_ = n_bytes.value();
  for (u32 id = 0; id < kBytes; ++id) n_bytes_[id] = 1;
  ByteReader in(bytes_.from(slm::kTokenizerBytes));
  for (u32 id = first_merge(); id < n_vocab_; ++id) {
    const u64 at = offset_ + slm::kTokenizerBytes + in.position();
    const u32 left = in.read_u32();
    const u32 right = in.read_u32();
    const u32 result = in.read_u32();
    const u32 zero = in.read_u32();
    if (left >= id || right >= id || is_special(left) || is_special(right)) {
      return fail(ErrorCode::kBadValue, "a merge of what is no token before it; its id is")
          .with(id)
          .at(at);
    }
    if (result != id || zero != 0) {
      return fail(ErrorCode::kMismatch, "the merges do not make the ids in order; id")
          .with(result, id)
          .at(at + 8);
    }
    n_bytes_[id] = n_bytes_[left] + n_bytes_[right];
    if (n_bytes_[id] > kMaxPieceBytes) {
      return fail(ErrorCode::kLimit, "a token is too long; bytes")
          .with(n_bytes_[id], kMaxPieceBytes)
          .at(at);
    }
  }
  return {};
}

// Left before right, with what is still to come on a stack: a piece has at most kMaxPieceBytes
// bytes, and each entry stands for one of them at least.
void SlmTokenizer::put_piece(HeaderBuilder& out, u32 id) const {
  u32 pending[kMaxPieceBytes];
  u32 n_pending = 0;
  for (;;) {
    if (id < kBytes) {
      char character[4];
      const u32 n = encode_utf8(kByteLevel.codepoint_of[id], character);
      out.text_piece({character, n});
      if (n_pending == 0) return;
      id = pending[--n_pending];
    } else {
      ByteReader merge(bytes_.from(slm::kTokenizerBytes + (id - first_merge()) * slm::kMergeBytes));
      id = merge.read_u32();
      pending[n_pending++] = merge.read_u32();
    }
  }
}

void SlmTokenizer::put_special(HeaderBuilder& out, u32 id) const {
  for (u32 i = 0; i < 4; ++i) {
    if (ids_[i] == id) return out.text_piece(kIdNames[i]);
  }
  char digits[3] = {};
  for (u32 i = 3, n = id; i-- > 0; n /= 10) digits[i] = static_cast<char>('0' + n % 10);
  out.text_piece("<special_");
  out.text_piece({digits, 3});
  out.text_piece(">");
}

void SlmTokenizer::put(HeaderBuilder& out) const {
  out.text("tokenizer.ggml.model", "gpt2");
  // Words as GPT-2 cuts them, and text as it is: no spaces are taken out of what is decoded.
  out.text("tokenizer.ggml.pre", "trillion");
  out.array("tokenizer.ggml.tokens", MetaType::kString, n_vocab_);
  for (u32 id = 0; id < n_vocab_; ++id) {
    out.begin_text_element();
    if (is_special(id)) {
      put_special(out, id);
    } else {
      put_piece(out, id);
    }
    out.end_text_element();
  }
  out.array("tokenizer.ggml.token_type", MetaType::kI32, n_vocab_);
  for (u32 id = 0; id < n_vocab_; ++id)
    out.number_element(is_special(id) ? kTypeControl : kTypeNormal);
  out.array("tokenizer.ggml.merges", MetaType::kString, n_merge_);
  ByteReader in(bytes_.from(slm::kTokenizerBytes));
  for (u32 i = 0; i < n_merge_; ++i) {
    const u32 left = in.read_u32();
    const u32 right = in.read_u32();
    in.skip(8);
    out.begin_text_element();
    put_piece(out, left);
    out.text_piece(" ");
    put_piece(out, right);
    out.end_text_element();
  }
  for (u32 i = 0; i < 4; ++i) {
    if (ids_[i] != slm::kNoId) out.number(kIdKeys[i], ids_[i]);
  }
  out.boolean("tokenizer.ggml.add_bos_token", (flags_ & slm::kAddBosFlag) != 0);
  out.boolean("tokenizer.ggml.add_eos_token", (flags_ & slm::kAddEosFlag) != 0);
  out.text("tokenizer.chat_template", kPlainTextTemplate);
}

}  // namespace lbm
