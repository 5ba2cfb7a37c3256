// The logits of tiny models against a reference implementation (../shared/golden/models), and
// against themselves: every kernel table, batch size and number of threads must give the same bits.
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/hosted/golden.h"
#include "tests/hosted/reference_logits.h"
#include "tests/test.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::test;
using lbm::cli::ThreadPool;

namespace {

// Half-precision weights: activations stay f32, so they are held to the same measure.
const char* const kHalfModels[] = {"quantized/llama16-F16", "quantized/llama16-BF16"};

nlohmann::json read_json(const std::string& path) {
  std::ifstream in(path);
  return nlohmann::json::parse(in);
}

}  // namespace

TEST_CASE("tiny models of every family agree with the reference logits", "[golden][infer]") {
  const std::vector<std::string> names = golden_models("models");
  if (names.empty()) WARN("skipped: no golden models");
  for (const std::string& name : names) {
    const nlohmann::json expect = read_json(golden_path(name + ".json"));
    LoadedModel loaded(golden_path(name + ".gguf"));
    INFO(name << ": " << (loaded.status().ok() ? std::string("ok") : formatted(loaded.status())));
    CHECK(loaded.status().ok());
    if (!loaded.status().ok()) continue;
    const SessionParams params = reference_params();
    const std::vector<u32> tokens = expect["tokens"];
    const std::vector<f32> logits = logits_of(loaded, tokens, params, *kernel_tables().back());
    const Difference d = compare(logits, read_floats(golden_path(name + ".logits.f32")));
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
    const Difference d_long = compare(picked, read_floats(golden_path(name + ".long.f32")));
    INFO("long: max abs " << d_long.max_abs << ", NMSE " << d_long.nmse);
    CHECK(d_long.max_abs <= expect["long"]["tolerance"]["max_abs"].get<f64>());
    CHECK(d_long.nmse <= expect["long"]["tolerance"]["nmse"].get<f64>());
  }
}

TEST_CASE("greedy continuation of tiny models equals the reference", "[golden][infer]") {
  for (const std::string& name : golden_models("models")) {
    const nlohmann::json expect = read_json(golden_path(name + ".json"));
    LoadedModel loaded(golden_path(name + ".gguf"));
    INFO(name);
    CHECK(loaded.status().ok());
    if (!loaded.status().ok()) continue;
    CHECK(greedy_continuation(loaded, expect["tokens"], 16) ==
          expect["greedy"].get<std::vector<u32>>());
  }
}

TEST_CASE("half-precision weights agree with the reference logits", "[golden][infer]") {
  for (const std::string name : kHalfModels) {
    const std::string path = golden_path(name + ".gguf");
    if (path.empty()) return;
    const nlohmann::json expect = read_json(golden_path(name + ".json"));
    LoadedModel loaded(path);
    INFO(name << ": " << (loaded.status().ok() ? std::string("ok") : formatted(loaded.status())));
    REQUIRE(loaded.status().ok());
    const std::vector<f32> logits = logits_of(loaded, expect["tokens"].get<std::vector<u32>>(),
                                              reference_params(), *kernel_tables().back());
    const Difference d = compare(logits, read_floats(golden_path(name + ".logits.f32")));
    INFO("max abs " << d.max_abs << ", NMSE " << d.nmse);
    CHECK(d.nmse <= 1e-7);
  }
}

// Every model with one type of the cache, each of the types in turn.
TEST_CASE("tables, batch sizes, threads and repetition give the same bits",
          "[golden][infer][bits]") {
  std::vector<std::string> names = golden_models("models");
  if (!names.empty()) names.insert(names.end(), std::begin(kHalfModels), std::end(kHalfModels));
  ThreadPool two(2);
  ThreadPool three(3);
  SingleWorker one;
  struct Run {
    u32 n_batch;
    Workers& workers;
  };
  const Run runs[] = {{1, one}, {7, two}, {32, three}, {512, two}};
  constexpr KvType kTypes[] = {KvType::kF16, KvType::kF32, KvType::kQ8_0};
  for (usize i = 0; i < names.size(); ++i) {
    LoadedModel loaded(golden_path(names[i] + ".gguf"));
    INFO(names[i]);
    CHECK(loaded.status().ok());
    if (!loaded.status().ok()) continue;
    std::vector<u32> tokens;
    for (u32 k = 0; k < 150; ++k) tokens.push_back((k * 37 + 11) % loaded.model().config.n_vocab);
    SessionParams params;
    params.kv = kTypes[i % 3];
    params.n_batch = 1;
    const std::vector<f32> truth = logits_of(loaded, tokens, params, *kernel_tables().front());
    for (const KernelTable* table : kernel_tables()) {
      for (const Run& run : runs) {
        params.n_batch = run.n_batch;
        INFO(table->name << " batch " << run.n_batch << " threads " << run.workers.n_worker());
        const std::vector<f32> logits = logits_of(loaded, tokens, params, *table, run.workers);
        CHECK(std::memcmp(logits.data(), truth.data(), truth.size() * sizeof(f32)) == 0);
      }
    }
  }
}

// Where the tensor `name` of a model stands.
usize offset_of(const std::vector<u8>& bytes, Str name) {
  MemorySource source(bytes);
  std::vector<u8> memory(4 << 20);
  Arena arena({memory.data(), memory.size()});
  Result<ModelFile> file = ModelFile::open(source, arena);
  TensorInfo tensor;
  REQUIRE((file.ok() && file.value().find_tensor(name, tensor)));
  return static_cast<usize>(tensor.file_offset);
}

TEST_CASE("a router that gives no number is an error of that layer", "[golden][infer][experts]") {
  const std::string path = golden_path("models/olmoe.gguf");
  if (path.empty()) return;
  std::vector<u8> bytes = read_bytes(path);
  const usize at = offset_of(bytes, "blk.1.ffn_gate_inp.weight");
  for (const u32 bits : {0x7fc00000u, 0x7f800000u}) {
    std::memcpy(bytes.data() + at, &bits, sizeof(bits));
    LoadedModel loaded(bytes);
    REQUIRE(loaded.status().ok());
    SingleWorker worker;
    Session* session = loaded.session(reference_params(), *kernel_tables().back(), worker);
    REQUIRE(session != nullptr);
    const u32 tokens[] = {1, 2, 3};
    const Status status = session->evaluate({tokens, 3});
    REQUIRE(!status.ok());
    CHECK(status.error().code == ErrorCode::kNumeric);
    CHECK(status.error().value == 1);
  }
}
