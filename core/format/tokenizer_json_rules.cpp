#include "core/format/tokenizer_json_rules.h"

namespace lbm {
namespace {

constexpr Str kMetaspace = "\xE2\x96\x81";

// ---- Metaspace

void read_metaspace(const JsonValue& step, TokenizerRules& rules) {
  if (!(step.text_or("replacement", kMetaspace) == kMetaspace)) {
    step.refuse_unsupported("spaces are replaced by something else than U+2581");
  }
  // Old files have a flag instead of the scheme.
  const bool flag = step.flag_or("add_prefix_space", true);
  const Str scheme = step.text_or("prepend_scheme", flag ? "always" : "never");
  rules.escaped_spaces = true;
  rules.split_words = step.flag_or("split", true);
  if (scheme == "always") {
    rules.space_prefix = "missing";
  } else if (scheme == "first") {
    rules.space_prefix = "first";
  } else if (!(scheme == "never")) {
    step.at("prepend_scheme").refuse_unsupported("this build has no such scheme", scheme);
  }
}

// ---- normalizers

u32 base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<u32>(c - 'A');
  if (c >= 'a' && c <= 'z') return static_cast<u32>(c - 'a') + 26;
  if (c >= '0' && c <= '9') return static_cast<u32>(c - '0') + 52;
  return c == '+' ? 62 : c == '/' ? 63 : 64;
}

// Base64 without white space, as Rust writes it; decoded over itself.
Str decode_base64(const JsonValue& node) {
  const Span<char> text = node.mutable_text();
  usize n = 0;
  u32 bits = 0;
  u32 n_bit = 0;
  for (usize i = 0; i < text.size() && text[i] != '='; ++i) {
    const u32 value = base64_value(text[i]);
    if (value == 64) {
      node.refuse(ErrorCode::kBadValue, "no base64");
      return {};
    }
    bits = bits << 6 | value;
    n_bit += 6;
    if (n_bit < 8) continue;
    n_bit -= 8;
    text[n++] = static_cast<char>(static_cast<u8>(bits >> n_bit));
  }
  return {text.data(), n};
}

bool is_replace(const JsonValue& step, Str pattern_kind, Str pattern, Str content) {
  return step.at("type").text() == "Replace" && step.at("pattern").has(pattern_kind) &&
         step.at("pattern").at(pattern_kind).text() == pattern &&
         step.at("content").text() == content;
}

void read_bert_normalizer(const JsonValue& step, TokenizerRules& rules) {
  if (!step.flag_or("clean_text", true)) step.refuse_unsupported("clean_text is false");
  if (!step.flag_or("handle_chinese_chars", true)) {
    step.refuse_unsupported("handle_chinese_chars is false");
  }
  rules.lowercase = step.flag_or("lowercase", true);
  rules.strip_accents = step.flag_or("strip_accents", rules.lowercase);
  rules.normalizer = "bert";
}

void read_normalizers(const JsonValue& root, TokenizerModel model, TokenizerRules& rules) {
  const JsonValue node = root.find("normalizer");
  const TokenizerSteps steps(node, "normalizers");
  bool merges = false;
  bool strips = false;
  for (const JsonValue& step : steps) {
    const Str type = step.at("type").text();
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
      step.refuse_unsupported("this build has no such normalizer here", type);
    }
  }
  if (merges != strips) {
    node.refuse_unsupported(
        "runs of spaces are merged but not stripped at the end, or the other way round");
  }
  rules.merge_spaces = merges;
}

// ---- pre-tokenizers

void read_byte_level(const JsonValue& node, const TokenizerSteps& steps, TokenizerRules& rules) {
  bool byte_level = false;
  for (const JsonValue& step : steps) byte_level |= step.at("type").text() == "ByteLevel";
  if (!byte_level) {
    node.refuse_unsupported("BPE is known over bytes (ByteLevel) or with spaces as U+2581 only");
  }
  for (u32 i = 0; i < steps.size(); ++i) {
    if (!steps.is(i, "ByteLevel") || !steps[i].flag_or("add_prefix_space", true)) continue;
    if (i != 0) steps[i].refuse_unsupported("a space is put before every word");
    rules.space_prefix = "missing";
  }
  rules.pre = find_pre(node, steps);
}

void read_word_piece(const JsonValue& root, const JsonValue& node, const TokenizerSteps& steps,
                     const TokenizerRules& rules) {
  if (steps.size() != 1 || !steps.is(0, "BertPreTokenizer")) {
    node.refuse_unsupported("WordPiece is known with BertPreTokenizer only");
  }
  if (!(rules.normalizer == "bert")) {
    root.find("normalizer").refuse_unsupported("WordPiece is known with BertNormalizer only");
  }
}

