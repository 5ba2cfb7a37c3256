// See machine_limits.h.
#include "tools/machine_limits.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "core/base/arith.h"
#include "tools/output.h"

namespace lbm::cli {

// ---- reading memory -----------------------------------------------------------------------------

namespace {

constexpr usize kLine = 64;
constexpr usize kLinesPerStep = 4;
constexpr usize kPage = 4096;
constexpr usize kHugePage = 2 * kMiB;
constexpr u32 kStretchesPerWorker = 4;  // a core that is busy elsewhere costs only its share
constexpr u32 kTrialPasses = 3;

using ReadFn = void (*)(const u8* data, usize n_byte);

// Keeps what was read from being optimized away; written once per stretch.
void keep(u64 value) { asm volatile("" : : "r"(value)); }

// n_stream streams over equal parts of the data, kLinesPerStep lines of each in turn. What does
// not divide by all of that is left out (less than 20 KiB of a stretch).
template <class Vec, u32 kStreams, usize kAhead>
[[gnu::always_inline]] inline void read_streams(const u8* data, usize n_byte) {
  constexpr usize kStep = kLine * kLinesPerStep;
  constexpr usize kVecs = kLine / sizeof(Vec);
  const usize part = n_byte / kStreams / kStep * kStep;
  Vec sums[4] = {};
  for (usize at = 0; at < part; at += kStep) {
    for (u32 stream = 0; stream < kStreams; ++stream) {
      const u8* from = data + stream * part + at;
      for (usize line = 0; line < kLinesPerStep; ++line) {
        if constexpr (kAhead != 0) __builtin_prefetch(from + kAhead + line * kLine, 0, 3);
        const Vec* values = reinterpret_cast<const Vec*>(from + line * kLine);
        for (usize i = 0; i < kVecs; ++i) sums[(line * kVecs + i) % 4] ^= values[i];
      }
    }
  }
  const Vec sum = sums[0] ^ sums[1] ^ sums[2] ^ sums[3];
  u64 folded = 0;
  for (usize i = 0; i < sizeof(Vec) / sizeof(u64); ++i) folded ^= static_cast<u64>(sum[i]);
  keep(folded);
}

using Vec16 = u64 __attribute__((vector_size(16)));

template <u32 kStreams, usize kAhead>
void read_narrow(const u8* data, usize n_byte) {
  read_streams<Vec16, kStreams, kAhead>(data, n_byte);
}

#if defined(__x86_64__)
using Vec64 = u64 __attribute__((vector_size(64)));

template <u32 kStreams, usize kAhead>
[[gnu::target("avx512f")]] void read_wide(const u8* data, usize n_byte) {
  read_streams<Vec64, kStreams, kAhead>(data, n_byte);
}
#else
template <u32 kStreams, usize kAhead>
constexpr ReadFn read_wide = read_narrow<kStreams, kAhead>;
#endif

struct Pattern {
  u32 n_stream;
  usize ahead;  // bytes; 0: no prefetching
  ReadFn narrow;
  ReadFn wide;  // with AVX-512: a whole line at once
};

template <u32 kStreams, usize kAhead>
constexpr Pattern make_pattern() {
  return {kStreams, kAhead, read_narrow<kStreams, kAhead>, read_wide<kStreams, kAhead>};
}

constexpr Pattern kPatterns[] = {make_pattern<1, 0>(),    make_pattern<1, 4096>(),
                                 make_pattern<2, 4096>(), make_pattern<4, 0>(),
                                 make_pattern<4, 1024>(), make_pattern<4, 4096>(),
                                 make_pattern<8, 0>(),    make_pattern<8, 1024>(),
                                 make_pattern<8, 4096>(), make_pattern<16, 1024>()};

struct ReadJob {
  ReadFn read;
  const u8* data;
  usize n_byte;
  u32 n_stretch;
};

void read_stretch(void* context, u32 task) {
  const ReadJob& job = *static_cast<const ReadJob*>(context);
  const usize each = job.n_byte / job.n_stretch / kPage * kPage;
  job.read(job.data + each * task, each);
}

ReadFn read_function(usize pattern) {
  static const bool has_wide = detect_cpu_features().avx512;
  return has_wide ? kPatterns[pattern].wide : kPatterns[pattern].narrow;
}

f64 timed_read(usize pattern, const u8* data, u64 n_byte, Workers& workers, Clock& clock) {
  ReadJob job = {read_function(pattern), data, static_cast<usize>(n_byte),
                 workers.n_worker() * kStretchesPerWorker};
  const u64 start_us = clock.now_us();
  workers.run(read_stretch, &job, job.n_stretch);
  const u64 elapsed_us = std::max<u64>(1, clock.now_us() - start_us);
  return static_cast<f64>(n_byte) / static_cast<f64>(elapsed_us) / 1e3;
}

}  // namespace

ReadMeter::ReadMeter(PosixPages& pages, u64 n_byte)
    : pages_(pages), n_byte_(align_up(std::max<u64>(n_byte, kMiB), kMiB)) {
  // Prefetches reach past the end; the pages there need not be ours, a prefetch never faults.
  range_ = expect(pages.take(n_byte_ + kHugePage, "buffer to measure memory"), "", Stage::kRun);
  madvise(range_.data(), range_.size(), MADV_HUGEPAGE);
  __builtin_memset(range_.data(), 1, range_.size());
}

ReadMeter::~ReadMeter() { pages_.give_back(range_); }

void ReadMeter::tune(Workers& workers, Clock& clock, bool (*stop)()) {
  f64 best = 0;
  f64 rates[std::size(kPatterns)][kTrialPasses] = {};
  // Round after round, so that a slow moment hits all patterns alike.
  for (u32 round = 0; round < kTrialPasses; ++round) {
    for (usize i = 0; i < std::size(kPatterns); ++i) {
      if (stop()) return;
      rates[i][round] = timed_read(i, range_.data(), n_byte_, workers, clock);
    }
  }
  for (usize i = 0; i < std::size(kPatterns); ++i) {
    std::sort(rates[i], rates[i] + kTrialPasses);
    if (rates[i][kTrialPasses / 2] <= best) continue;
    best = rates[i][kTrialPasses / 2];
    pattern_ = i;
  }
}

f64 ReadMeter::pass(Workers& workers, Clock& clock) const {
  return timed_read(pattern_, range_.data(), n_byte_, workers, clock);
}

std::string ReadMeter::pattern() const {
  const Pattern& pattern = kPatterns[pattern_];
  const std::string streams =
      pattern.n_stream == 1 ? "1 stream" : format("%u streams", pattern.n_stream);
  return streams + (pattern.ahead == 0 ? ", no prefetching"
                                       : format(", prefetching %zu bytes ahead", pattern.ahead));
}

u64 last_level_cache_bytes() {
  const long size = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return size > 0 ? static_cast<u64>(size) : 0;
}

// ---- multiplying --------------------------------------------------------------------------------

namespace {

// Each loop is one piece of assembly with registers of its own: a compiler that keeps accumulators
// in memory shows half of the peak. Independent accumulators cover the latency of the instruction
// (at most 5 cycles at two a cycle). Values do not matter, but are not zero, so that the
// multipliers have work.
#if defined(__x86_64__)

#define LBM_VECTOR_CLOBBERS                                                                \
  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", \
      "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc"

[[gnu::target("avx512f,avx512vnni")]] void vnni_zmm(u64 n) {
  asm volatile(
      "vpternlogd $0xff, %%zmm16, %%zmm16, %%zmm16\n\t"
      "1:\n\t"
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
      "vpdpbusd %%zmm16, %%zmm16, %%zmm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(n)
      :
      : LBM_VECTOR_CLOBBERS, "xmm16");
}
constexpr u64 kVnniZmmOps = 16 * 64 * 2;

[[gnu::target("avx2")]] void vnni_ymm(u64 n) {
  asm volatile(
      "vpcmpeqd %%ymm15, %%ymm15, %%ymm15\n\t"
      "1:\n\t"
      ".irp r,0,1,2,3,4,5,6,7,8,9,10,11\n\t"
      "%{vex%} vpdpbusd %%ymm15, %%ymm15, %%ymm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(n)
      :
      : LBM_VECTOR_CLOBBERS);
}
constexpr u64 kVnniYmmOps = 12 * 32 * 2;

// Three instructions do what vpdpbusd does: pairs to 16 bits, pairs of those to 32, add.
[[gnu::target("avx2")]] void maddubs_ymm(u64 n) {
  asm volatile(
      "vpcmpeqd %%ymm9, %%ymm9, %%ymm9\n\t"
      "vpabsb %%ymm9, %%ymm9\n\t"
      "1:\n\t"
      ".irp r,0,1,2,3,4,5\n\t"
      "vpmaddubsw %%ymm9, %%ymm9, %%ymm1\\r\n\t"
      "vpmaddwd %%ymm1\\r, %%ymm9, %%ymm1\\r\n\t"
      "vpaddd %%ymm1\\r, %%ymm\\r, %%ymm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(n)
      :
      : LBM_VECTOR_CLOBBERS);
}
constexpr u64 kMaddubsYmmOps = 6 * 32 * 2;

constexpr f32 kFactor = 1.5f;

[[gnu::target("avx512f")]] void multiply_add_zmm(u64 n) {
  asm volatile(
      "vbroadcastss %1, %%zmm30\n\t"
      "1:\n\t"
      ".irp r,0,1,2,3,4,5,6,7\n\t"
      "vmulps %%zmm30, %%zmm30, %%zmm1\\r\n\t"
      "vaddps %%zmm1\\r, %%zmm\\r, %%zmm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(n)
      : "m"(kFactor)
      : LBM_VECTOR_CLOBBERS, "xmm16", "xmm17", "xmm30");
}
constexpr u64 kMultiplyAddZmmOps = 8 * 16 * 2;

[[gnu::target("avx2")]] void multiply_add_ymm(u64 n) {
  asm volatile(
      "vbroadcastss %1, %%ymm9\n\t"
      "1:\n\t"
      ".irp r,0,1,2,3,4,5\n\t"
      "vmulps %%ymm9, %%ymm9, %%ymm1\\r\n\t"
      "vaddps %%ymm1\\r, %%ymm\\r, %%ymm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vzeroupper"
      : "+r"(n)
      : "m"(kFactor)
      : LBM_VECTOR_CLOBBERS);
}
constexpr u64 kMultiplyAddYmmOps = 6 * 8 * 2;

// Source: Intel SDM vol. 1, 18.2. Eight tiles of 16 rows of 64 bytes.
struct TileConfig {
  u8 palette = 1;
  u8 start_row = 0;
  u8 reserved[14] = {};
  u16 bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  u8 n_row[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfig) == 64);

[[gnu::target("amx-int8")]] void tiles_int8(u64 n) {
  const TileConfig config;
  asm volatile(
      "ldtilecfg %1\n\t"
      ".irp r,0,1,2,3,4,5,6,7\n\t"
      "tilezero %%tmm\\r\n\t"
      ".endr\n\t"
      "1:\n\t"
      ".irp r,0,1,2,3,4,5\n\t"
      "tdpbssd %%tmm7, %%tmm6, %%tmm\\r\n\t"
      ".endr\n\t"
      "dec %0\n\t"
      "jnz 1b\n\t"
      "tilerelease"
      : "+r"(n)
      : "m"(config)
      : "cc");
}
constexpr u64 kTileOps = 6 * 16 * 16 * 64 * 2;

#endif  // __x86_64__

constexpr u32 kPeakTasksPerWorker = 16;
constexpr u64 kIterationsPerTask = u64{1} << 14;  // 30 to 500 us

}  // namespace

PeakLoop int8_peak_loop(const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.avx512) return {"vpdpbusd zmm", vnni_zmm, kVnniZmmOps};
  if (features.avx_vnni) return {"vpdpbusd ymm", vnni_ymm, kVnniYmmOps};
  if (features.avx2) return {"vpmaddubsw + vpmaddwd + vpaddd ymm", maddubs_ymm, kMaddubsYmmOps};
#endif
  static_cast<void>(features);
  return {};
}

