// What a tokenizer.json and the files beside it become. What they are refused for is in
// tests/hostile/recipes_json.py as well.
#include "tools/tokenizer_json.h"

#include <memory>

#include "tests/hosted/refusal.h"
#include "tests/hosted/temporary_folder.h"
#include "tests/test.h"
#include "tools/json_node.h"
#include "tools/platform_posix.h"
#include "tools/tokenizer_json_rules.h"

using namespace lbm;
using cli::Json;
using lbm::test::MemorySource;
using lbm::test::Refusal;
using lbm::test::refusal_of;
using lbm::test::TemporaryFolder;

namespace {

constexpr const char* kWord = "\xE2\x96\x81";

Json parse(const std::string& text) { return Json::parse(text); }

Json byte_pairs() {
  return parse(R"({"added_tokens": [{"id": 3, "content": "<end>", "special": true}],
      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
      "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}})");
}

Json characters() {
  Json out = parse(R"({"normalizer": {"type": "Sequence", "normalizers":
      [{"type": "Prepend", "prepend": "W"},
       {"type": "Replace", "pattern": {"String": " "}, "content": "W"}]},
      "model": {"type": "BPE", "byte_fallback": true, "unk_token": "<unk>", "merges": [],
                "vocab": {"<unk>": 256}}})");
  out["normalizer"]["normalizers"][0]["prepend"] = kWord;
  out["normalizer"]["normalizers"][1]["content"] = kWord;
  for (int byte = 0; byte < 256; ++byte)
    out["model"]["vocab"][cli::format("<0x%02X>", byte)] = byte;
  return out;
}

Json unigram() {
  Json out = parse(R"({"pre_tokenizer": {"type": "Metaspace"},
      "model": {"type": "Unigram", "unk_id": 1,
                "vocab": [["a", -1.5], ["<unk>", 0], ["b", -2]]}})");
  return out;
}