void read_pre_tokenizers(const JsonValue& root, TokenizerModel model, TokenizerRules& rules) {
  const JsonValue node = root.find("pre_tokenizer");
  const TokenizerSteps steps(node, "pretokenizers");
  if (model == TokenizerModel::kWordPiece) return read_word_piece(root, node, steps, rules);
  const bool splits_first = steps.is(0, "WhitespaceSplit");
  const u32 metaspace = splits_first ? 1 : 0;
  if (steps.is(metaspace, "Metaspace") && steps.size() == metaspace + 1) {
    if (splits_first && model != TokenizerModel::kUnigram) {
      node.refuse_unsupported("WhitespaceSplit is known for Unigram only");
    }
    read_metaspace(steps[metaspace], rules);
    rules.merge_spaces |= splits_first;
    rules.split_white_space = splits_first;
  } else if (model == TokenizerModel::kUnigram) {
    node.refuse_unsupported("Unigram is known with Metaspace only");
  } else if (rules.escaped_spaces) {
    // Gemma splits at spaces, of which its normalizer leaves none.
    const bool idle = steps.size() == 1 && steps.is(0, "Split") &&
                      steps[0].at("pattern").has("String") &&
                      steps[0].at("pattern").at("String").text() == " ";
    if (steps.size() != 0 && !idle) {
      node.refuse_unsupported("with spaces as U+2581, text is split no further");
    }
  } else {
    return read_byte_level(node, steps, rules);
  }
  if (model == TokenizerModel::kBytePairs) rules.pre = rules.split_words ? "words" : "characters";
}

// ---- the post-processor

void read_template(const JsonValue& processor, u32 n_token, TokenizerFrame& frame) {
  // Parts that add nothing are looked up in a list each.
  constexpr u32 kMostParts = 256;
  const JsonValue single = processor.at("single");
  if (single.size() > kMostParts) single.refuse(ErrorCode::kLimit, "the template is too long");
  bool text_seen = false;
  for (JsonCursor part = JsonCursor::items(single); part.next();) {
    if (part.value().has("Sequence")) {
      if (text_seen) part.value().refuse_unsupported("the template has its text twice");
      text_seen = true;
      continue;
    }
    const Str name = part.value().at("SpecialToken").at("id").text();
    const JsonValue ids = processor.at("special_tokens").at(name).at("ids");
    for (JsonCursor id = JsonCursor::items(ids); id.next();) {
      u32& side = text_seen ? frame.after : frame.before;
      if (side != TokenizerFrame::kNone) {
        part.value().refuse_unsupported(
            "the template has more than one token on one side of the text");
      }
      side = id.value().integer(n_token);
    }
  }
}

// The id of ["[CLS]", 101].
u32 id_of_pair(const JsonValue& pair, u32 n_token) {
  JsonCursor item = JsonCursor::items(pair);
  if (pair.size() != 2) {
    pair.refuse(ErrorCode::kBadValue, "a token and its id are needed");
  }
  return item.next() && item.next() ? item.value().integer(n_token) : 0;
}

}  // namespace

bool TokenizerSteps::is(u32 index, Str type) const {
  return index < n_ && steps_[index].at("type").text() == type;
}

// A Sequence takes two levels of the document, which has at most 64.
void TokenizerSteps::add(const JsonValue& component, Str members, u32 depth) {
  LBM_CHECK(depth <= JsonDocument::kMaxDepth / 2);
  if (component.is_null()) return;
  if (component.at("type").text() == "Sequence") {
    JsonCursor member = JsonCursor::items(component.at(members));
    while (member.next()) add(member.value(), members, depth + 1);
    return;
  }
  if (n_ == kMost) return component.refuse(ErrorCode::kLimit, "more steps than this build takes");
  steps_[n_++] = component;
}

TokenizerRules read_tokenizer_rules(const JsonValue& root, TokenizerModel model) {
  TokenizerRules rules;
  read_normalizers(root, model, rules);
  read_pre_tokenizers(root, model, rules);
  return rules;
}

TokenizerFrame read_tokenizer_frame(const JsonValue& root, u32 n_token) {
  TokenizerFrame frame;
  const TokenizerSteps processors(root.find("post_processor"), "processors");
  for (const JsonValue& processor : processors) {
    const Str type = processor.at("type").text();
    if (type == "ByteLevel") continue;
    if (frame.known) processor.refuse_unsupported("a second processor that adds tokens");
    frame.known = true;
    if (type == "TemplateProcessing") {
      read_template(processor, n_token, frame);
    } else if (type == "BertProcessing" || type == "RobertaProcessing") {
      frame.before = id_of_pair(processor.at("cls"), n_token);
      frame.after = id_of_pair(processor.at("sep"), n_token);
    } else {
      processor.refuse_unsupported("this build has no such post-processor", type);
    }
  }
  return frame;
}

}  // namespace lbm
