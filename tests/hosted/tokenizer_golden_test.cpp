// The tokenizer against the ids that llama.cpp and Hugging Face give: every line of
// golden/tokenizers and of the tests that the tiny models carry.
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "core/base/pcg32.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/hosted/golden.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"

namespace lbm::test {
namespace {

using nlohmann::json;
using Ids = std::vector<u32>;

Str view(const std::string& text) { return {text.data(), text.size()}; }

// A vocabulary with the memory that it lives in.
class LoadedTokenizer {
 public:
  explicit LoadedTokenizer(const std::string& path) : source_(read_bytes(path)) {
    arena_.add_range({memory_.get(), kMemory});
    scratch_.add_range({scratch_memory_.get(), kMemory});
    Result<ModelFile> file = ModelFile::open(source_, arena_);
    if (!file.ok()) {
      error_ = message(file.error());
      return;
    }
    file_ = file.value();
    Result<Tokenizer*> tokenizer = Tokenizer::create(arena_, file_);
    if (tokenizer.ok()) {
      tokenizer_ = tokenizer.value();
    } else {
      error_ = message(tokenizer.error());
    }
  }

  [[nodiscard]] bool ok() const { return tokenizer_ != nullptr; }
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] const Tokenizer& operator*() const { return *tokenizer_; }
  [[nodiscard]] const Tokenizer* operator->() const { return tokenizer_; }

  Ids encode(const std::string& text, bool add_special, bool parse_special) {
    Ids out(text.size() + 3);
    const Result<u32> n = tokenizer_->encode(view(text), {add_special, parse_special},
                                             {out.data(), out.size()}, scratch_);
    REQUIRE(n.ok());
    REQUIRE(scratch_.bytes_used() == 0);
    out.resize(n.value());
    return out;
  }

  std::string decode(const Ids& ids) {
    std::string out(ids.size() * tokenizer_->max_piece_bytes(), '\0');
    const Result<Str> text =
        tokenizer_->decode({ids.data(), ids.size()}, true, true, {out.data(), out.size()});
    REQUIRE(text.ok());
    return {text.value().data(), text.value().size()};
  }

  // The pieces one after the other, as a stream shows them.
  std::string join_pieces(const Ids& ids) {
    std::string out;
    std::vector<char> buffer(tokenizer_->max_piece_bytes());
    for (const u32 id : ids) {
      const Str piece = tokenizer_->piece(id, true, {buffer.data(), buffer.size()});
      out.append(piece.data(), piece.size());
    }
    return out;
  }

 private:
  static constexpr usize kMemory = 80 << 20;

  static std::string message(const Error& error) {
    char text[300];
    const Str written = format_error(error, text);
    return {written.data(), written.size()};
  }

  MemorySource source_;
  std::unique_ptr<u8[]> memory_ =
      std::make_unique_for_overwrite<u8[]>(kMemory);  // pages that are not used cost nothing
  std::unique_ptr<u8[]> scratch_memory_ = std::make_unique_for_overwrite<u8[]>(kMemory);
  Arena arena_;
  Arena scratch_;
  ModelFile file_;
  Tokenizer* tokenizer_ = nullptr;
  std::string error_;
};

std::vector<json> read_lines(const std::string& path) {
  std::vector<json> lines;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) lines.push_back(json::parse(line));
  }
  return lines;
}

void check_ids(const json& expected, const Ids& got, const std::string& where) {
  INFO(where << "\nexpected " << expected.dump() << "\ngot      " << json(got).dump());
  CHECK(expected.get<Ids>() == got);
}

void check_jsonl(LoadedTokenizer& tokenizer, const std::string& path) {
  u32 n_checked = 0;
  for (const json& line : read_lines(path)) {
    if (line.at("kind") == "invalid_utf8") {
      continue;  // informative: the reference replaces malformed bytes, we keep them
    }
    const std::string text = line.at("text");
    const std::string where = path + " line " + line.at("n").dump() + ": " + line.at("text").dump();
    const Ids ids = tokenizer.encode(text, false, false);
    check_ids(line.at("ids"), ids, where);
    check_ids(line.at("ids_parse_special"), tokenizer.encode(text, false, true),
              where + " (parse special)");
    check_ids(line.at("ids_add_special_parse_special"), tokenizer.encode(text, true, true),
              where + " (add and parse special)");
    INFO(where);
    CHECK(tokenizer.decode(ids) ==
          (line.contains("detok") ? line.at("detok").get<std::string>() : text));
    ++n_checked;
  }
  CHECK(n_checked > 50);
}

// The cases of `path`.inp stand between lines __ggml_vocab_test__, their ids in as many lines of
// `path`.out.
void check_inp_out(LoadedTokenizer& tokenizer, const std::string& path) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::ifstream in(path + ".inp", std::ios::binary);
  const std::string input{std::istreambuf_iterator<char>(in), {}};
  std::ifstream out(path + ".out");
  u32 n_case = 0;
  for (usize start = 0; start < input.size(); ++n_case) {
    const usize end = input.find(separator, start);
    if (end == std::string::npos) break;
    const std::string text = input.substr(start, end - start);
    start = end + separator.size();
    std::string line;
    REQUIRE(std::getline(out, line));
    json expected = json::array();
    std::istringstream numbers(line);
    for (u32 id = 0; numbers >> id;) expected.push_back(id);
    check_ids(expected, tokenizer.encode(text, false, false), path + ".inp: " + json(text).dump());
  }
  CHECK(n_case > 40);
}