PeakLoop f32_peak_loop(const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.avx512) return {"vmulps + vaddps zmm", multiply_add_zmm, kMultiplyAddZmmOps};
  if (features.avx2) return {"vmulps + vaddps ymm", multiply_add_ymm, kMultiplyAddYmmOps};
#endif
  static_cast<void>(features);
  return {};
}

PeakLoop int8_tile_peak_loop(const CpuFeatures& features) {
#if defined(__x86_64__)
  if (features.amx) return {"tdpbssd", tiles_int8, kTileOps};
#endif
  static_cast<void>(features);
  return {};
}

f64 peak_pass(const PeakLoop& loop, Workers& workers, Clock& clock) {
  if (loop.run == nullptr) return 0;
  const u32 n_task = workers.n_worker() * kPeakTasksPerWorker;
  const auto task = [](void* context, u32) {
    static_cast<const PeakLoop*>(context)->run(kIterationsPerTask);
  };
  PeakLoop job = loop;
  const u64 start_us = clock.now_us();
  workers.run(task, &job, n_task);
  const u64 elapsed_us = std::max<u64>(1, clock.now_us() - start_us);
  const u64 n_op = u64{n_task} * kIterationsPerTask * loop.ops_per_iteration;
  return static_cast<f64>(n_op) / static_cast<f64>(elapsed_us) / 1e3;
}

}  // namespace lbm::cli
