// Fixed-width names. The whole project counts in these; sizes of files are u64 everywhere, sizes in
// memory are usize.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lbm {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using i8 = int8_t;
using i16 = int16_t;
using i32 = int32_t;
using i64 = int64_t;
using f32 = float;
using f64 = double;
using usize = size_t;

static_assert(sizeof(f32) == 4 && sizeof(f64) == 8, "IEEE-754 binary32 and binary64");

constexpr u64 kKiB = 1024;
constexpr u64 kMiB = 1024 * kKiB;
constexpr u64 kGiB = 1024 * kMiB;

}  // namespace lbm
