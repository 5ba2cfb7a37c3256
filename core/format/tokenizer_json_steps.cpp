// What the pre-tokenizers of a byte-level model do, by the regular expressions that their files
// have.
#include "core/format/tokenizer_json_rules.h"

namespace lbm {
namespace {

#define LBM_CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define LBM_SPACES "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define LBM_LLAMA3(digits)                                        \
  LBM_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits \
                   "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" LBM_SPACES
#define LBM_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LBM_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define LBM_CASED(suffix, digits)                                                                 \
  "[^\\r\\n\\p{L}\\p{N}]?" LBM_UPPER "*" LBM_LOWER "+" suffix "|[^\\r\\n\\p{L}\\p{N}]?" LBM_UPPER \
  "+" LBM_LOWER "*" suffix "|\\p{N}" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*" LBM_SPACES
#define LBM_GPT2 \
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define LBM_DEEPSEEK_CJK \
  "[\xE4\xB8\x80-\xE9\xBE\xA5\xE0\xA0\x80-\xE4\xB8\x80\xEA\xB0\x80-\xED\x9F\xBF]+"
#define LBM_DEEPSEEK_V3                                                                \
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?" \
  "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*" LBM_SPACES
#define LBM_V3_CJK "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+"

// Lists of steps as files have them, by the name of llama.cpp for what they do. "R " is a Split at
// a regular expression, "Digit" one at every digit, "Digits" at runs of them, "GPT-2" the
// expression inside of ByteLevel.
struct KnownSteps {
  static constexpr u32 kMost = 5;
  Str pre;
  Str steps[kMost];  // empty: no more
};
constexpr KnownSteps kKnown[] = {
    {"gpt-2", {"GPT-2"}},
    {"gpt-2", {"R " LBM_GPT2}},
    {"smollm", {"Digit", "GPT-2"}},
    {"smollm", {"R \\p{N}", "GPT-2"}},
    {"smaug-bpe", {"R " LBM_LLAMA3("{1,3}")}},
    {"qwen2", {"R " LBM_LLAMA3("")}},
    {"minicpm5", {"R \\p{N}{1,3}", "R " LBM_LLAMA3("+")}},
    {"qwen35",
     {"R " LBM_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
      "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" LBM_SPACES}},
    {"bailingmoe",
     {"R '(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}"
      "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {"seed-coder",
     {"R " LBM_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}"
      "| ?[^\\s\\p{L}\\p{N}\\r\\n]+" LBM_SPACES}},
    {"exaone-moe",
     {"R " LBM_CONTRACTIONS "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}"
      "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"}},
    {"gpt-4o", {"R " LBM_CASED(LBM_CONTRACTIONS "?", "{1,3}")}},
    {"tekken", {"R " LBM_CASED("", "")}},
    {"tiny_aya", {"R \\d{1,3}(?=(?:\\d{3})*\\b)", "R " LBM_CASED(LBM_CONTRACTIONS "?", "{1,3}")}},
    {"ufakzeka",
     {"R [^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*" LBM_SPACES}},
    {"falcon", {"Punctuation", "GPT-2", "Digits", "R [0-9][0-9][0-9]"}},
    {"deepseek-coder",
     {"R [\\r\\n]", "R \\s?\\p{L}+", "R \\s?\\p{P}+", "R " LBM_DEEPSEEK_CJK, "Digit"}},
    {"deepseek-v3", {"R \\p{N}{1,3}", "R " LBM_V3_CJK, "R " LBM_DEEPSEEK_V3}},
    {"superbpe", {"R \\p{N}+", "R (?=(\\d{3})+(?!\\d))"}},
};

// A pre-tokenizer as the table has it. Line ends are written as themselves or escaped; there they
// are always escaped.
struct StepName {
  Str kind;   // "R ", "Digit" ...; empty: it splits nothing
  Str regex;  // behind "R "

  [[nodiscard]] bool is(Str known) const;
};

bool StepName::is(Str known) const {
  if (!known.starts_with(kind)) return false;
  Str rest = known.from(kind.size());
  for (const char& c : regex) {
    const Str spelled = c == '\r' ? Str("\\r") : c == '\n' ? Str("\\n") : Str(&c, 1);
    if (!rest.starts_with(spelled)) return false;
    rest = rest.from(spelled.size());
  }
  return rest.empty();
}

StepName name_split(const JsonValue& step) {
  const JsonValue pattern = step.at("pattern");
  const Str behavior = step.at("behavior").text();
  const bool inverted = step.flag_or("invert", false);
  // Where matches cover the text, keeping them or removing what is between is the same.
  const bool is_known = behavior == (inverted ? Str("Removed") : Str("Isolated"));
  if (!is_known) step.refuse_unsupported("text is split in another way", behavior);
  if (!pattern.has("Regex")) pattern.refuse_unsupported("only a Regex is known here");
  return {"R ", pattern.at("Regex").text()};
}

StepName name_step(const JsonValue& step) {
  const Str type = step.at("type").text();
  if (type == "ByteLevel") return {step.flag_or("use_regex", true) ? "GPT-2" : "", ""};
  if (type == "Digits") return {step.flag_or("individual_digits", false) ? "Digit" : "Digits", ""};
  if (type == "Punctuation") {
    const Str behavior = step.text_or("behavior", "Isolated");
    if (!(behavior == "Contiguous")) {
      step.refuse_unsupported("punctuation is split in another way", behavior);
    }
    return {"Punctuation", ""};
  }
  if (type == "Split") return name_split(step);
  step.refuse_unsupported("this build has no such pre-tokenizer", type);
  return {};
}

}  // namespace

Str find_pre(const JsonValue& pre_tokenizer, const TokenizerSteps& steps) {
  StepName names[TokenizerSteps::kMost];
  u32 n = 0;
  for (const JsonValue& step : steps) {
    names[n] = name_step(step);
    if (!names[n].kind.empty()) ++n;
  }
  for (const KnownSteps& known : kKnown) {
    u32 n_known = 0;
    while (n_known < KnownSteps::kMost && !known.steps[n_known].empty()) ++n_known;
    u32 i = 0;
    while (i < n && n == n_known && names[i].is(known.steps[i])) ++i;
    if (i == n && n == n_known) return known.pre;
  }
  const StepName first = n == 0 ? StepName{"nothing", ""} : names[0];
  pre_tokenizer.refuse_unsupported("this build has no pre-tokenizer that splits so",
                                   first.regex.empty() ? first.kind : first.regex);
  return {};
}

}  // namespace lbm
