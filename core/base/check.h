// Broken invariants. LBM_CHECK is for states that no input can cause; input errors are a Result
// (error.h).
#pragma once

#include "core/base/types.h"

namespace lbm {

// Shows `what` with its place and never returns. Each host defines it: the EFI panic screen,
// abort() on Linux, a trap in WASM.
[[noreturn]] void panic(const char* what, const char* file, u32 line);

}  // namespace lbm

#define LBM_CHECK(condition)                           \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::lbm::panic(#condition, __FILE__, __LINE__))
