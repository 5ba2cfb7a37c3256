#include "core/tokenizer/pretokenizer.h"

#include "core/base/check.h"
#include "core/base/utf8.h"
#include "core/tokenizer/split_step.h"

namespace lbm {
namespace {

using namespace char_set;

struct Char {
  u32 codepoint;
  u32 classes;  // one bit, or 0 at the end
  u32 n_byte;
};

constexpr bool is_newline(const Char& c) { return c.codepoint == '\r' || c.codepoint == '\n'; }

constexpr bool is_ascii_letter(u32 codepoint) {
  const u32 lower = codepoint | 0x20;
  return lower >= 'a' && lower <= 'z';
}

// One piece of the text, read at byte positions.
class Reader {
 public:
  Reader(Str text, u32 end) : text_(text.first(end)), end_(end) {}

  [[nodiscard]] u32 end() const { return end_; }

  [[nodiscard]] Char at(u32 position) const {
    if (position >= end_) return {~u32{0}, 0, 0};
    const Utf8Char c = decode_utf8(Str(text_.data() + position, end_ - position));
    return {c.codepoint, bit(char_info(c.codepoint).char_class), c.n_byte};
  }

  // The character that ends at `position`; of no class at the start.
  [[nodiscard]] Char before(u32 position) const {
    if (position == 0) return {~u32{0}, 0, 0};
    u32 start = position - 1;
    while (start > 0 && position - start < 4 && (static_cast<u8>(text_[start]) & 0xC0) == 0x80)
      --start;
    const Char c = at(start);
    return start + c.n_byte == position ? c : at(position - 1);
  }

  // The end of the run of characters of `classes` that starts at `position`.
  [[nodiscard]] u32 skip(u32 position, u32 classes) const {
    for (Char c = at(position); (c.classes & classes) != 0; c = at(position)) position += c.n_byte;
    return position;
  }

  [[nodiscard]] u32 skip_newlines(u32 position, bool slash_too) const {
    Char c = at(position);
    while (is_newline(c) || (slash_too && c.codepoint == '/')) {
      position += c.n_byte;
      c = at(position);
    }
    return position;
  }

