// Which kernel table to use: the one that is fastest on this machine, found by timing, since all
// give the same bits.
#pragma once

#include "core/base/types.h"
#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"

namespace lbm {

// The tables of this build that the processor can run, slowest idea first; returns how many were
// written (at most 8).
u32 usable_kernel_tables(const CpuFeatures& features, const KernelTable* (&out)[8]);

// The usable table called `name`, or nullptr.
[[nodiscard]] const KernelTable* find_kernel_table(const CpuFeatures& features, const char* name);

// Times every usable table on a small matrix product for a few milliseconds in all and returns the
// fastest. `now_us` is a clock in microseconds that never goes back.
[[nodiscard]] const KernelTable& fastest_kernel_table(const CpuFeatures& features,
                                                      u64 (*now_us)(void* context), void* context);

}  // namespace lbm
