// Every family and its variants against Hugging Face transformers: tests/families makes the models
// (tiny, random, in odd shapes), tests/expected/families has what the reference computed with them,
// and docs/families.md says how far a second reference agrees. And against themselves: kernel
// tables, batch sizes, threads and types of the cache.
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/base/sha256.h"
#include "tests/hosted/reference_logits.h"
#include "tests/test.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::test;
using lbm::cli::ThreadPool;

namespace {

constexpr f64 kMaxAbs = 1e-3;
constexpr f64 kMaxNmse = 1e-7;
constexpr usize kMemoryBytes = 16 << 20;  // of model, cache and activations

struct Family {
  std::string name;
  nlohmann::json expect;

  [[nodiscard]] std::string path() const {
    const char* given = std::getenv("LBM_FAMILIES");
    return std::string(given != nullptr ? given : "build/families") + "/" + name + ".gguf";
  }
  // Whether the file is the one that the reference was given.
  [[nodiscard]] bool is_current() const {
    const std::vector<u8> bytes = read_bytes(path());
    Sha256 sha;
    sha.update({bytes.data(), bytes.size()});
    const HexDigest hex = to_hex(sha.finish());
    return std::string(hex.text, 64) == expect["sha256"].get<std::string>();
  }
};

std::vector<Family> read_families() {
  std::vector<Family> families;
  const std::filesystem::path folder = "tests/expected/families";
  if (!std::filesystem::exists(folder)) return families;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream in(entry.path());
    families.push_back({entry.path().stem().string(), nlohmann::json::parse(in)});
  }
  std::sort(families.begin(), families.end(),
            [](const Family& a, const Family& b) { return a.name < b.name; });
  return families;
}

// All cases. Their files are written on first use, and again when a case has changed.
const std::vector<Family>& families() {
  static const std::vector<Family> all = [] {
    std::vector<Family> read = read_families();
    const auto current = [](const Family& family) { return family.is_current(); };
    if (!std::all_of(read.begin(), read.end(), current)) {
      const std::string folder = std::filesystem::path(read.front().path()).parent_path().string();
      const std::string command = "python3 tests/families/generate.py '" + folder + "'";
      if (std::system(command.c_str()) != 0) WARN("tests/families/generate.py failed");
    }
    return read;
  }();
  return all;
}

bool loads(const LoadedModel& loaded) {
  INFO((loaded.status().ok() ? std::string("ok") : formatted(loaded.status())));
  CHECK(loaded.status().ok());
  return loaded.status().ok();
}

// The logits that were kept: some entries of the vocabulary at some positions.
std::vector<f32> picked(const std::vector<f32>& logits, const nlohmann::json& expect) {
  std::vector<f32> out;
  const usize n_vocab = expect["n_vocab"];
  for (const usize position : expect["positions"]) {
    for (const usize entry : expect["entries"]) out.push_back(logits[position * n_vocab + entry]);
  }
  return out;
}

// Sums over the whole vocabulary, for the entries that were not kept.
void check_sums(const std::vector<f32>& logits, const nlohmann::json& expect) {
  const usize n_vocab = expect["n_vocab"];
  for (usize i = 0; i < expect["positions"].size(); ++i) {
    const f32* row = logits.data() + expect["positions"][i].get<usize>() * n_vocab;
    f64 sum = 0;
    f64 squares = 0;
    for (usize k = 0; k < n_vocab; ++k) {
      sum += static_cast<f64>(row[k]);
      squares += static_cast<f64>(row[k]) * static_cast<f64>(row[k]);
    }
    const f64 expected_squares = expect["sums_of_squares"][i];
    CHECK(std::fabs(sum - expect["sums"][i].get<f64>()) <=
          kMaxAbs * std::sqrt(static_cast<f64>(n_vocab)));
    CHECK(std::fabs(squares - expected_squares) <= 1e-4 * expected_squares);
  }
}

}  // namespace

TEST_CASE("every family computes what the reference computes", "[families][infer]") {
  if (families().empty()) WARN("skipped: no tests/expected/families here");
  for (const Family& family : families()) {
    INFO(family.name);
    CHECK(family.is_current());
    LoadedModel loaded(family.path(), kMemoryBytes);
    if (!loads(loaded)) continue;
    const std::vector<f32> logits =
        logits_of(loaded, family.expect["tokens"].get<std::vector<u32>>(), reference_params(),
                  *kernel_tables().back());
    std::vector<f32> expected;
    for (const auto& row : family.expect["logits"]) {
      for (const f32 value : row) expected.push_back(value);
    }
    const Difference d = compare(picked(logits, family.expect), expected);
    INFO("max abs " << d.max_abs << ", NMSE " << d.nmse);
    CHECK(d.max_abs <= kMaxAbs);
    CHECK(d.nmse <= kMaxNmse);
    check_sums(logits, family.expect);
  }
}

TEST_CASE("every family continues greedily as the reference does", "[families][infer]") {
  for (const Family& family : families()) {
    INFO(family.name);
    LoadedModel loaded(family.path(), kMemoryBytes);
    if (!loads(loaded)) continue;
    const std::vector<u32> tokens = family.expect["tokens"];
    const std::vector<u32> expected = family.expect["greedy"];
    const auto n_prompt = family.expect["n_prompt"].get<std::ptrdiff_t>();
    const std::vector<u32> prompt(tokens.begin(), tokens.begin() + n_prompt);
    CHECK(greedy_continuation(loaded, prompt, expected.size()) == expected);
  }
}

// Every family with one type of the cache, each of the types in turn.
TEST_CASE("tables, batch sizes and threads give the same bits in every family",
          "[families][infer][bits]") {
  ThreadPool two(2);
  SingleWorker one;
  struct Run {
    u32 n_batch;
    Workers& workers;
  };
  const Run runs[] = {{1, two}, {7, one}, {32, two}};
  constexpr KvType kTypes[] = {KvType::kF32, KvType::kF16, KvType::kQ8_0};
  for (usize i = 0; i < families().size(); ++i) {
    const Family& family = families()[i];
    LoadedModel loaded(family.path(), kMemoryBytes);
    if (!loads(loaded)) continue;
    std::vector<u32> tokens = family.expect["tokens"];
    tokens.resize(80);
    SessionParams params = reference_params();
    params.kv = kTypes[i % 3];
    params.n_batch = 1;
    const std::vector<f32> truth = logits_of(loaded, tokens, params, *kernel_tables().front());
    for (const KernelTable* table : kernel_tables()) {
      for (const Run& run : runs) {
        params.n_batch = run.n_batch;
        INFO(family.name << " " << table->name << " batch " << run.n_batch << " threads "
                         << run.workers.n_worker());
        const std::vector<f32> logits = logits_of(loaded, tokens, params, *table, run.workers);
        CHECK(std::memcmp(logits.data(), truth.data(), truth.size() * sizeof(f32)) == 0);
      }
    }
  }
}
