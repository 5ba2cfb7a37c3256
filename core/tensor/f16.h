// Half precision (IEEE binary16) and bfloat16 as bit patterns; arithmetic is always f32.
#pragma once

#include "core/base/types.h"

namespace lbm {

#include "core/tensor/f16.inl.h"

[[nodiscard]] inline bool f16_is_finite(u16 half) { return (half & 0x7c00u) != 0x7c00u; }

}  // namespace lbm
