#include "core/tokenizer/tokenizer.h"

#include "core/base/utf8.h"
#include "core/tokenizer/byte_level.h"
#include "core/tokenizer/byte_spelling.h"
#include "core/tokenizer/encoder.h"
#include "core/tokenizer/tokenizer_impl.h"

namespace lbm {
namespace {

constexpr u32 kSentencePieceSpace = 0x2581;

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

// ---- making one

Result<Tokenizer*> Tokenizer::create(Arena& arena, const ModelFile& file) {
  const Arena::Mark mark = arena.mark();
  Result<Impl*> impl = arena.make<Impl>("tokenizer");
  if (!impl.ok()) return impl.error();
  const Status status = impl.value()->load(arena, file);
  if (!status.ok()) {
    arena.rewind(mark);
    Error error = status.error();
    if (!file.metadata_has_place()) error.offset = Error::kNoOffset;
    return error;
  }
  Result<Tokenizer*> tokenizer = arena.make<Tokenizer>("tokenizer", impl.value());
  if (!tokenizer.ok()) arena.rewind(mark);
  return tokenizer;
}

// ---- encoding

Result<u32> Tokenizer::encode(Str text, EncodeOptions options, Span<u32> out,
                              Arena& scratch) const {
  Encoder encoder(*impl_, out, scratch);
  const bool word_piece = impl_->kind == Impl::Kind::kWordPiece;  // [CLS] text [SEP], always
  if (options.add_special && (word_piece || impl_->add_bos)) encoder.emit(impl_->vocab.bos());
  const TextSegment segments[] = {{text, options.parse_special}};
  const Status status = encoder.encode(segments);
  if (!status.ok()) return status.error();
  if (options.add_special && (word_piece || impl_->add_eos)) {
    encoder.emit(word_piece ? impl_->vocab.separator() : impl_->vocab.eos());
  }
  return encoder.finish();
}

Result<u32> Tokenizer::encode_segments(Span<const TextSegment> segments, Span<u32> out,
                                       Arena& scratch) const {
  Encoder encoder(*impl_, out, scratch);
  const Status status = encoder.encode(segments);
  if (!status.ok()) return status.error();
  return encoder.finish();
}

u64 Tokenizer::max_ids(u64 n_byte) const { return Encoder::max_ids(*impl_, n_byte); }
u64 Tokenizer::scratch_bytes(u64 n_byte) const { return Encoder::scratch_bytes(*impl_, n_byte); }

// ---- decoding

u32 Tokenizer::max_piece_bytes() const { return impl_->vocab.max_piece_bytes(); }

namespace {

// Gives put() the bytes that a normal or byte token stands for; no more than its spelling has.
// Unused tokens, which fill up a vocabulary, stand for nothing.
template <class Put>
void spell(const Tokenizer::Impl& model, u32 id, const Put& put) {
  const Str spelling = model.vocab.piece(id);
  switch (model.vocab.type(id)) {
    case TokenType::kByte: return put(static_cast<char>(byte_of_spelling(spelling)));
    case TokenType::kUndefined:
    case TokenType::kUnused: return;
    default: break;
  }
  const bool byte_level = !model.escapes_spaces();
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
  bool drop_space =
      at_start && impl_->space_prefix != Impl::SpacePrefix::kNever && impl_->escapes_spaces();
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
  if (impl_->clean_spaces) n = clean_up_spaces(out.data(), n);
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
bool Tokenizer::is_fallback(u32 id) const {
  const Vocab& vocab = impl_->vocab;
  if (id >= vocab.size()) return false;
  if (vocab.type(id) == TokenType::kByte || vocab.type(id) == TokenType::kUnknown) return true;
  for (u32 byte = 0x80; byte < 256; ++byte) {
    if (impl_->byte_tokens[byte] == id) return true;
  }
  return false;
}
u32 Tokenizer::find(Str piece) const { return impl_->vocab.find(piece); }
Str Tokenizer::notice() const { return impl_->notice; }
Str Tokenizer::model_name() const { return impl_->model_name; }
Str Tokenizer::pretokenizer_name() const {
  return impl_->pretokenizer != nullptr ? impl_->pretokenizer->name : Str("default");
}

}  // namespace lbm
