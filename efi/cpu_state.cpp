// Enables vector state (cpu_state.h). Source: Intel SDM vol. 1, section 13.2 and vol. 3,
// sections 2.5 and 2.6.
#include "efi/cpu_state.h"

#include <cpuid.h>

namespace lbm::efi {
namespace {

constexpr u64 kCr0MonitorCoprocessor = u64{1} << 1;
constexpr u64 kCr0Emulation = u64{1} << 2;
constexpr u64 kCr0TaskSwitched = u64{1} << 3;
constexpr u64 kCr4Osfxsr = u64{1} << 9;
constexpr u64 kCr4Osxmmexcpt = u64{1} << 10;
constexpr u64 kCr4Osxsave = u64{1} << 18;
constexpr u32 kCpuidXsave = u32{1} << 26;  // leaf 1, ecx

constexpr u64 kXcr0X87Sse = 0x3;
constexpr u64 kXcr0Avx = 0x4;
constexpr u64 kXcr0Avx512 = 0xE0;  // opmask, upper halves of ZMM0-15, ZMM16-31: all three or none
constexpr u64 kXcr0Amx = 0x60000;  // tile configuration and tile data: both or none

u64 read_cr0() {
  u64 value = 0;
  __asm__ volatile("mov %%cr0, %0" : "=r"(value));
  return value;
}
void write_cr0(u64 value) { __asm__ volatile("mov %0, %%cr0" : : "r"(value) : "memory"); }

u64 read_cr4() {
  u64 value = 0;
  __asm__ volatile("mov %%cr4, %0" : "=r"(value));
  return value;
}
void write_cr4(u64 value) { __asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory"); }

u64 read_xcr0() {
  u32 low = 0;
  u32 high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return static_cast<u64>(high) << 32 | low;
}
void write_xcr0(u64 value) {
  __asm__ volatile("xsetbv"
                   :
                   : "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32)), "c"(0)
                   : "memory");
}

}  // namespace

CpuState enable_simd() {
  CpuState state;
  write_cr0((read_cr0() | kCr0MonitorCoprocessor) & ~(kCr0Emulation | kCr0TaskSwitched));
  u64 cr4 = read_cr4() | kCr4Osfxsr | kCr4Osxmmexcpt;

  u32 eax = 0;
  u32 ebx = 0;
  u32 ecx = 0;
  u32 edx = 0;
  __cpuid(1, eax, ebx, ecx, edx);
  state.xsave = (ecx & kCpuidXsave) != 0;
  if (state.xsave) cr4 |= kCr4Osxsave;
  write_cr4(cr4);

  if (state.xsave) {
    __cpuid_count(0xD, 0, eax, ebx, ecx, edx);
    const u64 supported = eax;
    u64 xcr0 = read_xcr0() | kXcr0X87Sse;
    if ((supported & kXcr0Avx) != 0) {
      xcr0 |= kXcr0Avx;
      if ((supported & kXcr0Avx512) == kXcr0Avx512) xcr0 |= kXcr0Avx512;
    }
    if ((supported & kXcr0Amx) == kXcr0Amx) xcr0 |= kXcr0Amx;
    write_xcr0(xcr0);
    state.xcr0 = read_xcr0();
  }
  state.cr4 = read_cr4();
  restore_float_state();
  return state;
}

}  // namespace lbm::efi
