#include "core/tokenizer/pretokenizer.h"

#include "core/base/check.h"
#include "core/base/unicode_tables.h"
#include "core/base/utf8.h"

namespace lbm {
namespace {

// Sets of character classes, one bit each.
constexpr u32 bit(CharClass c) { return 1u << static_cast<u32>(c); }
constexpr u32 kLower = bit(CharClass::kLowercase);
constexpr u32 kUpper = bit(CharClass::kUppercase) | bit(CharClass::kTitlecase);
constexpr u32 kUncased = bit(CharClass::kModifierLetter) | bit(CharClass::kOtherLetter);
constexpr u32 kLetter = kLower | kUpper | kUncased;  // \p{L}
constexpr u32 kMark = bit(CharClass::kMark);
constexpr u32 kNumber = bit(CharClass::kNumber);
constexpr u32 kPunctuation = bit(CharClass::kPunctuation);
constexpr u32 kSymbol = bit(CharClass::kSymbol);
constexpr u32 kSpace = bit(CharClass::kWhiteSpace);
constexpr u32 kOther = bit(CharClass::kOther);
constexpr u32 kAny = kLetter | kMark | kNumber | kPunctuation | kSymbol | kSpace | kOther;

struct CodepointRange {
  u32 first;
  u32 last;
};

}  // namespace

// [set]{min,max}, after one \s? where leading_space says so.
struct SetRun {
  u32 classes = 0;
  Span<const CodepointRange> ranges = {};  // ascending
  u32 min = 1;
  u32 max = ~u32{0};
  bool leading_space = false;
};

// The expression that every GPT has in some form. In order of precedence:
//   contractions     '(s|t|re|ve|m|ll|d)
//   words            prefix? word+, or with `cased` one of prefix? upper* lower+ contraction? | prefix? upper+ lower* contraction?
//   numbers          \p{N}{1,max_digits}
//   the rest         ' '? [^\s word \p{N}]+ tail*
//   white space      \s*[\r\n]+ where `newlines` | \s+(?!\S) | \s+
// With space_prefix, words and numbers take one space in front; else words take any one character that is no letter, number,
// CR or LF. Some alternative matches everywhere, so there are no gaps.
struct WordRule {
  enum class Contractions : u8 { kNone, kLowercase, kAnyCase };
  enum class Tail : u8 { kNone, kNewlines, kNewlinesAndSlash };
  Contractions contractions = Contractions::kNone;
  Contractions suffix = Contractions::kNone;  // with `cased`: the contraction belongs to its word
  bool space_prefix = false;
  bool cased = false;
  u32 word = kLetter;
  u32 max_digits = ~u32{0};
  Tail tail = Tail::kNone;
  bool newlines = false;
};

struct SplitStep {
  enum class Kind : u8 { kSetRun, kWords, kPunctuatedWords, kTrailingSpace };
  Kind kind;
  SetRun set = {};
  WordRule words = {};

  constexpr SplitStep(const SetRun& run) : kind(Kind::kSetRun), set(run) {}        // NOLINT: a step is written as its data
  constexpr SplitStep(const WordRule& rule) : kind(Kind::kWords), words(rule) {}  // NOLINT
  constexpr SplitStep(Kind named) : kind(named) {}                                // NOLINT
};

namespace {

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
    for (Char c = at(position); is_newline(c) || (slash_too && c.codepoint == '/'); c = at(position)) position += c.n_byte;
    return position;
  }

 private:
  Str text_;
  u32 end_;
};

// Every match_ function returns the end of the match at `position`, or `position` where there is none.

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

// upper* lower+. Both sets hold the uncased letters: where no lowercase letter follows the run of `upper`, the run gives back as
// much as it must for its last uncased letter to be the `lower+`.
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
  const bool may_prefix =
      rule.space_prefix ? c.codepoint == ' ' : !is_newline(c) && (c.classes & (kLetter | kNumber)) == 0;
  if (!may_prefix) return position;
  const u32 end = text.skip(position + c.n_byte, rule.word);
  return end == position + c.n_byte ? position : end;
}

