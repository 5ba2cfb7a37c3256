// The choice of kernels, with clocks that are not to be trusted, and what is composed beside the
// tables.
#include "core/base/sha256.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

// Every reading moves it on by `step_us`.
struct SteppingClock {
  u64 step_us;
  u64 now_us = 0;
  u32 n_reading = 0;

  TrialClock trial_clock() {
    const auto read = [](void* context) {
      SteppingClock& clock = *static_cast<SteppingClock*>(context);
      ++clock.n_reading;
      return clock.now_us += clock.step_us;
    };
    return {read, this};
  }
};

bool comes_from(const char* name, DType type, MatmulFn decode, MatmulFn prefill) {
  const KernelTable* table = find_kernel_table(detect_cpu_features(), name);
  const u32 id = static_cast<u32>(type);
  return table != nullptr && (table->decode[id] == decode || table->prefill[id] == prefill);
}

// Every entry is there, and comes from the usable table it names.
void check_complete(const KernelTable& composed) {
  const KernelTable& scalar = *find_kernel_table(CpuFeatures(), "scalar");
  CHECK(find_kernel_table(detect_cpu_features(), composed.name) != nullptr);
  CHECK(composed.attention[0] != nullptr);
  for (u32 id = 0; id < kDTypeLimit; ++id) {
    const DType type = static_cast<DType>(id);
    CHECK((composed.decode[id] != nullptr) == (scalar.decode[id] != nullptr));
    if (composed.decode[id] == nullptr) continue;
    CHECK(comes_from(composed.decode_from[id], type, composed.decode[id], nullptr));
    CHECK(comes_from(composed.prefill_from[id], type, nullptr, composed.prefill[id]));
  }
}

}  // namespace

TEST_CASE("the trial composes a whole table, also where its time is over before it has begun",
          "[kernels]") {
  for (const u64 step_us : {u64{20}, u64{20'000}}) {
    SteppingClock clock = {step_us};
    KernelTable composed = {};
    compose_fastest(detect_cpu_features(), clock.trial_clock(), composed);
    check_complete(composed);
    // Past its time the trial begins nothing new.
    if (step_us == 20'000) CHECK(clock.n_reading < 40);
  }
}

TEST_CASE("a table is found by its name alone", "[kernels]") {
  KernelTable composed = {};
  CHECK(!compose_named(CpuFeatures(), "avx512", composed));
  CHECK(!compose_named(CpuFeatures(), "scala", composed));
  CHECK(composed.name == nullptr);
  REQUIRE(compose_named(CpuFeatures(), "swar", composed));
  CHECK(Str(composed.name) == "swar");
  CHECK(composed.sha256_blocks == nullptr);
}

TEST_CASE("the processor's SHA-256 equals the portable one, for every length and cut",
          "[kernels][bits]") {
  KernelTable composed = {};
  REQUIRE(compose_named(detect_cpu_features(), "scalar", composed));
  if (composed.sha256_blocks == nullptr) return;
  u8 bytes[400];
  for (u32 i = 0; i < sizeof(bytes); ++i) bytes[i] = static_cast<u8>(i * 167 + (i >> 3));
  for (u32 n = 0; n <= sizeof(bytes); ++n) {
    Sha256 portable;
    Sha256 processor(composed.sha256_blocks);
    portable.update({bytes, n});
    processor.update({bytes, n / 3});
    processor.update({bytes + n / 3, n - n / 3});
    CHECK(portable.finish() == processor.finish());
  }
}
