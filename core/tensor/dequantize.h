// Dequantization: the reference truth of every type, one element formula each (R9). Slow and
// obvious on purpose.
#pragma once

#include "core/base/result.h"
#include "core/base/span.h"
#include "core/tensor/dtype.h"

namespace lbm {

// True where dequantize() knows the type.
[[nodiscard]] bool can_dequantize(DType type);

// Expands whole blocks as a file stores them: out.size() elements, a multiple of the block size.
// Errors: kUnsupported  no formula for the type in this build.
//         kMismatch     `blocks` is not exactly out.size() elements long.
[[nodiscard]] Status dequantize(DType type, Span<const u8> blocks, Span<f32> out);

// The type called `name` ("Q4_1", any case). False when there is none.
[[nodiscard]] bool find_dtype(Str name, DType& out);

}  // namespace lbm
