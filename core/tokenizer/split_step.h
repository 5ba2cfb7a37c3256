// The data that a pre-tokenizer is made of: one step is one regular expression, in a form that a
// hand-written matcher can follow (pretokenizer.cpp). pretokenizer_table.cpp has the expressions.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/base/unicode_tables.h"

namespace lbm {

// Sets of character classes, one bit each.
namespace char_set {

constexpr u32 bit(CharClass c) { return 1u << static_cast<u32>(c); }
constexpr u32 kLower = bit(CharClass::kLowercase);
constexpr u32 kUpper = bit(CharClass::kUppercase) | bit(CharClass::kTitlecase);
constexpr u32 kUncased = bit(CharClass::kModifierLetter) | bit(CharClass::kOtherLetter);
constexpr u32 kLetter = kLower | kUpper | kUncased;  // \p{L}
constexpr u32 kMark = bit(CharClass::kMark);
constexpr u32 kDecimal = bit(CharClass::kDecimalNumber);     // \d, \p{Nd}
constexpr u32 kNumber = kDecimal | bit(CharClass::kNumber);  // \p{N}
constexpr u32 kPunctuation = bit(CharClass::kPunctuation);
constexpr u32 kSymbol = bit(CharClass::kSymbol);
constexpr u32 kSpace = bit(CharClass::kWhiteSpace);
constexpr u32 kOther = bit(CharClass::kOther) | bit(CharClass::kUnassigned);
constexpr u32 kAny = kLetter | kMark | kNumber | kPunctuation | kSymbol | kSpace | kOther;

}  // namespace char_set

struct CodepointRange {
  u32 first;
  u32 last;
};

// prefix? [set]{min,max}, or with `negated` prefix? [^set]{min,max}.
struct SetRun {
  enum class Prefix : u8 { kNone, kWhiteSpace, kSpace };  // \s? or ' '?
  u32 classes = 0;
  Span<const CodepointRange> ranges = {};  // ascending
  u32 min = 1;
  u32 max = ~u32{0};
  Prefix prefix = Prefix::kNone;
  bool negated = false;
};

// Runs of numbers cut into threes from the right: 1234567 is 1|234|567.
struct DigitGroups {
  u32 classes = char_set::kNumber;
  bool at_word_boundary =
      false;  // \d{1,3}(?=(?:\d{3})*\b): not where a letter or _ follows the run
};

// The expression that every GPT has in some form. In order of precedence:
//   contractions   '(s|t|re|ve|m|ll|d)
//   words          prefix? word+
//                  or with `cased`: prefix? upper* lower+ suffix? | prefix? upper+ lower* suffix?
//   numbers        \p{N}{1,max_digits}
//   symbols        ' '? [^\s word \p{N}]+ tail*
//   white space    \s*[\r\n]+ where `newlines` | \s+(?!\S) | \s+
//                  or with `halving`, for the last two: \s{512}(?!\S) | \s{256}(?!\S) | ... |
//                  \s{4}(?!\S) | \s{1,2}(?!\S) | \s
// With space_prefix, words and numbers take one space in front; else words take any one character
// that is no letter, number, CR or LF. Some alternative matches everywhere, so there are no gaps.
struct WordRule {
  enum class Contractions : u8 { kNone, kLowercase, kAnyCase };
  enum class Tail : u8 { kNone, kNewlines, kNewlinesAndSlash, kOneNewlineOrSlash };
  Contractions contractions = Contractions::kNone;
  Contractions suffix = Contractions::kNone;  // with `cased`: the contraction belongs to its word
  bool space_prefix = false;
  bool cased = false;
  bool joined = false;  // words go on over single spaces: prefix? (\p{L}\p{M}*( \p{L}\p{M}*)*)+
  bool halving = false;
  Span<const CodepointRange> foreign = {};  // with `cased`: of no word; [foreign]+ goes before all
  u32 word = char_set::kLetter;
  u32 max_digits = ~u32{0};
  Tail tail = Tail::kNone;
  bool newlines = false;
};

// DeepSeek-V3, in order of precedence; what none of them matches is a gap:
//   [ASCII punctuation][A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+
//   ' '?[\p{P}\p{S}]+[\r\n]* | \s*[\r\n]+ | \s+(?!\S) | \s+
// or with single_newlines, in the second line:
//   ' '?[\p{P}\p{S}]+ | [\r\n] | \s+(?!\S) | \s+
struct PunctuatedWords {
  bool single_newlines = false;
};

struct SplitStep {
  enum class Kind : u8 {
    kSetRun,
    kWords,
    kDigitGroups,
    kPunctuatedWords,
    kTrailingSpace,  // \s+$
    kNewlineRuns,    // [^\n]+|\n+
    kIndents,        // [\t\n]|' '{4}|' '{2}
    kSpacedWords,    // a character and all up to the next U+2581
  };
  Kind kind;
  SetRun set = {};
  WordRule words = {};
  DigitGroups digits = {};
  PunctuatedWords punctuated = {};

  // Implicit: in the tables a step is written as its data.
  constexpr SplitStep(const SetRun& run) : kind(Kind::kSetRun), set(run) {}           // NOLINT
  constexpr SplitStep(const WordRule& rule) : kind(Kind::kWords), words(rule) {}      // NOLINT
  constexpr SplitStep(const DigitGroups& d) : kind(Kind::kDigitGroups), digits(d) {}  // NOLINT
  constexpr SplitStep(const PunctuatedWords& rule)                                    // NOLINT
      : kind(Kind::kPunctuatedWords), punctuated(rule) {}
  constexpr SplitStep(Kind named) : kind(named) {}  // NOLINT
};

}  // namespace lbm
