// The core's reader of tokenizer.json against that of the tools: on every file
// of the hostile corpus both refuse with one code, or both give the same keys
// with the same values. What the tools add to it from files beside a
// tokenizer.json is none of the core's business.
#include <algorithm>
#include <map>
#include <memory>

#include "core/format/model_file.h"
#include "core/tokenizer/tokenizer.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/hosted/memory_source.h"
#include "tests/hosted/refusal.h"
#include "tests/hosted/temporary_folder.h"
#include "tests/test.h"
#include "tools/platform_posix.h"
#include "tools/tokenizer_json.h"

using namespace lbm;
using lbm::test::hostile_corpus;
using lbm::test::hostile_corpus_is_there;
using lbm::test::HostileFile;
using lbm::test::MemorySource;
using lbm::test::Refusal;
using lbm::test::refusal_of;
using lbm::test::TemporaryFolder;

namespace {

// A file that was opened in memory of its own.
class Opened {
 public:
  Opened(std::vector<u8> bytes, usize n_memory = usize{16} << 20)
      : source_(std::move(bytes)), memory_(n_memory), arena_({memory_.data(), memory_.size()}) {
    OpenOptions options;
    options.tokenizer_json = true;
    Result<ModelFile> opened = ModelFile::open(source_, arena_, options);
    if (opened.ok()) {
      file_ = opened.value();
    } else {
      error_ = opened.error();
    }
    used_after_ = arena_.bytes_used();
  }

  [[nodiscard]] bool ok() const { return error_.code == ErrorCode::kOk; }
  [[nodiscard]] const Error& error() const { return error_; }
  [[nodiscard]] std::string code() const { return cli::to_string(error_code_name(error_.code)); }
  [[nodiscard]] std::string message() const {
    char text[512];
    return cli::to_string(format_error(error_, text));
  }
  [[nodiscard]] const ModelFile& file() const { return file_; }
  [[nodiscard]] u64 used_after_open() const { return used_after_; }
  [[nodiscard]] Status make_tokenizer() {
    const Result<Tokenizer*> made = Tokenizer::create(arena_, file_);
    if (!made.ok()) return made.error();
    tokenizer_ = made.value();
    return {};
  }
  [[nodiscard]] std::vector<u32> encode(const std::string& text) const {
    std::vector<u8> memory(tokenizer_->scratch_bytes(text.size()) + 4096);
    Arena scratch({memory.data(), memory.size()});
    std::vector<u32> ids(text.size() + 16);
    const Result<u32> n =
        tokenizer_->encode({text.data(), text.size()}, {}, {ids.data(), ids.size()}, scratch);
    ids.resize(n.ok() ? n.value() : 0);
    return ids;
  }

 private:
  MemorySource source_;
  std::vector<u8> memory_;
  Arena arena_;
  ModelFile file_;
  Error error_;
  u64 used_after_ = 0;
  const Tokenizer* tokenizer_ = nullptr;
};

// A value as text; ids of tokens in order, since a list of them has none.
std::string as_text(Str key, const MetaValue& value) {
  std::string out(1, static_cast<char>('A' + static_cast<int>(value.type)));
  if (value.type == MetaType::kString) return out + cli::to_string(value.text);
  if (value.type != MetaType::kArray) return out + std::to_string(value.integer);
  const MetaArray& array = value.array;
  std::vector<u8> bytes(array.bytes.begin(), array.bytes.end());
  if (key.ends_with("strip_tokens")) {
    std::vector<u32> ids;
    for (u64 i = 0; i < array.count; ++i) ids.push_back(static_cast<u32>(array.integer(i)));
    std::sort(ids.begin(), ids.end());
    for (const u32 id : ids) out += std::to_string(id) + ' ';
    return out;
  }
  return out + static_cast<char>('A' + static_cast<int>(array.type)) + std::to_string(array.count) +
         std::string(bytes.begin(), bytes.end());
}

std::map<std::string, std::string> keys_of(const ModelFile& file) {
  std::map<std::string, std::string> out;
  for (u32 i = 0; i < file.n_meta(); ++i) {
    out[cli::to_string(file.meta_key(i))] = as_text(file.meta_key(i), file.meta_value(i));
  }
  return out;
}

std::vector<u8> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// What the tools make of a tokenizer.json, alone in its folder.
class Translated {
 public:
  explicit Translated(const std::vector<u8>& json) {
    const TemporaryFolder folder;
    const std::string path = folder.write("tokenizer.json", std::string(json.begin(), json.end()));
    refusal_ = refusal_of([&] { gguf_ = cli::tokenizer_json_as_gguf(path); });
  }
  [[nodiscard]] bool ok() const { return !gguf_.empty(); }
  [[nodiscard]] std::string code() const { return ok() ? "ok" : refusal_.code(); }
  [[nodiscard]] std::vector<u8> gguf() const { return bytes_of(gguf_); }

