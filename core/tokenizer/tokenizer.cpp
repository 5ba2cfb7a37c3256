#include "core/tokenizer/tokenizer.h"

#include "core/base/utf8.h"
#include "core/tokenizer/byte_level.h"
#include "core/tokenizer/encoder.h"
#include "core/tokenizer/tokenizer_impl.h"

namespace lbm {
namespace {

constexpr Str kModelKey = "tokenizer.ggml.model";
constexpr Str kTokensKey = "tokenizer.ggml.tokens";
constexpr Str kPretokenizerKey = "tokenizer.ggml.pre";
constexpr u32 kSentencePieceSpace = 0x2581;

constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool contains_ignoring_case(Str text, Str lower) {
  for (usize i = 0; i + lower.size() <= text.size(); ++i) {
    usize n = 0;
    while (n < lower.size() && to_lower(text[i + n]) == lower[n]) ++n;
    if (n == lower.size()) return true;
  }
  return false;
}

// The value of a hexadecimal digit, or 16.
constexpr u32 hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<u32>(c - '0');
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? static_cast<u32>(lower - 'a') + 10 : 16;
}

// "<0x0A>" is byte 10. Returns 256 for any other spelling.
u32 byte_of_spelling(Str piece) {
  constexpr u32 kNotAByte = 256;
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return kNotAByte;
  const u32 high = hex_value(piece[3]);
  const u32 low = hex_value(piece[4]);
  return high < 16 && low < 16 ? high * 16 + low : kNotAByte;
}

// The spaces that GPT-2's training text had before punctuation, taken out as Hugging Face's
// clean_up_tokenization_spaces does it (and llama.cpp after it): " ." -> ".", " ' " -> "'", " 's"
// -> "'s". In place; each pass reads what the last one left.
usize clean_up_spaces(char* text, usize n) {
  usize kept = n == 0 ? 0 : 1;
  for (usize i = 1; i < n; ++i) {
    const char c = text[i];
    if (text[i - 1] == ' ' && (c == '?' || c == '!' || c == '.' || c == ',')) --kept;
    text[kept++] = c;
  }
  n = kept;
  kept = n == 0 ? 0 : 1;
  for (usize i = 1; i < n; ++i) {
    const char c = text[i];
    if (c == '\'' && i + 1 < n && text[i - 1] == ' ' && text[i + 1] == ' ') {
      --kept;
      text[++i] = '\0';  // the space after it goes too, and is no space to what follows
    }
    text[kept++] = c;
  }
  n = kept;
  kept = n == 0 ? 0 : 1;
  for (usize i = 1; i < n; ++i) {
    const char c = text[i];
    if (c == '\'' && text[i - 1] == ' ' && i + 1 < n) {
      const char first = text[i + 1];
      const bool re_or_ve = i + 2 < n && (first == 'r' || first == 'v') && text[i + 2] == 'e';
      if (first == 's' || first == 'm' || re_or_ve) --kept;
    }
    text[kept++] = c;
  }
  return kept;
}

}  // namespace

// ---- loading

Status Tokenizer::Impl::load(Arena& arena, const ModelFile& file) {
  Status status = load_kind(file);
  if (status.ok()) status = vocab.load(arena, file, kind == Kind::kSentencePiece);
  if (!status.ok()) return status;
  if (kind == Kind::kSentencePiece) vocab.use_sentencepiece_ids();
  vocab.mark_special_spellings();
  status = load_flags(file);
  if (status.ok()) status = load_byte_tokens();
  if (status.ok()) status = specials.load(vocab);
  if (status.ok() && kind == Kind::kBytePairs) status = pairs.load(arena, file, vocab);
  return status;
}

Status Tokenizer::Impl::load_kind(const ModelFile& file) {
  const Result<Str> name = file.get_text(kModelKey);
  if (!name.ok()) return name.error();
  model_name = name.value();
  if (model_name == "llama") {
    kind = Kind::kSentencePiece;
    return {};
  }
  if (model_name != "gpt2") {
    return fail(ErrorCode::kUnsupported,
                "this build has no such tokenizer, only gpt2 (byte-level BPE) and llama "
                "(SentencePiece)")
        .about(model_name);
  }
  kind = Kind::kBytePairs;
  const Result<Str> pre = file.get_text_or(kPretokenizerKey, "default");
  if (!pre.ok()) return pre.error();
  pretokenizer = find_pretokenizer(pre.value().empty() ? Str("default") : pre.value());
  if (pretokenizer == nullptr) {
    return fail(ErrorCode::kUnsupported,
                "this build has no such pre-tokenizer (tokenizer.ggml.pre)")
        .about(pre.value());
  }
  return {};
}

