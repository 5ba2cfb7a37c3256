// The meters of `lbm bench`: every loop that this processor can run does run, and gives a rate; the
// statistics over samples.
#include "tools/machine_limits.h"

#include "tests/test.h"
#include "tools/bench_run.h"
#include "tools/cpu.h"
#include "tools/thread_pool.h"

using namespace lbm;
using namespace lbm::cli;

namespace {

bool never() { return false; }

}  // namespace

TEST_CASE("machine limits: reads at any number of threads", "[bench]") {
  PosixPages pages;
  PosixClock clock;
  ReadMeter meter(pages, 3 * kMiB + 1);  // divides by nothing
  CHECK(meter.n_byte() == 4 * kMiB);
  for (const u32 n_thread : {1u, 3u}) {
    ThreadPool pool(n_thread);
    meter.tune(pool, clock, never);
    CHECK(meter.pass(pool, clock) > 0.01);
    CHECK(!meter.pattern().empty());
  }
}

TEST_CASE("machine limits: every loop of this processor runs", "[bench]") {
  PosixClock clock;
  ThreadPool pool(2);
  const CpuFeatures all = usable_cpu_features();
  CpuFeatures features = all;
  f64 last = 0;
  // From the widest instructions to none.
  for (u32 step = 0; step < 4; ++step) {
    if (step == 1) features.avx512 = features.amx = false;
    if (step == 2) features.avx_vnni = false;
    if (step == 3) features.avx2 = false;
    const PeakLoop loops[] = {int8_peak_loop(features), f32_peak_loop(features),
                              int8_tile_peak_loop(features)};
    for (const PeakLoop& loop : loops) {
      const f64 rate = peak_pass(loop, pool, clock);
      CHECK((rate > 0) == (loop.name != nullptr));
    }
    if (step == 3) last = peak_pass(loops[0], pool, clock);
  }
  CHECK(last == 0);
  CHECK((int8_peak_loop(all).name != nullptr) == all.avx2);
}

TEST_CASE("bench: statistics of samples", "[bench]") {
  Samples samples;
  CHECK(samples.median() == 0);
  CHECK(samples.deviation() == 0);
  for (const f64 value : {4.0, 1.0, 7.0}) samples.add(value);
  CHECK(samples.mean() == 4);
  CHECK(samples.median() == 4);
  CHECK(samples.deviation() == 3);
  samples.add(2);
  CHECK(samples.median() == 3);
  CHECK(samples.smallest() == 1);
  CHECK(samples.largest() == 7);
}

TEST_CASE("bench: names of tests are those of llama-bench", "[bench]") {
  CHECK((BenchTest{BenchTest::Kind::kPrefill, 512, 0}.name() == "pp512"));
  CHECK((BenchTest{BenchTest::Kind::kDecode, 64, 2048}.name() == "tg64 @ d2048"));
}
