#include "core/tokenizer/encoder.h"

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

// Scores as ranks: the highest score is the lowest rank. A finite float orders like its bits, read
// as sign and magnitude.
u32 rank_of_score(f32 score) {
  const u32 bits = __builtin_bit_cast(u32, score == 0.0f ? 0.0f : score);  // one zero, not two
  return (bits >> 31) != 0 ? bits : ~bits & 0x7FFFFFFFu;
}

}  // namespace

u64 Encoder::scratch_bytes(const Tokenizer::Impl& model, u64 n_byte) {
  // The joined text; the escaped text, where every space takes three bytes; a symbol and two heap
  // entries for each byte. One more of each for the space that SentencePiece puts in front. The
  // rest is what alignment may lose.
  constexpr u64 kPerByte = 1 + 3 + sizeof(Symbol) + merge_heap_entries(1) * sizeof(u64);
  return (n_byte + 1) * kPerByte + model.vocab.max_piece_bytes() + 6 * Arena::kDefaultAlignment;
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
    const Status status = encode_plain(text.slice(plain_start, position - plain_start));
    if (!status.ok()) return status;
    emit(special.id);
    position += special.n_byte;
    if (model_.vocab.trims_after(special.id)) {
      while (position < text.size() && Str::is_space(text[position])) ++position;
    }
    plain_start = position;
  }
  return encode_plain(text.from(plain_start));
}

Status Encoder::encode_plain(Str text) {
  if (text.empty()) return {};
  const Arena::Mark mark = scratch_.mark();
  const Status status =
      model_.kind == Tokenizer::Impl::Kind::kBytePairs ? encode_words(text) : encode_pieces(text);
  scratch_.rewind(mark);
  return status;
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

// ---- byte-level BPE

Status Encoder::encode_words(Str text) {
  // Nearly all words are short, but one may be all of the text.
  const Status status = take_work_memory(text.size());
  if (!status.ok()) return status;
  Result<Span<u8>> spelling =
      scratch_.take_raw(model_.vocab.max_piece_bytes(), "spelling of a word", 1);
  if (!spelling.ok()) return spelling.error();
  spelling_ = {reinterpret_cast<char*>(spelling.value().data()), spelling.value().size()};

  WordSplitter words(*model_.pretokenizer, text);
  for (Str word; words.next(word);) encode_word(word);
  return {};
}

// The token that is spelled like the word in the byte-level alphabet, or kNoToken.
u32 Encoder::find_word(Str word) {
  usize n = 0;
  for (const char byte : word) {
    char character[4];
    const u32 n_byte = encode_utf8(kByteLevel.codepoint_of[static_cast<u8>(byte)], character);
    if (n + n_byte > spelling_.size()) return Vocab::kNoToken;
    __builtin_memcpy(spelling_.data() + n, character, n_byte);
    n += n_byte;
  }
  const u32 id = model_.vocab.find(Str(spelling_.data(), n));
  return model_.is_mergeable(id) ? id : Vocab::kNoToken;
}

void Encoder::encode_word(Str word) {
  if (model_.pretokenizer->ignore_merges) {
    const u32 id = find_word(word);
    if (id != Vocab::kNoToken) return emit(id);
  }
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
  if (!model_.has_all_bytes) {
    // A malformed byte without a token is read as U+FFFD. A byte of a proper character without one
    // is dropped, as by every other implementation: a model has nothing to understand it by.
    for (u32 i = 0; i < n;) {
      const Utf8Char c = decode_utf8(word.from(i));
      if (!c.valid && symbols_[i].id == Symbol::kNone) symbols_[i].id = model_.replacement_token;
      i += c.n_byte;
    }
  }
  const BytePairs& pairs = model_.pairs;
  merge_symbols(symbols_.first(n), heap_, [&pairs](const Symbol& left, const Symbol& right) {
    return left.id == Symbol::kNone || right.id == Symbol::kNone ? PairRank{}
                                                                 : pairs.find(left.id, right.id);
  });
  for (u32 i = 0; i != Symbol::kNone; i = symbols_[i].next) {
    if (symbols_[i].id != Symbol::kNone) emit(symbols_[i].id);
  }
}

// ---- SentencePiece

Status Encoder::encode_pieces(Str text) {
  const usize n_prefix = model_.add_space_prefix ? 1 : 0;
  const Status status = take_work_memory(text.size() + n_prefix);
  if (!status.ok()) return status;
  usize n_escaped = kEscapedSpace.size() * n_prefix;
  for (const char byte : text) n_escaped += byte == ' ' ? kEscapedSpace.size() : 1;
  Result<Span<u8>> memory = scratch_.take_raw(n_escaped, "escaped text", 1);
  if (!memory.ok()) return memory.error();
  char* const escaped = reinterpret_cast<char*>(memory.value().data());
  usize at = 0;
  const auto put = [&](Str bytes) {
    __builtin_memcpy(escaped + at, bytes.data(), bytes.size());
    at += bytes.size();
  };
  if (n_prefix != 0) put(kEscapedSpace);
  for (usize i = 0; i < text.size(); ++i) put(text[i] == ' ' ? kEscapedSpace : text.slice(i, 1));

  const Str all(escaped, n_escaped);
  const auto find = [&](u32 begin, u32 end) {
    const u32 id = model_.vocab.find(all.slice(begin, end - begin));
    return model_.is_mergeable(id) ? id : Vocab::kNoToken;
  };
  u32 n = 0;
  for (u32 begin = 0; begin < n_escaped; ++n) {
    const u32 end = begin + decode_utf8(all.from(begin)).n_byte;
    symbols_[n] = {
        .begin = begin, .id = find(begin, end), .prev = 0, .next = 0, .rank = 0, .merged = 0};
    begin = end;
  }
  const auto end_of = [&](const Symbol& symbol) {
    return symbol.next == Symbol::kNone ? static_cast<u32>(n_escaped) : symbols_[symbol.next].begin;
  };
  const u32 longest = model_.vocab.max_piece_bytes();
  merge_symbols(symbols_.first(n), heap_, [&](const Symbol& left, const Symbol& right) {
    const u32 end = end_of(right);
    if (end - left.begin > longest) return PairRank{};
    const u32 id = find(left.begin, end);
    return id == Vocab::kNoToken ? PairRank{} : PairRank{rank_of_score(model_.vocab.score(id)), id};
  });
  for (u32 i = 0; i != Symbol::kNone; i = symbols_[i].next) {
    const Symbol& symbol = symbols_[i];
    if (symbol.id != Symbol::kNone) {
      emit(symbol.id);
    } else if (!model_.has_all_bytes) {
      emit(model_.vocab.unknown());
    } else {
      const u32 end = end_of(symbol);
      for (u32 k = symbol.begin; k < end; ++k) {
        emit(model_.byte_tokens[static_cast<u8>(escaped[k])]);
      }
    }
  }
  return {};
}

}  // namespace lbm
