#include "tools/hf_vocabulary.h"

#include "core/format/limits.h"
#include "tools/sentencepiece_model.h"
#include "tools/tokenizer_json.h"

namespace lbm::cli {
namespace {

constexpr const char* kConfig = "config.json";
constexpr const char* kTokenizer = "tokenizer.json";
constexpr const char* kTokenizerConfig = "tokenizer_config.json";
constexpr const char* kPieces = "tokenizer.model";

constexpr f32 kAddedScore = -1000.0f;
constexpr f32 kUnusedScore = -10000.0f;

// What files call special tokens, and what GGUF does.
constexpr const char* kSpecial[][2] = {{"bos", "bos"},       {"eos", "eos"},     {"unk", "unknown"},
                                       {"sep", "seperator"}, {"pad", "padding"}, {"cls", "cls"},
                                       {"mask", "mask"}};

// U+2581 stands for a space.
std::string with_spaces(std::string text) {
  static const std::string kLowOneEighth = "\xe2\x96\x81";
  for (usize at = text.find(kLowOneEighth); at != std::string::npos;
       at = text.find(kLowOneEighth, at + 1)) {
    text.replace(at, kLowOneEighth.size(), " ");
  }
  return text;
}

// Some models mark control tokens as ordinary ones.
bool looks_special(const std::string& token) {
  const Str text = to_str(token);
  return token == "<pad>" || token == "<mask>" || token == "<2mass>" || token == "[@BOS@]" ||
         (text.starts_with("<|") && text.ends_with("|>")) ||
         (text.starts_with("<unused") && text.ends_with(">"));
}

std::string text_at(const Json& object, const char* key) {
  const Json value = first_of(object, {key});
  return value.is_string() ? value.get<std::string>() : std::string();
}

// A special token is written as its text or as an object around it.
std::string token_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  return value.is_object() ? text_at(value, "content") : std::string();
}

class PieceWriter {
 public:
  PieceWriter(const HfDirectory& directory, const HfFamily& family, GgufMetadata& meta)
      : directory_(directory),
        family_(family),
        meta_(meta),
        tokenizer_(directory.read_json(kTokenizer)),
        config_(directory.read_json(kTokenizerConfig)) {}

  void write() {
    read_pieces();
    read_added();
    meta_.set_text("tokenizer.ggml.model", "llama");
    meta_.set_text("tokenizer.ggml.pre", "default");
    meta_.set_text_array("tokenizer.ggml.tokens", tokens_);
    meta_.set_f32_array("tokenizer.ggml.scores", scores_);
    meta_.set_i32_array("tokenizer.ggml.token_type", types_);
    write_special_tokens();
    write_flags();
    write_template();
  }

 private:
  [[noreturn]] void refuse(const char* file, const std::string& what) const {
    throw CommandError(ExitCode::kModel, directory_.path_of(file) + ": " + what);
  }

  void read_pieces() {
    const std::string bytes = directory_.read(kPieces);
    const SentencePieceModel model = expect(parse_sentencepiece_model(to_str(bytes).bytes()),
                                            directory_.path_of(kPieces), Stage::kModel);
    const Json wanted = first_of(directory_.config(), {"vocab_size"});
    const u64 n = wanted.is_number_unsigned() ? wanted.get<u64>() : model.pieces.size();
    if (n == 0 || n > kMaxVocabulary)
      refuse(kConfig, format("vocab_size %llu [limit]", static_cast<unsigned long long>(n)));
    for (u64 i = 0; i < n; ++i) tokens_.push_back("[PAD" + std::to_string(i) + "]");
    scores_.assign(static_cast<usize>(n), kUnusedScore);
    types_.assign(static_cast<usize>(n), SentencePiece::kUnused);
    for (usize id = 0; id < model.pieces.size(); ++id) {
      const SentencePiece& piece = model.pieces[id];
      const bool user_defined = piece.type == SentencePiece::kUserDefined;
      set(id, piece.text, piece.score, user_defined ? SentencePiece::kNormal : piece.type);
    }
  }

  // Ids beyond the embedding can never be seen.
  void set(u64 id, const std::string& text, f32 score, i32 type) {
    if (id >= tokens_.size()) return;
    tokens_[id] = text;
    scores_[id] = score;
    types_[id] = type;
  }
  void set_added(u64 id, const Json& token) {
    const std::string text = text_at(token, "content");
    const bool control = first_of(token, {"special"}) == true || looks_special(text);
    set(id, control ? text : with_spaces(text), kAddedScore,
        control ? SentencePiece::kControl : SentencePiece::kUserDefined);
  }

