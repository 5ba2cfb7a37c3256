// The kernel tables of this build, one per file of kernels/isa.
#pragma once

#include "kernels/kernel_table.h"

namespace lbm {

extern const KernelTable kTable_scalar;
extern const KernelTable kTable_swar;
#if defined(__x86_64__)
extern const KernelTable kTable_avx2;
extern const KernelTable kTable_avx_vnni;
extern const KernelTable kTable_avx512;
#endif

}  // namespace lbm
