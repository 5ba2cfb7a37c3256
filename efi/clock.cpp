// The calibrated time-stamp counter (clock.h).
#include "efi/clock.h"

#include "efi/firmware.h"

namespace lbm::efi {
namespace {

constexpr u64 kStallUs = 50'000;
constexpr u32 kRuns = 3;

u64 read_tsc() {
  u32 low = 0;
  u32 high = 0;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return static_cast<u64>(high) << 32 | low;
}

}  // namespace

void TscClock::calibrate() {
  u64 shortest = ~u64{0};
  for (u32 i = 0; i < kRuns; ++i) {
    const u64 begin = read_tsc();
    boot_services().Stall(kStallUs);
    const u64 ticks = read_tsc() - begin;
    if (ticks < shortest) shortest = ticks;
  }
  // A counter that stands still would divide by zero below; 1 GHz then keeps the program usable,
  // with wrong figures.
  if (shortest >= kStallUs / 10) hertz_ = shortest * (1'000'000 / kStallUs);
  start_ = read_tsc();
  last_us_ = 0;
}

u64 TscClock::now_us() {
  const u64 ticks = read_tsc() - start_;
  // In two steps, because ticks * 1e6 overflows after about two hours.
  const u64 us = ticks / hertz_ * 1'000'000 + ticks % hertz_ * 1'000'000 / hertz_;
  // Cores that were started late, and some virtual machines, step the counter back by a little.
  if (us > last_us_ && us - last_us_ < u64{1} << 62) last_us_ = us;
  return last_us_;
}

}  // namespace lbm::efi
