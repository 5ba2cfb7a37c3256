// A model file loaded the way the engine does it, without tokenizer and template: for tests of the
// forward pass.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/infer/session.h"
#include "core/model/model.h"
#include "kernels/select.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"

namespace lbm::test {

class LoadedModel {
 public:
  // The memory begins as NaN, so that whatever is read before it was written shows.
  explicit LoadedModel(const std::string& path, usize memory_bytes = 64 << 20)
      : LoadedModel(read_bytes(path), memory_bytes) {}
  explicit LoadedModel(std::vector<u8> bytes, usize memory_bytes = 64 << 20)
      : source_(std::move(bytes)), memory_(memory_bytes, 0xff) {
    arena_.add_range({memory_.data(), memory_.size()});
    status_ = load();
  }

  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] const Model& model() const { return model_; }

  // A new session; it takes its memory from the model's.
  [[nodiscard]] Session* session(const SessionParams& params, const KernelTable& kernels,
                                 Workers& workers) {
    Result<Session*> session = Session::create(arena_, model_, params, kernels, workers);
    return session.ok() ? session.value() : nullptr;
  }
  [[nodiscard]] Arena& arena() { return arena_; }

 private:
  Status load() {
    Result<ModelFile> file = ModelFile::open(source_, arena_);
    if (!file.ok()) return file.error();
    Result<ModelConfig> config = read_config(file.value());
    if (!config.ok()) return config.error();
    model_.config = config.value();
    Result<WeightPlan> plan = plan_weights(file.value(), config.value(), arena_);
    if (!plan.ok()) return plan.error();
    if (Status s = place_weights(plan.value(), arena_); !s.ok()) return s;
    std::vector<u8> chunk(plan.value().chunk_bytes);
    SingleWorker worker;
    if (Status s = read_weights(plan.value(), file.value(),
                                {source_, worker, {chunk.data(), chunk.size()}});
        !s.ok()) {
      return s;
    }
    model_.weights = *plan.value().weights;
    return {};
  }

  MemorySource source_;
  std::vector<u8> memory_;
  Arena arena_;
  Model model_;
  Status status_;
};

// Every usable kernel table of this machine.
inline std::vector<const KernelTable*> kernel_tables() {
  const KernelTable* tables[8];
  const u32 n = usable_kernel_tables(detect_cpu_features(), tables);
  return {tables, tables + n};
}

// Collects the logits of all tokens, [n_token][n_vocab].
class CollectLogits final : public Session::LogitsSink {
 public:
  void on_logits(u32, Span<const f32> logits) override {
    values.insert(values.end(), logits.begin(), logits.end());
  }
  std::vector<f32> values;
};

// The message of a failed status.
inline std::string formatted(const Status& status) {
  char buffer[300];
  const Str text = format_error(status.error(), buffer);
  return {text.data(), text.size()};
}

// Logits of `tokens`, evaluated in pieces of params.n_batch, [n_token][n_vocab].
inline std::vector<f32> logits_of(LoadedModel& loaded, const std::vector<u32>& tokens,
                                  const SessionParams& params, const KernelTable& kernels,
                                  Workers& workers) {
  const Arena::Mark mark = loaded.arena().mark();
  Session* session = loaded.session(params, kernels, workers);
  REQUIRE(session != nullptr);
  CollectLogits sink;
  const Status status = session->evaluate_all({tokens.data(), tokens.size()}, sink);
  INFO((status.ok() ? std::string("ok") : formatted(status)));
  REQUIRE(status.ok());
  loaded.arena().rewind(mark);
  return sink.values;
}

}  // namespace lbm::test
