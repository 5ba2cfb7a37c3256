#include "core/infer/rope.h"

#include "core/base/fmath.h"

namespace lbm {
namespace {

constexpr f64 kPi = 3.14159265358979323846;

// The dimension whose wavelength makes `n_turn` full turns over the original context.
f64 correction_dim(const RopeConfig& c, f64 n_turn) {
  return static_cast<f64>(c.n_rot) *
         log_f64(static_cast<f64>(c.n_ctx_orig) / (n_turn * 2.0 * kPi)) /
         (2.0 * log_f64(c.freq_base));
}

// 1 below `low`, 0 above `high`: how much of a pair keeps its own frequency.
f64 extrapolated_share(const RopeConfig& c, u32 pair) {
  f64 low = floor_f64(correction_dim(c, c.yarn_beta_fast));
  f64 high = -floor_f64(-correction_dim(c, c.yarn_beta_slow));
  const f64 last = static_cast<f64>(c.n_rot - 1);
  low = low > 0.0 ? low : 0.0;
  high = high < last ? high : last;
  const f64 span = high - low > 0.001 ? high - low : 0.001;
  f64 ramp = (static_cast<f64>(pair) - low) / span;
  ramp = ramp < 0.0 ? 0.0 : (ramp > 1.0 ? 1.0 : ramp);
  return (1.0 - ramp) * c.yarn_ext_factor;
}

}  // namespace

Result<Rope> Rope::create(Arena& arena, const RopeConfig& config, const f32* factors) {
  Rope rope;
  rope.layout_ = config.layout;
  Result<Span<f64>> frequencies = arena.take<f64>(config.n_rot / 2, "RoPE frequencies");
  if (!frequencies.ok()) return frequencies.error();
  rope.frequencies_ = frequencies.value();
  for (u32 pair = 0; pair < config.n_rot / 2; ++pair) {
    f64 own =
        pow_f64(config.freq_base, -2.0 * static_cast<f64>(pair) / static_cast<f64>(config.n_rot));
    if (factors != nullptr) own = own / static_cast<f64>(factors[pair]);
    const f64 scaled = own * config.freq_scale;
    f64 frequency = scaled;
    if (config.yarn_ext_factor != 0.0) {
      const f64 share = extrapolated_share(config, pair);
      frequency = scaled * (1.0 - share) + own * share;
    }
    rope.frequencies_[pair] = frequency;
  }
  rope.magnitude_ = config.attn_factor;
  if (config.yarn_ext_factor != 0.0 && config.freq_scale < 1.0) {
    rope.magnitude_ = rope.magnitude_ * (1.0 + 0.1 * log_f64(1.0 / config.freq_scale));
  }
  return rope;
}

void Rope::angles(u32 pos, f32* out) const {
  const usize n_pair = frequencies_.size();
  const bool halves = layout_ == RopeLayout::kHalves;
  for (usize i = 0; i < n_pair; ++i) {
    const SinCos at = sincos_f64(static_cast<f64>(pos) * frequencies_[i]);
    out[halves ? i : 2 * i] = static_cast<f32>(at.cos * magnitude_);
    out[halves ? n_pair + i : 2 * i + 1] = static_cast<f32>(at.sin * magnitude_);
  }
}

}  // namespace lbm
