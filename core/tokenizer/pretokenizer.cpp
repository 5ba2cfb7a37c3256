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

constexpr u32 kUpperish = kUpper | kUncased | kMark;
constexpr u32 kLowerish = kLower | kUncased | kMark;

// upper* lower+. Both sets hold the uncased letters: where no lowercase letter follows the run of
// `upper`, the run gives back as much as it must for its last uncased letter to be the `lower+`.
u32 match_capitalized(const Reader& text, u32 position) {
  u32 run_end = position;
  u32 uncased_end = position;
  for (Char c = text.at(run_end); (c.classes & kUpperish) != 0; c = text.at(run_end)) {
    run_end += c.n_byte;
    if ((c.classes & kLowerish) != 0) uncased_end = run_end;
  }
  return (text.at(run_end).classes & kLower) != 0 ? text.skip(run_end, kLowerish) : uncased_end;
}

// upper+ lower*
u32 match_uppercase(const Reader& text, u32 position) {
  const u32 run_end = text.skip(position, kUpperish);
  return run_end == position ? position : text.skip(run_end, kLowerish);
}

u32 match_cased_word(const Reader& text, u32 position, const WordRule& rule) {
  const Char c = text.at(position);
  const bool may_prefix = !is_newline(c) && (c.classes & (kLetter | kNumber)) == 0;
  const u32 starts[] = {position + (may_prefix ? c.n_byte : 0), position};
  constexpr u32 (*kAlternatives[])(const Reader&, u32) = {match_capitalized, match_uppercase};
  for (const auto match : kAlternatives) {
    for (const u32 start : starts) {
      const u32 end = match(text, start);
      if (end != start) return match_contraction(text, end, rule.suffix);
    }
  }
  return position;
}

u32 match_word(const Reader& text, u32 position, const WordRule& rule) {
  if (rule.cased) return match_cased_word(text, position, rule);
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
  return tail == WordRule::Tail::kNone
             ? end
             : text.skip_newlines(end, tail == WordRule::Tail::kNewlinesAndSlash);
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

u32 match_rule(const Reader& text, u32 position, const WordRule& rule) {
  u32 end = match_contraction(text, position, rule.contractions);
  if (end == position) end = match_word(text, position, rule);
  if (end == position) end = match_number(text, position, rule);
  const u32 symbols = kAny & ~(kSpace | rule.word | kNumber);
  if (end == position) end = match_symbols(text, position, symbols, rule.tail);
  if (end == position) end = match_space(text, position, rule.newlines);
  return end;
}

u32 match_punctuated_word(const Reader& text, u32 position) {
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
  end = match_symbols(text, position, kPunctuation | kSymbol, WordRule::Tail::kNewlines);
  return end != position ? end : match_space(text, position, true);
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

bool in_set(const SetRun& set, const Char& c) {
  return (c.classes & set.classes) != 0 || (c.classes != 0 && in_ranges(set.ranges, c.codepoint));
}

u32 match_set(const Reader& text, u32 position, const SetRun& set) {
  const Char first = text.at(position);
  u32 end = position;
  if (set.leading_space && (first.classes & kSpace) != 0 &&
      in_set(set, text.at(position + first.n_byte))) {
    end += first.n_byte;
  }
  u32 n = 0;
  for (Char c = text.at(end); n < set.max && in_set(set, c); c = text.at(end)) {
    end += c.n_byte;
    ++n;
  }
  return n >= set.min ? end : position;
}

u32 match_step(const Reader& text, u32 position, const SplitStep& step) {
  switch (step.kind) {
    case SplitStep::Kind::kSetRun: return match_set(text, position, step.set);
    case SplitStep::Kind::kWords: return match_rule(text, position, step.words);
    case SplitStep::Kind::kPunctuatedWords: return match_punctuated_word(text, position);
    case SplitStep::Kind::kTrailingSpace: return position;
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

// The end of the first piece of [position, end of text) under `step`: of the match there, or of the
// gap before the next match.
u32 find_piece_end(const Reader& text, u32 position, const SplitStep& step) {
  if (step.kind == SplitStep::Kind::kTrailingSpace) return find_trailing_space(text, position);
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
