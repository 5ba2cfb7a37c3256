// Numbers to text and back, as Python writes them. Exact: a float is a fraction of two long
// integers, and every digit and every rounding (half to even) is decided on that fraction.
#pragma once

#include "core/base/fmath.h"  // floor_f64
#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

constexpr u32 kMaxDecimals = 60;         // of format_fixed
constexpr usize kNumberTextBytes = 400;  // enough for every function below
// What turning a float into text, or text into a float, costs at most, in steps of a template.
constexpr u64 kFloatTextSteps = 2048;

// repr(v): the fewest digits that read back as `v` (0.1, 1e+16, inf, nan).
[[nodiscard]] Str format_float(f64 v, char (&buffer)[kNumberTextBytes]);
// "%.Nf" % v with n_decimal <= kMaxDecimals.
[[nodiscard]] Str format_fixed(f64 v, u32 n_decimal, char (&buffer)[kNumberTextBytes]);
// The magnitude of `v` in base 2..16, without sign or prefix.
[[nodiscard]] Str format_magnitude(i64 v, u32 base, bool upper, char (&buffer)[kNumberTextBytes]);
[[nodiscard]] Str format_integer(i64 v, char (&buffer)[kNumberTextBytes]);

// float(text): white space around it, underscores between digits, "inf" and "nan" in any case.
// Correctly rounded for up to 19 digits; more are cut.
[[nodiscard]] bool parse_float_text(Str text, f64& out);

enum class IntegerParse : u8 { kOk, kMalformed, kTooLarge };
// int(text, base): white space around it, a sign, underscores between digits, 0b 0o 0x where the
// base allows it (base 0: asks for it).
[[nodiscard]] IntegerParse parse_integer_text(Str text, u32 base, i64& out);

[[nodiscard]] inline bool is_finite(f64 v) { return v - v == 0; }

}  // namespace lbm
