#include "tools/tokenizer_json.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "core/base/utf8.h"
#include "core/format/limits.h"
#include "core/tokenizer/byte_level.h"
#include "core/tokenizer/byte_spelling.h"
#include "core/tokenizer/vocab.h"
#include "tools/input.h"
#include "tools/json_node.h"
#include "tools/tokenizer_json_rules.h"

namespace lbm::cli {
namespace {

namespace fs = std::filesystem;

constexpr u64 kMaxFileBytes = 128 * kMiB;  // the largest known has 34
// Ids without a token are filled in. So many are, beyond one for each token: a number of ten digits
// must not cost the memory of a vocabulary.
constexpr usize kSpareIds = 1u << 16;
const char* const kWordStart = "\xE2\x96\x81";
const std::string kIds = "tokenizer.ggml.";

std::string read_bounded(const std::string& path) {
  std::error_code error;
  const u64 size = fs::file_size(path, error);
  if (!error && size > kMaxFileBytes) {
    throw CommandError(ExitCode::kModel, path + ": " + format_bytes(size) + ", at most " +
                                             format_bytes(kMaxFileBytes) + " are read [limit]");
  }
  return read_file(path);
}

// The pieces by id, with what the core needs to know of each.
struct Pieces {
  std::vector<std::string> texts;
  std::vector<i32> types;
  std::vector<f32> scores;
  std::vector<bool> taken;
  std::vector<u32> trims_before;
  std::vector<u32> trims_after;
  std::unordered_map<std::string, u32> ids;

  [[nodiscard]] u32 size() const { return static_cast<u32>(texts.size()); }

  void put(const JsonNode& node, u32 id, const std::string& text, TokenType type, f32 score = 0) {
    if (id >= size()) grow(id + 1);
    if (taken[id]) node.refuse("the id " + std::to_string(id) + " is there twice", "duplicate");
    if (!ids.emplace(text, id).second) node.refuse("this token is there twice", "duplicate");
    texts[id] = text;
    types[id] = static_cast<i32>(type);
    scores[id] = score;
    taken[id] = true;
  }
  void grow(u32 n) {
    texts.resize(n);
    types.resize(n, static_cast<i32>(TokenType::kUnused));
    scores.resize(n, 0);
    taken.resize(n, false);
  }
  [[nodiscard]] std::optional<u32> find(const std::string& text) const {
    const auto found = ids.find(text);
    return found == ids.end() ? std::nullopt : std::optional<u32>(found->second);
  }
};

class TokenizerJson {
 public:
  TokenizerJson(const std::string& path, u32 n_vocab);
  void write(GgufMetadata& out) const;

 private:
  void read_model();
  [[nodiscard]] u32 id_limit() const;
  void read_vocabulary();
  void read_unigram();
  void read_added_tokens();
  void mark_unknown();
  void check_byte_pairs();
  void read_merges();
  void mark_bytes();
  void spell_word_pieces();
  void fill_gaps(u32 n_vocab);
  void read_neighbours();
  void read_special_tokens(const JsonNode& config);
  void read_chat_template(const JsonNode& config);
  void read_end_tokens(const fs::path& folder);
  void apply_frame();
  void write_ids(GgufMetadata& out) const;
  [[nodiscard]] std::optional<JsonTree> read_beside(const fs::path& folder, const char* name,
                                                    std::string& file) const;

