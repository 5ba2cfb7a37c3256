// Tensor types that GGUF files may name but the format does not have (any more): removed ones, and
// those of forks.
#pragma once

#include "core/base/types.h"

namespace lbm {

// `name` is nullptr for an id that nobody is known to use; `what` says why such a tensor is refused
// and what to do instead.
struct ForeignType {
  const char* name = nullptr;
  const char* what = nullptr;
};

[[nodiscard]] ForeignType foreign_type(u32 id);

}  // namespace lbm
