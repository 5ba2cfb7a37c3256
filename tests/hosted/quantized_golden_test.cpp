// Tiny models of every quantized type (../shared/golden/quantized): how far rounding the
// activations moves their logits, beside what it costs the reference implementation; and the same
// bits from every table, number of threads and batch size.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/hosted/golden.h"
#include "tests/hosted/loaded_model.h"
#include "tests/test.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr f64 kMostOfReference = 1.05;  // of the reference engine's own error
// The one file that does not meet it: 1.08 of 32 positions, where a rounding that makes a router
// prefer another expert moves a position far more than all others do. It may not get worse.
constexpr const char* kWorstModel = "quantized/gptoss-MXFP4_MOE";
constexpr f64 kMostOfWorst = 1.09;

std::string model_path(const std::string& name, const char* suffix) {
  return golden_path(name + suffix);
}

nlohmann::json read_json(const std::string& path) {
  const std::vector<u8> bytes = read_bytes(path);
  return nlohmann::json::parse(bytes.begin(), bytes.end());
}

// Of the sums of squares of one position's logits: difference / expected.
f64 median_nmse(const std::vector<f32>& actual, const std::vector<f32>& expected, usize n_vocab) {
  std::vector<f64> nmse;
  for (usize at = 0; at < expected.size(); at += n_vocab) {
    f64 error = 0;
    f64 energy = 0;
    for (usize i = at; i < at + n_vocab; ++i) {
      const f64 truth = static_cast<f64>(expected[i]);
      const f64 delta = static_cast<f64>(actual[i]) - truth;
      error += delta * delta;
      energy += truth * truth;
    }
    nmse.push_back(error / energy);
  }
  std::sort(nmse.begin(), nmse.end());
  const usize half = nmse.size() / 2;
  return nmse.size() % 2 == 1 ? nmse[half] : (nmse[half - 1] + nmse[half]) / 2;
}

// Every table with 1, 2 and 3 threads, each with one batch size (the next pair has another one), or
// with all of them.
void check_same_bits(const std::string& name, bool full) {
  constexpr u32 kBatches[] = {1, 7, 32, 512};
  LoadedModel loaded(model_path(name, ".gguf"));
  REQUIRE(loaded.status().ok());
  std::vector<u32> tokens;
  for (u32 i = 0; i < 70; ++i) tokens.push_back((i * 37 + 11) % loaded.model().config.n_vocab);
  SessionParams params;
  params.n_batch = 1;
  SingleWorker alone;
  const std::vector<f32> truth = logits_of(loaded, tokens, params, *kernel_tables()[0], alone);
  for (u32 n_thread = 1; n_thread <= 3; ++n_thread) {
    cli::ThreadPool pool(n_thread);
    u32 n = n_thread;
    for (const KernelTable* table : kernel_tables()) {
      ++n;
      for (u32 i = 0; i < 4; ++i) {
        if (!full && n % 4 != i) continue;
        params.n_batch = kBatches[i];
        INFO(name << " " << table->name << ", " << n_thread << " threads, batch " << kBatches[i]);
        const std::vector<f32> logits = logits_of(loaded, tokens, params, *table, pool);
        REQUIRE(logits.size() == truth.size());
        CHECK(std::memcmp(logits.data(), truth.data(), truth.size() * sizeof(f32)) == 0);
      }
    }
  }
}

}  // namespace

TEST_CASE("quantized models err less than the reference engine does", "[golden][infer]") {
  const std::vector<std::string> names = golden_models("quantized");
  if (names.empty()) WARN("skipped: no golden quantized models");
  for (const std::string& name : names) {
    const nlohmann::json expect = read_json(model_path(name, ".json"));
    LoadedModel loaded(model_path(name, ".gguf"));
    INFO(name << ": " << (loaded.status().ok() ? std::string("ok") : formatted(loaded.status())));
    REQUIRE(loaded.status().ok());
    SessionParams params;
    params.kv = KvType::kF32;
    SingleWorker alone;
    const std::vector<f32> logits =
        logits_of(loaded, expect["tokens"], params, *kernel_tables().back(), alone);
    const std::vector<f32> truth = read_floats(model_path(name, ".logits.f32"));
    REQUIRE(logits.size() == truth.size());
    const f64 nmse = median_nmse(logits, truth, loaded.model().config.n_vocab);
    const f64 reference = expect["llamacpp_vs_dequantized"]["nmse_median_position"];
    std::printf("%-28s median NMSE %.3g, of the reference engine %.3g: %.3fx\n", name.c_str(), nmse,
                reference, nmse / reference);
    CHECK(nmse <= (name == kWorstModel ? kMostOfWorst : kMostOfReference) * reference);
  }
}

TEST_CASE("quantized models: tables, threads and batch sizes give the same bits",
          "[golden][infer][bits]") {
  for (const std::string& name : golden_models("quantized")) check_same_bits(name, false);
}

TEST_CASE("quantized models: all tables with all threads and batch sizes give the same bits",
          "[.][cover]") {
  for (const std::string& name : golden_models("quantized")) check_same_bits(name, true);
}