  std::string path_;
  JsonTree tree_;
  TokenizerModel model_ = TokenizerModel::kBytePairs;
  TokenizerRules rules_;
  Pieces pieces_;
  std::vector<std::string> merges_;
  std::map<std::string, u32> special_ids_;  // by key without prefix: "bos_token_id"
  std::optional<bool> add_bos_;
  std::optional<bool> add_eos_;
  bool clean_spaces_ = false;
  std::map<std::string, std::string> templates_;  // by key
};

JsonNode root_of(const JsonTree& tree, const std::string& path) { return {tree, path}; }

TokenizerJson::TokenizerJson(const std::string& path, u32 n_vocab)
    : path_(fs::is_directory(path) ? (fs::path(path) / "tokenizer.json").string() : path),
      tree_(parse_json_file(read_bounded(path_), path_)) {
  read_model();
  rules_ = read_tokenizer_rules(root_of(tree_, path_), model_);
  if (model_ == TokenizerModel::kUnigram) {
    read_unigram();
  } else {
    read_vocabulary();
  }
  mark_unknown();
  read_added_tokens();
  if (model_ == TokenizerModel::kBytePairs) check_byte_pairs();
  if (model_ == TokenizerModel::kWordPiece) spell_word_pieces();
  if (rules_.escaped_spaces) mark_bytes();
  read_neighbours();
  apply_frame();
  fill_gaps(n_vocab);
}

void TokenizerJson::read_model() {
  const JsonNode root = root_of(tree_, path_);
  const JsonNode model = root.at("model");
  std::string type = model.text_or("type", "");
  // Old files leave it out.
  if (type.empty()) type = model.has("merges") ? "BPE" : "";
  if (type == "BPE") {
    model_ = TokenizerModel::kBytePairs;
  } else if (type == "Unigram") {
    model_ = TokenizerModel::kUnigram;
  } else if (type == "WordPiece") {
    model_ = TokenizerModel::kWordPiece;
  } else {
    model.refuse_unsupported("this build has no such model, only BPE, Unigram and WordPiece: '" +
                             printable(to_str(type)) + "'");
  }
}

u32 TokenizerJson::id_limit() const {
  const JsonNode root = root_of(tree_, path_);
  const usize n_token =
      root.at("model").at("vocab").value().size() + root.find("added_tokens").value().size();
  return static_cast<u32>(std::min<usize>(kMaxVocabulary, 2 * n_token + kSpareIds));
}

void TokenizerJson::read_vocabulary() {
  const JsonNode vocabulary = root_of(tree_, path_).at("model").at("vocab");
  if (!vocabulary.value().is_object()) vocabulary.refuse("an object is needed", "bad_type");
  const u32 limit = id_limit();
  for (const auto& entry : vocabulary.value().items()) {
    const JsonNode node = vocabulary.at(entry.key());
    pieces_.put(node, node.integer(limit), entry.key(), TokenType::kNormal);
  }
}

void TokenizerJson::read_unigram() {
  const JsonNode vocabulary = root_of(tree_, path_).at("model").at("vocab");
  if (vocabulary.value().size() > kMaxVocabulary) {
    vocabulary.refuse("the vocabulary is too large", "limit");
  }
  u32 id = 0;
  for (const JsonNode& entry : vocabulary.items()) {
    const std::vector<JsonNode> pair = entry.items();
    if (pair.size() != 2) entry.refuse("a piece and its score are needed", "bad_value");
    pieces_.put(entry, id++, pair[0].text(), TokenType::kNormal, pair[1].number());
  }
}

void TokenizerJson::mark_unknown() {
  const JsonNode model = root_of(tree_, path_).at("model");
  std::optional<u32> id;
  if (model_ == TokenizerModel::kUnigram) {
    if (!model.has("unk_id")) model.refuse_unsupported("Unigram without 'unk_id'");
    id = model.at("unk_id").integer(pieces_.size());
  } else if (model.has("unk_token")) {
    id = pieces_.find(model.at("unk_token").text());
  }
  if (!id.has_value()) return;
  special_ids_["unknown_token_id"] = *id;
  if (model_ != TokenizerModel::kBytePairs) {
    pieces_.types[*id] = static_cast<i32>(TokenType::kUnknown);
  }
}

void TokenizerJson::read_added_tokens() {
  const JsonNode added = root_of(tree_, path_).find("added_tokens");
  if (added.is_null()) return;
  const u32 limit = id_limit();
  for (const JsonNode& token : added.items()) {
    const u32 id = token.at("id").integer(limit);
    const std::string& text = token.at("content").text();
    if (text.empty()) token.refuse("an added token is empty", "bad_value");
    if (token.flag_or("single_word", false)) {
      token.refuse_unsupported("a token that counts only between words");
    }
    const TokenType type =
        token.flag_or("special", false) ? TokenType::kControl : TokenType::kUserDefined;
    if (pieces_.find(text) == std::optional<u32>(id)) {
      if (pieces_.types[id] == static_cast<i32>(TokenType::kNormal)) {
        pieces_.types[id] = static_cast<i32>(type);
      }
    } else {
      pieces_.put(token, id, text, type);
    }
    if (token.flag_or("lstrip", false)) pieces_.trims_before.push_back(id);
    if (token.flag_or("rstrip", false)) pieces_.trims_after.push_back(id);
  }
}

void TokenizerJson::check_byte_pairs() {
  const JsonNode model = root_of(tree_, path_).at("model");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.text_or(key, "").empty()) model.at(key).refuse_unsupported("marks within words");
  }
  if (model.has("dropout") && model.at("dropout").number() != 0.0f) {
    model.at("dropout").refuse_unsupported("merges are left out at random");
  }
  read_merges();
  if (rules_.escaped_spaces) {
    if (!model.flag_or("byte_fallback", false)) {
      model.refuse_unsupported("BPE over characters is known with byte_fallback only");
    }
    return;
  }
  if (!model.has("unk_token")) return;
  for (const u16 codepoint : kByteLevel.codepoint_of) {
    char character[4];
    const u32 n = encode_utf8(codepoint, character);
    if (!pieces_.find({character, n}).has_value()) {
      model.at("unk_token").refuse_unsupported("not every byte is a token, and others are unknown");
    }
  }
}

