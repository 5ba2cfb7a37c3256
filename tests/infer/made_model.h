// A model that a test makes in memory: its file, and the model that is loaded from it.
#pragma once

#include "core/base/fmt.h"
#include "core/base/pcg32.h"
#include "core/infer/session.h"
#include "tests/format/gguf_builder.h"

namespace lbm::test {

class MadeModel {
 public:
  MadeModel(const MadeModel&) = delete;
  MadeModel& operator=(const MadeModel&) = delete;

  // Ok when the file was made and loaded.
  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] const Model& model() const { return model_; }

 protected:
  MadeModel() = default;
  ~MadeModel() = default;

  [[nodiscard]] Span<u8> file() { return file_; }

  // Loads the first n_byte of file().
  void load(usize n_byte) {
    BufferSource source(Span<const u8>(file_, n_byte));
    Result<ModelFile> opened = ModelFile::open(source, arena_);
    if (!opened.ok()) return refuse(opened.error());
    Result<ModelConfig> config = read_config(opened.value());
    if (!config.ok()) return refuse(config.error());
    model_.config = config.value();
    Result<WeightPlan> plan = plan_weights(opened.value(), model_.config, arena_);
    if (!plan.ok()) return refuse(plan.error());
    status_ = place_weights(plan.value(), arena_);
    if (!status_.ok()) return;
    plan.value().chunk_bytes = sizeof(chunk_);
    SingleWorker worker;
    status_ = read_weights(plan.value(), opened.value(), {source, worker, Span<u8>(chunk_)});
    model_.weights = *plan.value().weights;
  }

 private:
  void refuse(const Error& error) { status_ = error; }

  Status status_ = fail(ErrorCode::kMissing, "not loaded");
  Model model_;
  Arena arena_{Span<u8>(memory_)};
  u8 file_[384 * 1024];
  u8 chunk_[32 * 1024];
  alignas(64) u8 memory_[1024 * 1024];
};

}  // namespace lbm::test
