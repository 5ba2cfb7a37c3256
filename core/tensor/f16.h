// Half precision (IEEE binary16) and bfloat16 as bit patterns; arithmetic is always f32.
#pragma once

#include "core/base/types.h"

namespace lbm {

#include "core/tensor/f16.inl.h"

// Round to nearest even; overflow to infinity; NaN stays NaN.
[[nodiscard]] inline u16 f32_to_bf16(f32 value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<u16>((bits >> 16) | 0x40u);
  return static_cast<u16>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

[[nodiscard]] inline bool f16_is_finite(u16 half) { return (half & 0x7c00u) != 0x7c00u; }

}  // namespace lbm