void TokenizerJson::read_merges() {
  for (const JsonNode& merge : root_of(tree_, path_).at("model").at("merges").items()) {
    if (merge.value().is_string()) {
      merges_.push_back(merge.text());
      continue;
    }
    const std::vector<JsonNode> pair = merge.items();
    if (pair.size() != 2) merge.refuse("a merge is two pieces", "bad_value");
    // GGUF separates the pieces by the first space that is not in front.
    const std::string& left = pair[0].text();
    if (left.find(' ', 1) != std::string::npos) {
      merge.refuse_unsupported("a piece with a space that is not in front");
    }
    merges_.push_back(left + ' ' + pair[1].text());
  }
}

void TokenizerJson::mark_bytes() {
  if (!root_of(tree_, path_).at("model").flag_or("byte_fallback", false)) return;
  u32 n_byte = 0;
  for (u32 id = 0; id < pieces_.size(); ++id) {
    if (byte_of_spelling(to_str(pieces_.texts[id])) > 255) continue;
    pieces_.types[id] = static_cast<i32>(TokenType::kByte);
    ++n_byte;
  }
  if (n_byte == 256) return;
  root_of(tree_, path_)
      .at("model")
      .at("byte_fallback")
      .refuse_unsupported("the vocabulary has no token for some bytes");
}

// Pieces that go on within a word lose their ##, those that begin one get U+2581.
void TokenizerJson::spell_word_pieces() {
  const JsonNode model = root_of(tree_, path_).at("model");
  if (model.text_or("continuing_subword_prefix", "##") != "##") {
    model.at("continuing_subword_prefix").refuse_unsupported("only ## is known");
  }
  for (u32 id = 0; id < pieces_.size(); ++id) {
    if (pieces_.types[id] != static_cast<i32>(TokenType::kNormal)) continue;
    std::string& text = pieces_.texts[id];
    const bool goes_on = text.size() > 2 && text.compare(0, 2, "##") == 0;
    text = goes_on ? text.substr(2) : kWordStart + text;
  }
}

void TokenizerJson::fill_gaps(u32 n_vocab) {
  if (n_vocab != 0 && n_vocab < pieces_.size()) {
    throw CommandError(ExitCode::kModel, path_ + ": " + std::to_string(pieces_.size()) +
                                             " tokens, but the model has an embedding for " +
                                             std::to_string(n_vocab) + " [mismatch]");
  }
  if (n_vocab > pieces_.size()) pieces_.grow(n_vocab);
  for (u32 id = 0; id < pieces_.size(); ++id) {
    if (pieces_.taken[id]) continue;
    std::string text = "[PAD" + std::to_string(id) + "]";
    while (pieces_.find(text).has_value()) text += '_';
    pieces_.texts[id] = text;
  }
}

// ---- the files beside it

std::optional<JsonTree> TokenizerJson::read_beside(const fs::path& folder, const char* name,
                                                   std::string& file) const {
  file = (folder / name).string();
  if (!fs::is_regular_file(file)) return std::nullopt;
  return parse_json_file(read_bounded(file), file);
}

