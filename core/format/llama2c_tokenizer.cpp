// tokenizer.bin of llama2.c, as the SentencePiece vocabulary that it was made from.
//
// Its writer spells a space as ' ' where SentencePiece has U+2581, and <s> and </s> with a line
// feed on both sides; both are turned back here. Ids 0, 1, 2 are <unk>, <s>, </s>, and ids 3 to 258
// the bytes where there are that many: that is what llama2.c takes for granted.
#include "core/base/arith.h"
#include "core/format/limits.h"
#include "core/format/llama2c.h"

namespace lbm {
namespace {

constexpr u32 kHeaderBytes = 4;
constexpr u32 kRecordBytes = 8;  // and the text
constexpr u64 kMaxTokenBytes = 4096;
constexpr u32 kUnknown = 0;
constexpr u32 kBegin = 1;
constexpr u32 kEnd = 2;
constexpr u32 kFirstByte = 3;
// tokenizer.ggml.token_type
constexpr u32 kTypeNormal = 1;
constexpr u32 kTypeUnknown = 2;
constexpr u32 kTypeControl = 3;
constexpr u32 kTypeByte = 6;

// "<0x0A>"
bool is_byte_spelling(Str text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return false;
  for (usize i = 3; i < 5; ++i) {
    const char c = text[i];
    if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'))) return false;
  }
  return true;
}

u32 type_of(u32 id, Str text) {
  if (id == kUnknown) return kTypeUnknown;
  if (id == kBegin || id == kEnd) return kTypeControl;
  if (id >= kFirstByte && id < kFirstByte + 256 && is_byte_spelling(text)) return kTypeByte;
  return kTypeNormal;
}

}  // namespace

Status Llama2cTokenizer::read(ByteSource& source, u32 n_vocab, Arena& arena) {
  const u64 size = source.size();
  const Str name = source.name().empty() ? Str("tokenizer.bin") : source.name();
  const u64 least = kHeaderBytes + u64{n_vocab} * kRecordBytes;
  if (size < least) {
    return fail(ErrorCode::kTruncated, "fewer tokens than the model has; bytes needed")
        .about(name)
        .with(least, size)
        .at(size);
  }
  if (size > kMaxMetadataBytes) {
    return fail(ErrorCode::kLimit, "too large for a tokenizer; bytes")
        .about(name)
        .with(size, kMaxMetadataBytes)
        .at(0);
  }
  Result<Span<u8>> bytes = arena.take_raw(size, "tokenizer");
  if (!bytes.ok()) return bytes.error();
  bytes_ = bytes.value();
  if (Status s = source.read(0, bytes_); !s.ok()) return s;
  const Status checked = check_records(n_vocab);
  if (!checked.ok()) {
    Error error = checked.error();
    return error.about(name);
  }
  n_vocab_ = n_vocab;
  return {};
}

Status Llama2cTokenizer::check_records(u32 n_vocab) const {
  ByteReader in(bytes_);
  const i32 longest = in.read_i32();
  if (longest < 1 || static_cast<u64>(longest) > kMaxTokenBytes) {
    return fail(ErrorCode::kBadValue, "the length of the longest token is out of range")
        .with(static_cast<u32>(longest), kMaxTokenBytes)
        .at(0);
  }
  for (u32 id = 0; id < n_vocab; ++id) {
    const u64 at = in.position();
    const f32 score = in.read_f32();
    const i32 n_byte = in.read_i32();
    if (!in.ok()) {
      return fail(ErrorCode::kTruncated, "fewer tokens than the model has; it ends in token")
          .with(id, n_vocab)
          .at(at);
    }
    if (!(score - score == 0.0f)) {
      return fail(ErrorCode::kNumeric, "the score of a token is not a finite number; token")
          .with(id)
          .at(at);
    }
    if (n_byte < 0 || n_byte > longest) {
      return fail(ErrorCode::kBadValue, "a token is longer than the longest one; token")
          .with(id)
          .at(at + 4);
    }
    in.skip(static_cast<u64>(n_byte));
    if (!in.ok()) {
      return fail(ErrorCode::kTruncated, "the file ends inside a token; token").with(id).at(at + 4);
    }
  }
  if (in.remaining() != 0) {
    return fail(ErrorCode::kMismatch, "more tokens than the model has; bytes too many")
        .with(in.remaining())
        .at(in.position());
  }
  return {};
}

Llama2cTokenizer::Token Llama2cTokenizer::next(ByteReader& in) {
  Token token;
  token.score = in.read_f32();
  const u32 n_byte = in.read_u32();
  token.text = in.read_text(n_byte);
  return token;
}

void Llama2cTokenizer::put(HeaderBuilder& out) const {
  const Span<const u8> records = Span<const u8>(bytes_).from(kHeaderBytes);
  out.text("tokenizer.ggml.model", "llama");
  out.array("tokenizer.ggml.tokens", MetaType::kString, n_vocab_);
  ByteReader in(records);
  for (u32 id = 0; id < n_vocab_; ++id) {
    Str text = next(in).text;
    if ((id == kBegin || id == kEnd) && text.size() > 2 && text[0] == '\n' &&
        text[text.size() - 1] == '\n') {
      text = text.slice(1, text.size() - 2);
    }
    out.begin_text_element();
    for (usize i = 0; i < text.size(); ++i) {
      out.text_piece(text[i] == ' ' ? Str("\xE2\x96\x81") : text.slice(i, 1));
    }
    out.end_text_element();
  }
  out.array("tokenizer.ggml.scores", MetaType::kF32, n_vocab_);
  in = ByteReader(records);
  for (u32 id = 0; id < n_vocab_; ++id) out.real_element(next(in).score);
  out.array("tokenizer.ggml.token_type", MetaType::kI32, n_vocab_);
  in = ByteReader(records);
  for (u32 id = 0; id < n_vocab_; ++id) out.number_element(type_of(id, next(in).text));
  out.number("tokenizer.ggml.unknown_token_id", kUnknown);
  if (n_vocab_ > kEnd) {
    out.number("tokenizer.ggml.bos_token_id", kBegin);
    out.number("tokenizer.ggml.eos_token_id", kEnd);
    // The models of llama2.c were trained on stories with <s> between them: it ends an answer.
    out.number("tokenizer.ggml.eot_token_id", kBegin);
  }
  out.boolean("tokenizer.ggml.add_bos_token", n_vocab_ > kEnd);
  out.boolean("tokenizer.ggml.add_eos_token", false);
  out.text("tokenizer.chat_template", kPlainTextTemplate);
}

}  // namespace lbm
