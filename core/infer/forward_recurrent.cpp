// The recurrent layers of the forward pass: short convolution and gated delta net (R17).
//
// Projections go through the matrices for the whole batch; what depends on the tokens before goes
// token by token, and cores share out channels or heads.
#include "core/base/fmath.h"
#include "core/infer/forward.h"
#include "core/infer/parallel.h"

namespace lbm {

static_assert(kMaxConvTaps <= kMaxTaps);

void Forward::recurrent_block(u32 layer) {
  if (model_.config.layers[layer].kind == LayerKind::kShortConv) {
    short_conv_block(layer);
  } else {
    delta_net_block(layer);
  }
}

// delta = out (c * conv(b * x))
void Forward::short_conv_block(u32 layer) {
  const ShortConvWeights& w = model_.weights.layers[layer].short_conv;
  const u32 n_embd = model_.config.n_embd;
  const ActivationRows& input =
      block_input(model_.weights.layers[layer].attn_norm, is_quantized(w.in_x));
  trace(layer, "attn_norm", input, n_embd);
  const ActivationRows& b = buffers_.recurrent_gate;
  const ActivationRows& c = buffers_.recurrent_out;
  const ActivationRows& x = buffers_.recurrent_in;
  multiply({{&w.in_b, &w.in_c, &w.in_x}, {&b, &c, &x}, 3}, input);
  convolve(layer, w.taps, {b.data, c.data, c.data, false});
  trace(layer, "conv", c, n_embd);
  if (is_quantized(w.out)) quantize(c, n_embd);
  multiply({{&w.out}, {&buffers_.delta}, 1}, c);
}

// delta = out (norm(delta rule(q, k, v)) * silu(gate)), where q, k and v are convolved.
void Forward::delta_net_block(u32 layer) {
  const DeltaNetWeights& w = model_.weights.layers[layer].delta_net;
  const DeltaNetConfig& net = model_.config.delta_net;
  const bool quantized = is_quantized(w.qkv) || is_quantized(w.gate) || is_quantized(w.mixed) ||
                         is_quantized(w.beta) || is_quantized(w.alpha) ||
                         is_quantized(w.beta_alpha);
  const ActivationRows& input = block_input(model_.weights.layers[layer].attn_norm, quantized);
  trace(layer, "attn_norm", input, model_.config.n_embd);
  const ActivationRows& qkv = buffers_.recurrent_in;
  const ActivationRows& out = buffers_.recurrent_out;
  project_delta_net(w, input);
  convolve(layer, w.taps, {nullptr, nullptr, qkv.data, true});
  trace(layer, "conv", qkv, net.n_channel());
  parallel(workers_, n_token_, [&](u32 token) { prepare_delta_net(w, token); });
  parallel(workers_, net.n_value_head, [&](u32 head) { run_delta_net(layer, head); });
  end_part(ForwardPart::kAttention);
  trace(layer, "delta_net", out, net.n_value());
  if (is_quantized(w.out)) quantize(out, net.n_value());
  multiply({{&w.out}, {&buffers_.delta}, 1}, out);
}

void Forward::project_delta_net(const DeltaNetWeights& w, const ActivationRows& input) {
  const ActivationRows& qkv = buffers_.recurrent_in;
  const ActivationRows& gate = buffers_.recurrent_gate;
  const ActivationRows& heads = buffers_.head_gates;
  if (w.mixed.present()) {
    multiply({{&w.mixed, &w.beta_alpha}, {&buffers_.recurrent_mixed, &heads}, 2}, input);
    parallel(workers_, n_token_, [&](u32 token) { separate_mixed(token); });
    return;
  }
  if (w.beta_alpha.present()) {
    multiply({{&w.qkv, &w.gate, &w.beta_alpha}, {&qkv, &gate, &heads}, 3}, input);
    return;
  }
  const ActivationRows alpha = {heads.data + Activations::head_gate_stride(model_.config),
                                heads.stride};
  multiply({{&w.qkv, &w.gate}, {&qkv, &gate}, 2}, input);
  multiply({{&w.beta, &w.alpha}, {&heads, &alpha}, 2}, input);
}

// From key head by key head to all queries, all keys, all values; and all gates.
void Forward::separate_mixed(u32 token) {
  const DeltaNetConfig& net = model_.config.delta_net;
  const u32 n_value = net.n_value() / net.n_key_head;
  const f32* from = buffers_.recurrent_mixed.row(token);
  f32* const in = buffers_.recurrent_in.row(token);
  for (u32 head = 0; head < net.n_key_head; ++head) {
    const auto take = [&](f32* to, u32 n) {
      __builtin_memcpy(to, from, n * sizeof(f32));
      from += n;
    };
    take(in + head * net.key_dim, net.key_dim);
    take(in + net.n_key() + head * net.key_dim, net.key_dim);
    take(in + 2 * net.n_key() + head * n_value, n_value);
    take(buffers_.recurrent_gate.row(token) + head * n_value, n_value);
  }
}

// The convolution of all channels of recurrent_in; cores share out the channels, 16 at a time.
void Forward::convolve(u32 layer, const Matrix& taps, const Convolution& with) {
  const RecurrentState::Layer state = recurrent_.layer(layer);
  const u32 n_tile = taps.n_tile();
  const u32 n_worker = workers_.n_worker();
  const u32 n_task = n_worker == 1 ? 1 : min_u32(n_tile, n_worker * kTasksPerWorker);
  parallel(workers_, n_task, [&](u32 task) {
    const u32 begin = static_cast<u32>(static_cast<u64>(n_tile) * task / n_task) * kTileRows;
    const u32 end = min_u32(
        static_cast<u32>(static_cast<u64>(n_tile) * (task + 1) / n_task) * kTileRows, taps.n_row);
    kernels_.conv({reinterpret_cast<const f32*>(taps.tiles), taps.n_col, begin, end - begin,
                   n_token_, state.in, state.out, recurrent_.tail_stride(),
                   buffers_.recurrent_in.data, with.before, with.after, with.out,
                   buffers_.recurrent_in.stride, with.silu});
    for (u32 token = 0; token < n_token_; ++token)
      check_finite(with.out + token * buffers_.recurrent_in.stride + begin, end - begin);
  });
  end_part(ForwardPart::kAttention);
}

// An infinite input of a convolution, or element of a state, makes what it gives infinite or NaN,
// too, now and for ever after: seen here, it never stays in a state that is kept.
void Forward::check_finite(const f32* row, u32 n) {
  if (!kernels_.all_finite(row, n)) __atomic_store_n(&finite_, false, __ATOMIC_RELAXED);
}

// Norms of a token's queries and keys; how much each value head forgets and takes in.
void Forward::prepare_delta_net(const DeltaNetWeights& w, u32 token) {
  const DeltaNetConfig& net = model_.config.delta_net;
  const f32 eps = model_.config.norm_eps;
  const f32 scale = 1.0f / sqrt_f32(static_cast<f32>(net.key_dim));
  f32* const q = buffers_.recurrent_in.row(token);
  f32* const k = q + net.n_key();
  for (u32 i = 0; i < net.n_key(); i += net.key_dim) {
    kernels_.l2_norm(q + i, net.key_dim, eps, scale, q + i);
    kernels_.l2_norm(k + i, net.key_dim, eps, 1.0f, k + i);
  }
  const u32 stride = Activations::head_gate_stride(model_.config);
  const u32 n_group = net.n_value_head / net.n_key_head;
  const f32* const raw = buffers_.head_gates.row(token);
  f32* const beta = buffers_.head_gates.row(token) + 2 * stride;
  f32* const decay = beta + stride;
  for (u32 head = 0; head < net.n_value_head; ++head) {
    const u32 at = net.grouped ? head / n_group * 2 * n_group + head % n_group : head;
    const f32 alpha = raw[at + (net.grouped ? n_group : stride)];
    beta[head] = sigmoid_f32(raw[at]);
    decay[head] = exp_f32(w.decay_rate[head] * softplus_f32(alpha + w.decay_bias[head]));
  }
}

// One value head through all tokens of the batch, and the gated norm of what it gives.
void Forward::run_delta_net(u32 layer, u32 head) {
  const DeltaNetConfig& net = model_.config.delta_net;
  const RecurrentState::Layer state = recurrent_.layer(layer);
  const usize matrix = recurrent_.matrix_offset(head);
  const u32 key_head =
      net.grouped ? head / (net.n_value_head / net.n_key_head) : head % net.n_key_head;
  const f32* const q = buffers_.recurrent_in.data + key_head * net.key_dim;
  const usize first = static_cast<usize>(head) * net.value_dim;
  const f32* const v = buffers_.recurrent_in.data + 2 * net.n_key() + first;
  const f32* const beta =
      buffers_.head_gates.data + 2 * Activations::head_gate_stride(model_.config) + head;
  kernels_.delta_net({state.in + matrix, state.out + matrix, recurrent_.row_stride(), net.key_dim,
                      net.value_dim, n_token_, q, q + net.n_key(), v, buffers_.recurrent_in.stride,
                      beta + Activations::head_gate_stride(model_.config), beta,
                      buffers_.head_gates.stride, buffers_.recurrent_out.data + first,
                      buffers_.recurrent_out.stride});
  const f32* const weight = model_.weights.layers[layer].delta_net.norm;
  for (u32 token = 0; token < n_token_; ++token) {
    f32* const out = buffers_.recurrent_out.row(token) + first;
    kernels_.rms_norm(out, weight, net.value_dim, model_.config.norm_eps, out);
    kernels_.silu_mul(buffers_.recurrent_gate.row(token) + first, out, net.value_dim, out);
    check_finite(out, net.value_dim);
  }
}

}  // namespace lbm