void TokenizerJson::read_neighbours() {
  const fs::path folder = fs::path(path_).parent_path();
  std::string file;
  const std::optional<JsonTree> special = read_beside(folder, "special_tokens_map.json", file);
  if (special.has_value()) read_special_tokens({*special, file});
  const std::optional<JsonTree> config = read_beside(folder, "tokenizer_config.json", file);
  if (config.has_value()) {
    const JsonNode node(*config, file);
    read_special_tokens(node);
    if (node.has("add_bos_token")) add_bos_ = node.flag_or("add_bos_token", false);
    if (node.has("add_eos_token")) add_eos_ = node.flag_or("add_eos_token", false);
    clean_spaces_ = node.flag_or("clean_up_tokenization_spaces", false);
    read_chat_template(node);
  }
  read_end_tokens(folder);
  const fs::path jinja = folder / "chat_template.jinja";
  if (fs::is_regular_file(jinja)) {
    templates_["tokenizer.chat_template"] = read_bounded(jinja.string());
  }
}

void TokenizerJson::read_special_tokens(const JsonNode& config) {
  constexpr struct {
    const char* name;
    const char* key;
  } kTokens[] = {{"cls_token", "bos_token_id"},       {"bos_token", "bos_token_id"},
                 {"eos_token", "eos_token_id"},       {"unk_token", "unknown_token_id"},
                 {"sep_token", "seperator_token_id"}, {"pad_token", "padding_token_id"},
                 {"mask_token", "mask_token_id"}};
  for (const auto& token : kTokens) {
    const JsonNode node = config.find(token.name);
    if (node.is_null()) continue;
    const std::string& text = node.value().is_object() ? node.at("content").text() : node.text();
    const std::optional<u32> id = pieces_.find(text);
    if (id.has_value()) special_ids_[token.key] = *id;
  }
}

void TokenizerJson::read_chat_template(const JsonNode& config) {
  const JsonNode node = config.find("chat_template");
  if (node.is_null()) return;
  if (node.value().is_string()) {
    templates_["tokenizer.chat_template"] = node.text();
    return;
  }
  for (const JsonNode& entry : node.items()) {
    const std::string& name = entry.at("name").text();
    templates_[name == "default" ? "tokenizer.chat_template" : "tokenizer.chat_template." + name] =
        entry.at("template").text();
  }
}

// Which tokens end an answer: one, or a list of which the first that is not EOS ends a turn.
void TokenizerJson::read_end_tokens(const fs::path& folder) {
  for (const char* name : {"generation_config.json", "config.json"}) {
    std::string file;
    const std::optional<JsonTree> tree = read_beside(folder, name, file);
    if (!tree.has_value()) continue;
    const JsonNode config(*tree, file);
    const JsonNode start = config.find("bos_token_id");
    if (!start.is_null() && special_ids_.count("bos_token_id") == 0) {
      special_ids_["bos_token_id"] = start.integer(pieces_.size());
    }
    const JsonNode node = config.find("eos_token_id");
    if (node.is_null()) continue;
    const std::vector<JsonNode> ids =
        node.value().is_array() ? node.items() : std::vector<JsonNode>{node};
    for (const JsonNode& entry : ids) {
      const u32 id = entry.integer(pieces_.size());
      const auto eos = special_ids_.emplace("eos_token_id", id).first;
      if (eos->second != id) special_ids_.emplace("eot_token_id", id);
    }
  }
}

void TokenizerJson::apply_frame() {
  const TokenizerFrame frame = read_tokenizer_frame(root_of(tree_, path_), pieces_.size());
  if (!frame.known) {
    if (model_ == TokenizerModel::kWordPiece) {
      root_of(tree_, path_)
          .find("post_processor")
          .refuse_unsupported("WordPiece is known with a template that adds [CLS] and [SEP] only");
    }
    return;
  }
  const bool word_piece = model_ == TokenizerModel::kWordPiece;
  if (frame.before != TokenizerFrame::kNone) special_ids_["bos_token_id"] = frame.before;
  if (frame.after != TokenizerFrame::kNone) {
    special_ids_[word_piece ? "seperator_token_id" : "eos_token_id"] = frame.after;
  }
  add_bos_ = frame.before != TokenizerFrame::kNone;
  add_eos_ = frame.after != TokenizerFrame::kNone;
}

// ---- writing