Json word_pieces() {
  return parse(R"({"normalizer": {"type": "BertNormalizer", "lowercase": true},
      "pre_tokenizer": {"type": "BertPreTokenizer"},
      "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]},
      "added_tokens": [{"id": 1, "content": "[CLS]", "special": true},
                       {"id": 2, "content": "[SEP]", "special": true}],
      "model": {"type": "WordPiece", "unk_token": "[UNK]",
                "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "##b": 4, "##": 5}}})");
}

// The folder of a tokenizer, and the GGUF file that it becomes.
class Converted {
 public:
  explicit Converted(const Json& tokenizer) { folder_.write("tokenizer.json", tokenizer.dump()); }
  Converted(const Json& tokenizer, const char* beside, const Json& content) : Converted(tokenizer) {
    add(beside, content);
  }
  Converted& add(const char* beside, const Json& content) {
    folder_.write(beside, content.dump());
    return *this;
  }

  [[nodiscard]] const TemporaryFolder& folder() const { return folder_; }
  [[nodiscard]] Refusal refusal() {
    return refusal_of([&] { static_cast<void>(file()); });
  }
  [[nodiscard]] const ModelFile& file() {
    if (!file_) {
      const std::string bytes = cli::tokenizer_json_as_gguf(folder_.path());
      source_ = std::make_unique<MemorySource>(std::vector<u8>(bytes.begin(), bytes.end()));
      arena_.add_range({memory_.data(), memory_.size()});
      file_ = std::make_unique<ModelFile>(
          cli::expect(ModelFile::open(*source_, arena_), "", cli::Stage::kModel));
    }
    return *file_;
  }
  [[nodiscard]] std::string text(const char* key) {
    MetaValue value;
    return file().find(key, value) ? cli::to_string(value.text) : "(none)";
  }
  // -1: there is no such key.
  [[nodiscard]] i64 number(const char* key) {
    MetaValue value;
    return file().find(key, value) ? value.integer : -1;
  }
  [[nodiscard]] std::vector<std::string> texts(const char* key) {
    std::vector<std::string> out;
    MetaValue value;
    if (!file().find(key, value)) return out;
    StringCursor cursor(value.array);
    while (!cursor.done()) out.push_back(cli::to_string(cursor.next()));
    return out;
  }
  [[nodiscard]] std::vector<f64> numbers(const char* key) {
    std::vector<f64> out;
    MetaValue value;
    if (!file().find(key, value)) return out;
    for (u64 i = 0; i < value.array.count; ++i) out.push_back(value.array.number(i));
    return out;
  }

 private:
  TemporaryFolder folder_;
  std::vector<u8> memory_ = std::vector<u8>(usize{4} << 20);
  Arena arena_;
  std::unique_ptr<MemorySource> source_;
  std::unique_ptr<ModelFile> file_;
};

using Texts = std::vector<std::string>;
using Numbers = std::vector<f64>;

}  // namespace

TEST_CASE("tokenizer.json: is recognised", "[tools]") {
  const TemporaryFolder folder;
  CHECK(cli::is_tokenizer_json(folder.write("a", " \n\t{")));
  CHECK(!cli::is_tokenizer_json(folder.write("b", "GGUF")));
  CHECK(!cli::is_tokenizer_json(folder.write("c", "")));
  CHECK(!cli::is_tokenizer_json(folder / "none"));
  CHECK(!cli::is_tokenizer_json(folder.path()));
  folder.write("tokenizer.json", "{}");
  CHECK(cli::is_tokenizer_json(folder.path()));
}

TEST_CASE("tokenizer.json: BPE over bytes", "[tools]") {
  Converted out(byte_pairs());
  CHECK(out.text("tokenizer.ggml.model") == "gpt2");
  CHECK(out.text("tokenizer.ggml.pre") == "gpt-2");
  CHECK(out.texts("tokenizer.ggml.tokens") == Texts({"a", "b", "ab", "<end>"}));
  CHECK(out.numbers("tokenizer.ggml.token_type") == Numbers({1, 1, 1, 3}));
  CHECK(out.texts("tokenizer.ggml.merges") == Texts{"a b"});
  CHECK(out.number("tokenizer.lbm.ignore_merges") == 0);
  CHECK(out.number("tokenizer.lbm.clean_spaces") == 0);
  CHECK(out.text("tokenizer.lbm.space_prefix") == "(none)");
  CHECK(out.text("tokenizer.lbm.normalizer") == "(none)");
  CHECK(out.number("tokenizer.ggml.add_bos_token") == 0);
  CHECK(out.number("tokenizer.ggml.bos_token_id") == -1);
}

TEST_CASE("tokenizer.json: merges as pairs, and what else a BPE model may say", "[tools]") {
  Json json = byte_pairs();
  json["model"]["merges"] = parse(R"([["a", "b"], [" a", "b"]])");
  json["model"]["ignore_merges"] = true;
  json["model"]["unk_token"] = nullptr;
  json["normalizer"] = {{"type", "NFC"}};
  json["pre_tokenizer"]["add_prefix_space"] = true;
  Converted out(json);
  CHECK(out.texts("tokenizer.ggml.merges") == Texts({"a b", " a b"}));
  CHECK(out.number("tokenizer.lbm.ignore_merges") == 1);
  CHECK(out.text("tokenizer.lbm.normalizer") == "nfc");
  CHECK(out.text("tokenizer.lbm.space_prefix") == "missing");
  CHECK(out.number("tokenizer.ggml.add_space_prefix") == 1);
}

TEST_CASE("tokenizer.json: an unknown token where all bytes are tokens", "[tools]") {
  Json json = byte_pairs();
  json["model"]["unk_token"] = "<end>";
  json["added_tokens"] = nullptr;
  Converted lacks(json);
  CHECK(lacks.refusal().code() == "unsupported");
  // The characters of GPT-2 for the 256 bytes.
  Json vocabulary = Json::object();
  for (u32 codepoint = 0x21; codepoint < 0x144; ++codepoint) {
    const bool is_one = codepoint < 0x7F || (codepoint > 0xA0 && codepoint != 0xAD);
    std::string text;
    if (codepoint < 0x80) {
      text.push_back(static_cast<char>(codepoint));
    } else {
      text.push_back(static_cast<char>(0xC0 | codepoint >> 6));
      text.push_back(static_cast<char>(0x80 | (codepoint & 63)));
    }
    if (is_one) vocabulary[text] = vocabulary.size();
  }
  CHECK(vocabulary.size() == 256);
  vocabulary["<end>"] = 256;
  json["model"]["vocab"] = vocabulary;
  json["model"]["merges"] = Json::array();
  Converted all(json);
  CHECK(all.number("tokenizer.ggml.unknown_token_id") == 256);
  CHECK(all.numbers("tokenizer.ggml.token_type")[256] == 1);
}

TEST_CASE("tokenizer.json: BPE over characters", "[tools]") {
  Converted out(characters());
  CHECK(out.text("tokenizer.ggml.model") == "gpt2");
  CHECK(out.text("tokenizer.ggml.pre") == "characters");
  CHECK(out.text("tokenizer.lbm.space_prefix") == "always");
  CHECK(out.numbers("tokenizer.ggml.token_type")[65] == 6);
  CHECK(out.numbers("tokenizer.ggml.token_type")[256] == 1);
  CHECK(out.number("tokenizer.ggml.unknown_token_id") == 256);
  for (const char* scheme : {"always", "first", "never"}) {
    Json json = characters();
    json["normalizer"] = nullptr;
    json["pre_tokenizer"] = {{"type", "Metaspace"}, {"prepend_scheme", scheme}, {"split", false}};
    Converted other(json);
    const std::string prefix = other.text("tokenizer.lbm.space_prefix");
    CHECK(prefix == (scheme[0] == 'a' ? "missing" : scheme[0] == 'f' ? "first" : "(none)"));
    CHECK(other.text("tokenizer.ggml.pre") == "characters");
    json["pre_tokenizer"]["split"] = true;
    CHECK(Converted(json).text("tokenizer.ggml.pre") == "words");
  }
}

TEST_CASE("tokenizer.json: Unigram", "[tools]") {
  Converted out(unigram());
  CHECK(out.text("tokenizer.ggml.model") == "t5");
  CHECK(out.text("tokenizer.ggml.pre") == "default");
  CHECK(out.numbers("tokenizer.ggml.scores") == Numbers({-1.5, 0, -2}));
  CHECK(out.numbers("tokenizer.ggml.token_type") == Numbers({1, 2, 1}));
  CHECK(out.number("tokenizer.ggml.unknown_token_id") == 1);
  CHECK(out.number("tokenizer.ggml.remove_extra_whitespaces") == 0);
  CHECK(out.number("tokenizer.lbm.split_words") == 1);
  CHECK(out.number("tokenizer.lbm.split_white_space") == 0);
  CHECK(out.number("tokenizer.lbm.byte_fallback") == 0);
  CHECK(out.number("tokenizer.ggml.add_space_prefix") == 1);
}

TEST_CASE("tokenizer.json: Unigram with a character map and bytes", "[tools]") {
  Json json = unigram();
  json["normalizer"] = parse(R"({"type": "Sequence", "normalizers": [
      {"type": "Precompiled", "precompiled_charsmap": "AAECA/8+/w=="}, {"type": "Strip"},
      {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "W"}]})");
  json["normalizer"]["normalizers"][2]["content"] = kWord;
  json["pre_tokenizer"] = parse(R"({"type": "Metaspace", "add_prefix_space": false})");
  json["model"]["byte_fallback"] = true;
  for (int byte = 0; byte < 256; ++byte)
    json["model"]["vocab"].push_back(Json::array({cli::format("<0x%02X>", byte), -9}));
  Converted out(json);
  CHECK(out.numbers("tokenizer.ggml.precompiled_charsmap") == Numbers({0, 1, 2, 3, 255, 62, 255}));
  CHECK(out.number("tokenizer.ggml.remove_extra_whitespaces") == 1);
  CHECK(out.number("tokenizer.lbm.byte_fallback") == 1);
  CHECK(out.number("tokenizer.ggml.add_space_prefix") == 0);
  CHECK(out.numbers("tokenizer.ggml.token_type")[3] == 6);
}

