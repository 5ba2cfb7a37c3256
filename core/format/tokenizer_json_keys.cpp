// The keys tokenizer.* that a tokenizer.json becomes.
#include "core/base/fmt.h"
#include "core/format/tokenizer_json.h"

namespace lbm {
namespace {

constexpr Str kWordStart = "\xE2\x96\x81";
constexpr Str kContinues = "##";  // in front of WordPiece's pieces that go on within a word

}  // namespace

void TokenizerJsonReader::put_keys(HeaderBuilder& out) const {
  constexpr Str kModels[] = {"gpt2", "t5", "bert"};
  out.text("tokenizer.ggml.model", kModels[static_cast<u32>(model_)]);
  out.text("tokenizer.ggml.pre", rules_.pre.empty() ? Str("default") : rules_.pre);
  put_pieces(out);
  put_model_keys(out);
  put_space_keys(out);
  if (!rules_.normalizer.empty()) out.text("tokenizer.lbm.normalizer", rules_.normalizer);
  out.boolean("tokenizer.lbm.clean_spaces", false);
  put_trims(out);
  put_ids(out);
}

void TokenizerJsonReader::put_model_keys(HeaderBuilder& out) const {
  switch (model_) {
    case TokenizerModel::kBytePairs:
      put_merges(out);
      out.boolean("tokenizer.lbm.ignore_merges", ignore_merges_);
      break;
    case TokenizerModel::kUnigram:
      out.array("tokenizer.ggml.scores", MetaType::kF32, pieces_.size());
      for (u32 id = 0; id < pieces_.size(); ++id) out.real_element(pieces_.score(id));
      out.boolean("tokenizer.ggml.remove_extra_whitespaces", rules_.merge_spaces);
      out.boolean("tokenizer.lbm.split_words", rules_.split_words);
      out.boolean("tokenizer.lbm.split_white_space", rules_.split_white_space);
      out.boolean("tokenizer.lbm.byte_fallback", byte_fallback_);
      break;
    case TokenizerModel::kWordPiece:
      out.boolean("tokenizer.ggml.normalizer.lowercase", rules_.lowercase);
      out.boolean("tokenizer.ggml.normalizer.strip_accents", rules_.strip_accents);
      out.number("tokenizer.lbm.max_word_chars", max_word_chars_);
      break;
  }
}

void TokenizerJsonReader::put_pieces(HeaderBuilder& out) const {
  out.array("tokenizer.ggml.tokens", MetaType::kString, pieces_.size());
  for (u32 id = 0; id < pieces_.size(); ++id) {
    out.begin_text_element();
    if (pieces_.is_gap(id)) {
      put_padding(out, id);
    } else {
      put_piece(out, id);
    }
    out.end_text_element();
  }
  out.array("tokenizer.ggml.token_type", MetaType::kI32, pieces_.size());
  for (u32 id = 0; id < pieces_.size(); ++id) {
    out.number_element(static_cast<u32>(pieces_.type(id)));
  }
}

// Pieces of WordPiece that go on within a word lose their ##, those that begin one get U+2581.
void TokenizerJsonReader::put_piece(HeaderBuilder& out, u32 id) const {
  const Str text = pieces_.text(id);
  const bool is_part = model_ == TokenizerModel::kWordPiece && pieces_.type(id) == Type::kNormal;
  if (!is_part) return out.text_piece(text);
  const bool goes_on = text.size() > kContinues.size() && text.starts_with(kContinues);
  if (!goes_on) out.text_piece(kWordStart);
  out.text_piece(goes_on ? text.from(kContinues.size()) : text);
}

// The name of an id that no token has, which no token has either.
void TokenizerJsonReader::put_padding(HeaderBuilder& out, u32 id) const {
  TextBuffer<64> text;
  text.print("[PAD{}]", id);
  while (pieces_.find(text.text()) != kNone && !text.truncated()) text.append("_");
  out.text_piece(text.text());
}

void TokenizerJsonReader::put_merges(HeaderBuilder& out) const {
  const JsonValue merges = json_model_.at("merges");
  out.array("tokenizer.ggml.merges", MetaType::kString, merges.size());
  for (JsonCursor merge = JsonCursor::items(merges); merge.next();) {
    if (merge.value().is_text()) {
      out.text_element(merge.value().text());
      continue;
    }
    JsonCursor piece = JsonCursor::items(merge.value());
    out.begin_text_element();
    for (bool is_first = true; piece.next(); is_first = false) {
      if (!is_first) out.text_piece(" ");
      out.text_piece(piece.value().text());
    }
    out.end_text_element();
  }
}

void TokenizerJsonReader::put_space_keys(HeaderBuilder& out) const {
  if (!rules_.charsmap.empty()) {
    out.array("tokenizer.ggml.precompiled_charsmap", MetaType::kU8, rules_.charsmap.size());
    out.text_piece(rules_.charsmap);
  }
  if (!rules_.space_prefix.empty()) {
    out.boolean("tokenizer.ggml.add_space_prefix", true);
    out.text("tokenizer.lbm.space_prefix", rules_.space_prefix);
  } else if (model_ == TokenizerModel::kUnigram) {
    out.boolean("tokenizer.ggml.add_space_prefix", false);
  }
}

void TokenizerJsonReader::put_trims(HeaderBuilder& out) const {
  const auto put = [&](Str key, bool (TokenizerPieces::*trims)(u32) const) {
    u32 n = 0;
    for (u32 id = 0; id < pieces_.size(); ++id) n += (pieces_.*trims)(id) ? 1u : 0u;
    if (n == 0) return;
    out.array(key, MetaType::kU32, n);
    for (u32 id = 0; id < pieces_.size(); ++id) {
      if ((pieces_.*trims)(id)) out.number_element(id);
    }
  };
  put("tokenizer.lbm.lstrip_tokens", &TokenizerPieces::trims_before);
  put("tokenizer.lbm.rstrip_tokens", &TokenizerPieces::trims_after);
}

void TokenizerJsonReader::put_ids(HeaderBuilder& out) const {
  const bool word_piece = model_ == TokenizerModel::kWordPiece;
  if (unknown_ != kNone) out.number("tokenizer.ggml.unknown_token_id", unknown_);
  if (frame_.before != kNone) out.number("tokenizer.ggml.bos_token_id", frame_.before);
  if (frame_.after != kNone) {
    out.number(word_piece ? Str("tokenizer.ggml.seperator_token_id")  // the key's spelling
                          : Str("tokenizer.ggml.eos_token_id"),
               frame_.after);
  }
  if (word_piece) return;  // it always adds both
  out.boolean("tokenizer.ggml.add_bos_token", frame_.before != kNone);
  out.boolean("tokenizer.ggml.add_eos_token", frame_.after != kNone);
}

}  // namespace lbm
