#include "core/format/tokenizer_json.h"

#include "core/base/arith.h"
#include "core/base/byte_level.h"
#include "core/base/byte_spelling.h"
#include "core/base/utf8.h"
#include "core/format/limits.h"

namespace lbm {
namespace {

constexpr u64 kMaxFileBytes = 128 * kMiB;  // the largest known has 34
// Ids without a token are filled in. So many are, beyond one for each token: a number of ten digits
// must not cost the memory of a vocabulary.
constexpr u64 kSpareIds = 1u << 16;

}  // namespace

Result<ModelFile> TokenizerJsonReader::read() {
  Status status = read_text();
  if (status.ok()) status = document_.parse(text_, arena_);
  if (!status.ok()) return status.error();
  root_ = document_.root();
  read_model_name();
  rules_ = read_tokenizer_rules(root_, model_);
  status = read_pieces();
  if (!status.ok()) return status.error();
  if (model_ == TokenizerModel::kBytePairs) check_byte_pairs();
  byte_fallback_ = json_model_.flag_or("byte_fallback", false);
  if (rules_.escaped_spaces && byte_fallback_) mark_bytes();
  read_frame();
  if (!document_.ok()) return document_.status().error();
  HeaderBuilder out(arena_);
  put_keys(out);
  HeaderBuilder::Facts facts;
  facts.format = FileFormat::kTokenizerJson;
  facts.data = &source_;
  facts.file_size = source_.size();
  return out.finish(facts);
}

Status TokenizerJsonReader::read_text() {
  const u64 size = source_.size();
  if (size > kMaxFileBytes) {
    return fail(ErrorCode::kLimit, "too large for a tokenizer; bytes").with(size, kMaxFileBytes);
  }
  const Result<Span<u8>> bytes = arena_.take_raw(size, "tokenizer.json");
  if (!bytes.ok()) return bytes.error();
  text_ = {reinterpret_cast<char*>(bytes.value().data()), bytes.value().size()};
  return source_.read(0, bytes.value());
}

void TokenizerJsonReader::read_model_name() {
  json_model_ = root_.at("model");
  Str type = json_model_.text_or("type", "");
  // Old files leave it out.
  if (type.empty()) type = json_model_.has("merges") ? "BPE" : "";
  if (type == "BPE") {
    model_ = TokenizerModel::kBytePairs;
  } else if (type == "Unigram") {
    model_ = TokenizerModel::kUnigram;
  } else if (type == "WordPiece") {
    model_ = TokenizerModel::kWordPiece;
  } else {
    json_model_.refuse_unsupported("this build has no such model, only BPE, Unigram and WordPiece",
                                   type);
  }
}

// ---- pieces

u32 TokenizerJsonReader::id_limit() const {
  const u64 n_token = u64{json_model_.at("vocab").size()} + root_.find("added_tokens").size();
  return static_cast<u32>(min_u64(kMaxVocabulary, 2 * n_token + kSpareIds));
}

// One more than the largest id of the file, each of which is checked to be below `limit`.
u32 TokenizerJsonReader::count_ids(u32 limit) const {
  u32 n = 0;
  const auto count = [&](u32 id) { n = id < n ? n : id + 1; };
  const JsonValue vocabulary = json_model_.at("vocab");
  if (model_ == TokenizerModel::kUnigram) {
    if (!vocabulary.is_array()) vocabulary.refuse(ErrorCode::kBadType, "an array is needed");
    if (vocabulary.size() > kMaxVocabulary) {
      vocabulary.refuse(ErrorCode::kLimit, "the vocabulary is too large");
    }
    n = vocabulary.size();
  } else {
    JsonCursor entry = JsonCursor::members(vocabulary);
    while (entry.next()) count(entry.value().integer(limit));
  }
  const JsonValue added = root_.find("added_tokens");
  if (added.is_null()) return n;
  for (JsonCursor token = JsonCursor::items(added); token.next();) {
    count(token.value().at("id").integer(limit));
  }
  return n;
}

Status TokenizerJsonReader::read_pieces() {
  const u32 limit = id_limit();
  const u32 n_id = count_ids(limit);
  if (!document_.ok()) return document_.status();
  // Texts are at most those of the file, and of them at most one for each id.
  if (const Status s = pieces_.create(arena_, n_id, n_id); !s.ok()) return s;
  if (model_ == TokenizerModel::kUnigram) {
    read_unigram();
  } else {
    read_vocabulary(limit);
  }
  if (document_.ok()) mark_unknown();
  if (document_.ok()) read_added_tokens(limit);
  return document_.status();
}

void TokenizerJsonReader::read_vocabulary(u32 limit) {
  for (JsonCursor entry = JsonCursor::members(json_model_.at("vocab")); entry.next();) {
    const JsonValue node = entry.value();
    pieces_.put(node, node.integer(limit), entry.key(), Type::kNormal);
  }
}

void TokenizerJsonReader::read_unigram() {
  u32 id = 0;
  for (JsonCursor entry = JsonCursor::items(json_model_.at("vocab")); entry.next(); ++id) {
    const JsonValue node = entry.value();
    JsonCursor part = JsonCursor::items(node);
    if (document_.ok() && node.size() != 2) {
      node.refuse(ErrorCode::kBadValue, "a piece and its score are needed");
    }
    if (!part.next()) return;
    const Str text = part.value().text();
    if (!part.next()) return;
    const f32 score = part.value().number();
    if (document_.ok()) pieces_.put(node, id, text, Type::kNormal, score);
  }
}

void TokenizerJsonReader::mark_unknown() {
  if (model_ == TokenizerModel::kUnigram) {
    if (!json_model_.has("unk_id")) json_model_.refuse_unsupported("Unigram without 'unk_id'");
    unknown_ = json_model_.find("unk_id").integer(pieces_.size());
  } else if (json_model_.has("unk_token")) {
    unknown_ = pieces_.find(json_model_.at("unk_token").text());
  }
  if (unknown_ == kNone || !document_.ok()) return;
  if (model_ != TokenizerModel::kBytePairs) pieces_.set_type(unknown_, Type::kUnknown);
}

void TokenizerJsonReader::read_added_tokens(u32 limit) {
  const JsonValue added = root_.find("added_tokens");
  if (added.is_null()) return;
  for (JsonCursor token = JsonCursor::items(added); token.next();) {
    read_added_token(token.value(), limit);
  }
}

void TokenizerJsonReader::read_added_token(const JsonValue& token, u32 limit) {
  const u32 id = token.at("id").integer(limit);
  const Str text = token.at("content").text();
  if (text.empty()) token.refuse(ErrorCode::kBadValue, "an added token is empty");
  if (token.flag_or("single_word", false)) {
    token.refuse_unsupported("a token that counts only between words");
  }
  const Type type = token.flag_or("special", false) ? Type::kControl : Type::kUserDefined;
  const bool before = token.flag_or("lstrip", false);
  const bool after = token.flag_or("rstrip", false);
  if (!document_.ok()) return;
  if (pieces_.find(text) != id) {
    pieces_.put(token, id, text, type);
  } else if (pieces_.type(id) == Type::kNormal) {
    pieces_.set_type(id, type);
  }
  if (document_.ok()) pieces_.set_trims(id, before, after);
}

// ---- what must be so for the ids to be right

void TokenizerJsonReader::check_byte_pairs() {
  constexpr Str kMarks[] = {"continuing_subword_prefix", "end_of_word_suffix"};
  for (const Str key : kMarks) {
    if (json_model_.text_or(key, "").empty()) continue;
    json_model_.at(key).refuse_unsupported("marks within words");
  }
  if (json_model_.has("dropout") && json_model_.at("dropout").number() != 0.0f) {
    json_model_.at("dropout").refuse_unsupported("merges are left out at random");
  }
  check_merges();
  ignore_merges_ = json_model_.flag_or("ignore_merges", false);
  if (rules_.escaped_spaces) {
    if (!json_model_.flag_or("byte_fallback", false)) {
      json_model_.refuse_unsupported("BPE over characters is known with byte_fallback only");
    }
    return;
  }
  if (!json_model_.has("unk_token")) return;
  for (const u16 codepoint : kByteLevel.codepoint_of) {
    char character[4];
    const u32 n = encode_utf8(codepoint, character);
    if (pieces_.find({character, n}) != kNone) continue;
    json_model_.at("unk_token")
        .refuse_unsupported("not every byte is a token, and others are unknown");
  }
}

void TokenizerJsonReader::check_merges() {
  for (JsonCursor merge = JsonCursor::items(json_model_.at("merges")); merge.next();) {
    const JsonValue node = merge.value();
    u64 n_byte = 0;
    if (node.is_text()) {
      n_byte = node.text().size();
    } else {
      JsonCursor piece = JsonCursor::items(node);
      if (node.is_array() && node.size() != 2) {
        node.refuse(ErrorCode::kBadValue, "a merge is two pieces");
      }
      if (!piece.next()) return;
      const Str left = piece.value().text();
      // GGUF separates the pieces by the first space that is not in front.
      if (!left.empty() && left.from(1).contains(" ")) {
        node.refuse_unsupported("a piece with a space that is not in front");
      }
      if (!piece.next()) return;
      n_byte = u64{left.size()} + 1 + piece.value().text().size();
    }
    if (n_byte > kMaxStringBytes) node.refuse(ErrorCode::kLimit, "a merge is too long");
  }
}

void TokenizerJsonReader::mark_bytes() {
  u32 n_byte = 0;
  for (u32 id = 0; id < pieces_.size(); ++id) {
    if (byte_of_spelling(pieces_.text(id)) > 255) continue;
    pieces_.set_type(id, Type::kByte);
    ++n_byte;
  }
  if (n_byte == 256) return;
  json_model_.find("byte_fallback")
      .refuse_unsupported("the vocabulary has no token for some bytes");
}

void TokenizerJsonReader::read_frame() {
  frame_ = read_tokenizer_frame(root_, pieces_.size());
  if (model_ != TokenizerModel::kWordPiece) return;
  if (!frame_.known) {
    root_.find("post_processor")
        .refuse_unsupported("WordPiece is known with a template that adds [CLS] and [SEP] only");
  }
  if (!(json_model_.text_or("continuing_subword_prefix", "##") == "##")) {
    json_model_.at("continuing_subword_prefix").refuse_unsupported("only ## is known");
  }
  if (json_model_.has("max_input_chars_per_word")) {
    max_word_chars_ = json_model_.at("max_input_chars_per_word").integer(~u32{0});
  }
}

}  // namespace lbm
