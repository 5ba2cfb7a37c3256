#include "tools/tokenizer_json_rules.h"

#include <algorithm>

#include "core/base/utf8.h"

namespace lbm::cli {
namespace {

const char* const kMetaspace = "\xE2\x96\x81";

// ---- normalizers and pre-tokenizers, flattened

// The steps of a component that may be a Sequence, in order. Sequences do not nest deeply: the
// parser bounds it.
void flatten(const JsonNode& node, const char* members, std::vector<JsonNode>& out) {
  if (node.is_null()) return;
  if (node.at("type").text() != "Sequence") {
    out.push_back(node);
    return;
  }
  for (const JsonNode& member : node.at(members).items()) flatten(member, members, out);
}

// Carriage returns and line feeds are written as themselves or escaped; here always escaped.
std::string canonical_regex(const std::string& regex) {
  std::string out;
  for (const char c : regex) {
    if (c == '\r') {
      out += "\\r";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

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
  const char* pre;
  std::vector<std::string> steps;
};

const std::vector<KnownSteps>& known_steps() {
  static const std::vector<KnownSteps> kKnown = {
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
  return kKnown;
}

// A pre-tokenizer of a byte-level model as an entry of the list above.
std::string name_step(const JsonNode& step) {
  const std::string& type = step.at("type").text();
  if (type == "ByteLevel") return step.flag_or("use_regex", true) ? "GPT-2" : "";
  if (type == "Digits") return step.flag_or("individual_digits", false) ? "Digit" : "Digits";
  if (type == "Punctuation") {
    const std::string behavior = step.text_or("behavior", "Isolated");
    if (behavior != "Contiguous")
      step.refuse_unsupported("punctuation is split '" + behavior + "'");
    return "Punctuation";
  }
  if (type != "Split") step.refuse_unsupported("this build has no pre-tokenizer '" + type + "'");
  const JsonNode pattern = step.at("pattern");
  const std::string behavior = step.at("behavior").text();
  const bool inverted = step.flag_or("invert", false);
  // Where matches cover the text, keeping them or removing what is between is the same.
  if ((behavior != "Isolated" || inverted) && (behavior != "Removed" || !inverted)) {
    step.refuse_unsupported("text is split '" + behavior + "'");
  }
  if (!pattern.has("Regex")) pattern.refuse_unsupported("only a Regex is known here");
  return "R " + canonical_regex(pattern.at("Regex").text());
}

std::string find_pre(const JsonNode& node, const std::vector<JsonNode>& steps) {
  std::vector<std::string> names;
  for (const JsonNode& step : steps) {
    const std::string name = name_step(step);
    if (!name.empty()) names.push_back(name);
  }
  for (const KnownSteps& known : known_steps()) {
    if (known.steps == names) return known.pre;
  }
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  node.refuse_unsupported("this build has no pre-tokenizer that splits by: " +
                          (list.empty() ? "nothing" : printable(to_str(list))));
}

// ---- Metaspace

void read_metaspace(const JsonNode& step, TokenizerRules& rules) {
  if (step.text_or("replacement", kMetaspace) != kMetaspace) {
    step.refuse_unsupported("spaces are replaced by something else than U+2581");
  }
  // Old files have a flag instead of the scheme.
  const bool flag = step.flag_or("add_prefix_space", true);
  const std::string scheme = step.text_or("prepend_scheme", flag ? "always" : "never");
  rules.escaped_spaces = true;
  rules.split_words = step.flag_or("split", true);
  if (scheme == "always") {
    rules.space_prefix = "missing";
  } else if (scheme == "first") {
    rules.space_prefix = "first";
  } else if (scheme != "never") {
    step.at("prepend_scheme").refuse_unsupported("this build has no scheme '" + scheme + "'");
  }
}

// ---- normalizers

// Base64 without white space, as Rust writes it.
std::vector<u8> decode_base64(const JsonNode& node) {
  const std::string& text = node.text();
  std::vector<u8> out;
  u32 bits = 0;
  u32 n_bit = 0;
  for (usize i = 0; i < text.size() && text[i] != '='; ++i) {
    const std::string alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const usize value = alphabet.find(text[i]);
    if (value == std::string::npos) node.refuse("no base64", "bad_value");
    bits = bits << 6 | static_cast<u32>(value);
    n_bit += 6;
    if (n_bit >= 8) {
      n_bit -= 8;
      out.push_back(static_cast<u8>(bits >> n_bit));
    }
  }
  return out;
}

bool is_replace(const JsonNode& step, const char* pattern_kind, const char* pattern,
                const char* content) {
  return step.at("type").text() == "Replace" && step.at("pattern").has(pattern_kind) &&
         step.at("pattern").at(pattern_kind).text() == pattern &&
         step.at("content").text() == content;
}

void read_bert_normalizer(const JsonNode& step, TokenizerRules& rules) {
  if (!step.flag_or("clean_text", true)) step.refuse_unsupported("clean_text is false");
  if (!step.flag_or("handle_chinese_chars", true)) {
    step.refuse_unsupported("handle_chinese_chars is false");
  }
  rules.lowercase = step.flag_or("lowercase", true);
  rules.strip_accents = step.flag_or("strip_accents", rules.lowercase);
  rules.normalizer = "bert";
}

void read_normalizers(const JsonNode& root, TokenizerModel model, TokenizerRules& rules) {
  std::vector<JsonNode> steps;
  flatten(root.find("normalizer"), "normalizers", steps);
  bool merges = false;
  bool strips = false;
  for (const JsonNode& step : steps) {
    const std::string& type = step.at("type").text();
    const bool unigram = model == TokenizerModel::kUnigram;
    if (type == "NFC" && model != TokenizerModel::kWordPiece && rules.charsmap.empty()) {
      rules.normalizer = "nfc";
    } else if (type == "BertNormalizer" && model == TokenizerModel::kWordPiece) {
      read_bert_normalizer(step, rules);
    } else if (type == "Prepend" && step.at("prepend").text() == kMetaspace) {
      rules.space_prefix = "always";
    } else if (is_replace(step, "String", " ", kMetaspace)) {
      rules.escaped_spaces = true;
    } else if (type == "Precompiled" && unigram && rules.normalizer.empty()) {
      rules.charsmap = decode_base64(step.at("precompiled_charsmap"));
    } else if (unigram && (is_replace(step, "Regex", " {2,}", " ") ||
                           is_replace(step, "Regex", " {2,}", kMetaspace))) {
      merges = true;
    } else if (type == "Strip" && unigram && step.flag_or("strip_right", true)) {
      strips = true;
    } else {
      step.refuse_unsupported("this build has no such normalizer here: '" +
                              printable(to_str(type)) + "'");
    }
  }
  if (merges != strips) {
    root.at("normalizer")
        .refuse_unsupported(
            "runs of spaces are merged but not stripped at the end, or the other way round");
  }
  rules.merge_spaces = merges;
}

void read_pre_tokenizers(const JsonNode& root, TokenizerModel model, TokenizerRules& rules) {
  const JsonNode node = root.find("pre_tokenizer");
  std::vector<JsonNode> steps;
  flatten(node, "pretokenizers", steps);
  const auto is = [&](usize i, const char* type) {
    return i < steps.size() && steps[i].at("type").text() == type;
  };
  if (model == TokenizerModel::kWordPiece) {
    if (steps.size() != 1 || !is(0, "BertPreTokenizer")) {
      node.refuse_unsupported("WordPiece is known with BertPreTokenizer only");
    }
    if (rules.normalizer != "bert") {
      root.find("normalizer").refuse_unsupported("WordPiece is known with BertNormalizer only");
    }
    return;
  }
  const bool splits_first = is(0, "WhitespaceSplit");
  const usize metaspace = splits_first ? 1 : 0;
  if (is(metaspace, "Metaspace") && steps.size() == metaspace + 1) {
    if (splits_first && model != TokenizerModel::kUnigram) {
      node.refuse_unsupported("WhitespaceSplit is known for Unigram only");
    }
    read_metaspace(steps[metaspace], rules);
    if (splits_first) {
      rules.merge_spaces = true;
      rules.split_white_space = true;
    }
  } else if (model == TokenizerModel::kUnigram) {
    node.refuse_unsupported("Unigram is known with Metaspace only");
  } else if (rules.escaped_spaces) {
    // Gemma splits at spaces, of which its normalizer leaves none.
    const bool idle = steps.size() == 1 && is(0, "Split") && steps[0].at("pattern").has("String") &&
                      steps[0].at("pattern").at("String").text() == " ";
    if (!steps.empty() && !idle) {
      node.refuse_unsupported("with spaces as U+2581, text is split no further");
    }
  } else {
    const bool byte_level = std::any_of(steps.begin(), steps.end(), [](const JsonNode& step) {
      return step.at("type").text() == "ByteLevel";
    });
    if (!byte_level) {
      node.refuse_unsupported("BPE is known over bytes (ByteLevel) or with spaces as U+2581 only");
    }
    for (const JsonNode& step : steps) {
      if (step.at("type").text() != "ByteLevel" || !step.flag_or("add_prefix_space", true))
        continue;
      if (&step != &steps.front()) step.refuse_unsupported("a space is put before every word");
      rules.space_prefix = "missing";
    }
    rules.pre = find_pre(node, steps);
    return;
  }
  if (model == TokenizerModel::kBytePairs) rules.pre = rules.split_words ? "words" : "characters";
}

}  // namespace

TokenizerRules read_tokenizer_rules(const JsonNode& root, TokenizerModel model) {
  TokenizerRules rules;
  read_normalizers(root, model, rules);
  read_pre_tokenizers(root, model, rules);
  return rules;
}

namespace {

void read_template(const JsonNode& processor, u32 n_token, TokenizerFrame& frame) {
  bool text_seen = false;
  for (const JsonNode& part : processor.at("single").items()) {
    if (part.has("Sequence")) {
      if (text_seen) part.refuse_unsupported("the template has its text twice");
      text_seen = true;
      continue;
    }
    const std::string& name = part.at("SpecialToken").at("id").text();
    const JsonNode ids = processor.at("special_tokens").at(name).at("ids");
    for (const JsonNode& id : ids.items()) {
      u32& side = text_seen ? frame.after : frame.before;
      if (side != TokenizerFrame::kNone) {
        part.refuse_unsupported("the template has more than one token on one side of the text");
      }
      side = id.integer(n_token);
    }
  }
}

}  // namespace

TokenizerFrame read_tokenizer_frame(const JsonNode& root, u32 n_token) {
  TokenizerFrame frame;
  std::vector<JsonNode> processors;
  flatten(root.find("post_processor"), "processors", processors);
  for (const JsonNode& processor : processors) {
    const std::string& type = processor.at("type").text();
    if (type == "ByteLevel") continue;
    if (frame.known) processor.refuse_unsupported("a second processor that adds tokens");
    frame.known = true;
    if (type == "TemplateProcessing") {
      read_template(processor, n_token, frame);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      const auto id_of = [&](const char* key) {
        const std::vector<JsonNode> pair = processor.at(key).items();
        if (pair.size() != 2)
          processor.at(key).refuse("a token and its id are needed", "bad_value");
        return pair[1].integer(n_token);
      };
      frame.before = id_of("cls");
      frame.after = id_of("sep");
    } else {
      processor.refuse_unsupported("this build has no post-processor '" + printable(to_str(type)) +
                                   "'");
    }
  }
  return frame;
}

}  // namespace lbm::cli
