// What this machine can do at most, measured: the denominators of `lbm bench`.
//
// A rate of tokens means little by itself. Decode reads every weight once per token, so it can not
// be faster than memory is read; prefill multiplies, so it can not be faster than the widest
// multiply instruction. Both limits drift (a virtual machine shares its memory and its clock with
// others), so they are measured beside the tests, with the same threads, not once and for all.
#pragma once

#include <string>
#include <vector>

#include "core/platform.h"
#include "kernels/cpu_features.h"
#include "tools/platform_posix.h"

namespace lbm::cli {

// Memory that is read over and over, in the way that is fastest here: several streams at once,
// each in order, with or without prefetching ahead. Which way that is differs from processor to
// processor and with the number of threads, so it is found by trial.
class ReadMeter {
 public:
  // A buffer of n_byte bytes on huge pages where the system has them, written once. Throws
  // CommandError (kMemory).
  ReadMeter(PosixPages& pages, u64 n_byte);
  ~ReadMeter();
  ReadMeter(const ReadMeter&) = delete;
  ReadMeter& operator=(const ReadMeter&) = delete;

  [[nodiscard]] u64 n_byte() const { return n_byte_; }
  // Tries every pattern with these threads; pass() uses the one with the best median. `stop` is
  // asked between passes; once it says true, nothing more is read.
  void tune(Workers& workers, Clock& clock, bool (*stop)());
  // Reads the buffer once; gigabytes (10^9) per second.
  [[nodiscard]] f64 pass(Workers& workers, Clock& clock) const;
  // "4 streams, prefetch 4096 bytes ahead"
  [[nodiscard]] std::string pattern() const;

 private:
  PosixPages& pages_;
  Span<u8> range_;
  u64 n_byte_;
  usize pattern_ = 0;
};

// One multiply-and-add loop in registers; an operation is one multiplication or one addition.
struct PeakLoop {
  const char* name = nullptr;  // "vpdpbusd zmm"; null: the processor has nothing for it
  void (*run)(u64 n_iteration) = nullptr;
  u64 ops_per_iteration = 0;
};

// The fastest instructions of this processor for int8 (exact 32-bit sums), and for f32 with a
// multiplication and an addition that round separately, as docs/numerics.md asks. `tiles`: AMX,
// where the process may use it.
[[nodiscard]] PeakLoop int8_peak_loop(const CpuFeatures& features);
[[nodiscard]] PeakLoop f32_peak_loop(const CpuFeatures& features);
[[nodiscard]] PeakLoop int8_tile_peak_loop(const CpuFeatures& features);

// Runs the loop for some milliseconds on all workers; 10^9 operations per second of all together, 0
// for a loop without name. A short pass may be disturbed but never too fast: of several, the
// largest is the peak.
[[nodiscard]] f64 peak_pass(const PeakLoop& loop, Workers& workers, Clock& clock);

// Bytes of the last-level cache as the system reports them, 0 where it does not.
[[nodiscard]] u64 last_level_cache_bytes();

}  // namespace lbm::cli