Status Tokenizer::Impl::load_flags(const ModelFile& file) {
  struct Flag {
    Str key;
    bool* value;
    bool fallback;
  };
  const bool sentencepiece = kind == Kind::kSentencePiece;
  // A BOS that only the pre-tokenizer's name asks for is left out where the file has none.
  const bool bos_by_default = sentencepiece || pretokenizer->add_bos;
  const Flag flags[] = {
      {"tokenizer.ggml.add_bos_token", &add_bos, bos_by_default && vocab.bos() != kNoToken},
      {"tokenizer.ggml.add_eos_token", &add_eos, false},
      {"tokenizer.ggml.add_space_prefix", &add_space_prefix, sentencepiece},
  };
  for (const Flag& flag : flags) {
    const Result<bool> value = file.get_bool_or(flag.key, flag.fallback);
    if (!value.ok()) return value.error();
    *flag.value = value.value();
  }
  if (!sentencepiece) add_space_prefix = false;  // byte-level BPE keeps text as it is
  if ((add_bos && vocab.bos() == kNoToken) || (add_eos && vocab.eos() == kNoToken)) {
    return fail(ErrorCode::kMismatch,
                "the file asks for this token at every prompt but does not name it")
        .about(add_bos && vocab.bos() == kNoToken ? "tokenizer.ggml.bos_token_id"
                                                  : "tokenizer.ggml.eos_token_id");
  }
  const Result<Str> name = file.get_text_or("general.name", "");
  if (!name.ok()) return name.error();
  if (contains_ignoring_case(name.value(), "phi-3") ||
      contains_ignoring_case(name.value(), "phi3")) {
    vocab.mark_trimming_tokens();
  }
  return {};
}

Status Tokenizer::Impl::load_byte_tokens() {
  for (u32& token : byte_tokens) token = kNoToken;
  const Status status = load_fallback_tokens();
  if (!status.ok()) return status;
  if (kind == Kind::kBytePairs) load_byte_level_tokens();
  u32 n_missing = 0;
  for (const u32 token : byte_tokens) n_missing += token == kNoToken ? 1 : 0;
  has_all_bytes = n_missing == 0;
  if (kind == Kind::kSentencePiece && !has_all_bytes) {
    // All bytes, or none and a token for what can not be spelled.
    if (n_missing != 256) {
      return fail(ErrorCode::kMissing,
                  "the vocabulary has byte tokens, but not for every byte; missing")
          .about(kTokensKey)
          .with(n_missing);
    }
    if (vocab.unknown() == kNoToken) {
      return fail(ErrorCode::kMissing,
                  "the vocabulary has neither byte tokens nor an unknown token")
          .about(kTokensKey);
    }
  }
  return {};
}

// SentencePiece: tokens of type byte, each spelled as the byte it stands for. A byte-level file has
// none, but if it has, their spellings are held to the same.
Status Tokenizer::Impl::load_fallback_tokens() {
  for (u32 id = 0; id < vocab.size(); ++id) {
    if (vocab.type(id) != TokenType::kByte) continue;
    const u32 byte = byte_of_spelling(vocab.piece(id));
    if (byte > 255) {
      return fail(ErrorCode::kBadValue, "a byte token is spelled <0x00> to <0xFF>; this one has id")
          .about(vocab.piece(id))
          .with(id);
    }
    if (kind == Kind::kSentencePiece) byte_tokens[byte] = id;
  }
  return {};
}

void Tokenizer::Impl::load_byte_level_tokens() {
  for (u32 byte = 0; byte < 256; ++byte) {
    char character[4];
    const u32 n = encode_utf8(kByteLevel.codepoint_of[byte], character);
    const u32 id = vocab.find(Str(character, n));
    if (!is_mergeable(id)) continue;
    // A user-defined token stands for its spelling as it is, so it is the byte only where both are
    // the same. (DeepSeek's files have such tokens for the bytes that UTF-8 never has.)
    if (vocab.type(id) == TokenType::kUserDefined && n != 1) continue;
    byte_tokens[byte] = id;
  }
  // EF BF BD in the alphabet.
  const u32 replacement = vocab.find("\xC3\xAF\xC2\xBF\xC2\xBD");
  if (is_mergeable(replacement)) replacement_token = replacement;
}

Result<Tokenizer*> Tokenizer::create(Arena& arena, const ModelFile& file) {
  const Arena::Mark mark = arena.mark();
  Result<Impl*> impl = arena.make<Impl>("tokenizer");
  if (!impl.ok()) return impl.error();
  const Status status = impl.value()->load(arena, file);
  if (!status.ok()) {
    arena.rewind(mark);
    return status.error();
  }
  Result<Tokenizer*> tokenizer = arena.make<Tokenizer>("tokenizer", impl.value());
  if (!tokenizer.ok()) arena.rewind(mark);
  return tokenizer;
}

// ---- encoding

