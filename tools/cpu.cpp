#include "tools/cpu.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace lbm::cli {
namespace {

// Source: Documentation/arch/x86/xstate.rst of Linux. Older headers do not have the names.
bool request_tile_state() {
#if defined(__x86_64__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr unsigned long kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

CpuFeatures usable_cpu_features() {
  CpuFeatures features = detect_cpu_features();
  features.amx = features.amx && request_tile_state();
  return features;
}

}  // namespace lbm::cli
