// Checked integer arithmetic. Every product, sum and narrowing of a number that a file supplied
// goes through here.
#pragma once

#include "core/base/types.h"

namespace lbm {

[[nodiscard]] constexpr bool checked_add(u64 a, u64 b, u64& out) {
  return !__builtin_add_overflow(a, b, &out);
}
[[nodiscard]] constexpr bool checked_mul(u64 a, u64 b, u64& out) {
  return !__builtin_mul_overflow(a, b, &out);
}

// Rounds up to a multiple of `alignment`, a power of two.
[[nodiscard]] constexpr bool checked_align(u64 value, u64 alignment, u64& out) {
  if (!checked_add(value, alignment - 1, out)) return false;
  out &= ~(alignment - 1);
  return true;
}

[[nodiscard]] constexpr u64 align_up(u64 value, u64 alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}
[[nodiscard]] constexpr bool is_power_of_two(u64 value) {
  return value != 0 && (value & (value - 1)) == 0;
}
[[nodiscard]] constexpr u64 ceil_div(u64 a, u64 b) { return a / b + (a % b != 0 ? 1 : 0); }
[[nodiscard]] constexpr u64 min_u64(u64 a, u64 b) { return a < b ? a : b; }
[[nodiscard]] constexpr u64 max_u64(u64 a, u64 b) { return a > b ? a : b; }
[[nodiscard]] constexpr u32 min_u32(u32 a, u32 b) { return a < b ? a : b; }
[[nodiscard]] constexpr u32 max_u32(u32 a, u32 b) { return a > b ? a : b; }

}  // namespace lbm
