// The tensors of recurrent layers.
#include "core/model/weight_binder.h"

namespace lbm {
namespace {

// Taps are read as their F32 tiles lie (core/model/recurrent_weights.h); every converter writes
// them so, and no quantizer touches them.
void bind_taps(WeightBinder& binder, Str name, u32 n_tap, u32 n_channel, Matrix& out) {
  binder.matrix(name, n_tap, n_channel, out);
  if (out.dtype == DType::kF32) return;
  binder.keep(fail(ErrorCode::kBadType, "taps of a convolution must be F32")
                  .about(name)
                  .at(binder.place_of(name)));
}

void bind_short_conv(WeightBinder& binder, const ModelConfig& c, u32 index,
                     ShortConvWeights& weights) {
  LayerName name(index);
  const u32 n = c.n_embd;
  Matrix* const thirds[] = {&weights.in_b, &weights.in_c, &weights.in_x};
  for (u32 i = 0; i < 3; ++i)
    binder.matrix_rows(name("shortconv.in_proj.weight"), n, {i * n, n, 3 * n}, *thirds[i]);
  bind_taps(binder, name("shortconv.conv.weight"), c.short_conv.n_tap, n, weights.taps);
  binder.matrix(name("shortconv.out_proj.weight"), n, n, weights.out);
}

void bind_delta_net(WeightBinder& binder, const ModelConfig& c, u32 index,
                    DeltaNetWeights& weights) {
  LayerName name(index);
  const DeltaNetConfig& net = c.delta_net;
  const u32 n_head = net.n_value_head;
  if (net.grouped && binder.has(name("ssm_in.weight"))) {
    binder.matrix(name("ssm_in.weight"), c.n_embd, net.n_channel() + net.n_value(), weights.mixed);
  } else {
    binder.matrix(name("attn_qkv.weight"), c.n_embd, net.n_channel(), weights.qkv);
    binder.matrix(name("attn_gate.weight"), c.n_embd, net.n_value(), weights.gate);
  }
  if (net.grouped) {
    binder.matrix(name("ssm_ba.weight"), c.n_embd, 2 * n_head, weights.beta_alpha);
  } else {
    binder.matrix(name("ssm_beta.weight"), c.n_embd, n_head, weights.beta);
    binder.matrix(name("ssm_alpha.weight"), c.n_embd, n_head, weights.alpha);
  }
  bind_taps(binder, name("ssm_conv1d.weight"), net.n_tap, net.n_channel(), weights.taps);
  binder.vector(name("ssm_dt.bias"), n_head, weights.decay_bias);
  binder.vector(name("ssm_a"), n_head, weights.decay_rate);
  binder.vector(name("ssm_norm.weight"), net.value_dim, weights.norm);
  binder.matrix(name("ssm_out.weight"), net.n_value(), c.n_embd, weights.out);
}

}  // namespace

void bind_recurrent(WeightBinder& binder, const ModelConfig& config, u32 layer, LayerWeights& out) {
  if (config.layers[layer].kind == LayerKind::kShortConv) {
    bind_short_conv(binder, config, layer, out.short_conv);
  } else {
    bind_delta_net(binder, config, layer, out.delta_net);
  }
}

}  // namespace lbm
