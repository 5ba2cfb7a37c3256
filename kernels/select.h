// Which kernels to use. All tables give the same bits, so the choice is one of speed alone, and is
// made by timing: by weight type and by phase (one token, many tokens), on the machine at hand.
#pragma once

#include "core/base/types.h"
#include "kernels/cpu_features.h"
#include "kernels/kernel_table.h"

namespace lbm {

// The tables of this build that the processor can run, slowest idea first; returns how many were
// written (at most 8).
u32 usable_kernel_tables(const CpuFeatures& features, const KernelTable* (&out)[8]);

// The usable table called `name` as it was compiled, or nullptr.
[[nodiscard]] const KernelTable* find_kernel_table(const CpuFeatures& features, const char* name);

// Composes the usable table called `name` and what any table takes from the processor besides
// (SHA-256). False, and `out` as it was, where there is no such table.
[[nodiscard]] bool compose_named(const CpuFeatures& features, const char* name, KernelTable& out);

// A clock in microseconds that never goes back.
struct TrialClock {
  u64 (*now_us)(void* context);
  void* context;
};

// Composes the fastest of all usable tables, entry by entry: every matrix product by its type and
// phase, the vector operations with the attention as one group. Takes at most 50 ms, usually 10.
// The name of the result is that of the table which most of its entries come from.
void compose_fastest(const CpuFeatures& features, TrialClock clock, KernelTable& out);

}  // namespace lbm
