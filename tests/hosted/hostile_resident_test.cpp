// A person tries hostile files one after the other: the model that was loaded keeps answering, and
// what is accepted runs.
#include <algorithm>

#include "core/chat/engine.h"
#include "kernels/select.h"
#include "tests/hosted/hostile_corpus.h"
#include "tests/hosted/memory_source.h"
#include "tests/hostile/replay.h"
#include "tests/test.h"
#include "tools/platform_posix.h"

using namespace lbm;
using lbm::test::hostile_corpus;
using lbm::test::hostile_file;
using lbm::test::HostileFile;

namespace {

std::string text_of(Str text) { return {text.data(), text.size()}; }

// The model of one file of the corpus, held by an engine.
struct Resident {
  explicit Resident(const std::string& name) : source(hostile_file(name).bytes()) {
    EngineOptions options;
    options.n_ctx = 64;
    loaded = engine.load(source, "resident", options, nullptr);
  }

  // The ids of a greedy answer from an empty context.
  std::vector<u32> answer(u32 n) {
    std::vector<u32> ids = {1, 70, 104, 108};
    REQUIRE(engine.session().rewind(0).ok());
    REQUIRE(engine.session().evaluate({ids.data(), ids.size()}).ok());
    for (u32 i = 0; i < n; ++i) {
      const Span<const f32> logits = engine.session().logits();
      const f32* best = std::max_element(logits.begin(), logits.end());
      ids.push_back(static_cast<u32>(best - logits.begin()));
      REQUIRE(engine.session().decode(ids.back()).ok());
    }
    return ids;
  }

  cli::PosixPages pages;
  SingleWorker workers;
  lbm::test::MemorySource source;
  Engine engine{pages, workers, *find_kernel_table(detect_cpu_features(), "scalar")};
  Status loaded;
};

}  // namespace

TEST_CASE("a refused file leaves the resident model answering as before", "[hostile]") {
  if (!lbm::test::hostile_corpus_is_there()) return;
  for (const char* name : {"G00-base.gguf", "G00-byte-level.gguf"}) {
    Resident resident(name);
    REQUIRE(resident.loaded.ok());
    const std::vector<u32> expected = resident.answer(8);
    u32 n_refused = 0;
    for (const HostileFile& row : hostile_corpus()) {
      if (!row.is_model() || !row.is_replayed() || row.stage == "ok") continue;
      INFO(row.name);
      lbm::test::HostileSource source(row);
      EngineOptions options;
      options.n_ctx = 64;
      const Status status = resident.engine.load(source, "hostile", options, nullptr);
      REQUIRE(!status.ok());
      CHECK(text_of(error_code_name(status.error().code)) == row.error);
      REQUIRE(!resident.engine.had_to_evict());
      REQUIRE(resident.engine.loaded());
      // After each stage's first few refusals and then now and then: an answer costs more than a
      // refusal.
      if (++n_refused % 16 == 1 || row.stage == "weights") REQUIRE(resident.answer(8) == expected);
    }
    CHECK(resident.answer(8) == expected);
    CHECK(n_refused > 250);
  }
}

TEST_CASE("what is accepted runs, or says that its numbers are not finite", "[hostile]") {
  if (!lbm::test::hostile_corpus_is_there()) return;
  cli::PosixPages pages;
  for (const HostileFile& row : hostile_corpus()) {
    if (!row.is_model() || row.stage != "ok") continue;
    INFO(row.name);
    lbm::test::HostileSource source(row);
    const Status status = lbm::test::run_accepted(source, pages);
    const bool runs = status.ok() || status.error().code == ErrorCode::kNumeric;
    CHECK(runs);
  }
}
