// What the processor can do and the operating system, or our own start-up code, has enabled.
#pragma once

#include "core/base/types.h"

namespace lbm {

struct CpuFeatures {
  bool avx2 = false;    // with F16C, and YMM state enabled in XCR0
  bool avx512 = false;  // F, BW, VL, DQ and VNNI, with ZMM state enabled
  bool avx_vnni = false;
  bool amx = false;  // AMX-INT8 beside avx512, and tile state enabled in XCR0
  bool sha = false;
  bool wasm_relaxed = false;  // the table is linked in, and the engine gives its known answers
  bool wasm_pairs = false;    // the same
  bool hypervisor = false;
  bool emulated = false;  // by QEMU's TCG, where a vector instruction is a call of a function
  char brand[49] = {};    // "Intel(R) Xeon(R) ...", may be empty
};

// Reads CPUID and XGETBV of the calling core. On bare metal every core enables its state first
// (efi/cpu_state); Linux wants to be asked for tile state, too (tools/cpu.h). On WebAssembly runs
// known_answer.h. Other targets report nothing.
[[nodiscard]] CpuFeatures detect_cpu_features();

}  // namespace lbm