void check_index(const LoadedTokenizer& tokenizer, const json& entry) {
  CHECK(tokenizer->n_vocab() == entry.at("n_tokens").get<u32>());
  CHECK(tokenizer->bos() == static_cast<u32>(entry.at("bos").get<i64>()));
  CHECK(tokenizer->eos() == static_cast<u32>(entry.at("eos").get<i64>()));
  CHECK(tokenizer->add_bos() == (entry.at("add_bos").get<i64>() == 1));
  CHECK(tokenizer->add_eos() == (entry.at("add_eos").get<i64>() == 1));
  CHECK(tokenizer->is_end_of_generation(tokenizer->eos()));
  if (entry.at("eot").get<i64>() >= 0) {
    CHECK(tokenizer->is_end_of_generation(entry.at("eot").get<u32>()));
  }
}

// What a golden model says of the tokenizer in it; ids come back as the text that they were.
void check_tokenizer_tests(LoadedTokenizer& tokenizer, const json& model, const std::string& name) {
  u32 n_test = 0;
  for (const json& test : model.at("tokenizer_tests")) {
    const std::string text = test.at("text");
    const std::string where = name + ": " + test.at("text").dump();
    const Ids ids = tokenizer.encode(text, false, false);
    check_ids(test.at("ids"), ids, where);
    check_ids(test.at("ids_add_special_parse_special"), tokenizer.encode(text, true, true),
              where + " (special)");
    INFO(where);
    CHECK(tokenizer.decode(ids) == text);
    ++n_test;
  }
  CHECK(n_test > 2);
}

}  // namespace

TEST_CASE("vocabularies give the ids of the reference", "[tokenizer][golden]") {
  const std::string index_path = golden_path("tokenizers/index.json");
  if (index_path.empty()) {
    WARN("skipped: no golden data");
    return;
  }
  std::ifstream in(index_path);
  const json index = json::parse(in);
  for (const auto& [name, entry] : index.items()) {
    INFO(name);
    const bool is_default = !entry.contains("gguf");
    const std::string path = is_default
                                 ? default_model_path()
                                 : golden_path("tokenizers/" + entry.at("gguf").get<std::string>());
    if (path.empty()) {
      WARN("skipped: the default model is not there (make model)");
      continue;
    }
    LoadedTokenizer tokenizer(path);
    INFO(tokenizer.error());
    REQUIRE(tokenizer.ok());
    check_index(tokenizer, entry);
    check_jsonl(tokenizer, golden_path("tokenizers/" + entry.at("jsonl").get<std::string>()));
    if (!is_default) check_inp_out(tokenizer, path);
  }
}

TEST_CASE("tiny models: their tokenizers give the ids of the reference", "[tokenizer][golden]") {
  for (const char* name : {"models", "quantized"}) {
    const std::string folder = golden_path(name);
    if (folder.empty()) {
      WARN("skipped: no golden data");
      return;
    }
    u32 n_model = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".json") continue;
      std::ifstream in(entry.path());
      const json expected = json::parse(in);
      INFO(entry.path().string());
      LoadedTokenizer tokenizer(folder + "/" + expected.at("model").get<std::string>());
      INFO(tokenizer.error());
      REQUIRE(tokenizer.ok());
      check_tokenizer_tests(tokenizer, expected, entry.path().filename().string());
      ++n_model;
    }
    CHECK(n_model > 20);
  }
}

TEST_CASE("random bytes come back from the pieces of byte-level vocabularies",
          "[tokenizer][golden]") {
  for (const char* name : {"gpt-2", "llama-bpe", "qwen2"}) {
    const std::string path = golden_path(std::string("tokenizers/ggml-vocab-") + name + ".gguf");
    if (path.empty()) {
      WARN("skipped: no golden data");
      return;
    }
    LoadedTokenizer tokenizer(path);
    REQUIRE(tokenizer.ok());
    Pcg32 random(42, 1);
    u32 n_wrong = 0;
    for (u32 round = 0; round < 2000; ++round) {
      std::string text(random.next() % 60, ' ');
      const u32 kind = random.next() % 3;  // any byte; printable; few different ones
      for (char& c : text) {
        const u32 number = random.next();
        c = kind == 2 ? "\xE2\x82 a\n\xF0"[number % 6]
                      : static_cast<char>(kind == 0 ? number : ' ' + number % 95);
      }
      n_wrong += tokenizer.join_pieces(tokenizer.encode(text, false, false)) == text ? 0u : 1u;
    }
    INFO(name);
    CHECK(n_wrong == 0);
  }
}

// Where time grew with the square of the length, each of these would take hours; recursion would
// end the process.
TEST_CASE("a million equal characters are encoded in linear time", "[tokenizer][golden]") {
  for (const char* name : {"gpt-2", "llama-spm"}) {
    const std::string path = golden_path(std::string("tokenizers/ggml-vocab-") + name + ".gguf");
    if (path.empty()) {
      WARN("skipped: no golden data");
      return;
    }
    LoadedTokenizer tokenizer(path);
    REQUIRE(tokenizer.ok());
    for (const char* part : {"A", " ", ".", "\n", "\xE4\xB8\xAD", "\xCC\x81", "\xED\xA0\x80",
                             "\xC0\x80", "\xF0\x9F\x99", "<"}) {
      std::string text;
      while (text.size() < 1 << 20) text += part;
      const Ids ids = tokenizer.encode(text, false, true);
      std::string joined = tokenizer.join_pieces(ids);
      if (tokenizer->model_name() == "llama") joined.erase(0, 1);  // the space in front
      INFO(name << ' '
                << json(std::string(part)).dump(-1, ' ', true, json::error_handler_t::replace));
      const bool same = joined == text;  // a failure should not print two megabytes
      CHECK(same);
    }
  }
}

}  // namespace lbm::test
