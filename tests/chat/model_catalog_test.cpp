// The list of models: what can be chosen, and nothing else.
#include "core/chat/model_catalog.h"

#include "tests/test.h"

using namespace lbm;

namespace {

class Names final : public Volume {
 public:
  explicit Names(Span<const Str> names) : names_(names) {}
  [[nodiscard]] u32 list_models(Span<FileEntry> out) override {
    u32 n = 0;
    for (const Str name : names_) {
      out[n] = {};
      __builtin_memcpy(out[n].path, name.data(), name.size());
      out[n].path_size = static_cast<u32>(name.size());
      out[n].size_bytes = 100 + n;
      ++n;
    }
    return n;
  }
  [[nodiscard]] Result<ByteSource*> open(u32, Str path) override {
    return fail(ErrorCode::kNotFound, "nothing to open").about(path);
  }
  void close(ByteSource*) override {}

 private:
  Span<const Str> names_;
};

FileEntry g_entries[16];

}  // namespace

TEST_CASE("a split model is one model, a tokenizer none", "[chat][catalog]") {
  constexpr Str kNames[] = {"a.gguf",
                            "models/Big-00002-of-00003.gguf",
                            "models/Big-00001-of-00003.gguf",
                            "models/big-00003-of-00003.GGUF",
                            "models/other-00002-of-00003.gguf",
                            "models/tokenizer.bin",
                            "models/stories.TOKENIZER.BIN",
                            "models/stories.bin",
                            "models/mytokenizer.bin"};
  Names volume{Span<const Str>(kNames)};
  ModelCatalog catalog{Span<FileEntry>(g_entries)};
  catalog.refresh(volume);
  REQUIRE(catalog.size() == 4);
  CHECK(catalog.at(0).name() == "a.gguf");
  CHECK(catalog.at(1).name() == "models/Big-00001-of-00003.gguf");
  CHECK(catalog.at(1).size_bytes == 101 + 102 + 103);
  CHECK(catalog.at(2).name() == "models/stories.bin");
  CHECK(catalog.at(3).name() == "models/mytokenizer.bin");
  CHECK(catalog.resolve("big").ok());
}