TEST_CASE("tokenizer.json: Unigram that splits at any white space", "[tools]") {
  Json json = unigram();
  json["pre_tokenizer"] = parse(R"({"type": "Sequence", "pretokenizers":
      [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "split": false}]})");
  Converted out(json);
  CHECK(out.number("tokenizer.lbm.split_white_space") == 1);
  CHECK(out.number("tokenizer.ggml.remove_extra_whitespaces") == 1);
  CHECK(out.number("tokenizer.lbm.split_words") == 0);
}

TEST_CASE("tokenizer.json: WordPiece", "[tools]") {
  Converted out(word_pieces());
  CHECK(out.text("tokenizer.ggml.model") == "bert");
  CHECK(
      out.texts("tokenizer.ggml.tokens") ==
      Texts({"[UNK]", "[CLS]", "[SEP]", kWord + std::string("a"), "b", kWord + std::string("##")}));
  CHECK(out.numbers("tokenizer.ggml.token_type") == Numbers({2, 3, 3, 1, 1, 1}));
  CHECK(out.number("tokenizer.ggml.bos_token_id") == 1);
  CHECK(out.number("tokenizer.ggml.seperator_token_id") == 2);
  CHECK(out.number("tokenizer.ggml.eos_token_id") == -1);
  CHECK(out.number("tokenizer.ggml.add_bos_token") == -1);
  CHECK(out.number("tokenizer.ggml.normalizer.lowercase") == 1);
  CHECK(out.number("tokenizer.ggml.normalizer.strip_accents") == 1);
  CHECK(out.number("tokenizer.lbm.max_word_chars") == 100);
  Json json = word_pieces();
  json["normalizer"]["lowercase"] = false;
  json["model"]["max_input_chars_per_word"] = 7;
  Converted cased(json);
  CHECK(cased.number("tokenizer.ggml.normalizer.strip_accents") == 0);
  CHECK(cased.number("tokenizer.lbm.max_word_chars") == 7);
  json["normalizer"]["strip_accents"] = true;
  CHECK(Converted(json).number("tokenizer.ggml.normalizer.strip_accents") == 1);
}

