#include "core/tokenizer/encoder.h"

#include "core/base/unicode_normalize.h"
#include "core/base/unicode_tables.h"
#include "core/base/utf8.h"
#include "core/tokenizer/byte_level.h"

namespace lbm {
namespace {

constexpr Str kEscapedSpace = "\u2581";  // which SentencePiece writes for a space

// Tells, for ascending positions, how much of the text from there on is markup. Neighbouring
// segments of one kind are one run: a special token may be put together from two pieces of markup,
// but not from markup and content.
class MarkupRuns {
 public:
  explicit MarkupRuns(Span<const TextSegment> segments) : segments_(segments) {}

  [[nodiscard]] usize markup_from(usize position) {
    while (position >= run_end_ && next_ < segments_.size()) {
      run_is_markup_ = segments_[next_].markup;
      while (next_ < segments_.size() &&
             (segments_[next_].markup == run_is_markup_ || segments_[next_].text.empty())) {
        run_end_ += segments_[next_++].text.size();
      }
    }
    return run_is_markup_ ? run_end_ - position : 0;
  }

 private:
  Span<const TextSegment> segments_;
  usize next_ = 0;
  usize run_end_ = 0;
  bool run_is_markup_ = false;
};

// Bytes of white space at the start of `text`.
usize space_bytes_at_start(Str text, bool unicode) {
  usize n = 0;
  while (n < text.size()) {
    const Utf8Char c = decode_utf8(text.from(n));
    const bool space = unicode ? char_info(c.codepoint).char_class == CharClass::kWhiteSpace
                               : Str::is_space(text[n]);
    if (!space) break;
    n += c.n_byte;
  }
  return n;
}

usize space_bytes_at_end(Str text, bool unicode) {
  usize n = 0;
  for (usize start = text.size(); start > 0; n = text.size() - start) {
    --start;
    while (unicode && start > 0 && (static_cast<u8>(text[start]) & 0xC0) == 0x80) --start;
    if (space_bytes_at_start(text.from(start), unicode) + start < text.size() - n) break;
  }
  return n;
}

// Scores as ranks: the highest score is the lowest rank. A finite float orders like its bits, read
// as sign and magnitude.
u32 rank_of_score(f32 score) {
  const u32 bits = __builtin_bit_cast(u32, score == 0.0f ? 0.0f : score);  // one zero, not two
  return (bits >> 31) != 0 ? bits : ~bits & 0x7FFFFFFFu;
}

}  // namespace

u64 Tokenizer::Impl::growth() const {
  if (kind == Kind::kUnigram) return charsmap.growth() > 3 ? charsmap.growth() : 3;
  return escapes_spaces() ? 3 : 1;
}

u64 Encoder::scratch_bytes(const Tokenizer::Impl& model, u64 n_byte) {
  using Kind = Tokenizer::Impl::Kind;
  // The joined text, then what normalization takes, and what is made of its result.
  u64 bytes = n_byte + 10 * Arena::kDefaultAlignment + model.vocab.max_piece_bytes();
  if (model.normalize) {
    bytes += nfc_bytes(n_byte) + nfc_scratch_bytes(n_byte);
    n_byte = nfc_bytes(n_byte);
  }
  // One byte more of each for the space that some models put in front.
  const u64 n_spelled = (n_byte + 1) * model.growth() + 3;
  switch (model.kind) {
    case Kind::kBytePairs:
    case Kind::kSentencePiece:
      // A symbol and two heap entries for each character, of which spaces are three bytes long.
      return bytes + n_spelled +
             (n_byte + 1) * (sizeof(Symbol) + merge_heap_entries(1) * sizeof(u64));
    case Kind::kUnigram: return bytes + n_spelled + (n_spelled + 1) * sizeof(UnigramCut);
    case Kind::kWordPiece: return bytes + WordReader::word_bytes(n_byte);
  }
  return bytes;
}

u64 Encoder::max_ids(const Tokenizer::Impl& model, u64 n_byte) {
  const u64 n_normalized = model.normalize ? nfc_bytes(n_byte) : n_byte;
  return (n_normalized + 1) * model.growth() + 3;
}

Result<u32> Encoder::finish() const {
  if (n_out_ > out_.size()) {
    return fail(ErrorCode::kLimit, "the text has more tokens than there is room for:")
        .with(n_out_, out_.size());
  }
  return n_out_;
}

Status Encoder::encode(Span<const TextSegment> segments) {
  u64 n_byte = 0;
  for (const TextSegment& segment : segments) n_byte += segment.text.size();
  if (n_byte > kMaxTextBytes) {
    return fail(ErrorCode::kLimit, "the text is too long; bytes:").with(n_byte, kMaxTextBytes);
  }
  const Arena::Mark mark = scratch_.mark();
  Str text = segments.size() == 1 ? segments[0].text : Str();
  if (segments.size() > 1) {
    Result<Span<u8>> joined = scratch_.take_raw(n_byte, "text to encode", 1);
    if (!joined.ok()) return joined.error();
    usize at = 0;
    for (const TextSegment& segment : segments) {
      __builtin_memcpy(joined.value().data() + at, segment.text.data(), segment.text.size());
      at += segment.text.size();
    }
    text = Str(joined.value());
  }
  const Status status = encode_joined(text, segments);
  scratch_.rewind(mark);
  return status;
}

Status Encoder::encode_joined(Str text, Span<const TextSegment> segments) {
  MarkupRuns runs(segments);
  usize plain_start = 0;
  for (usize position = 0; position < text.size();) {
    const SpecialTokens::Match special =
        model_.specials.match(text.from(position), runs.markup_from(position));
    if (special.n_byte == 0) {
      ++position;
      continue;
    }
    Str before = text.slice(plain_start, position - plain_start);
    if (model_.vocab.trims_before(special.id)) {
      before = before.first(before.size() - space_bytes_at_end(before, model_.trims_unicode));
    }
    const Status status = encode_plain(before);
    if (!status.ok()) return status;
    at_start_ = false;
    emit(special.id);
    position += special.n_byte;
    if (model_.vocab.trims_after(special.id)) {
      position += space_bytes_at_start(text.from(position), model_.trims_unicode);
    }
    plain_start = position;
  }
  return encode_plain(text.from(plain_start));
}

Status Encoder::encode_plain(Str text) {
  if (text.empty()) return {};
  const Arena::Mark mark = scratch_.mark();
  if (model_.normalize) {
    const Result<Str> normalized = normalize_nfc(text, scratch_);
    if (!normalized.ok()) return normalized.error();  // encode() gives the memory back
    text = normalized.value();
  }
  Status status;
  switch (model_.kind) {
    case Tokenizer::Impl::Kind::kBytePairs: status = encode_words(text); break;
    case Tokenizer::Impl::Kind::kSentencePiece: status = encode_pieces(text); break;
    case Tokenizer::Impl::Kind::kUnigram: status = encode_unigram(text); break;
    case Tokenizer::Impl::Kind::kWordPiece: status = encode_wordpiece(text); break;
  }
  scratch_.rewind(mark);
  return status;
}

bool Encoder::wants_space(bool begins_with_space) const {
  switch (model_.space_prefix) {
    case Tokenizer::Impl::SpacePrefix::kNever: return false;
    case Tokenizer::Impl::SpacePrefix::kAlways: return true;
    case Tokenizer::Impl::SpacePrefix::kMissing: return !begins_with_space;
    case Tokenizer::Impl::SpacePrefix::kFirst: return !begins_with_space && at_start_;
  }
  return false;
}

Result<Str> Encoder::spell_spaces(Str text) {
  const Str space = model_.escapes_spaces() ? kEscapedSpace : Str(" ");
  const bool prefix = wants_space(text[0] == ' ');
  if (!prefix && space.size() == 1) return text;
  usize n = prefix ? space.size() : 0;
  for (const char byte : text) n += byte == ' ' ? space.size() : 1;
  Result<Span<u8>> memory = scratch_.take_raw(n, "text with its spaces", 1);
  if (!memory.ok()) return memory.error();
  char* const out = reinterpret_cast<char*>(memory.value().data());
  usize at = 0;
  const auto put = [&](Str bytes) {
    __builtin_memcpy(out + at, bytes.data(), bytes.size());
    at += bytes.size();
  };
  if (prefix) put(space);
  for (usize i = 0; i < text.size(); ++i) put(text[i] == ' ' ? space : text.slice(i, 1));
  return Str(out, n);
}

void Encoder::emit_bytes(Str bytes) {
  if (!model_.has_all_bytes && model_.kind != Tokenizer::Impl::Kind::kBytePairs) {
    return emit(model_.vocab.unknown());
  }
  for (const char byte : bytes) {
    const u32 id = model_.byte_tokens[static_cast<u8>(byte)];
    if (id != Vocab::kNoToken) emit(id);
  }
}

Status Encoder::take_work_memory(usize n_symbol) {
  Result<Span<u8>> symbols = scratch_.take_raw(u64{n_symbol} * sizeof(Symbol), "symbols to merge");
  if (!symbols.ok()) return symbols.error();
  symbols_ = {reinterpret_cast<Symbol*>(symbols.value().data()), n_symbol};
  const usize n_entry = merge_heap_entries(n_symbol);
  Result<Span<u8>> heap = scratch_.take_raw(u64{n_entry} * sizeof(u64), "pairs to merge");
  if (!heap.ok()) return heap.error();
  heap_ = {reinterpret_cast<u64*>(heap.value().data()), n_entry};
  return {};
}

u32 Encoder::take_characters(Str text) {
  u32 n = 0;
  for (u32 begin = 0; begin < text.size(); ++n) {
    const u32 n_byte = decode_utf8(text.from(begin)).n_byte;
    const u32 id = model_.vocab.find(text.slice(begin, n_byte));
    symbols_[n] = {.begin = begin,
                   .id = model_.is_mergeable(id) ? id : Symbol::kNone,
                   .prev = 0,
                   .next = 0,
                   .rank = 0,
                   .merged = 0};
    begin += n_byte;
  }
  return n;
}

// ---- BPE

Status Encoder::encode_words(Str text) {
  const Result<Str> spelled = spell_spaces(text);
  if (!spelled.ok()) return spelled.error();
  // Nearly all words are short, but one may be all of the text. A character is one symbol, and a
  // space that was escaped is one character.
  const Status status = take_work_memory(text.size() + 1);
  if (!status.ok()) return status;
  if (model_.pretokenizer->byte_level) {
    Result<Span<u8>> spelling =
        scratch_.take_raw(model_.vocab.max_piece_bytes(), "spelling of a word", 1);
    if (!spelling.ok()) return spelling.error();
    spelling_ = {reinterpret_cast<char*>(spelling.value().data()), spelling.value().size()};
  }
  WordSplitter words(*model_.pretokenizer, spelled.value());
  for (Str word; words.next(word);) encode_word(word);
  return {};
}

// The token that is spelled like the word, in the byte-level alphabet where the model has it; or
// kNoToken.
u32 Encoder::find_word(Str word) {
  if (model_.pretokenizer->byte_level) {
    usize n = 0;
    for (const char byte : word) {
      char character[4];
      const u32 n_byte = encode_utf8(kByteLevel.codepoint_of[static_cast<u8>(byte)], character);
      if (n + n_byte > spelling_.size()) return Vocab::kNoToken;
      __builtin_memcpy(spelling_.data() + n, character, n_byte);
      n += n_byte;
    }
    word = Str(spelling_.data(), n);
  }
  const u32 id = model_.vocab.find(word);
  return model_.is_mergeable(id) ? id : Vocab::kNoToken;
}

u32 Encoder::take_bytes(Str word) {
  u32 n = 0;
  for (const char byte : word) {
    symbols_[n] = {.begin = n,
                   .id = model_.byte_tokens[static_cast<u8>(byte)],
                   .prev = 0,
                   .next = 0,
                   .rank = 0,
                   .merged = 0};
    ++n;
  }
  if (model_.has_all_bytes) return n;
  // A malformed byte without a token is read as U+FFFD. A byte of a proper character without one is
  // dropped, as by every other implementation: a model has nothing to understand it by.
  for (u32 i = 0; i < n;) {
    const Utf8Char c = decode_utf8(word.from(i));
    if (!c.valid && symbols_[i].id == Symbol::kNone) symbols_[i].id = model_.replacement_token;
    i += c.n_byte;
  }
  return n;
}

void Encoder::encode_word(Str word) {
  const Pretokenizer& pretokenizer = *model_.pretokenizer;
  if (model_.ignore_merges || (pretokenizer.newline_tokens && word[0] == '\n')) {
    const u32 id = find_word(word);
    if (id != Vocab::kNoToken) return emit(id);
  }
  const u32 n = pretokenizer.byte_level ? take_bytes(word) : take_characters(word);
  const BytePairs& pairs = model_.pairs;
  merge_symbols(symbols_.first(n), heap_, [&pairs](const Symbol& left, const Symbol& right) {
    return left.id == Symbol::kNone || right.id == Symbol::kNone ? PairRank{}
                                                                 : pairs.find(left.id, right.id);
  });
  for (u32 i = 0; i != Symbol::kNone; i = symbols_[i].next) {
    const Symbol& symbol = symbols_[i];
    if (symbol.id != Symbol::kNone) {
      emit(symbol.id);
    } else if (!pretokenizer.byte_level) {
      emit_bytes(word.slice(symbol.begin, decode_utf8(word.from(symbol.begin)).n_byte));
    }
  }
}

// ---- SentencePiece

Status Encoder::encode_pieces(Str text) {
  const Result<Str> spelled = spell_spaces(text);
  if (!spelled.ok()) return spelled.error();
  const Status status = take_work_memory(text.size() + 1);
  if (!status.ok()) return status;
  const Str all = spelled.value();
  const u32 n = take_characters(all);
  const auto end_of = [&](const Symbol& symbol) {
    return symbol.next == Symbol::kNone ? static_cast<u32>(all.size())
                                        : symbols_[symbol.next].begin;
  };
  const u32 longest = model_.vocab.max_piece_bytes();
  merge_symbols(symbols_.first(n), heap_, [&](const Symbol& left, const Symbol& right) {
    const u32 end = end_of(right);
    if (end - left.begin > longest) return PairRank{};
    const u32 id = model_.vocab.find(all.slice(left.begin, end - left.begin));
    return model_.is_mergeable(id) ? PairRank{rank_of_score(model_.vocab.score(id)), id}
                                   : PairRank{};
  });
  for (u32 i = 0; i != Symbol::kNone; i = symbols_[i].next) {
    const Symbol& symbol = symbols_[i];
    if (symbol.id != Symbol::kNone) {
      emit(symbol.id);
    } else {
      emit_bytes(all.slice(symbol.begin, end_of(symbol) - symbol.begin));
    }
  }
  return {};
}

}  // namespace lbm
