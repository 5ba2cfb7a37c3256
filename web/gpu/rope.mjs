// The angles of RoPE, as core/infer/rope.cpp makes them: frequencies and angles in f64, the finished
// cosine and sine rounded to f32 once.

// The dimension whose wavelength makes `nTurn` full turns over the original context.
const correctionDim = (rope, nTurn) =>
  (rope.n_rot * Math.log(rope.n_ctx_orig / (nTurn * 2 * Math.PI))) / (2 * Math.log(rope.freq_base));

// 1 below the fast limit, 0 above the slow one: how much of a pair keeps its own frequency (YaRN).
function extrapolatedShare(rope, pair) {
  const low = Math.max(0, Math.floor(correctionDim(rope, rope.yarn_beta_fast)));
  const high = Math.min(rope.n_rot - 1, Math.ceil(correctionDim(rope, rope.yarn_beta_slow)));
  const ramp = (pair - low) / Math.max(high - low, 0.001);
  return (1 - Math.min(1, Math.max(0, ramp))) * rope.yarn_ext_factor;
}

export class Rope {
  #frequencies;
  #magnitude;

  // `rope`: of the model's description; `factors` (n_rot / 2, or null) divides the frequencies.
  constructor(rope, factors) {
    this.nPair = rope.n_rot / 2;
    this.#frequencies = Float64Array.from({ length: this.nPair }, (_, pair) => {
      const own = rope.freq_base ** ((-2 * pair) / rope.n_rot) / (factors ? factors[pair] : 1);
      const scaled = own * rope.freq_scale;
      if (rope.yarn_ext_factor === 0) return scaled;
      const share = extrapolatedShare(rope, pair);
      return scaled * (1 - share) + own * share;
    });
    const stretched = rope.yarn_ext_factor !== 0 && rope.freq_scale < 1;
    this.#magnitude = rope.attn_factor * (stretched ? 1 + 0.1 * Math.log(1 / rope.freq_scale) : 1);
  }

  // (cosine, sine) of every pair for `nToken` positions, into `out` from `at` on.
  angles(firstPos, nToken, out, at) {
    for (let token = 0; token < nToken; ++token) {
      for (let pair = 0; pair < this.nPair; ++pair) {
        const angle = (firstPos + token) * this.#frequencies[pair];
        out[at++] = Math.cos(angle) * this.#magnitude;
        out[at++] = Math.sin(angle) * this.#magnitude;
      }
    }
  }
}
