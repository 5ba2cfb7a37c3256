// The operations on one row that are not a sum over weights: activation functions (R12), norms that
// need a mean (R11), soft cap and softmax.
//
// Every function here takes each element through the same operations whatever its lane; lanes
// beyond n are neither read nor written, and add nothing to a sum.

// The lanes from n on become `fill`.
LBM_LANE F32x16 with_absent(F32x16 v, u32 n, f32 fill) {
  f32 lane[kLanes];
  f_store(lane, v);
  for (u32 i = n; i < kLanes; ++i) lane[i] = fill;
  return f_load(lane);
}
LBM_LANE F32x16 keep_present(F32x16 v, u32 n) { return n == kLanes ? v : with_absent(v, n, 0.0f); }

// y[i] = f(x[i]), and y[i] = f(a[i], b[i]).
template <class F>
LBM_LANE void map_lanes(const f32* x, u32 n, f32* y, F f) {
  for_lanes(n,
            [&](u32 i, u32 n_lane) { store_lanes(y + i, f(load_lanes(x + i, n_lane)), n_lane); });
}
template <class F>
LBM_LANE void map_lanes(const f32* a, const f32* b, u32 n, f32* y, F f) {
  for_lanes(n, [&](u32 i, u32 n_lane) {
    store_lanes(y + i, f(load_lanes(a + i, n_lane), load_lanes(b + i, n_lane)), n_lane);
  });
}

void layer_norm(const f32* x, const f32* weight, const f32* bias, u32 n, f32 eps, f32* y) {
  F32x16 sum = f_zero();
  for_lanes(n, [&](u32 i, u32 n_lane) { sum = sum + load_lanes(x + i, n_lane); });
  const F32x16 mean = f_splat(fold(sum) / static_cast<f32>(n));
  F32x16 squares = f_zero();
  for_lanes(n, [&](u32 i, u32 n_lane) {
    const F32x16 v = keep_present(load_lanes(x + i, n_lane) - mean, n_lane);
    squares = squares + v * v;
  });
  const f32 variance = fold(squares) / static_cast<f32>(n);
  const F32x16 scale = f_splat(1.0f / __builtin_sqrtf(variance + eps));
  for_lanes(n, [&](u32 i, u32 n_lane) {
    F32x16 v = ((load_lanes(x + i, n_lane) - mean) * scale) * load_lanes(weight + i, n_lane);
    if (bias != nullptr) v = v + load_lanes(bias + i, n_lane);
    store_lanes(y + i, v, n_lane);
  });
}

void silu_mul(const f32* gate, const f32* up, u32 n, f32* y) {
  map_lanes(gate, up, n, y, [](F32x16 g, F32x16 u) { return silu_f32(g) * u; });
}
void gelu_mul(const f32* gate, const f32* up, u32 n, f32* y) {
  map_lanes(gate, up, n, y, [](F32x16 g, F32x16 u) { return gelu_f32(g) * u; });
}
void gelu(f32* x, u32 n) {
  map_lanes(x, n, x, [](F32x16 v) { return gelu_f32(v); });
}

// Comparisons are put so that a NaN passes through.
void relu_squared(f32* x, u32 n) {
  map_lanes(x, n, x, [](F32x16 v) {
    const F32x16 r = select_less(v, f_zero(), f_zero(), v);
    return r * r;
  });
}
void swiglu_clamped(const f32* gate, const f32* up, u32 n, f32* y) {
  map_lanes(gate, up, n, y, [](F32x16 g, F32x16 u) {
    const F32x16 limit = f_splat(kSwigluLimit);
    const F32x16 low = f_splat(-kSwigluLimit);
    g = select_less(limit, g, limit, g);
    u = select_less(limit, u, limit, u);
    u = select_less(u, low, low, u);
    const F32x16 denominator = f_splat(1.0f) + exp_f32(g * f_splat(-kSwigluAlpha));
    return (g / denominator) * (u + f_splat(1.0f));
  });
}

void sigmoid_mul(const f32* gate, f32* x, u32 n) {
  map_lanes(gate, x, n, x, [](F32x16 g, F32x16 v) { return v * sigmoid_f32(g); });
}
void scale(f32* x, f32 factor, u32 n) {
  map_lanes(x, n, x, [factor](F32x16 v) { return v * f_splat(factor); });
}
void add_scaled(f32* x, const f32* y, f32 factor, u32 n) {
  map_lanes(x, y, n, x, [factor](F32x16 a, F32x16 b) { return a + b * f_splat(factor); });
}

LBM_LANE F32x16 capped(F32x16 v, F32x16 cap) { return cap * tanh_f32(v / cap); }
void soft_cap(f32* x, f32 cap, u32 n) {
  map_lanes(x, n, x, [cap](F32x16 v) { return capped(v, f_splat(cap)); });
}

// A NaN or +infinity among the elements makes every result NaN: nothing to look for beforehand.
void softmax(f32* x, u32 n) {
  const f32 lowest = -__builtin_inff();
  F32x16 lanes = f_splat(lowest);
  for_lanes(n, [&](u32 i, u32 n_lane) {
    const F32x16 v = load_lanes(x + i, n_lane);
    lanes = f_max(lanes, n_lane == kLanes ? v : with_absent(v, n_lane, lowest));
  });
  const F32x16 max = f_splat(fold_max(lanes));
  F32x16 sum = f_zero();
  for_lanes(n, [&](u32 i, u32 n_lane) {
    const F32x16 p = exp_nonpositive_f32(load_lanes(x + i, n_lane) - max);
    store_lanes(x + i, p, n_lane);
    sum = sum + keep_present(p, n_lane);
  });
  const F32x16 total = f_splat(fold(sum));
  map_lanes(x, n, x, [total](F32x16 v) { return v / total; });
}