u32 match_number(const Reader& text, u32 position, const WordRule& rule) {
  const u32 start = rule.space_prefix && text.at(position).codepoint == ' ' ? position + 1 : position;
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
  return tail == WordRule::Tail::kNone ? end : text.skip_newlines(end, tail == WordRule::Tail::kNewlinesAndSlash);
}

// \s*[\r\n]+ where `newlines` | \s+(?!\S) | \s+: up to the last newline of the run; or all of the run but its last character,
// which the next word takes as its prefix; or all of it at the end of the text.
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
  if (end == position) end = match_symbols(text, position, kAny & ~(kSpace | rule.word | kNumber), rule.tail);
  if (end == position) end = match_space(text, position, rule.newlines);
  return end;
}

// DeepSeek-V3: [!-/:-~ without letters][A-Za-z]+ | [^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+ | ' '?[\p{P}\p{S}]+[\r\n]* | white space
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
  if (set.leading_space && (first.classes & kSpace) != 0 && in_set(set, text.at(position + first.n_byte))) {
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

// The end of the first piece of [position, end of text) under `step`: of the match there, or of the gap before the next match.
u32 find_piece_end(const Reader& text, u32 position, const SplitStep& step) {
  if (step.kind == SplitStep::Kind::kTrailingSpace) {  // \s+$ is not matched place by place: each would read its whole run
    u32 run_start = position;
    for (u32 p = position; p < text.end();) {
      const Char c = text.at(p);
      p += c.n_byte;
      if ((c.classes & kSpace) == 0) run_start = p;
    }
    return run_start == position ? text.end() : run_start;
  }
  const u32 match_end = match_step(text, position, step);
  if (match_end != position) return match_end;
  u32 p = position;
  do {
    p += text.at(p).n_byte;
  } while (p < text.end() && match_step(text, p, step) == p);
  return p;
}

// ---- the expressions, by the models that introduced them ----

constexpr CodepointRange kNewlineChars[] = {{'\n', '\n'}, {'\r', '\r'}};
constexpr CodepointRange kAsciiDigits[] = {{'0', '9'}};
constexpr CodepointRange kFalconSymbols[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'}, {'`', '`'}, {'|', '|'}, {'~', '~'}};
constexpr CodepointRange kDefaultSymbols[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'}, {'|', '|'}, {'~', '~'}};
constexpr CodepointRange kDeepseekCjk[] = {{0x0800, 0x9FA5}, {0xAC00, 0xD7FF}};
constexpr CodepointRange kDeepseekV3Cjk[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
constexpr CodepointRange kDeepseekPunctuation[] = {
    {'!', '/'}, {':', '~'}, {0x2018, 0x201F}, {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
// The cased letters as DeepSeek LLM's tokenizer lists them; Unicode has more (Armenian and Georgian lowercase, for example).
constexpr CodepointRange kDeepseekLetters[] = {
    {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},       {0xF8, 0x1BA},
    {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},     {0x376, 0x377},     {0x37B, 0x37D},
    {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},     {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},
    {0x3F7, 0x481},     {0x48A, 0x52F},     {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},
    {0x1C90, 0x1CBA},   {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},
    {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},   {0x1F5B, 0x1F5B},
    {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},   {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},
    {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},   {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},
    {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},
    {0x2126, 0x2126},   {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
    {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},   {0x2CEB, 0x2CEE},
    {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},   {0xA771, 0xA787},   {0xA78B, 0xA78E},
    {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},   {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F},
    {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};

constexpr auto kLowercase = WordRule::Contractions::kLowercase;
constexpr auto kAnyCase = WordRule::Contractions::kAnyCase;
constexpr auto kNewlines = WordRule::Tail::kNewlines;
constexpr auto kNewlinesAndSlash = WordRule::Tail::kNewlinesAndSlash;

constexpr WordRule kGpt2Words = {.contractions = kLowercase, .space_prefix = true};
constexpr WordRule llama3_words(u32 max_digits) {
  return {.contractions = kAnyCase, .max_digits = max_digits, .tail = kNewlines, .newlines = true};
}
constexpr SetRun kOneNumber = {.classes = kNumber, .max = 1};
constexpr SetRun kThreeNumbers = {.classes = kNumber, .max = 3};
constexpr SetRun kNumbers = {.classes = kNumber};
constexpr SetRun kThreeDigits = {.ranges = kAsciiDigits, .min = 3, .max = 3};
constexpr SetRun kOneNewline = {.ranges = kNewlineChars, .max = 1};

constexpr SplitStep kGpt2[] = {kGpt2Words};
constexpr SplitStep kStarcoder[] = {kOneNumber, kGpt2Words};
constexpr SplitStep kLlama3[] = {llama3_words(3)};
constexpr SplitStep kMinicpm5[] = {kThreeNumbers, llama3_words(~u32{0})};
constexpr SplitStep kQwen2[] = {llama3_words(1)};
constexpr SplitStep kQwen35[] = {WordRule{
    .contractions = kAnyCase, .word = kLetter | kMark, .max_digits = 1, .tail = kNewlines, .newlines = true}};
constexpr SplitStep kSeedCoder[] = {WordRule{.contractions = kAnyCase, .max_digits = 1, .newlines = true}};
constexpr SplitStep kGpt4o[] = {WordRule{.suffix = kAnyCase,
                                         .cased = true,
                                         .max_digits = 3,
                                         .tail = kNewlinesAndSlash,
                                         .newlines = true}};
constexpr SplitStep kTekken[] = {WordRule{
    .cased = true, .max_digits = 1, .tail = kNewlinesAndSlash, .newlines = true}};
constexpr SplitStep kFalcon[] = {SetRun{.classes = kPunctuation, .ranges = kFalconSymbols}, kGpt2Words, kThreeDigits};
constexpr SplitStep kDefault[] = {SetRun{.classes = kPunctuation, .ranges = kDefaultSymbols}, kGpt2Words, kNumbers,
                                  kThreeDigits};
constexpr SplitStep kDeepseekCoder[] = {kOneNewline, SetRun{.classes = kLetter, .leading_space = true},
                                        SetRun{.classes = kPunctuation, .leading_space = true},
                                        SetRun{.ranges = kDeepseekCjk}, kOneNumber};
constexpr SplitStep kDeepseekLlm[] = {kOneNewline, SetRun{.ranges = kDeepseekLetters, .leading_space = true},
                                      SetRun{.ranges = kDeepseekPunctuation, .leading_space = true},
                                      SplitStep::Kind::kTrailingSpace, SetRun{.ranges = kDeepseekCjk}, kNumbers};
constexpr SplitStep kDeepseekV3[] = {kThreeNumbers, SetRun{.ranges = kDeepseekV3Cjk}, SplitStep::Kind::kPunctuatedWords};

constexpr Pretokenizer kPretokenizers[] = {
    {.name = "default", .steps = kDefault, .clean_spaces = true},
    {.name = "gpt-2", .steps = kGpt2, .clean_spaces = true},
    {.name = "phi-2", .steps = kGpt2, .clean_spaces = true},
    {.name = "mpt", .steps = kGpt2, .clean_spaces = true},
    {.name = "olmo", .steps = kGpt2, .clean_spaces = true},
    {.name = "jais", .steps = kGpt2, .clean_spaces = true},
    {.name = "exaone4", .steps = kGpt2, .clean_spaces = true},
    {.name = "gigachat", .steps = kGpt2, .clean_spaces = true},
    {.name = "a.x-4.0", .steps = kGpt2, .clean_spaces = true},
    {.name = "mellum", .steps = kGpt2, .clean_spaces = true},
    {.name = "trillion", .steps = kGpt2},
    {.name = "granite-docling", .steps = kGpt2},
    {.name = "smollm", .steps = kStarcoder},
    {.name = "starcoder", .steps = kStarcoder, .clean_spaces = true},
    {.name = "refact", .steps = kStarcoder, .clean_spaces = true},
    {.name = "command-r", .steps = kStarcoder},
    {.name = "codeshell", .steps = kStarcoder, .clean_spaces = true},
    {.name = "exaone", .steps = kStarcoder, .clean_spaces = true},
    {.name = "minerva-7b", .steps = kStarcoder, .clean_spaces = true},
    {.name = "mellum2", .steps = kStarcoder, .clean_spaces = true},
    {.name = "llama3", .steps = kLlama3, .ignore_merges = true, .add_bos = true, .clean_spaces = true},
    {.name = "llama-v3", .steps = kLlama3, .ignore_merges = true, .add_bos = true, .clean_spaces = true},
    {.name = "llama-bpe", .steps = kLlama3, .ignore_merges = true, .add_bos = true, .clean_spaces = true},
    {.name = "falcon3", .steps = kLlama3, .ignore_merges = true, .add_bos = true, .clean_spaces = true},
    {.name = "falcon-h1", .steps = kLlama3, .ignore_merges = true, .add_bos = true, .clean_spaces = true},
    {.name = "pixtral", .steps = kLlama3, .ignore_merges = true, .add_bos = true, .clean_spaces = true},
    {.name = "midm-2.0", .steps = kLlama3, .ignore_merges = true, .add_bos = true, .clean_spaces = true},
    {.name = "lfm2", .steps = kLlama3, .ignore_merges = true, .add_bos = true, .clean_spaces = true},
    {.name = "dbrx", .steps = kLlama3, .clean_spaces = true},
    {.name = "smaug-bpe", .steps = kLlama3, .clean_spaces = true},
    {.name = "glm4", .steps = kLlama3, .clean_spaces = true},
    {.name = "chatglm-bpe", .steps = kLlama3, .clean_spaces = true},
    {.name = "minicpm5", .steps = kMinicpm5, .ignore_merges = true, .clean_spaces = true},
    {.name = "qwen2", .steps = kQwen2},
    {.name = "deepseek-r1-qwen", .steps = kQwen2},
    {.name = "kormo", .steps = kQwen2},
    {.name = "stablelm2", .steps = kQwen2, .clean_spaces = true},
    {.name = "megrez", .steps = kQwen2, .clean_spaces = true},
    {.name = "hunyuan", .steps = kQwen2},
    {.name = "grok-2", .steps = kQwen2},
    {.name = "solar-open", .steps = kQwen2},
    {.name = "bailingmoe", .steps = kQwen2},
    {.name = "bailingmoe2", .steps = kQwen2},
    {.name = "llada-moe", .steps = kQwen2},
    {.name = "qwen35", .steps = kQwen35},
    {.name = "seed-coder", .steps = kSeedCoder},
    {.name = "gpt-4o", .steps = kGpt4o},
    {.name = "llama4", .steps = kGpt4o},
    {.name = "kanana2", .steps = kGpt4o},
    {.name = "minimax-m2", .steps = kGpt4o},
    {.name = "tekken", .steps = kTekken, .ignore_merges = true, .add_bos = true},
    {.name = "falcon", .steps = kFalcon, .clean_spaces = true},
    {.name = "deepseek-coder", .steps = kDeepseekCoder},
    {.name = "deepseek-llm", .steps = kDeepseekLlm},
    {.name = "deepseek-v3", .steps = kDeepseekV3},
    {.name = "hunyuan-dense", .steps = kDeepseekV3},
};

}  // namespace

const Pretokenizer* find_pretokenizer(Str name) {
  for (const Pretokenizer& pretokenizer : kPretokenizers) {
    if (pretokenizer.name == name) return &pretokenizer;
  }
  return nullptr;
}

WordSplitter::WordSplitter(const Pretokenizer& pretokenizer, Str text) : steps_(pretokenizer.steps), text_(text) {
  LBM_CHECK(steps_.size() <= kMaxSteps && text.size() < ~u32{0});
  ends_[0] = static_cast<u32>(text.size());
}

bool WordSplitter::next(Str& word) {
  if (position_ == ends_[0]) return false;
  // The innermost piece is used up. The deepest one that is not gives the next piece to every step below it.
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
