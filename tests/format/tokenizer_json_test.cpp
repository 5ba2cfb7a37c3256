// A tokenizer.json as a model without weights. What each of its parts becomes, and what is refused,
// is proved against the reader of the tools (tests/hosted/tokenizer_json_core_test.cpp).
#include "core/format/tokenizer_json.h"

#include "core/format/model_file.h"
#include "tests/test.h"

using namespace lbm;

namespace {

alignas(64) u8 g_memory[256 * 1024];

class TextSource final : public ByteSource {
 public:
  explicit TextSource(Str text) : text_(text) {}
  [[nodiscard]] u64 size() const override { return text_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    const Str part = text_.slice(static_cast<usize>(offset), out.size());
    __builtin_memcpy(out.data(), part.data(), part.size());
    return {};
  }

 private:
  Str text_;
};

constexpr Str kBytePairs =
    "{\"added_tokens\": [{\"id\": 5, \"content\": \"<end>\", \"special\": true, \"rstrip\": true}],"
    "\"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false},"
    "\"post_processor\": {\"type\": \"RobertaProcessing\", \"cls\": [\"a\", 0], \"sep\": [\"b\", "
    "1]},"
    "\"model\": {\"type\": \"BPE\", \"vocab\": {\"a\": 0, \"b\": 1, \"ab\": 2, \"[PAD4]\": 3},"
    "\"merges\": [[\"a\", \"b\"]]}}";
constexpr Str kUnigram =
    "{\"pre_tokenizer\": {\"type\": \"Metaspace\"}, \"model\": {\"type\": \"Unigram\", \"unk_id\": "
    "1,"
    "\"vocab\": [[\"a\", -1.5], [\"<unk>\", 0], [\"b\", -1e-1]]}}";

Result<ModelFile> open(TextSource& source, Arena& arena, bool is_allowed = true) {
  OpenOptions options;
  options.tokenizer_json = is_allowed;
  return ModelFile::open(source, arena, options);
}

bool has_text(const ModelFile& file, Str key, Str value) {
  const Result<Str> found = file.get_text(key);
  return found.ok() && found.value() == value;
}

bool has_number(const ModelFile& file, Str key, i64 value) {
  MetaValue found;
  return file.find(key, found) && found.integer == value;
}

}  // namespace

TEST_CASE("MVP-5: tokenizer.json in the core: BPE", "[format]") {
  Arena arena{Span<u8>(g_memory)};
  TextSource source(kBytePairs);
  const Result<ModelFile> opened = open(source, arena);
  REQUIRE(opened.ok());
  const ModelFile& file = opened.value();
  CHECK(file.format() == FileFormat::kTokenizerJson);
  CHECK(file.n_tensor() == 0);
  CHECK(file.file_size() == kBytePairs.size());
  CHECK(!file.metadata_has_place());
  CHECK(has_text(file, "tokenizer.ggml.model", "gpt2"));
  CHECK(has_text(file, "tokenizer.ggml.pre", "gpt-2"));
  MetaValue value;
  REQUIRE(file.find("tokenizer.ggml.tokens", value));
  StringCursor tokens(value.array);
  for (const Str piece :
       {Str("a"), Str("b"), Str("ab"), Str("[PAD4]"), Str("[PAD4]_"), Str("<end>")}) {
    REQUIRE(!tokens.done());
    CHECK(tokens.next() == piece);
  }
  CHECK(tokens.done());
  REQUIRE(file.find("tokenizer.ggml.merges", value));
  CHECK(StringCursor(value.array).next() == "a b");
  REQUIRE(file.find("tokenizer.ggml.token_type", value));
  CHECK(value.array.integer(0) == 1);
  CHECK(value.array.integer(4) == 5);
  CHECK(value.array.integer(5) == 3);
  REQUIRE(file.find("tokenizer.lbm.rstrip_tokens", value));
  CHECK(value.array.count == 1);
  CHECK(value.array.integer(0) == 5);
  CHECK(!file.find("tokenizer.lbm.lstrip_tokens", value));
  CHECK(has_number(file, "tokenizer.ggml.bos_token_id", 0));
  CHECK(has_number(file, "tokenizer.ggml.eos_token_id", 1));
  CHECK(has_number(file, "tokenizer.ggml.add_bos_token", 1));
}

TEST_CASE("MVP-5: tokenizer.json in the core: Unigram", "[format]") {
  Arena arena{Span<u8>(g_memory)};
  TextSource source(kUnigram);
  const Result<ModelFile> opened = open(source, arena);
  REQUIRE(opened.ok());
  const ModelFile& file = opened.value();
  CHECK(has_text(file, "tokenizer.ggml.model", "t5"));
  CHECK(has_text(file, "tokenizer.lbm.space_prefix", "missing"));
  CHECK(has_number(file, "tokenizer.ggml.unknown_token_id", 1));
  CHECK(has_number(file, "tokenizer.lbm.split_words", 1));
  MetaValue value;
  REQUIRE(file.find("tokenizer.ggml.scores", value));
  CHECK(value.array.number(0) == -1.5);
  CHECK(value.array.number(2) == static_cast<f64>(-0.1f));
}

TEST_CASE("tokenizer.json in the core: only where it is asked for", "[format]") {
  Arena arena{Span<u8>(g_memory)};
  TextSource source(kUnigram);
  const Result<ModelFile> opened = open(source, arena, false);
  REQUIRE(!opened.ok());
  CHECK(opened.error().code == ErrorCode::kBadMagic);
}

TEST_CASE("tokenizer.json in the core: memory that is too short", "[format]") {
  u32 n_refused = 0;
  for (usize n_byte = 0; n_byte <= 8192; n_byte += 64) {
    Arena arena{Span<u8>(g_memory, n_byte)};
    TextSource source(kBytePairs);
    const Result<ModelFile> opened = open(source, arena);
    if (opened.ok()) continue;
    ++n_refused;
    CHECK(opened.error().code == ErrorCode::kOutOfMemory);
    CHECK(arena.bytes_used() == 0);
  }
  CHECK(n_refused > 20);
  CHECK(n_refused < 128);
}

TEST_CASE("tokenizer.json in the core: its errors name the place", "[format]") {
  struct Case {
    Str json;
    ErrorCode code;
    Str subject;
  };
  for (const Case& c :
       {Case{"{\"model\": {\"type\": \"WordLevel\"}}", ErrorCode::kUnsupported,
             "/model 'WordLevel'"},
        {"{\"model\": {\"type\": \"BPE\"}, \"pre_tokenizer\": {\"type\": \"Sequence\", "
         "\"pretokenizers\": [{\"type\": \"X\"}, {\"type\": \"ByteLevel\", \"add_prefix_space\": "
         "false}]}}",
         ErrorCode::kUnsupported, "/pre_tokenizer/pretokenizers/0 'X'"},
        {"{\"model\": {\"type\": \"Unigram\", \"vocab\": [[\"a\", 0], [\"a\", 0]], \"unk_id\": 0}, "
         "\"pre_tokenizer\": {\"type\": \"Metaspace\"}}",
         ErrorCode::kDuplicate, "/model/vocab/1"}}) {
    Arena arena{Span<u8>(g_memory)};
    TextSource source(c.json);
    const Result<ModelFile> opened = open(source, arena);
    REQUIRE(!opened.ok());
    CHECK(opened.error().code == c.code);
    CHECK(opened.error().subject_text() == c.subject);
    CHECK(opened.error().offset != Error::kNoOffset);
  }
}