TEST_CASE("tokenizer.json: added tokens", "[tools]") {
  Json json = byte_pairs();
  json["added_tokens"] = parse(R"([{"id": 0, "content": "a", "special": true, "lstrip": true},
      {"id": 7, "content": "<x>", "rstrip": true}, {"id": 5, "content": "[PAD4]"}])");
  Converted out(json);
  CHECK(out.texts("tokenizer.ggml.tokens") ==
        Texts({"a", "b", "ab", "[PAD3]", "[PAD4]_", "[PAD4]", "[PAD6]", "<x>"}));
  CHECK(out.numbers("tokenizer.ggml.token_type") == Numbers({3, 1, 1, 5, 5, 4, 5, 4}));
  CHECK(out.numbers("tokenizer.lbm.lstrip_tokens") == Numbers{0});
  CHECK(out.numbers("tokenizer.lbm.rstrip_tokens") == Numbers{7});
}

TEST_CASE("tokenizer.json: a token that is known keeps the type it has", "[tools]") {
  Json json = unigram();
  json["added_tokens"] = parse(R"([{"id": 1, "content": "<unk>", "special": true}])");
  CHECK(Converted(json).numbers("tokenizer.ggml.token_type") == Numbers({1, 2, 1}));
}

TEST_CASE("tokenizer.json: ids are filled up to the rows of the embedding", "[tools]") {
  const TemporaryFolder folder;
  const std::string path = folder.write("tokenizer.json", byte_pairs().dump());
  cli::GgufMetadata metadata;
  cli::add_tokenizer_json(metadata, path, 6);
  CHECK(metadata.encoded().find("[PAD5]") != std::string::npos);
  cli::GgufMetadata exact;
  cli::add_tokenizer_json(exact, path, 4);
  CHECK(exact.encoded().find("[PAD") == std::string::npos);
  cli::GgufMetadata fewer;
  const Refusal refusal = refusal_of([&] { cli::add_tokenizer_json(fewer, path, 3); });
  CHECK(refusal.says("4 tokens, but the model has an embedding for 3 [mismatch]"));
  CHECK(fewer.size() == 0);
}

