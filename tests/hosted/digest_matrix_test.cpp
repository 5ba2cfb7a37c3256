// One digest for every way to compute it: kernel tables x threads x batch sizes x KV types x
// speculation (docs/numerics.md).
//
// `make test` runs a pairwise cover on the tiny quantized files: every two values of two dimensions
// meet in some run. The full product, and the cover on the default model, take minutes:
// `build/test/hosted_tests "[matrix]"`.
#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <set>

#include "core/base/sha256.h"
#include "core/infer/sampler.h"
#include "core/infer/speculate.h"
#include "tests/hosted/golden.h"
#include "tests/hosted/loaded_model.h"
#include "tests/test.h"
#include "tools/platform_posix.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kBatches[] = {1, 7, 32, 512};
constexpr KvType kKvTypes[] = {KvType::kF16, KvType::kF32};
constexpr Speculate kSpeculations[] = {Speculate::kOff, Speculate::kAlways};

// Indices of one way to run, and how many values each dimension has.
using Way = std::array<u32, 5>;  // table, threads - 1, batch, speculation, KV type
Way sizes() { return {static_cast<u32>(kernel_tables().size()), 3, 4, 2, 2}; }

std::vector<Way> all_ways() {
  std::vector<Way> ways;
  const Way n = sizes();
  for (u32 table = 0; table < n[0]; ++table)
    for (u32 threads = 0; threads < n[1]; ++threads)
      for (u32 batch = 0; batch < n[2]; ++batch)
        for (u32 speculation = 0; speculation < n[3]; ++speculation)
          for (u32 kv = 0; kv < n[4]; ++kv)
            ways.push_back({table, threads, batch, speculation, kv});
  return ways;
}

// Greedy: as long as there is a pair that has not met, the way with the most of them.
std::vector<Way> pairwise_cover() {
  using Pair = std::array<u32, 4>;  // dimension, value, dimension, value
  const auto pairs_of = [](const Way& way) {
    std::vector<Pair> pairs;
    for (u32 a = 0; a < way.size(); ++a)
      for (u32 b = a + 1; b < way.size(); ++b) pairs.push_back({a, way[a], b, way[b]});
    return pairs;
  };
  const std::vector<Way> ways = all_ways();
  std::set<Pair> open;
  for (const Way& way : ways)
    for (const Pair& pair : pairs_of(way)) open.insert(pair);
  std::vector<Way> cover;
  while (!open.empty()) {
    const auto gain = [&](const Way& way) {
      const std::vector<Pair> pairs = pairs_of(way);
      return std::count_if(pairs.begin(), pairs.end(),
                           [&](const Pair& pair) { return open.count(pair) != 0; });
    };
    cover.push_back(*std::max_element(
        ways.begin(), ways.end(), [&](const Way& a, const Way& b) { return gain(a) < gain(b); }));
    for (const Pair& pair : pairs_of(cover.back())) open.erase(pair);
  }
  return cover;
}

Workers& workers(u32 n_thread) {
  static std::map<u32, std::unique_ptr<cli::ThreadPool>> pools;
  std::unique_ptr<cli::ThreadPool>& pool = pools[n_thread];
  if (pool == nullptr) pool = std::make_unique<cli::ThreadPool>(n_thread);
  return *pool;
}

class HashLogits final : public Session::LogitsSink {
 public:
  void on_logits(u32, Span<const f32> logits) override { add(logits); }
  void add(Span<const f32> logits) {
    hash_.update({reinterpret_cast<const u8*>(logits.data()), logits.size_bytes()});
  }
  [[nodiscard]] std::string finish() {
    const HexDigest hex = to_hex(hash_.finish());
    return {hex.str().data(), hex.str().size()};
  }

 private:
  Sha256 hash_{sha256_blocks_portable};
};

struct Script {
  u32 n_prompt = 40;
  u32 n_output = 12;
  f32 temperature = 0;
};

// All logits of a prompt that repeats itself, and of an answer to it.
std::string digest_of(LoadedModel& loaded, const Way& way, const Script& script) {
  const u32 n_vocab = loaded.model().config.n_vocab;
  const Arena::Mark mark = loaded.arena().mark();
  SessionParams params;
  params.n_ctx = std::min(loaded.model().config.n_ctx_train, script.n_prompt + script.n_output + 8);
  params.n_batch = kBatches[way[2]];
  params.kv = kKvTypes[way[4]];
  Session* session = loaded.session(params, *kernel_tables()[way[0]], workers(way[1] + 1));
  REQUIRE(session != nullptr);
  HashLogits hash;
  std::vector<u32> prompt;
  for (u32 i = 0; i < script.n_prompt; ++i) prompt.push_back((i % 17 * 37 + 11) % n_vocab);
  REQUIRE(session->evaluate_all({prompt.data(), prompt.size()}, hash).ok());
  Result<Sampler*> sampler = Sampler::create(loaded.arena(), n_vocab);
  REQUIRE(sampler.ok());
  SamplerParams sampling;
  sampling.temperature = script.temperature;
  sampling.repeat_penalty = 1.1f;
  sampler.value()->set_params(sampling);
  sampler.value()->reset();
  cli::PosixClock clock;
  Speculator ahead(*session, clock, kSpeculations[way[3]]);
  for (u32 i = 0; i < script.n_output; ++i) {
    const Result<u32> id = sampler.value()->pick(ahead.logits());
    REQUIRE(id.ok());
    sampler.value()->accept(id.value());
    REQUIRE(ahead.advance(id.value(), script.n_output - i, {}).ok());
    hash.add(ahead.logits());
  }
  loaded.arena().rewind(mark);
  return hash.finish();
}

