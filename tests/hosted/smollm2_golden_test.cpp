// The default model against reference answers (../shared/golden/smollm2): teacher-forced over the
// output of the exact F32 engine. Two correct engines with int8 activations differ by up to 0.7 in
// a logit, so a token must agree where the margin exceeds 1.0.
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/hosted/golden.h"
#include "tests/hosted/loaded_model.h"
#include "tests/test.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::test;

namespace {

class CountAgreement final : public Session::LogitsSink {
 public:
  CountAgreement(const std::vector<u32>& tokens, u32 n_prompt, const std::vector<f64>& margins)
      : tokens_(tokens), n_prompt_(n_prompt), margins_(margins) {}

  void on_logits(u32 pos, Span<const f32> logits) override {
    if (pos + 1 < n_prompt_ || pos + 1 >= tokens_.size()) return;
    u32 best = 0;
    for (u32 i = 1; i < logits.size(); ++i) best = logits[i] > logits[best] ? i : best;
    const bool same = best == tokens_[pos + 1];
    ++n_total;
    n_same += same ? 1 : 0;
    if (!same && margins_[pos + 1 - n_prompt_] > 1.0) ++n_wrong_beyond_margin;
  }

  u32 n_total = 0;
  u32 n_same = 0;
  u32 n_wrong_beyond_margin = 0;

 private:
  const std::vector<u32>& tokens_;
  u32 n_prompt_;
  const std::vector<f64>& margins_;
};

}  // namespace

TEST_CASE("the default model agrees with the exact reference, teacher-forced",
          "[golden][smollm2]") {
  const std::string golden = golden_path("smollm2/golden-smollm2.jsonl");
  const std::string model = default_model_path();
  if (golden.empty() || model.empty()) {
    WARN("skipped: no golden data or no default model (make model)");
    return;
  }
  LoadedModel loaded(model, usize{400} << 20);
  REQUIRE(loaded.status().ok());
  u32 n_total = 0;
  u32 n_same = 0;
  std::ifstream in(golden);
  for (std::string line; std::getline(in, line);) {
    const nlohmann::json record = nlohmann::json::parse(line);
    if (record["model"].get<std::string>().find("F32") == std::string::npos) continue;
    std::vector<u32> tokens = record["prompt_ids"];
    const u32 n_prompt = static_cast<u32>(tokens.size());
    const std::vector<u32> output = record["output_ids"];
    tokens.insert(tokens.end(), output.begin(), output.end());
    const std::vector<f64> margins = record["margins"];
    const Arena::Mark mark = loaded.arena().mark();
    SingleWorker worker;
    SessionParams params;
    params.n_ctx = 512;
    Session* session = loaded.session(params, *kernel_tables().back(), worker);
    REQUIRE(session != nullptr);
    CountAgreement count(tokens, n_prompt, margins);
    REQUIRE(session->evaluate_all({tokens.data(), tokens.size()}, count).ok());
    INFO(record["prompt"]);
    CHECK(count.n_wrong_beyond_margin == 0);
    n_total += count.n_total;
    n_same += count.n_same;
    loaded.arena().rewind(mark);
  }
  INFO(n_same << " of " << n_total << " tokens agree");
  REQUIRE(n_total > 100);
  CHECK(n_same * 100 >= n_total * 94);
}

// Beyond 1,024 positions one token's attention is shared out by chunks when there is more than one
// thread.
TEST_CASE("decoding at depth gives the same bits with any number of threads", "[smollm2][bits]") {
  const std::string model = default_model_path();
  if (model.empty()) {
    WARN("skipped: no default model (make model)");
    return;
  }
  LoadedModel loaded(model, usize{400} << 20);
  REQUIRE(loaded.status().ok());
  std::vector<u32> prompt;
  for (u32 i = 0; i < 1030; ++i) prompt.push_back(1000 + i * 37 % 40000);
  std::vector<f32> truth;
  for (const u32 n_thread : {1u, 3u}) {
    const Arena::Mark mark = loaded.arena().mark();
    cli::ThreadPool workers(n_thread);
    SessionParams params;
    params.n_ctx = 1100;
    params.n_batch = 512;
    Session* session = loaded.session(params, *kernel_tables().back(), workers);
    REQUIRE(session != nullptr);
    REQUIRE(session->evaluate({prompt.data(), prompt.size()}).ok());
    std::vector<f32> logits;
    for (u32 token : {17u, 4711u}) {
      REQUIRE(session->decode(token).ok());
      logits.insert(logits.end(), session->logits().begin(), session->logits().end());
    }
    if (n_thread == 1) truth = logits;
    CHECK(logits == truth);
    loaded.arena().rewind(mark);
  }
}
