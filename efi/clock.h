// The time-stamp counter as a clock.
//
// Firmware's GetTime has a resolution of one second on many machines, and CPUID's own frequency
// (leaf 0x15) is absent in virtual machines and on older processors. Stall() is the one interval
// every firmware can measure, so the counter is calibrated by it.
#pragma once

#include "core/platform.h"

namespace lbm::efi {

class TscClock final : public Clock {
 public:
  // Measures the counter against Stall(): the shortest of three runs, because interruptions only
  // lengthen one. About 150 ms.
  void calibrate();

  // Microseconds since calibrate().
  [[nodiscard]] u64 now_us() override;
  [[nodiscard]] u64 hertz() const { return hertz_; }

 private:
  u64 start_ = 0;
  u64 hertz_ = 1'000'000'000;  // until calibrated: order of magnitude only
  u64 last_us_ = 0;
};

}  // namespace lbm::efi