void TokenizerJson::write_ids(GgufMetadata& out) const {
  for (const auto& [key, id] : special_ids_) out.set_u32(kIds + key, id);
  const auto has = [&](const char* key) { return special_ids_.count(key) != 0; };
  if (model_ == TokenizerModel::kWordPiece) return;  // it always adds both
  out.set_bool(kIds + "add_bos_token", add_bos_.value_or(false) && has("bos_token_id"));
  out.set_bool(kIds + "add_eos_token", add_eos_.value_or(false) && has("eos_token_id"));
}

void TokenizerJson::write(GgufMetadata& out) const {
  const JsonNode model = root_of(tree_, path_).at("model");
  constexpr const char* kModels[] = {"gpt2", "t5", "bert"};
  out.set_text(kIds + "model", kModels[static_cast<int>(model_)]);
  out.set_text(kIds + "pre", rules_.pre.empty() ? "default" : rules_.pre);
  out.set_text_array(kIds + "tokens", pieces_.texts);
  out.set_i32_array(kIds + "token_type", pieces_.types);
  switch (model_) {
    case TokenizerModel::kBytePairs:
      out.set_text_array(kIds + "merges", merges_);
      out.set_bool("tokenizer.lbm.ignore_merges", model.flag_or("ignore_merges", false));
      break;
    case TokenizerModel::kUnigram:
      out.set_f32_array(kIds + "scores", pieces_.scores);
      out.set_bool(kIds + "remove_extra_whitespaces", rules_.merge_spaces);
      out.set_bool("tokenizer.lbm.split_words", rules_.split_words);
      out.set_bool("tokenizer.lbm.split_white_space", rules_.split_white_space);
      out.set_bool("tokenizer.lbm.byte_fallback", model.flag_or("byte_fallback", false));
      break;
    case TokenizerModel::kWordPiece:
      out.set_bool(kIds + "normalizer.lowercase", rules_.lowercase);
      out.set_bool(kIds + "normalizer.strip_accents", rules_.strip_accents);
      out.set_u32("tokenizer.lbm.max_word_chars",
                  model.has("max_input_chars_per_word")
                      ? model.at("max_input_chars_per_word").integer(~u32{0})
                      : 100);
      break;
  }
  if (!rules_.charsmap.empty()) {
    MetaValue value;
    value.type = MetaType::kArray;
    value.array = {
        MetaType::kU8, rules_.charsmap.size(), {rules_.charsmap.data(), rules_.charsmap.size()}};
    out.set_value(kIds + "precompiled_charsmap", value);
  }
  if (!rules_.space_prefix.empty()) {
    out.set_bool(kIds + "add_space_prefix", true);
    out.set_text("tokenizer.lbm.space_prefix", rules_.space_prefix);
  } else if (model_ == TokenizerModel::kUnigram) {
    out.set_bool(kIds + "add_space_prefix", false);
  }
  if (!rules_.normalizer.empty()) out.set_text("tokenizer.lbm.normalizer", rules_.normalizer);
  if (!clean_spaces_) out.set_bool("tokenizer.lbm.clean_spaces", false);
  if (!pieces_.trims_before.empty()) {
    out.set_u32_array("tokenizer.lbm.lstrip_tokens", pieces_.trims_before);
  }
  if (!pieces_.trims_after.empty()) {
    out.set_u32_array("tokenizer.lbm.rstrip_tokens", pieces_.trims_after);
  }
  write_ids(out);
  for (const auto& [key, text] : templates_) out.set_text(key, text);
}

}  // namespace

void add_tokenizer_json(GgufMetadata& metadata, const std::string& path, u32 n_vocab) {
  TokenizerJson(path, n_vocab).write(metadata);
}

std::string tokenizer_json_as_gguf(const std::string& path) {
  GgufMetadata metadata;
  add_tokenizer_json(metadata, path);
  std::string out = "GGUF";
  const auto number = [&](u64 value, u32 n_byte) {
    for (u32 i = 0; i < n_byte; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
  };
  number(3, 4);  // version
  number(0, 8);  // tensors
  number(metadata.size(), 8);
  out += metadata.encoded();
  out.resize((out.size() + kDefaultAlignment - 1) / kDefaultAlignment * kDefaultAlignment, '\0');
  return out;
}

bool is_tokenizer_json(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return fs::is_regular_file(fs::path(path) / "tokenizer.json");
  std::ifstream in(path, std::ios::binary);
  char c = '\0';
  in >> std::ws;
  return in.get(c) && c == '{';
}

}  // namespace lbm::cli
