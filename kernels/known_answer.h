// A known-answer test of a kernel table (docs/numerics.md, R7), for instructions that an engine may
// get wrong: the first WebAssembly engines with relaxed SIMD doubled its dot product in one of
// their two compilers.
#pragma once

#include "kernels/kernel_table.h"

namespace lbm {

// Whether the table's integer dot products are right at their limits: small unsigned and signed
// weights, for one token and for many. Takes microseconds.
[[nodiscard]] bool gives_known_answers(const KernelTable& table);

}  // namespace lbm
