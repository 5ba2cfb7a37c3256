// Our own elementary functions: the same bits on every host (docs/numerics.md R12). Never <math.h>.
#pragma once

#include "core/base/types.h"

namespace lbm {

// f32, by the formulas of fmath.inl.h that the kernels share.
[[nodiscard]] f32 exp_f32(f32 x);
[[nodiscard]] f32 tanh_f32(f32 x);
[[nodiscard]] f32 sigmoid_f32(f32 x);
[[nodiscard]] f32 silu_f32(f32 x);
[[nodiscard]] f32 gelu_f32(f32 x);
// ln(1 + e^x), formed in f64 and rounded once.
[[nodiscard]] f32 softplus_f32(f32 x);

// f64, for what is computed once per position or per token: RoPE angles, YaRN factors, sampling.
[[nodiscard]] f64 exp_f64(f64 x);
[[nodiscard]] f64 log_f64(f64 x);            // x > 0; 0 gives -infinity, negative and NaN give NaN
[[nodiscard]] f64 pow_f64(f64 base, f64 y);  // base > 0
struct SinCos {
  f64 sin;
  f64 cos;
};
[[nodiscard]] SinCos sincos_f64(f64 x);  // |x| <= 2^30
[[nodiscard]] f64 sqrt_f64(f64 x);
[[nodiscard]] f32 sqrt_f32(f32 x);
[[nodiscard]] f64 floor_f64(f64 x);

}  // namespace lbm
