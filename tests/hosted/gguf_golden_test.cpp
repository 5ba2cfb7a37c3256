// Real files: every GGUF of the golden data and the default model open, and say what their makers
// say of them.
#include <filesystem>

#include "core/format/model_file.h"
#include "tests/hosted/golden.h"
#include "tests/test.h"
#include "tools/platform_posix.h"

using namespace lbm;

namespace {

// Memory for the metadata of one file at a time.
std::vector<u8>& memory() {
  static std::vector<u8> bytes(std::size_t{16} << 20);
  return bytes;
}

struct Opened {
  explicit Opened(const std::string& path) : arena(Span<u8>(memory().data(), memory().size())) {
    Result<std::unique_ptr<cli::FileSource>> source = cli::FileSource::open(path);
    REQUIRE(source.ok());
    Result<ModelFile> result = ModelFile::open(*source.value(), arena);
    INFO(path);
    REQUIRE(result.ok());
    file = result.value();
  }

  Arena arena;
  ModelFile file;
};

// The u64 called `key`, or 0.
u64 number(const ModelFile& file, Str key) {
  const Result<u64> value = file.get_u64(key, 0, ~u64{0});
  return value.ok() ? value.value() : 0;
}

}  // namespace

TEST_CASE("golden GGUF files open, and their tensors fill them", "[format]") {
  u32 n_file = 0;
  for (const char* folder : {"models", "quantized", "tokenizers"}) {
    const std::string path = golden_path(folder);
    if (path.empty()) {
      WARN("skipped: no golden data");
      return;
    }
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      if (entry.path().extension() != ".gguf") continue;
      INFO(entry.path());
      const Opened opened(entry.path().string());
      const ModelFile& file = opened.file;
      CHECK(file.version() == 3);
      CHECK(file.alignment() == 32);
      CHECK(file.get_text("general.architecture").ok());
      CHECK((file.n_tensor() == 0) == (std::string(folder) == "tokenizers"));
      u64 end = file.data_offset();
      for (u32 i = 0; i < file.n_tensor(); ++i) {
        const TensorInfo tensor = file.tensor(i);
        CHECK(tensor.file_offset == end);
        end = (tensor.file_offset + tensor.n_byte + 31) / 32 * 32;
      }
      if (file.n_tensor() != 0) CHECK(end == file.file_size());
      ++n_file;
    }
  }
  CHECK(n_file >= 50);
}

TEST_CASE("the default model has the metadata that it is known for", "[format]") {
  const std::string path = default_model_path();
  if (path.empty()) {
    WARN("skipped: the default model was not fetched (make model)");
    return;
  }
  const Opened opened(path);
  const ModelFile& file = opened.file;
  CHECK(file.file_size() == 98362432);
  CHECK(file.n_meta() == 33);
  CHECK(file.n_tensor() == 272);
  CHECK(file.data_offset() == 1785664);
  CHECK(number(file, "llama.block_count") == 30);
  CHECK(number(file, "llama.embedding_length") == 576);
  CHECK(number(file, "llama.attention.head_count_kv") == 3);
  const Result<MetaArray> tokens = file.get_array("tokenizer.ggml.tokens");
  REQUIRE(tokens.ok());
  CHECK(tokens.value().count == 49152);
  StringCursor cursor(tokens.value());
  CHECK(cursor.next() == Str("<|endoftext|>"));
  TensorInfo embedding;
  REQUIRE(file.find_tensor("token_embd.weight", embedding));
  CHECK(embedding.dims[0] == 576);
  CHECK(embedding.dims[1] == 49152);
}
