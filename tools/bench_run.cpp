// See bench_run.h.
#include "tools/bench_run.h"

#include <time.h>

#include <algorithm>
#include <cmath>

#include "tools/interrupt.h"

namespace lbm::cli {
namespace {

constexpr u64 kLargeReadBytes = kGiB;  // beyond what most last-level caches hold
constexpr u32 kWarmUpTokens = 16;
constexpr u32 kModelPasses = 3;  // short ones

void stop_if_interrupted() {
  if (interrupt_pending()) throw CommandError(ExitCode::kInterrupted, "interrupted");
}

// Processor time of all threads of this process.
f64 cpu_us() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<f64>(time.tv_sec) * 1e6 + static_cast<f64>(time.tv_nsec) / 1e3;
}

// Which tokens they are does not change the work; spread over the vocabulary, so that embedding
// rows are not all cached. One function of the position, so that what is in the context can stay.
u32 token_at(u32 pos, u32 n_vocab) { return static_cast<u32>((u64{pos} * 7919 + 1) % n_vocab); }

class SplitTimer final : public ProfileSink {
 public:
  explicit SplitTimer(Clock& clock) : clock_(clock), last_us_(clock.now_us()) {}
  void on_part_end(ForwardPart part) override {
    const u64 now_us = clock_.now_us();
    split_.us[static_cast<u32>(part)] += now_us - last_us_;
    last_us_ = now_us;
  }
  [[nodiscard]] const TimeSplit& split() const { return split_; }

 private:
  Clock& clock_;
  u64 last_us_;
  TimeSplit split_;
};

class TestRunner {
 public:
  TestRunner(LoadedModel& model, const BenchTest& test) : model_(model), test_(test) {}

  // Brings the context to the depth of the test. Tokens that are there already stay.
  void fill_context() {
    const u32 n_past = model_.session().n_past();
    if (n_past > test_.depth) {
      check(model_.session().rewind(test_.depth));
    } else if (n_past < test_.depth) {
      model_.evaluate(tokens(n_past, test_.depth - n_past));
    }
  }

  // One token that is not timed: brings the weights back into caches that other work has swept.
  void touch() {
    check(model_.session().decode(token_at(test_.depth, model_.config().n_vocab)));
    fill_context();
  }

  // Evaluates the test's tokens, at most n_token of them, at its depth; microseconds.
  u64 run(u32 n_token) {
    fill_context();
    const u64 start_us = model_.clock().now_us();
    if (test_.kind == BenchTest::Kind::kPrefill) {
      model_.evaluate(tokens(test_.depth, n_token));
    } else {
      for (u32 i = 0; i < n_token; ++i) {
        check(model_.session().decode(token_at(test_.depth + i, model_.config().n_vocab)));
        stop_if_interrupted();
      }
    }
    return std::max<u64>(1, model_.clock().now_us() - start_us);
  }

 private:
  void check(const Status& status) { expect(status, model_.path(), Stage::kRun); }
  Span<const u32> tokens(u32 first, u32 n) {
    tokens_.resize(n);
    for (u32 i = 0; i < n; ++i) tokens_[i] = token_at(first + i, model_.config().n_vocab);
    return {tokens_.data(), tokens_.size()};
  }

  LoadedModel& model_;
  const BenchTest& test_;
  std::vector<u32> tokens_;
};

}  // namespace

// ---- samples ------------------------------------------------------------------------------------

f64 Samples::mean() const {
  f64 sum = 0;
  for (const f64 value : values_) sum += value;
  return values_.empty() ? 0 : sum / static_cast<f64>(values_.size());
}

f64 Samples::deviation() const {
  if (values_.size() < 2) return 0;
  f64 squares = 0;
  for (const f64 value : values_) squares += (value - mean()) * (value - mean());
  return std::sqrt(squares / static_cast<f64>(values_.size() - 1));
}

