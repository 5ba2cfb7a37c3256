// The processor state that vector code needs and that firmware leaves off.
#pragma once

#include "core/base/types.h"

namespace lbm::efi {

// What was found and what was switched on, of the calling core.
struct CpuState {
  u64 cr4 = 0;   // after
  u64 xcr0 = 0;  // after; 0 without XSAVE
  bool xsave = false;
};

// Switches on SSE, AVX, AVX-512 and AMX state as far as the processor has them, and sets MXCSR. CR4
// and XCR0 belong to one core: every core calls this before its first kernel, and again after it
// was stopped (docs/uefi.md).
CpuState enable_simd();

// The float environment the numerics rules stand on: round to nearest even, no flushing of
// denormals, exceptions masked.
inline constexpr u32 kMxcsr = 0x1F80;

// After a call of the firmware, which may have left something else. One instruction.
inline void restore_float_state() {
  const u32 value = kMxcsr;
  __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

[[nodiscard]] inline u32 read_mxcsr() {
  u32 value = 0;
  __asm__ volatile("stmxcsr %0" : "=m"(value));
  return value;
}

}  // namespace lbm::efi
