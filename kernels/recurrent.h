// The layers that carry a state from token to token (R17): what they keep of the tokens before, and
// the arguments of their kernels.
//
// All of them go through the tokens of a batch one after the other, whatever its size; a lane is a
// channel, or an element of a value, so no sum runs across lanes. A state is read from one place
// and left in another, which may be the same: where it is not, the old one stays whole.
#pragma once

#include "core/base/types.h"

namespace lbm {

constexpr u32 kMaxTaps = 16;

// Causal convolution of each channel over its newest n_tap inputs:
//   sum = taps[0] * oldest + ... + taps[n_tap - 1] * newest, and y = after * (silu of) sum
// with inputs x, or before * x.   Source: LFM2 (short convolution), arXiv:2312.00752 (Mamba).
struct ConvArgs {
  const f32* taps;     // F32 row tiles of [n_channel][n_tap]: [n_channel / 16][n_tap][16]
  u32 n_tap;           // 2 .. kMaxTaps
  u32 first_channel;   // a multiple of 16
  u32 n_channel;       // from there on
  u32 n_token;         //
  const f32* tail_in;  // [n_tap - 1][tail_stride]: the inputs before token 0, the oldest first
  f32* tail_out;       // the same after the last token
  usize tail_stride;   // a multiple of 16
  const f32* x;        // [n_token][stride], and the other rows alike
  const f32* before;   // or nullptr
  const f32* after;    // or nullptr
  f32* y;              // may be x
  usize stride;
  bool silu;
};
using ConvFn = void (*)(const ConvArgs& args);

// Gated delta rule of one value head. For each token, with its key k, query q, value v:
//   S = decay * S;  d = beta * (v - S^T k);  S = S + k d^T;  out = S^T q
// Source: arXiv:2412.06464.
struct DeltaNetArgs {
  const f32* state_in;  // S [key_dim][state_stride]
  f32* state_out;
  usize state_stride;  // value_dim rounded up to 16
  u32 key_dim;
  u32 value_dim;
  u32 n_token;
  const f32* q;  // [n_token][stride] each
  const f32* k;
  const f32* v;
  usize stride;
  const f32* decay;  // [n_token][gate_stride], one element of each row
  const f32* beta;
  usize gate_stride;
  f32* out;  // [n_token][out_stride]
  usize out_stride;
};
using DeltaNetFn = void (*)(const DeltaNetArgs& args);

}  // namespace lbm
