// What the world around a good file can do to its load: memory that ends at any allocation, a
// device that fails at any access. Every such load ends with that error and leaves nothing behind.
#include <algorithm>

#include "core/model/config.h"
#include "core/model/weights.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/hostile/replay.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::hostile_corpus_is_there;
using lbm::test::hostile_file;
using lbm::test::HostileSource;
using lbm::test::replay;
using lbm::test::ReplayOutcome;

namespace {

// One of each way through the readers.
constexpr const char* kGoodFiles[] = {"G00-base.gguf",
                                      "G00-byte-level.gguf",
                                      "split-00001-of-00003.gguf",
                                      "S00-f32.slm",
                                      "S00-q8.slm",
                                      "S00-q4.slm",
                                      "S00-merges.slm",
                                      "S00-gguf-metadata.slm",
                                      "B00-legacy.bin",
                                      "B00-v1-tied.bin",
                                      "B00-v2.bin",
                                      "M00-mixtral.gguf",
                                      "M00-qwen35.gguf"};

// A device that does what is asked of it n_left times: reads, and the opening of neighbours.
class DyingSource final : public ByteSource {
 public:
  DyingSource(ByteSource& file, u32& n_left) : file_(file), n_left_(n_left) {}
  [[nodiscard]] u64 size() const override { return file_.size(); }
  [[nodiscard]] Str name() const override { return file_.name(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    if (!lives()) return dead();
    return file_.read(offset, out);
  }
  [[nodiscard]] Result<ByteSource*> open_beside(Str neighbour) override {
    if (!lives()) return dead();
    const Result<ByteSource*> opened = file_.open_beside(neighbour);
    if (!opened.ok()) return opened.error();
    beside_.push_back(std::make_unique<DyingSource>(*opened.value(), n_left_));
    return static_cast<ByteSource*>(beside_.back().get());
  }

 private:
  [[nodiscard]] bool lives() { return n_left_ != 0 && n_left_-- != 0; }
  [[nodiscard]] static Error dead() { return fail(ErrorCode::kIo, "the device is gone"); }

  ByteSource& file_;
  u32& n_left_;
  std::vector<std::unique_ptr<DyingSource>> beside_;
};

}  // namespace

TEST_CASE("a device that fails at any access of a load ends it with that error", "[hostile]") {
  if (!hostile_corpus_is_there()) return;
  std::vector<u8> memory(static_cast<usize>(16 * kMiB));
  Arena arena{Span<u8>(memory.data(), memory.size())};
  for (const char* const name : kGoodFiles) {
    INFO(name);
    const std::vector<u8> bytes = hostile_file(name).bytes();
    bool loaded = false;
    u32 n_good = 0;
    for (; !loaded; ++n_good) {
      INFO("after " << n_good << " accesses");
      HostileSource file(name, bytes);
      u32 n_left = n_good;
      DyingSource source(file, n_left);
      const Error error = replay(name, source, arena).error;
      loaded = error.code == ErrorCode::kOk;
      REQUIRE((loaded || error.code == ErrorCode::kIo));
      REQUIRE(arena.bytes_used() == 0);
      REQUIRE(n_good < 1000);
    }
    CHECK(n_good > 2);
  }
}

// The error says how much was wanted and how much was left, so the next attempt has just enough for
// the allocation that failed: each of a load fails once.
TEST_CASE("memory that ends at any allocation of a load ends it with that error", "[hostile]") {
  if (!hostile_corpus_is_there()) return;
  std::vector<u8> memory(static_cast<usize>(16 * kMiB));
  for (const char* const name : kGoodFiles) {
    INFO(name);
    const std::vector<u8> bytes = hostile_file(name).bytes();
    bool loaded = false;
    u32 n_failed = 0;
    for (usize n_byte = 0; !loaded;) {
      INFO("with " << n_byte << " bytes");
      Arena arena{Span<u8>(memory.data(), n_byte)};
      HostileSource source(name, bytes);
      const Error error = replay(name, source, arena).error;
      REQUIRE(arena.bytes_used() == 0);
      loaded = error.code == ErrorCode::kOk;
      if (loaded) continue;
      REQUIRE(error.code == ErrorCode::kOutOfMemory);
      ++n_failed;
      n_byte +=
          static_cast<usize>(std::max<u64>(error.value - std::min(error.limit, error.value), 1));
      REQUIRE(n_byte <= memory.size());
    }
    CHECK(n_failed > 5);
  }
}

TEST_CASE("memory that ends while the weights are planned is an error that takes nothing",
          "[hostile][model]") {
  if (!hostile_corpus_is_there()) return;
  std::vector<u8> tables(static_cast<usize>(4 * kMiB));
  std::vector<u8> memory(static_cast<usize>(4 * kMiB));
  for (const char* const name : {"G00-base.gguf", "M00-mixtral.gguf", "M00-qwen35.gguf"}) {
    INFO(name);
    HostileSource source(hostile_file(name));
    Arena arena{Span<u8>(tables.data(), tables.size())};
    const Result<ModelFile> file = ModelFile::open(source, arena);
    REQUIRE(file.ok());
    const Result<ModelConfig> config = read_config(file.value());
    REQUIRE(config.ok());
    u32 n_failed = 0;
    for (usize n_byte = 0;; ++n_failed) {
      REQUIRE(n_byte <= memory.size());
      Arena some{Span<u8>(memory.data(), n_byte)};
      const Result<WeightPlan> plan = plan_weights(file.value(), config.value(), some);
      if (plan.ok()) break;
      REQUIRE(plan.error().code == ErrorCode::kOutOfMemory);
      n_byte += static_cast<usize>(
          std::max<u64>(plan.error().value - std::min(plan.error().limit, plan.error().value), 1));
    }
    CHECK(n_failed >= 3);
  }
}