f64 Samples::median() const {
  if (values_.empty()) return 0;
  std::vector<f64> sorted = values_;
  std::sort(sorted.begin(), sorted.end());
  const usize half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

f64 Samples::smallest() const {
  return values_.empty() ? 0 : *std::min_element(values_.begin(), values_.end());
}

f64 Samples::largest() const {
  return values_.empty() ? 0 : *std::max_element(values_.begin(), values_.end());
}

// ---- rows ---------------------------------------------------------------------------------------

std::string thread_text(u32 n_thread) {
  return format(n_thread == 1 ? "%u thread" : "%u threads", n_thread);
}

std::string BenchTest::name() const {
  const std::string base = (kind == Kind::kPrefill ? "pp" : "tg") + std::to_string(n_token);
  return depth == 0 ? base : base + " @ d" + std::to_string(depth);
}

u64 TimeSplit::total_us() const {
  u64 sum = 0;
  for (const u64 part : us) sum += part;
  return sum;
}

u64 BenchRow::bytes_per_token() const {
  // Token i of n sees depth + i + 1 positions.
  return cost.decode_bytes(test.depth + (test.n_token + 1) / 2);
}

f64 BenchRow::gb_s() const { return static_cast<f64>(bytes_per_token()) * rates.median() / 1e9; }

f64 BenchRow::gops() const {
  // Logits are computed for the last token of a prompt only.
  const f64 ops = static_cast<f64>(cost.layer_ops) +
                  static_cast<f64>(cost.head_ops) / static_cast<f64>(test.n_token);
  return ops * rates.median() / 1e9;
}

// ---- limits -------------------------------------------------------------------------------------

void MachineLimits::prepare(Workers& workers, u64 weight_bytes) {
  const auto take = [this](std::unique_ptr<ReadMeter>& meter, u64 n_byte) {
    if (meter != nullptr && meter->n_byte() >= n_byte && meter->n_byte() - n_byte < kMiB) return;
    meter.reset();
    meter = std::make_unique<ReadMeter>(pages_, std::min(n_byte, pages_.bytes_free() / 2));
  };
  if (large_ == nullptr) take(large_, kLargeReadBytes);
  take(model_, weight_bytes);
  large_->tune(workers, clock_, interrupt_pending);
  model_->tune(workers, clock_, interrupt_pending);
  stop_if_interrupted();
}

void MachineLimits::sample(Workers& workers, LimitSamples& out) {
  const auto peak = [&](const PeakLoop& loop, Samples& samples) {
    if (loop.run != nullptr) samples.add(peak_pass(loop, workers, clock_));
  };
  out.read_large.add(large_->pass(workers, clock_));
  // One pass that does not count: the model, too, is in the caches that are large enough for it.
  static_cast<void>(model_->pass(workers, clock_));
  for (u32 i = 0; i < kModelPasses; ++i) out.read_model.add(model_->pass(workers, clock_));
  peak(int8_, out.int8);
  peak(f32_, out.f32);
  peak(tiles_, out.int8_tiles);
}

// ---- tests --------------------------------------------------------------------------------------

BenchRow run_bench_test(LoadedModel& model, const BenchTest& test, const BenchOptions& options,
                        ProgressLine& progress) {
  BenchRow row;
  row.test = test;
  row.cost = token_cost(model.engine().model(), model.session().kv_type());
  TestRunner runner(model, test);
  const auto show = [&](const std::string& what) {
    progress.show(test.name() + ", " + thread_text(model.n_thread()) + ": " + what);
  };
  show("filling the context");
  runner.fill_context();
  show("warming up");
  const u32 n_batch = model.session().n_batch();
  runner.run(
      std::min(test.n_token, test.kind == BenchTest::Kind::kPrefill ? n_batch : kWarmUpTokens));
  for (u32 i = 0; i < options.n_repeat; ++i) {
    show(format("run %u of %u", i + 1, options.n_repeat));
    runner.fill_context();
    if (options.limits != nullptr) {
      options.limits->sample(model.engine().workers(), row.limits);
      runner.touch();
    }
    const f64 start_cpu_us = cpu_us();
    const f64 elapsed_us = static_cast<f64>(runner.run(test.n_token));
    row.rates.add(static_cast<f64>(test.n_token) * 1e6 / elapsed_us);
    row.cpu_shares.add((cpu_us() - start_cpu_us) / (elapsed_us * model.n_thread()));
    stop_if_interrupted();
  }
  if (options.split) {
    show("splitting the time");
    runner.fill_context();
    SplitTimer timer(model.clock());
    model.session().set_profile(&timer);
    runner.run(test.n_token);
    model.session().set_profile(nullptr);
    row.has_split = true;
    row.split = timer.split();
  }
  return row;
}

}  // namespace lbm::cli
