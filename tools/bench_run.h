// The measuring half of `lbm bench`: tests of one loaded model, each with the machine's limits
// beside it.
//
// Repetitions of a test and passes over the limits alternate (A B A B), because both drift: the
// memory of a virtual machine is twice as fast at one minute as at the next. A share of a limit is
// therefore the quotient of two medians over the same stretch of time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/infer/profile.h"
#include "core/infer/token_cost.h"
#include "tools/cpu.h"
#include "tools/loaded_model.h"
#include "tools/machine_limits.h"

namespace lbm::cli {

// One sample a repetition.
class Samples {
 public:
  void add(f64 value) { values_.push_back(value); }
  [[nodiscard]] const std::vector<f64>& values() const { return values_; }
  [[nodiscard]] bool empty() const { return values_.empty(); }
  // All 0 where there are none; the deviation is that of a sample (n - 1).
  [[nodiscard]] f64 mean() const;
  [[nodiscard]] f64 deviation() const;
  [[nodiscard]] f64 median() const;
  [[nodiscard]] f64 smallest() const;
  [[nodiscard]] f64 largest() const;

 private:
  std::vector<f64> values_;
};

struct BenchTest {
  enum class Kind : u8 { kPrefill, kDecode };
  Kind kind = Kind::kPrefill;
  u32 n_token = 0;
  u32 depth = 0;  // tokens in the context before it

  // As llama-bench writes it: "pp512", "tg128", "tg64 @ d2048".
  [[nodiscard]] std::string name() const;
};

// "1 thread", "2 threads"
[[nodiscard]] std::string thread_text(u32 n_thread);

// What the machine could do while a test ran. Empty samples: not measured, or not there.
struct LimitSamples {
  Samples read_large;  // GB/s
  Samples read_model;
  Samples int8;  // GOPS
  Samples f32;
  Samples int8_tiles;
};

// Where the time of one more repetition went, by part of the forward pass; microseconds.
struct TimeSplit {
  u64 us[kForwardParts] = {};
  [[nodiscard]] u64 total_us() const;
};

struct BenchRow {
  BenchTest test;
  Samples rates;  // tokens per second
  // Of the processors that its threads asked for, how much they got; the rest went to others, or
  // was waited away.
  Samples cpu_shares;
  LimitSamples limits;
  TokenCost cost;
  bool has_split = false;
  TimeSplit split;

  // Of the median repetition.
  [[nodiscard]] u64 bytes_per_token() const;  // decode: weights, and the cache at the mean position
  [[nodiscard]] f64 gb_s() const;
  [[nodiscard]] f64 gops() const;
};

// The limits of this machine; buffers are taken when they are first needed and kept.
class MachineLimits {
 public:
  // Finds the best way to read with these threads, and prepares a buffer as large as the weights.
  void prepare(Workers& workers, u64 weight_bytes);
  void sample(Workers& workers, LimitSamples& out);

  [[nodiscard]] const ReadMeter& large() const { return *large_; }
  [[nodiscard]] const ReadMeter& model() const { return *model_; }
  [[nodiscard]] const PeakLoop& int8_loop() const { return int8_; }
  [[nodiscard]] const PeakLoop& f32_loop() const { return f32_; }
  [[nodiscard]] const PeakLoop& tile_loop() const { return tiles_; }

 private:
  PosixPages pages_;
  PosixClock clock_;
  std::unique_ptr<ReadMeter> large_;
  std::unique_ptr<ReadMeter> model_;
  CpuFeatures features_ = usable_cpu_features();
  PeakLoop int8_ = int8_peak_loop(features_);
  PeakLoop f32_ = f32_peak_loop(features_);
  PeakLoop tiles_ = int8_tile_peak_loop(features_);
};

struct BenchOptions {
  u32 n_repeat = 5;
  bool split = false;
  MachineLimits* limits = nullptr;  // null: they are not measured
};

// Runs `test` on a model whose context has room for it. Throws CommandError (kInterrupted).
[[nodiscard]] BenchRow run_bench_test(LoadedModel& model, const BenchTest& test,
                                      const BenchOptions& options, ProgressLine& progress);

}  // namespace lbm::cli