TEST_CASE("tokenizer.json: what tokenizer_config.json says", "[tools]") {
  Converted out(byte_pairs(), "tokenizer_config.json", parse(R"({"bos_token": "a",
      "eos_token": {"content": "b"}, "unk_token": "none such", "pad_token": "<end>",
      "mask_token": null, "add_bos_token": true, "add_eos_token": false,
      "clean_up_tokenization_spaces": true, "chat_template": "{{ messages }}"})"));
  CHECK(out.number("tokenizer.ggml.bos_token_id") == 0);
  CHECK(out.number("tokenizer.ggml.eos_token_id") == 1);
  CHECK(out.number("tokenizer.ggml.padding_token_id") == 3);
  CHECK(out.number("tokenizer.ggml.unknown_token_id") == -1);
  CHECK(out.number("tokenizer.ggml.mask_token_id") == -1);
  CHECK(out.number("tokenizer.ggml.add_bos_token") == 1);
  CHECK(out.number("tokenizer.ggml.add_eos_token") == 0);
  CHECK(out.number("tokenizer.lbm.clean_spaces") == -1);
  CHECK(out.text("tokenizer.chat_template") == "{{ messages }}");
}

TEST_CASE("tokenizer.json: a token is added only where there is one", "[tools]") {
  Converted out(byte_pairs(), "tokenizer_config.json",
                parse(R"({"add_bos_token": true, "add_eos_token": true, "eos_token": "b"})"));
  CHECK(out.number("tokenizer.ggml.add_bos_token") == 0);
  CHECK(out.number("tokenizer.ggml.add_eos_token") == 1);
}

TEST_CASE("tokenizer.json: several templates, and one in a file of its own", "[tools]") {
  Converted out(byte_pairs(), "tokenizer_config.json",
                parse(R"({"chat_template": [{"name": "default", "template": "D"},
                                            {"name": "tool_use", "template": "T"}]})"));
  CHECK(out.text("tokenizer.chat_template") == "D");
  CHECK(out.text("tokenizer.chat_template.tool_use") == "T");
  Converted own(byte_pairs(), "tokenizer_config.json", parse(R"({"chat_template": "old"})"));
  own.folder().write("chat_template.jinja", "new");
  CHECK(own.text("tokenizer.chat_template") == "new");
}

TEST_CASE("tokenizer.json: special_tokens_map.json, and what goes before it", "[tools]") {
  Converted out(byte_pairs(), "special_tokens_map.json",
                parse(R"({"cls_token": "a", "sep_token": "b", "eos_token": "a"})"));
  out.add("tokenizer_config.json", parse(R"({"eos_token": "b"})"));
  CHECK(out.number("tokenizer.ggml.bos_token_id") == 0);
  CHECK(out.number("tokenizer.ggml.seperator_token_id") == 1);
  CHECK(out.number("tokenizer.ggml.eos_token_id") == 1);
}