 private:
  Str text_;
  u32 end_;
};

// Every match_ function returns the end of the match at `position`, or `position` where there is
// none.

u32 match_contraction(const Reader& text, u32 position, WordRule::Contractions kind) {
  if (kind == WordRule::Contractions::kNone || text.at(position).codepoint != '\'') return position;
  const auto letter = [&](u32 offset) -> u32 {
    const u32 c = text.at(position + offset).codepoint;
    return kind == WordRule::Contractions::kAnyCase && is_ascii_letter(c) ? c | 0x20 : c;
  };
  const u32 first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return position + 2;
  if (first != 'r' && first != 'v' && first != 'l') return position;
  const u32 second = letter(2);
  return second == (first == 'l' ? 'l' : 'e') ? position + 3 : position;
}

bool in_ranges(Span<const CodepointRange> ranges, u32 codepoint) {
  usize low = 0;
  usize high = ranges.size();
  while (low < high) {
    const usize middle = (low + high) / 2;
    if (ranges[middle].last < codepoint) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < ranges.size() && ranges[low].first <= codepoint;
}

constexpr u32 kUpperish = kUpper | kUncased | kMark;
constexpr u32 kLowerish = kLower | kUncased | kMark;

// The text as the words of one rule see it: foreign characters are of no class.
class CasedReader {
 public:
  CasedReader(const Reader& text, Span<const CodepointRange> foreign)
      : text_(text), foreign_(foreign) {}

  [[nodiscard]] Char at(u32 position) const {
    Char c = text_.at(position);
    if (!foreign_.empty() && in_ranges(foreign_, c.codepoint)) c.classes = 0;
    return c;
  }
  [[nodiscard]] u32 skip(u32 position, u32 classes) const {
    for (Char c = at(position); (c.classes & classes) != 0; c = at(position)) position += c.n_byte;
    return position;
  }

 private:
  const Reader& text_;
  Span<const CodepointRange> foreign_;
};

// upper* lower+. Both sets hold the uncased letters: where no lowercase letter follows the run of
// `upper`, the run gives back as much as it must for its last uncased letter to be the `lower+`.
u32 match_capitalized(const CasedReader& text, u32 position) {
  u32 run_end = position;
  u32 uncased_end = position;
  for (Char c = text.at(run_end); (c.classes & kUpperish) != 0; c = text.at(run_end)) {
    run_end += c.n_byte;
    if ((c.classes & kLowerish) != 0) uncased_end = run_end;
  }
  return (text.at(run_end).classes & kLower) != 0 ? text.skip(run_end, kLowerish) : uncased_end;
}

// upper+ lower*
u32 match_uppercase(const CasedReader& text, u32 position) {
  const u32 run_end = text.skip(position, kUpperish);
  return run_end == position ? position : text.skip(run_end, kLowerish);
}

u32 match_cased_word(const Reader& text, u32 position, const WordRule& rule) {
  const Char c = text.at(position);
  const bool may_prefix = !is_newline(c) && (c.classes & (kLetter | kNumber)) == 0;
  const u32 starts[] = {position + (may_prefix ? c.n_byte : 0), position};
  constexpr u32 (*kAlternatives[])(const CasedReader&, u32) = {match_capitalized, match_uppercase};
  const CasedReader cased(text, rule.foreign);
  for (const auto match : kAlternatives) {
    for (const u32 start : starts) {
      const u32 end = match(cased, start);
      if (end != start) return match_contraction(text, end, rule.suffix);
    }
  }
  return position;
}

// prefix? (\p{L}\p{M}*( \p{L}\p{M}*)*)+: letters, each with its marks, with no more than one space
// between two of them.
u32 match_joined_words(const Reader& text, u32 position) {
  Char c = text.at(position);
  u32 end = position;
  if ((c.classes & (kLetter | kNumber)) == 0 && !is_newline(c) && c.classes != 0) {
    end += c.n_byte;
    c = text.at(end);
  }
  if ((c.classes & kLetter) == 0) return position;
  for (;;) {
    end = text.skip(end + c.n_byte, kMark);
    const u32 next = text.at(end).codepoint == ' ' ? end + 1 : end;
    c = text.at(next);
    if ((c.classes & kLetter) == 0) return end;
    end = next;
  }
}

u32 match_word(const Reader& text, u32 position, const WordRule& rule) {
  if (rule.cased) return match_cased_word(text, position, rule);
  if (rule.joined) return match_joined_words(text, position);
  const Char c = text.at(position);
  if ((c.classes & rule.word) != 0) return text.skip(position, rule.word);
  const bool may_prefix = rule.space_prefix
                              ? c.codepoint == ' '
                              : !is_newline(c) && (c.classes & (kLetter | kNumber)) == 0;
  if (!may_prefix) return position;
  const u32 end = text.skip(position + c.n_byte, rule.word);
  return end == position + c.n_byte ? position : end;
}

u32 match_number(const Reader& text, u32 position, const WordRule& rule) {
  const u32 start =
      rule.space_prefix && text.at(position).codepoint == ' ' ? position + 1 : position;
  u32 end = start;
  for (u32 n = 0; n < rule.max_digits; ++n) {
    const Char c = text.at(end);
    if ((c.classes & kNumber) == 0) break;
    end += c.n_byte;
  }
  return end == start ? position : end;
}

// ' '? [classes]+ tail*
u32 match_symbols(const Reader& text, u32 position, u32 classes, WordRule::Tail tail) {
  const u32 start = text.at(position).codepoint == ' ' ? position + 1 : position;
  const u32 end = text.skip(start, classes);
  if (end == start) return position;
  switch (tail) {
    case WordRule::Tail::kNone: return end;
    case WordRule::Tail::kNewlines: return text.skip_newlines(end, false);
    case WordRule::Tail::kNewlinesAndSlash: return text.skip_newlines(end, true);
    case WordRule::Tail::kOneNewlineOrSlash: {
      const Char c = text.at(end);
      return is_newline(c) || c.codepoint == '/' ? end + 1 : end;
    }
  }
  return end;
}

// \s*[\r\n]+ where `newlines` | \s+(?!\S) | \s+: up to the last newline of the run; or all of the
// run but its last character, which the next word takes as its prefix; or all of it at the end of
// the text.
u32 match_space(const Reader& text, u32 position, bool newlines) {
  u32 end = position;
  u32 last_start = position;
  u32 newline_end = position;
  for (Char c = text.at(end); (c.classes & kSpace) != 0; c = text.at(end)) {
    last_start = end;
    end += c.n_byte;
    if (is_newline(c)) newline_end = end;
  }
  if (newlines && newline_end != position) return newline_end;
  return end == text.end() || last_start == position ? end : last_start;
}

// \s*[\r\n]+
u32 match_newlines(const Reader& text, u32 position) {
  u32 newline_end = position;
  u32 end = position;
  for (Char c = text.at(end); (c.classes & kSpace) != 0; c = text.at(end)) {
    end += c.n_byte;
    if (is_newline(c)) newline_end = end;
  }
  return newline_end;
}

// \s*[\r\n]+ | \s{512}(?!\S) | ... | \s{4}(?!\S) | \s{1,2}(?!\S) | \s
u32 match_halving_space(const Reader& text, u32 position) {
  // Within a run no newline follows: the first alternative had taken everything up to it. To look
  // for one again after every 512 spaces would take time with the square of the run.
  const Char last = text.before(position);
  if ((last.classes & kSpace) == 0 || is_newline(last)) {
    const u32 end = match_newlines(text, position);
    if (end != position) return end;
  }
  constexpr u32 kLongest = 512;
  u32 ends[kLongest + 2] = {position};  // ends[n]: after n characters of white space
  u32 n = 0;
  for (Char c = text.at(position); n <= kLongest && (c.classes & kSpace) != 0;
       c = text.at(ends[n])) {
    ends[n + 1] = ends[n] + c.n_byte;
    ++n;
  }
  if (n == 0) return position;
  if (ends[n] != text.end() && n > 1 && n <= kLongest) --n;  // the next word takes the last one
  for (u32 length = kLongest; length >= 4; length /= 2) {
    if (n >= length) return ends[length];
  }
  return ends[n >= 2 ? 2 : 1];
}

u32 match_foreign(const Reader& text, u32 position, Span<const CodepointRange> foreign) {
  if (foreign.empty()) return position;
  u32 end = position;
  for (Char c = text.at(end); c.classes != 0 && in_ranges(foreign, c.codepoint); c = text.at(end)) {
    end += c.n_byte;
  }
  return end;
}

u32 match_rule(const Reader& text, u32 position, const WordRule& rule) {
  u32 end = match_foreign(text, position, rule.foreign);
  if (end == position) end = match_contraction(text, position, rule.contractions);
  if (end == position) end = match_word(text, position, rule);
  if (end == position) end = match_number(text, position, rule);
  const u32 symbols = kAny & ~(kSpace | rule.word | kNumber);
  if (end == position) end = match_symbols(text, position, symbols, rule.tail);
  if (end == position && rule.halving) end = match_halving_space(text, position);
  if (end == position) end = match_space(text, position, rule.newlines);
  return end;
}

u32 match_punctuated_word(const Reader& text, u32 position, const PunctuatedWords& rule) {
  const Char c = text.at(position);
  u32 end = position + c.n_byte;
  if (c.codepoint > ' ' && c.codepoint < 0x7F && (c.classes & (kPunctuation | kSymbol)) != 0) {
    while (is_ascii_letter(text.at(end).codepoint)) ++end;
    if (end != position + 1) return end;
  }
  constexpr u32 kWord = kLetter | kMark;
  if ((c.classes & kWord) != 0) return text.skip(position, kWord);
  if (!is_newline(c) && (c.classes & (kPunctuation | kSymbol)) == 0) {
    end = text.skip(position + c.n_byte, kWord);
    if (end != position + c.n_byte) return end;
  }
  const auto tail = rule.single_newlines ? WordRule::Tail::kNone : WordRule::Tail::kNewlines;
  end = match_symbols(text, position, kPunctuation | kSymbol, tail);
  if (end != position) return end;
  if (rule.single_newlines && is_newline(c)) return position + 1;
  return match_space(text, position, !rule.single_newlines);
}

bool in_set(const SetRun& set, const Char& c) {
  if (c.classes == 0) return false;
  return ((c.classes & set.classes) != 0 || in_ranges(set.ranges, c.codepoint)) != set.negated;
}

u32 match_set(const Reader& text, u32 position, const SetRun& set) {
  const Char first = text.at(position);
  const bool may_prefix = set.prefix == SetRun::Prefix::kWhiteSpace ? (first.classes & kSpace) != 0
                          : set.prefix == SetRun::Prefix::kSpace    ? first.codepoint == ' '
                                                                    : false;
  u32 end = position;
  if (may_prefix && in_set(set, text.at(position + first.n_byte))) end += first.n_byte;
  u32 n = 0;
  for (Char c = text.at(end); n < set.max && in_set(set, c); c = text.at(end)) {
    end += c.n_byte;
    ++n;
  }
  return n >= set.min ? end : position;
}

// What continues a word for \b: letters, marks, digits, connectors, letter-like numbers and
// symbols.
bool is_word_char(const Char& c) {
  constexpr CodepointRange kOthers[] = {
      {'_', '_'},         {0x16EE, 0x16F0},   {0x203F, 0x2040},   {0x2054, 0x2054},
      {0x2160, 0x2182},   {0x2185, 0x2188},   {0x24B6, 0x24E9},   {0x3007, 0x3007},
      {0x3021, 0x3029},   {0x3038, 0x303A},   {0xA6E6, 0xA6EF},   {0xFE33, 0xFE34},
      {0xFE4D, 0xFE4F},   {0xFF3F, 0xFF3F},   {0x10140, 0x10174}, {0x10341, 0x10341},
      {0x1034A, 0x1034A}, {0x103D1, 0x103D5}, {0x12400, 0x1246E}, {0x1F130, 0x1F149},
      {0x1F150, 0x1F169}, {0x1F170, 0x1F189}};
  return (c.classes & (kLetter | kMark | kDecimal)) != 0 || in_ranges(kOthers, c.codepoint);
}

u32 match_newline_run(const Reader& text, u32 position) {
  const bool newline = text.at(position).codepoint == '\n';
  u32 end = position;
  do {
    end += text.at(end).n_byte;
  } while (end < text.end() && (text.at(end).codepoint == '\n') == newline);
  return end;
}

u32 match_spaced_word(const Reader& text, u32 position) {
  constexpr u32 kSpaceSpelling = 0x2581;
  u32 end = position;
  do {
    end += text.at(end).n_byte;
  } while (end < text.end() && text.at(end).codepoint != kSpaceSpelling);
  return end;
}

u32 match_indent(const Reader& text, u32 position) {
  const u32 first = text.at(position).codepoint;
  if (first == '\t' || first == '\n') return position + 1;
  u32 n = 0;
  while (n < 4 && text.at(position + n).codepoint == ' ') ++n;
  return position + (n == 4 ? 4 : n >= 2 ? 2 : 0);
}

u32 match_step(const Reader& text, u32 position, const SplitStep& step) {
  switch (step.kind) {
    case SplitStep::Kind::kSetRun: return match_set(text, position, step.set);
    case SplitStep::Kind::kWords: return match_rule(text, position, step.words);
    case SplitStep::Kind::kPunctuatedWords:
      return match_punctuated_word(text, position, step.punctuated);
    case SplitStep::Kind::kNewlineRuns: return match_newline_run(text, position);
    case SplitStep::Kind::kIndents: return match_indent(text, position);
    case SplitStep::Kind::kSpacedWords: return match_spaced_word(text, position);
    case SplitStep::Kind::kDigitGroups:
    case SplitStep::Kind::kTrailingSpace: return position;  // find_piece_end has their own
  }
  return position;
}

// What find_piece_end() gives for \s+$, which is not tried place by place: each would read the rest
// of its run.
u32 find_trailing_space(const Reader& text, u32 position) {
  u32 run_start = position;
  for (u32 p = position; p < text.end();) {
    const Char c = text.at(p);
    p += c.n_byte;
    if ((c.classes & kSpace) == 0) run_start = p;
  }
  return run_start == position ? text.end() : run_start;
}

// What find_piece_end() gives for digits in threes. A run is counted where it starts; further on,
// what is left of it is a multiple of three.
u32 find_digit_group(const Reader& text, u32 position, const DigitGroups& rule) {
  const bool within = (text.before(position).classes & rule.classes) != 0;
  for (u32 p = position; p < text.end();) {
    u32 ends[4] = {p, p, p, p};  // ends[n]: after n digits
    u32 n = 0;
    u32 end = p;
    for (Char c = text.at(end); (c.classes & rule.classes) != 0; c = text.at(end)) {
      end += c.n_byte;
      if (++n <= 3) ends[n] = end;
      if (within && p == position && n == 3) return end;
    }
    if (n != 0 && !(rule.at_word_boundary && is_word_char(text.at(end)))) {
      return p != position ? p : ends[n % 3 == 0 ? 3 : n % 3];
    }
    p = n != 0 ? end : p + text.at(p).n_byte;
  }
  return text.end();
}

// The end of the first piece of [position, end of text) under `step`: of the match there, or of the
// gap before the next match.
u32 find_piece_end(const Reader& text, u32 position, const SplitStep& step) {
  if (step.kind == SplitStep::Kind::kTrailingSpace) return find_trailing_space(text, position);
  if (step.kind == SplitStep::Kind::kDigitGroups) {
    return find_digit_group(text, position, step.digits);
  }
  const u32 match_end = match_step(text, position, step);
  if (match_end != position) return match_end;
  u32 p = position;
  do {
    p += text.at(p).n_byte;
  } while (p < text.end() && match_step(text, p, step) == p);
  return p;
}

}  // namespace

WordSplitter::WordSplitter(const Pretokenizer& pretokenizer, Str text)
    : steps_(pretokenizer.steps), text_(text) {
  LBM_CHECK(steps_.size() <= kMaxSteps && text.size() < ~u32{0});
  ends_[0] = static_cast<u32>(text.size());
}

bool WordSplitter::next(Str& word) {
  if (position_ == ends_[0]) return false;
  // The innermost piece is used up. The deepest one that is not gives the next piece to every step
  // below it.
  u32 level = static_cast<u32>(steps_.size());
  while (position_ >= ends_[level]) --level;
  for (; level < steps_.size(); ++level) {
    ends_[level + 1] = find_piece_end(Reader(text_, ends_[level]), position_, steps_[level]);
  }
  word = text_.slice(position_, ends_[level] - position_);
  position_ = ends_[level];
  return true;
}

}  // namespace lbm
