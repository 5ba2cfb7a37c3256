// Quantization: f32 to the blocks of a file, the inverse of core/tensor/dequantize.h.
//
// Every type is a grid: the values that its blocks can spell. To quantize is to choose the scale (and
// minimum) of a block, then the nearest grid point of each element. Rounding to the grid of the
// largest magnitude is what a naive quantizer does; ours looks for the scales with the least weighted
// squared error (core/tensor/quantize_fit.h), which is worth up to half a bit.
//
// The same input gives the same bytes on every host: f32 arithmetic in one fixed order, nothing
// fused.
#pragma once

#include "core/base/result.h"
#include "core/base/span.h"
#include "core/tensor/dtype.h"

namespace lbm {

// True where quantize() knows the type: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K to Q6_K,
// IQ4_NL and IQ4_XS.
[[nodiscard]] bool can_quantize(DType type);

// The largest magnitude that every type but F32 and BF16 takes: that of binary16, in which they
// keep their scales. Weights of a working model are a thousand times smaller.
inline constexpr f32 kMaxQuantizable = 65504.0f;

// Quantizes `values`, whole blocks, to `blocks` as a file stores them.
// `importance` is empty, or says of each value how much an error in it costs: the mean square of the
// activation that it is multiplied with ("imatrix"). Only ratios within a block matter.
// Errors: kUnsupported  can_quantize(type) is false.
//         kMismatch     the sizes are not those of the same whole blocks.
//         kNumeric      a value is NaN or infinite, or larger than the type takes; an importance
//                       is not finite or negative. with() is its index. `blocks` is untouched.
[[nodiscard]] Status quantize(DType type, Span<const f32> values, Span<const f32> importance,
                              Span<u8> blocks);

}  // namespace lbm