TEST_CASE("tokenizer.json: end tokens of the other files", "[tools]") {
  Converted out(byte_pairs(), "generation_config.json",
                parse(R"({"bos_token_id": 2, "eos_token_id": [1, 3, 0]})"));
  out.add("config.json", parse(R"({"bos_token_id": 0, "eos_token_id": 1})"));
  CHECK(out.number("tokenizer.ggml.bos_token_id") == 2);
  CHECK(out.number("tokenizer.ggml.eos_token_id") == 1);
  CHECK(out.number("tokenizer.ggml.eot_token_id") == 3);
  Converted one(byte_pairs(), "config.json", parse(R"({"eos_token_id": 3})"));
  CHECK(one.number("tokenizer.ggml.eos_token_id") == 3);
  CHECK(one.number("tokenizer.ggml.eot_token_id") == -1);
}

TEST_CASE("tokenizer.json: files beside it that are wrong", "[tools]") {
  struct Case {
    const char* file;
    const char* content;
    const char* code;
    const char* place;
  };
  for (const Case& c :
       {Case{"tokenizer_config.json", R"({"bos_token": 1})", "bad_type", ": /bos_token: "},
        {"tokenizer_config.json", R"({"bos_token": {}})", "missing", ": /bos_token: "},
        {"tokenizer_config.json", R"({"add_bos_token": 1})", "bad_type", ": /add_bos_token: "},
        {"tokenizer_config.json", R"({"chat_template": 1})", "bad_type", ": /chat_template: "},
        {"tokenizer_config.json", R"({"chat_template": [{"name": "x"}]})", "missing",
         ": /chat_template/0: "},
        {"special_tokens_map.json", "[]", "bad_type", ""},
        {"generation_config.json", R"({"eos_token_id": [0, 4]})", "bad_value",
         ": /eos_token_id/1: the number 4 is not from 0 on and below 4"},
        {"generation_config.json", "[]", "bad_type", ""},
        {"generation_config.json", R"({"eos_token_id": "0"})", "bad_type", ": /eos_token_id: "},
        {"config.json", R"({"bos_token_id": -1})", "bad_value", ": /bos_token_id: "}}) {
    INFO(c.file << " " << c.content);
    Converted out(byte_pairs(), c.file, parse(c.content));
    const Refusal refusal = out.refusal();
    CHECK(refusal.exit == cli::ExitCode::kModel);
    CHECK(refusal.code() == c.code);
    CHECK(refusal.says(c.file + std::string(c.place)));
  }
}

TEST_CASE("tokenizer.json: tokens around a text", "[tools]") {
  const auto with = [](const char* processor) {
    Json json = byte_pairs();
    json["post_processor"] = parse(processor);
    return json;
  };
  Converted both(with(R"({"type": "RobertaProcessing", "cls": ["a", 0], "sep": ["b", 1]})"));
  CHECK(both.number("tokenizer.ggml.bos_token_id") == 0);
  CHECK(both.number("tokenizer.ggml.eos_token_id") == 1);
  CHECK(both.number("tokenizer.ggml.add_bos_token") == 1);
  CHECK(both.number("tokenizer.ggml.add_eos_token") == 1);
  const char* const kTemplate = R"({"type": "Sequence", "processors": [{"type": "ByteLevel"},
      {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}},
       {"SpecialToken": {"id": "E"}}], "special_tokens": {"E": {"ids": [2]}}}]})";
  Converted after(with(kTemplate), "tokenizer_config.json",
                  parse(R"({"bos_token": "a", "eos_token": "b", "add_bos_token": true})"));
  CHECK(after.number("tokenizer.ggml.bos_token_id") == 0);
  CHECK(after.number("tokenizer.ggml.eos_token_id") == 2);
  CHECK(after.number("tokenizer.ggml.add_bos_token") == 0);
  CHECK(after.number("tokenizer.ggml.add_eos_token") == 1);
}