 private:
  Refusal refusal_;
  std::string gguf_;
};

const std::vector<std::string> kTexts = {"",
                                         "a",
                                         "ab",
                                         "  abba  b",
                                         "a b\n\nab",
                                         "<end>a",
                                         "x\xC3\xA4y",
                                         "\xE2\x96\x81"
                                         "ab",
                                         "AB [CLS] ab"};

void check_same(const std::vector<u8>& json) {
  const Translated tools(json);
  Opened core(json);
  INFO(core.message());
  REQUIRE(tools.ok());
  REQUIRE(core.ok());
  CHECK(core.file().format() == FileFormat::kTokenizerJson);
  CHECK(core.file().n_tensor() == 0);
  Opened other(tools.gguf());
  REQUIRE(other.ok());
  const auto expected = keys_of(other.file());
  const auto found = keys_of(core.file());
  CHECK(found.size() == expected.size());
  for (const auto& [key, value] : expected) {
    INFO(key);
    CHECK(found.count(key) == 1);
    CHECK((found.count(key) == 1 && found.at(key) == value));
  }
  const Status made = core.make_tokenizer();
  const Status also = other.make_tokenizer();
  CHECK(made.ok() == also.ok());
  if (!made.ok() || !also.ok()) return;
  for (const std::string& text : kTexts) CHECK(core.encode(text) == other.encode(text));
}

}  // namespace

TEST_CASE("tokenizer.json in the core: the hostile corpus, as the tools read it",
          "[format][hostile][tools]") {
  if (!hostile_corpus_is_there()) return;
  u32 n_accepted = 0;
  u32 n_refused = 0;
  for (const HostileFile& row : hostile_corpus()) {
    if (row.kind() != "tokenizer_json") continue;
    INFO(row.name);
    const std::vector<u8> json = row.bytes();
    if (row.stage == "ok") {
      check_same(json);
      ++n_accepted;
      continue;
    }
    const Translated tools(json);
    const Opened core(json);
    INFO(core.message());
    CHECK(!core.ok());
    CHECK(core.used_after_open() == 0);
    ++n_refused;
    // What does not begin as JSON does is not taken for it.
    if (core.error().code == ErrorCode::kBadMagic || core.error().code == ErrorCode::kTruncated) {
      CHECK((json.size() < 4 || (json[0] != '{' && json[0] != '[')));
      continue;
    }
    CHECK(core.code() == row.error);
    CHECK(core.code() == tools.code());
    if (row.offset != Error::kNoOffset) CHECK(core.error().offset == row.offset);
  }
  CHECK(n_accepted > 20);
  CHECK(n_refused > 100);
}

TEST_CASE("tokenizer.json in the core: what a tokenizer refuses later has no byte in the file",
          "[format][tools]") {
  const std::string json = R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
      "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b", "a b"]}})";
  Opened core(bytes_of(json));
  REQUIRE(core.ok());
  const Status made = core.make_tokenizer();
  CHECK(made.error().code == ErrorCode::kDuplicate);
  CHECK(made.error().offset == Error::kNoOffset);
}
