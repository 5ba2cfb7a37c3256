// The final states of tokens: what the logits are made from, for embeddings.
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/hosted/reference_logits.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

using States = std::map<u32, std::vector<f32>>;

std::vector<f32> copied(Span<const f32> values) { return {values.begin(), values.end()}; }

// What the output matrix reads, as the forward pass itself tells it.
class NormTrace final : public TraceSink {
 public:
  void on_operation(u32, Str operation, u32 pos, Span<const f32> values) override {
    if (operation == "output_norm") states[pos] = copied(values);
  }
  States states;
};

class NoLogits final : public Session::LogitsSink {
 public:
  void on_logits(u32, Span<const f32>) override {}
};

class Collector final : public Session::StateSink {
 public:
  void on_final_state(u32 pos, Span<const f32> state) override { states[pos] = copied(state); }
  States states;
};

bool equal_bits(const States& a, const States& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [pos, values] : a) {
    const auto found = b.find(pos);
    if (found == b.end() || found->second.size() != values.size()) return false;
    if (std::memcmp(found->second.data(), values.data(), values.size() * sizeof(f32)) != 0)
      return false;
  }
  return true;
}

std::string family(const char* name) {
  const char* const given = std::getenv("LBM_FAMILIES");
  return std::string(given != nullptr ? given : "build/families") + "/" + name + ".gguf";
}

const KernelTable& scalar_table() {
  const KernelTable* tables[8] = {};
  const u32 n = usable_kernel_tables({}, tables);
  REQUIRE(n > 0);
  return *tables[0];
}

}  // namespace

TEST_CASE("final states are what the logits are made from, in batches of any size", "[infer]") {
  const std::vector<u32> tokens = {1, 5, 9, 2, 7, 7, 3, 11, 4, 8, 6, 10};
  for (const char* const name : {"llama-odd", "lfm2-odd"}) {
    INFO(name);
    LoadedModel loaded(family(name), 16 << 20);
    REQUIRE(loaded.status().ok());
    SingleWorker worker;
    SessionParams params = reference_params();
    Session* const whole = loaded.session(params, scalar_table(), worker);
    REQUIRE(whole != nullptr);
    NormTrace trace;
    NoLogits nobody;
    whole->set_trace(&trace);
    REQUIRE(whole->evaluate_all({tokens.data(), tokens.size()}, nobody).ok());
    params.n_batch = 5;
    Session* const session = loaded.session(params, scalar_table(), worker);
    REQUIRE(session != nullptr);
    Collector collector;
    REQUIRE(session->evaluate_states({tokens.data(), 7}, collector).ok());
    CHECK(session->logits().empty());
    REQUIRE(session->evaluate_states({tokens.data() + 7, tokens.size() - 7}, collector).ok());
    CHECK(equal_bits(collector.states, trace.states));
    CHECK(session->n_past() == tokens.size());
    // The session goes on from there as if it had been evaluated otherwise.
    REQUIRE(session->decode(1).ok());
    REQUIRE(whole->decode(1).ok());
    CHECK(std::memcmp(session->logits().data(), whole->logits().data(),
                      session->logits().size() * sizeof(f32)) == 0);
  }
}
