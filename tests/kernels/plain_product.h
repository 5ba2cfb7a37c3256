// The plain definition of what the kernels compute (docs/numerics.md, R3 to R8): activations
// quantized one by one, a dot product as one sum after the other.
#pragma once

#include "kernels/kernel_table.h"
#include "tests/kernels/plain_block.h"

namespace lbm::test {

// To the nearest integer, ties to even; |v| < 2^22.
inline i32 plain_round(f32 v) {
  const f32 magnitude = v < 0 ? -v : v;
  i32 whole = static_cast<i32>(magnitude);
  const f32 rest = magnitude - static_cast<f32>(whole);  // exact
  if (rest > 0.5f || (rest == 0.5f && whole % 2 == 1)) ++whole;
  return v < 0 ? -whole : whole;
}

// R3. `x` holds 32 finite values.
inline ActivationBlock plain_quantize(const f32* x) {
  ActivationBlock out = {};
  f32 largest = 0;
  for (u32 i = 0; i < kBlockSize; ++i) {
    const f32 magnitude = x[i] < 0 ? -x[i] : x[i];
    if (magnitude > largest) largest = magnitude;
  }
  out.d = largest / 127.0f;
  const f32 inverse = largest >= 0x1p-100f ? 127.0f / largest : 0.0f;
  for (u32 i = 0; i < kBlockSize; ++i) {
    const i32 q = plain_round(x[i] * inverse);
    out.q[i] = static_cast<i8>(q);
    (i < 16 ? out.sum_low : out.sum_high) += q;
  }
  out.sx = out.d * static_cast<f32>(out.sum_low + out.sum_high);
  out.raised_start = -128 * (out.sum_low + out.sum_high);
  return out;
}

// R5 and R6: the sum after one more block.
inline f32 plain_step(f32 acc, const PlainBlock& w, const ActivationBlock& x) {
  i32 low = 0;
  i32 high = 0;
  for (u32 i = 0; i < 16; ++i) low += w.q[i] * x.q[i];
  for (u32 i = 16; i < 32; ++i) high += w.q[i] * x.q[i];
  switch (w.step) {
    case PlainStep::kScale: return acc + (w.d * x.d) * static_cast<f32>(low + high);
    case PlainStep::kScaleMin:
      acc = acc + (w.d * x.d) * static_cast<f32>(low + high);
      return acc + w.m * x.sx;
    case PlainStep::kHalves:
      return acc + (w.d * x.d) * static_cast<f32>(w.scale[0] * low + w.scale[1] * high);
    case PlainStep::kHalvesMin:
      acc = acc + (w.d * x.d) * static_cast<f32>(w.scale[0] * low + w.scale[1] * high);
      return acc +
             (w.m * x.d) * static_cast<f32>(w.minimum[0] * x.sum_low + w.minimum[1] * x.sum_high);
    case PlainStep::kTwoSteps:
      acc = acc + (w.d * x.d) * static_cast<f32>(low);
      return acc + (w.d_high * x.d) * static_cast<f32>(high);
  }
  return acc;
}

// y[token * y_stride] = row . x[token], for all tokens; `x` and its stride in bytes as in
// MatmulArgs.
inline void plain_product(DType type, const u8* row, u32 n_col, const u8* x, usize x_stride,
                          u32 n_token, f32* y, usize y_stride) {
  const bool quantized = dtype_traits(type).block_size != 1;
  for (u32 t = 0; t < n_token; ++t) y[t * y_stride] = 0.0f;
  for (u32 b = 0; quantized && b < n_col / kBlockSize; ++b) {
    const PlainBlock w = plain_block(type, row, b);
    for (u32 t = 0; t < n_token; ++t) {
      const ActivationBlock* block = reinterpret_cast<const ActivationBlock*>(x + t * x_stride) + b;
      y[t * y_stride] = plain_step(y[t * y_stride], w, *block);
    }
  }
  for (u32 k = 0; !quantized && k < n_col; ++k) {
    const f32 w = plain_element(type, row, k);
    for (u32 t = 0; t < n_token; ++t) {
      const f32* element = reinterpret_cast<const f32*>(x + t * x_stride) + k;
      y[t * y_stride] = y[t * y_stride] + w * *element;
    }
  }
}

}  // namespace lbm::test
