// The operations between matrix products: quantizing activations (R3), norms (R11), activations
// functions (R12), RoPE (R13).

// Rounds to nearest even and leaves the integer in the low byte: |v| <= 127 always fits the magic
// sum.
LBM_LANE bool quantize_block(const f32* x, ActivationBlock& out) {
  const F32x16 low = f_load(x);
  const F32x16 high = f_load(x + kLanes);
  const I32x16 magnitude = i_splat(0x7fffffff);
  const I32x16 lanes = i_max(i_and(f_bits(low), magnitude), i_and(f_bits(high), magnitude));
  i32 lane[kLanes];
  __builtin_memcpy(lane, &lanes, sizeof(lane));
  i32 amax_bits = lane[0];
  for (u32 i = 1; i < kLanes; ++i) amax_bits = amax_bits > lane[i] ? amax_bits : lane[i];
  if (amax_bits >= 0x7f800000) return false;
  const f32 amax = __builtin_bit_cast(f32, amax_bits);
  const f32 d = amax / 127.0f;
  const f32 id = amax >= 0x1p-100f ? 127.0f / amax : 0.0f;
  i32 q[2 * kLanes];
  const I32x16 low_q = round_to_int(low * f_splat(id) + f_splat(12582912.0f));
  const I32x16 high_q = round_to_int(high * f_splat(id) + f_splat(12582912.0f));
  __builtin_memcpy(q, &low_q, sizeof(low_q));
  __builtin_memcpy(q + kLanes, &high_q, sizeof(high_q));
  i32 sum_low = 0;
  i32 sum_high = 0;
  for (u32 i = 0; i < kLanes; ++i) {
    sum_low += q[i];
    sum_high += q[i + kLanes];
  }
  for (u32 i = 0; i < 2 * kLanes; ++i) out.q[i] = static_cast<i8>(q[i]);
  out.d = d;
  out.sum_low = sum_low;
  out.sum_high = sum_high;
  out.sx = d * static_cast<f32>(sum_low + sum_high);
  return true;
}

bool quantize_row(const f32* x, u32 n, ActivationBlock* out) {
  bool finite = true;
  for (u32 b = 0; b < n / kBlockSize; ++b)
    finite = quantize_block(x + b * kBlockSize, out[b]) && finite;
  return finite;
}

// Calls f(first, n_lane) for the n elements, 16 at a time, the last group shorter.
template <class F>
LBM_LANE void for_lanes(u32 n, F f) {
  u32 i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, kLanes);
  if (i < n) f(i, n - i);
}
LBM_LANE F32x16 load_lanes(const f32* p, u32 n) {
  return n == kLanes ? f_load(p) : f_load_first(p, n);
}
LBM_LANE void store_lanes(f32* p, F32x16 v, u32 n) {
  if (n == kLanes) {
    f_store(p, v);
  } else {
    f_store_first(p, v, n);
  }
}

void rms_norm(const f32* x, const f32* weight, u32 n, f32 eps, f32* y) {
  F32x16 squares = f_zero();
  for_lanes(n, [&](u32 i, u32 n_lane) {
    const F32x16 v = load_lanes(x + i, n_lane);
    squares = squares + v * v;  // an absent lane adds +0 to a sum that is never -0
  });
  const f32 mean = fold(squares) / static_cast<f32>(n);
  const F32x16 scale = f_splat(1.0f / __builtin_sqrtf(mean + eps));
  for_lanes(n, [&](u32 i, u32 n_lane) {
    store_lanes(y + i, (load_lanes(x + i, n_lane) * scale) * load_lanes(weight + i, n_lane),
                n_lane);
  });
}

void add(f32* x, const f32* y, u32 n) {
  for_lanes(n, [&](u32 i, u32 n_lane) {
    store_lanes(x + i, load_lanes(x + i, n_lane) + load_lanes(y + i, n_lane), n_lane);
  });
}

void silu_mul(const f32* gate, const f32* up, u32 n, f32* y) {
  for_lanes(n, [&](u32 i, u32 n_lane) {
    store_lanes(y + i, silu_f32(load_lanes(gate + i, n_lane)) * load_lanes(up + i, n_lane), n_lane);
  });
}

void rope_neighbours(f32* x, const f32* cos_sin, u32 n_rot) {
  for (u32 i = 0; i < n_rot; i += 2) {
    const f32 c = cos_sin[i];
    const f32 s = cos_sin[i + 1];
    const f32 x0 = x[i];
    const f32 x1 = x[i + 1];
    x[i] = x0 * c - x1 * s;
    x[i + 1] = x0 * s + x1 * c;
  }
}

void rope_halves(f32* x, const f32* cos_sin, u32 n_rot) {
  const u32 n_pair = n_rot / 2;
  for (u32 i = 0; i < n_pair; ++i) {
    const f32 c = cos_sin[2 * i];
    const f32 s = cos_sin[2 * i + 1];
    const f32 x0 = x[i];
    const f32 x1 = x[i + n_pair];
    x[i] = x0 * c - x1 * s;
    x[i + n_pair] = x0 * s + x1 * c;
  }
}

bool all_finite(const f32* x, u32 n) {
  I32x16 largest = i_splat(0);
  for_lanes(n, [&](u32 i, u32 n_lane) {
    largest = i_max(largest, i_and(f_bits(load_lanes(x + i, n_lane)), i_splat(0x7fffffff)));
  });
  i32 lane[kLanes];
  __builtin_memcpy(lane, &largest, sizeof(lane));
  for (const i32 bits : lane) {
    if (bits >= 0x7f800000) return false;
  }
  return true;
}