void check_ways(const std::string& path, LoadedModel& loaded, const std::vector<Way>& ways,
                const Script& script) {
  // Of the plainest way: the scalar table, one thread, token by token.
  const std::string truth[] = {digest_of(loaded, {0, 0, 0, 0, 0}, script),
                               digest_of(loaded, {0, 0, 0, 0, 1}, script)};
  for (const Way& way : ways) {
    INFO(path << ": " << kernel_tables()[way[0]]->name << ", " << way[1] + 1 << " threads, batch "
              << kBatches[way[2]] << (way[3] != 0 ? ", speculative, kv " : ", kv ")
              << (way[4] != 0 ? "f32" : "f16"));
    CHECK(digest_of(loaded, way, script) == truth[way[4]]);
  }
}

// The tiny quantized files of the golden data that this build runs.
std::vector<std::string> tiny_files() {
  std::vector<std::string> paths;
  const std::string one = golden_path("quantized/llama-Q4_1.gguf");
  if (one.empty()) return paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(one).parent_path())) {
    if (entry.path().extension() == ".gguf") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

u32 check_tiny_files(const std::vector<Way>& ways, const Script& script) {
  u32 n_file = 0;
  for (const std::string& path : tiny_files()) {
    LoadedModel loaded(path);
    if (!loaded.status().ok()) {
      // A family or type of a later build; anything else is a fault.
      INFO(path);
      CHECK(loaded.status().error().code == ErrorCode::kUnsupported);
      continue;
    }
    check_ways(path, loaded, ways, script);
    ++n_file;
  }
  return n_file;
}

}  // namespace

TEST_CASE("tiny quantized files: one digest for every pair of circumstances",
          "[golden][infer][bits]") {
  if (tiny_files().empty()) {
    WARN("skipped: no golden data");
    return;
  }
  CHECK(check_tiny_files(pairwise_cover(), {}) >= 4);
}

// Here speculation goes back after every wrong guess, through checkpoints.
TEST_CASE("tiny models with recurrent layers: one digest for every pair of circumstances",
          "[golden][infer][bits]") {
  for (const char* name : {"lfm2", "qwen35", "qwen3next"}) {
    const std::string path = golden_path(std::string("models/") + name + ".gguf");
    if (path.empty()) {
      WARN("skipped: no golden data");
      return;
    }
    LoadedModel loaded(path);
    REQUIRE(loaded.status().ok());
    check_ways(path, loaded, pairwise_cover(), {});
  }
}

TEST_CASE("tiny quantized files: one digest for all circumstances", "[.][matrix]") {
  Script sampled;
  sampled.temperature = 0.7f;
  CHECK(check_tiny_files(all_ways(), sampled) >= 4);
}

TEST_CASE("the default model: one digest for every pair of circumstances", "[.][matrix]") {
  const std::string model = default_model_path();
  REQUIRE(!model.empty());
  LoadedModel loaded(model, usize{400} << 20);
  REQUIRE(loaded.status().ok());
  // The longest two dimensions alone ask for tables x batches runs; beyond 24 the cover is cut, and
  // the tables that come last lose a batch size.
  std::vector<Way> ways = pairwise_cover();
  if (ways.size() > 22) ways.resize(22);  // and the two that they are compared with
  check_ways(model, loaded, ways, {});
}

TEST_CASE("a thousand runs of a tiny model give one digest", "[golden][infer][bits]") {
  const std::string path = golden_path("models/llama-gqa-tied.gguf");
  if (path.empty()) {
    WARN("skipped: no golden data");
    return;
  }
  LoadedModel loaded(path);
  REQUIRE(loaded.status().ok());
  Script script;
  script.n_prompt = 9;
  script.n_output = 3;
  const std::string truth = digest_of(loaded, {}, script);
  const u32 table = sizes()[0] - 1;
  u32 n_same = 0;
  for (u32 i = 0; i < 1000; ++i) {
    n_same += digest_of(loaded, {table, i % 3, 1, 1, 0}, script) == truth ? 1u : 0u;
  }
  CHECK(n_same == 1000);
}