TEST_CASE("tokenizer.json: a frame, whatever it lacks", "[tools]") {
  const auto frame_of = [](const char* text) {
    const cli::JsonTree tree = cli::parse_json_file(text, "t.json");
    return cli::read_tokenizer_frame({tree, "t.json"}, 4);
  };
  CHECK(!frame_of("{}").known);
  CHECK(!frame_of(R"({"post_processor": {"type": "ByteLevel"}})").known);
  const cli::TokenizerFrame empty = frame_of(
      R"({"post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {}}]}})");
  CHECK(empty.known);
  CHECK(empty.before == cli::TokenizerFrame::kNone);
  CHECK(empty.after == cli::TokenizerFrame::kNone);
  // A special token without ids adds none.
  CHECK(frame_of(R"({"post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "x"}}], "special_tokens": {"x": {"ids": []}}}})")
            .before == cli::TokenizerFrame::kNone);
}

TEST_CASE("tokenizer.json: places in messages", "[tools]") {
  const auto message = [](const Json& json) { return Converted(json).refusal().message; };
  Json json = byte_pairs();
  json["model"]["vocab"]["\x1b[2J"] = -1;
  CHECK(message(json).find("/model/vocab/\xEF\xBF\xBD[2J: the number -1 is not") !=
        std::string::npos);
  json = byte_pairs();
  json["model"]["vocab"][std::string(61, 'k')] = "x";
  CHECK(message(json).find("/model/vocab/" + std::string(60, 'k') + "...: a whole number") !=
        std::string::npos);
  json = byte_pairs();
  json["added_tokens"][0]["id"] = 1;
  CHECK(message(json).find("/added_tokens/0: the id 1 is there twice [duplicate]") !=
        std::string::npos);
  json = byte_pairs();
  json["pre_tokenizer"] = parse(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\r\nx"}, "behavior": "Isolated"},
      {"type": "ByteLevel", "use_regex": false, "add_prefix_space": false}]})");
  CHECK(message(json).find("splits by: R \\r\\nx [unsupported]") != std::string::npos);
}

TEST_CASE("tokenizer.json: a token of bytes that include 0", "[tools]") {
  Json json = byte_pairs();
  json["model"]["vocab"] = {{"a", 0}, {std::string("a\0b", 3), 1}};
  json["model"]["merges"] = Json::array();
  CHECK(Converted(json).texts("tokenizer.ggml.tokens")[1] == std::string("a\0b", 3));
}

TEST_CASE("tokenizer.json: a vocabulary that is too large", "[tools]") {
  const TemporaryFolder folder;
  std::string pieces;
  for (u32 i = 0; i < 1048576; ++i) pieces += "1,";
  const auto code = [&](const std::string& last) {
    const std::string path =
        folder.write("tokenizer.json", R"({"pre_tokenizer": {"type": "Metaspace"},
            "model": {"type": "Unigram", "unk_id": 0, "vocab": [)" +
                                           pieces + last + "]}}");
    return refusal_of([&] { (void)cli::tokenizer_json_as_gguf(path); }).code();
  };
  CHECK(code("1") == "limit");
  pieces.resize(pieces.size() - 2);
  CHECK(code("1") == "bad_type");
}

TEST_CASE("tokenizer.json: files that say nothing of end tokens", "[tools]") {
  Converted out(byte_pairs(), "generation_config.json", parse("{}"));
  out.add("config.json", parse(R"({"eos_token_id": [1]})"));
  CHECK(out.number("tokenizer.ggml.eos_token_id") == 1);
  CHECK(out.number("tokenizer.ggml.eot_token_id") == -1);
}

TEST_CASE("tokenizer.json: a file that is too large is not read", "[tools]") {
  const TemporaryFolder folder;
  const std::string path = folder.write("tokenizer.json", "{}");
  std::filesystem::resize_file(path, (u64{128} << 20) + 1);
  const Refusal refusal = refusal_of([&] { (void)cli::tokenizer_json_as_gguf(path); });
  CHECK(refusal.says("MiB are read [limit]"));
  std::filesystem::resize_file(path, u64{128} << 20);
  CHECK(refusal_of([&] { (void)cli::tokenizer_json_as_gguf(path); }).code() == "bad_syntax");
  CHECK(refusal_of([&] { (void)cli::tokenizer_json_as_gguf(folder / "none.json"); }).code() ==
        "not_found");
}
