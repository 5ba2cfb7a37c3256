// Contexts of more than one chunk of 1,024 positions, with windows, sinks, soft caps and experts:
// one batch after the other on one core, and token by token on several, which then share a chunk
// each (R15), give the same bits.
#include "tests/hosted/golden.h"
#include "tests/hosted/reference_logits.h"
#include "tests/test.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::test;

namespace {

// The bytes of a model with another context_length; it is 256 in the golden files.
std::vector<u8> with_context(const std::string& path, const std::string& architecture, u32 n_ctx) {
  std::vector<u8> bytes = read_bytes(path);
  const std::string key = architecture + ".context_length";
  const auto at = std::search(bytes.begin(), bytes.end(), key.begin(), key.end());
  REQUIRE(bytes.end() - at > static_cast<std::ptrdiff_t>(key.size() + 8));
  std::memcpy(&*at + key.size() + 4, &n_ctx, sizeof(n_ctx));  // after its type
  return bytes;
}

}  // namespace

TEST_CASE("deep contexts with windows, sinks, soft caps and experts: same bits on every path",
          "[golden][infer][bits]") {
  constexpr u32 kTokens = 1100;
  for (const char* name : {"gpt-oss", "gemma2"}) {
    const std::string path = golden_path(std::string("models/") + name + ".gguf");
    if (path.empty()) {
      WARN("skipped: no golden models");
      return;
    }
    LoadedModel loaded(with_context(path, name, 2048));
    INFO(name);
    REQUIRE(loaded.status().ok());
    std::vector<u32> tokens;
    for (u32 i = 0; i < kTokens; ++i) tokens.push_back(i * 37 % loaded.model().config.n_vocab);
    SessionParams params;
    params.n_ctx = 1200;
    params.n_batch = 128;
    const std::vector<f32> truth = logits_of(loaded, tokens, params, *kernel_tables().back());
    params.n_batch = 1;
    cli::ThreadPool pool(3);
    CHECK(logits_of(loaded, tokens, params, *kernel_tables().back(), pool) == truth);
  }
}