  void read_added() {
    const Json added = directory_.read_json("added_tokens.json");
    for (const auto& [text, id] : added.items()) {
      if (!id.is_number_unsigned()) refuse("added_tokens.json", "an id is no number [bad_value]");
      set(id.get<u64>(), text, kAddedScore, SentencePiece::kUserDefined);
    }
    const Json decoder = first_of(config_, {"added_tokens_decoder"});
    for (const auto& [id, token] : decoder.items()) {
      if (id.empty() || id.size() > 9 || id.find_first_not_of("0123456789") != std::string::npos)
        refuse(kTokenizerConfig, "added_tokens_decoder: a key is no id [bad_value]");
      set_added(std::stoul(id), token);
    }
    if (decoder.is_object()) return;
    for (const Json& token : first_of(tokenizer_, {"added_tokens"})) {
      const Json id = first_of(token, {"id"});
      if (!id.is_number_unsigned()) refuse(kTokenizer, "added_tokens: no id [bad_value]");
      set_added(id.get<u64>(), token);
    }
  }

  // The id of a token by its text: what tokenizer.json adds, or any piece.
  [[nodiscard]] Json id_of(const std::string& text) const {
    if (text.empty()) return nullptr;
    for (const Json& token : first_of(tokenizer_, {"added_tokens"})) {
      if (text_at(token, "content") == text) return first_of(token, {"id"});
    }
    for (usize id = 0; id < tokens_.size(); ++id) {
      if (tokens_[id] == text && types_[id] != SentencePiece::kNormal) return id;
    }
    return nullptr;
  }

  void write_special_tokens() {
    for (const auto& [name, gguf_name] : kSpecial) {
      Json id = id_of(token_text(first_of(config_, {(std::string(name) + "_token").c_str()})));
      if (id.is_null())
        id = first_of(directory_.config(), {(std::string(name) + "_token_id").c_str()});
      if (!id.is_number_unsigned() || id.get<u64>() >= tokens_.size()) continue;
      meta_.set_u32(std::string("tokenizer.ggml.") + gguf_name + "_token_id", id.get<u32>());
    }
  }

  void write_flags() {
    for (const char* name : {"bos", "eos"}) {
      const Json add = first_of(config_, {("add_" + std::string(name) + "_token").c_str()});
      if (add.is_boolean())
        meta_.set_bool("tokenizer.ggml.add_" + std::string(name) + "_token", add.get<bool>());
    }
    const Json prefix = first_of(config_, {"add_prefix_space"});
    if (family_.has(HfFamily::kNoSpacePrefix)) {
      meta_.set_bool("tokenizer.ggml.add_space_prefix", false);
    } else if (prefix.is_boolean()) {
      meta_.set_bool("tokenizer.ggml.add_space_prefix", prefix.get<bool>());
    }
  }

  // One template, or a list of named ones; a file of its own goes before them.
  void write_template() {
    Json source = first_of(config_, {"chat_template"});
    if (directory_.has("chat_template.jinja")) source = directory_.read("chat_template.jinja");
    if (source.is_string()) {
      meta_.set_text("tokenizer.chat_template", source.get<std::string>());
      return;
    }
    std::vector<std::string> names;
    for (const Json& variant : source) {
      const std::string name = text_at(variant, "name");
      if (name.empty()) continue;
      const bool is_default = name == "default";
      meta_.set_text("tokenizer.chat_template" + (is_default ? "" : "." + name),
                     text_at(variant, "template"));
      if (!is_default) names.push_back(name);
    }
    if (!names.empty()) meta_.set_text_array("tokenizer.chat_templates", names);
  }

  const HfDirectory& directory_;
  const HfFamily& family_;
  GgufMetadata& meta_;
  const Json tokenizer_;
  const Json config_;
  std::vector<std::string> tokens_;
  std::vector<f32> scores_;
  std::vector<i32> types_;
};

}  // namespace

void set_vocabulary(const HfDirectory& directory, const HfFamily& family, GgufMetadata& meta) {
  if (directory.has(kPieces)) {
    PieceWriter(directory, family, meta).write();
    return;
  }
  const Json wanted = first_of(directory.config(), {"vocab_size"});
  const bool known = wanted.is_number_unsigned() && wanted.get<u64>() <= kMaxVocabulary;
  add_tokenizer_json(meta, directory.path_of(kTokenizer), known ? wanted.get<u32>() : 0);
}

u64 embedding_rows(const HfDirectory& directory, const HfFamily& family) {
  if (!family.has(HfFamily::kDefaultHeads)) return 0;
  const Json wanted = first_of(directory.config(), {"vocab_size"});
  return wanted.is_number_unsigned() ? wanted.get<u64>() : 0;
}

}  // namespace lbm::cli