Result<u32> Tokenizer::encode(Str text, EncodeOptions options, Span<u32> out,
                              Arena& scratch) const {
  Encoder encoder(*impl_, out, scratch);
  if (options.add_special && impl_->add_bos) encoder.emit(impl_->vocab.bos());
  const TextSegment segments[] = {{text, options.parse_special}};
  const Status status = encoder.encode(segments);
  if (!status.ok()) return status.error();
  if (options.add_special && impl_->add_eos) encoder.emit(impl_->vocab.eos());
  return encoder.finish();
}

Result<u32> Tokenizer::encode_segments(Span<const TextSegment> segments, Span<u32> out,
                                       Arena& scratch) const {
  Encoder encoder(*impl_, out, scratch);
  const Status status = encoder.encode(segments);
  if (!status.ok()) return status.error();
  return encoder.finish();
}

u64 Tokenizer::scratch_bytes(u64 n_byte) const { return Encoder::scratch_bytes(*impl_, n_byte); }

// ---- decoding

u32 Tokenizer::max_piece_bytes() const { return impl_->vocab.max_piece_bytes(); }

namespace {

// Gives put() the bytes that a normal, unused or byte token stands for; no more than its spelling
// has.
template <class Put>
void spell(const Tokenizer::Impl& model, u32 id, const Put& put) {
  const Str spelling = model.vocab.piece(id);
  if (model.vocab.type(id) == TokenType::kByte) {
    return put(static_cast<char>(byte_of_spelling(spelling)));
  }
  const bool byte_level = model.kind == Tokenizer::Impl::Kind::kBytePairs;
  for (usize i = 0; i < spelling.size();) {
    const Utf8Char c = decode_utf8(spelling.from(i));
    if (byte_level && c.codepoint < ByteLevelAlphabet::kEnd &&
        kByteLevel.byte_of[c.codepoint] != ByteLevelAlphabet::kNone) {
      put(static_cast<char>(kByteLevel.byte_of[c.codepoint]));
    } else if (!byte_level && c.codepoint == kSentencePieceSpace) {
      put(' ');
    } else {  // not of the alphabet: as it stands
      for (u32 k = 0; k < c.n_byte; ++k) put(spelling[i + k]);
    }
    i += c.n_byte;
  }
}

}  // namespace

Str Tokenizer::piece(u32 id, bool show_special, Span<char> buffer) const {
  const Vocab& vocab = impl_->vocab;
  if (id >= vocab.size()) return {};
  if (vocab.is_restricted(id)) return show_special ? vocab.piece(id) : Str();
  if (vocab.type(id) == TokenType::kUserDefined) return vocab.piece(id);
  usize n = 0;
  spell(*impl_, id, [&](char c) { buffer[n++] = c; });
  return {buffer.data(), n};
}

Result<Str> Tokenizer::decode(Span<const u32> ids, bool show_special, bool at_start,
                              Span<char> out) const {
  const Vocab& vocab = impl_->vocab;
  usize n = 0;
  bool drop_space = at_start && impl_->add_space_prefix;
  const auto put = [&](char c) {
    if (!drop_space || c != ' ') {
      if (n < out.size()) out[n] = c;
      ++n;
    }
    drop_space = false;
  };
  for (const u32 id : ids) {
    if (id >= vocab.size()) continue;
    if (vocab.is_restricted(id) || vocab.type(id) == TokenType::kUserDefined) {
      for (const char c : piece(id, show_special, {})) put(c);
    } else {
      spell(*impl_, id, put);
    }
  }
  if (n > out.size()) {
    return fail(ErrorCode::kLimit, "the text is longer than there is room for:")
        .with(n, out.size());
  }
  if (impl_->kind == Impl::Kind::kBytePairs && impl_->pretokenizer->clean_spaces) {
    n = clean_up_spaces(out.data(), n);
  }
  return Str(out.data(), n);
}

// ---- what the vocabulary says

u32 Tokenizer::n_vocab() const { return impl_->vocab.size(); }
u32 Tokenizer::bos() const { return impl_->vocab.bos(); }
u32 Tokenizer::eos() const { return impl_->vocab.eos(); }
bool Tokenizer::add_bos() const { return impl_->add_bos; }
bool Tokenizer::add_eos() const { return impl_->add_eos; }
bool Tokenizer::is_end_of_generation(u32 id) const {
  return id < impl_->vocab.size() && impl_->vocab.ends_generation(id);
}
bool Tokenizer::is_control(u32 id) const {
  return id < impl_->vocab.size() && impl_->vocab.is_control(id);
}
u32 Tokenizer::find(Str piece) const { return impl_->vocab.find(piece); }
Str Tokenizer::model_name() const { return impl_->model_name; }
Str Tokenizer::pretokenizer_name() const {
  return impl_->pretokenizer != nullptr ? impl_->pretokenizer->name : Str("default");
}

}  // namespace lbm
