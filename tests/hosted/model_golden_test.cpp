// The logits of tiny models against a reference implementation (../shared/golden/models), and
// against themselves: every kernel table, batch size and KV length must give the same bits.
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/hosted/golden.h"
#include "tests/hosted/loaded_model.h"
#include "tests/test.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::test;
using lbm::cli::ThreadPool;

namespace {

const char* const kLlamaModels[] = {"llama-mha",  "llama-gqa-tied", "llama-mqa-linear",
                                    "llama-yarn", "llama-bias",     "llama3-ropefreqs"};
const char* const kQuantizedModels[] = {"llama16-F16", "llama16-BF16"};

nlohmann::json read_json(const std::string& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

std::vector<f32> logits_of(LoadedModel& loaded, const std::vector<u32>& tokens,
                           const SessionParams& params, const KernelTable& kernels) {
  SingleWorker worker;
  return logits_of(loaded, tokens, params, kernels, worker);
}

struct Difference {
  f64 max_abs = 0;
  f64 nmse = 0;
};
Difference compare(const std::vector<f32>& actual, const std::vector<f32>& expected) {
  Difference d;
  f64 error = 0;
  f64 energy = 0;
  for (usize i = 0; i < expected.size(); ++i) {
    const f64 delta = static_cast<f64>(actual[i]) - static_cast<f64>(expected[i]);
    d.max_abs = std::max(d.max_abs, std::fabs(delta));
    error += delta * delta;
    energy += static_cast<f64>(expected[i]) * static_cast<f64>(expected[i]);
  }
  d.nmse = error / energy;
  return d;
}

u32 argmax(const f32* logits, usize n) {
  usize best = 0;
  for (usize i = 1; i < n; ++i) {
    if (logits[i] > logits[best]) best = i;
  }
  return static_cast<u32>(best);
}

}  // namespace

TEST_CASE("tiny llama models agree with the reference logits", "[golden][infer]") {
  for (const char* name : kLlamaModels) {
    const std::string path = golden_path(std::string("models/") + name + ".gguf");
    if (path.empty()) {
      WARN("skipped: no golden models");
      return;
    }
    const nlohmann::json expect = read_json(golden_path(std::string("models/") + name + ".json"));
    LoadedModel loaded(path);
    INFO(name << ": " << (loaded.status().ok() ? std::string("ok") : formatted(loaded.status())));
    REQUIRE(loaded.status().ok());
    SessionParams params;
    params.kv = KvType::kF32;
    const std::vector<u32> tokens = expect["tokens"];
    const std::vector<f32> logits = logits_of(loaded, tokens, params, *kernel_tables().back());
    const Difference d =
        compare(logits, read_floats(golden_path(std::string("models/") + name + ".logits.f32")));
    INFO("max abs " << d.max_abs << ", NMSE " << d.nmse);
    CHECK(d.max_abs <= expect["tolerance"]["max_abs"].get<f64>());
    CHECK(d.nmse <= expect["tolerance"]["nmse"].get<f64>());

    const std::vector<u32> long_tokens = expect["long"]["tokens"];
    const std::vector<usize> positions = expect["long"]["positions"];
    const usize n_vocab = loaded.model().config.n_vocab;
    const std::vector<f32> all = logits_of(loaded, long_tokens, params, *kernel_tables().back());
    std::vector<f32> picked;
    for (const usize pos : positions)
      picked.insert(picked.end(), all.data() + pos * n_vocab, all.data() + (pos + 1) * n_vocab);
    const Difference d_long =
        compare(picked, read_floats(golden_path(std::string("models/") + name + ".long.f32")));
    INFO("long: max abs " << d_long.max_abs << ", NMSE " << d_long.nmse);
    CHECK(d_long.max_abs <= expect["tolerance"]["max_abs"].get<f64>());
    CHECK(d_long.nmse <= expect["tolerance"]["nmse"].get<f64>());
  }
}

TEST_CASE("greedy continuation of tiny llama models equals the reference", "[golden][infer]") {
  for (const char* name : kLlamaModels) {
    const std::string path = golden_path(std::string("models/") + name + ".gguf");
    if (path.empty()) return;
    const nlohmann::json expect = read_json(golden_path(std::string("models/") + name + ".json"));
    LoadedModel loaded(path);
    REQUIRE(loaded.status().ok());
    SessionParams params;
    params.kv = KvType::kF32;
    SingleWorker worker;
    Session* session = loaded.session(params, *kernel_tables().back(), worker);
    REQUIRE(session != nullptr);
    const std::vector<u32> tokens = expect["tokens"];
    REQUIRE(session->evaluate({tokens.data(), tokens.size()}).ok());
    loaded.arena().seal();  // decoding allocates nothing: from here on a request is a panic
    std::vector<u32> greedy;
    while (greedy.size() < 16) {
      const u32 next = argmax(session->logits().data(), session->logits().size());
      greedy.push_back(next);
      REQUIRE(session->decode(next).ok());
    }
    loaded.arena().unseal();
    INFO(name);
    CHECK(greedy == expect["greedy"].get<std::vector<u32>>());
  }
}

TEST_CASE("half-precision weights agree with the reference logits", "[golden][infer]") {
  for (const char* name : kQuantizedModels) {
    const std::string path = golden_path(std::string("quantized/") + name + ".gguf");
    if (path.empty()) return;
    const nlohmann::json expect =
        read_json(golden_path(std::string("quantized/") + name + ".json"));
    LoadedModel loaded(path);
    INFO(name << ": " << (loaded.status().ok() ? std::string("ok") : formatted(loaded.status())));
    REQUIRE(loaded.status().ok());
    SessionParams params;
    params.kv = KvType::kF32;
    const std::vector<f32> logits = logits_of(loaded, expect["tokens"].get<std::vector<u32>>(),
                                              params, *kernel_tables().back());
    const Difference d =
        compare(logits, read_floats(golden_path(std::string("quantized/") + name + ".logits.f32")));
    INFO("max abs " << d.max_abs << ", NMSE " << d.nmse);
    CHECK(d.nmse <= 1e-7);
  }
}

TEST_CASE("tables, batch sizes, threads and repetition give the same bits",
          "[golden][infer][bits]") {
  std::vector<std::string> paths;
  for (const char* name : kLlamaModels)
    paths.push_back(golden_path(std::string("models/") + name + ".gguf"));
  for (const char* name : kQuantizedModels)
    paths.push_back(golden_path(std::string("quantized/") + name + ".gguf"));
  for (const std::string& path : paths) {
    if (path.empty()) return;
    LoadedModel loaded(path);
    REQUIRE(loaded.status().ok());
    ThreadPool two(2);
    ThreadPool three(3);
    SingleWorker one;
    struct Run {
      u32 n_batch;
      Workers& workers;
    };
    const Run runs[] = {{1, one}, {7, two}, {32, three}, {512, two}};
    std::vector<u32> tokens;
    for (u32 i = 0; i < 150; ++i) tokens.push_back((i * 37 + 11) % loaded.model().config.n_vocab);
    for (const KvType kv : {KvType::kF16, KvType::kF32, KvType::kQ8_0}) {
      SessionParams params;
      params.kv = kv;
      params.n_batch = 1;
      const std::vector<f32> truth = logits_of(loaded, tokens, params, *kernel_tables().front());
      for (const KernelTable* table : kernel_tables()) {
        for (const Run& run : runs) {
          params.n_batch = run.n_batch;
          INFO(path << " " << table->name << " batch " << run.n_batch << " threads "
                    << run.workers.n_worker());
          const std::vector<f32> logits = logits_of(loaded, tokens, params, *table, run.workers);
          CHECK(std::memcmp(logits.data(), truth.data(), truth.size() * sizeof(f32)) == 0);
        }
      }
    }
  }
}
