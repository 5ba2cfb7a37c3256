// Layers with a state (R17): convolution over the newest inputs of each channel, and the gated
// delta rule. Tokens go one after the other; lanes never meet.

template <bool kSilu>
LBM_LANE void conv_lanes(const ConvArgs& args, u32 channel, u32 n_lane) {
  const u32 newest = args.n_tap - 1;
  F32x16 taps[kMaxTaps];
  F32x16 window[kMaxTaps];  // the oldest input first
  const f32* tile = args.taps + static_cast<usize>(channel) * args.n_tap;
  for (u32 tap = 0; tap <= newest; ++tap) taps[tap] = f_load(tile + tap * kLanes);
  for (u32 tap = 0; tap < newest; ++tap)
    window[tap] = f_load(args.tail_in + tap * args.tail_stride + channel);
  for (u32 token = 0; token < args.n_token; ++token) {
    const usize at = token * args.stride + channel;
    F32x16 x = load_lanes(args.x + at, n_lane);
    if (args.before != nullptr) x = load_lanes(args.before + at, n_lane) * x;
    window[newest] = x;
    F32x16 sum = f_zero();
    for (u32 tap = 0; tap <= newest; ++tap) sum = sum + taps[tap] * window[tap];
    for (u32 tap = 0; tap < newest; ++tap) window[tap] = window[tap + 1];
    if constexpr (kSilu) sum = silu_f32(sum);
    if (args.after != nullptr) sum = load_lanes(args.after + at, n_lane) * sum;
    store_lanes(args.y + at, sum, n_lane);
  }
  for (u32 tap = 0; tap < newest; ++tap)
    f_store(args.tail_out + tap * args.tail_stride + channel, window[tap]);
}

void conv(const ConvArgs& args) {
  for_lanes(args.n_channel, [&](u32 i, u32 n_lane) {
    if (args.silu) {
      conv_lanes<true>(args, args.first_channel + i, n_lane);
    } else {
      conv_lanes<false>(args, args.first_channel + i, n_lane);
    }
  });
}

void l2_norm(const f32* x, u32 n, f32 eps, f32 factor, f32* y) {
  F32x16 squares = f_zero();
  for_lanes(n, [&](u32 i, u32 n_lane) {
    const F32x16 v = load_lanes(x + i, n_lane);
    squares = squares + v * v;
  });
  const F32x16 inverse = f_splat(1.0f / __builtin_sqrtf(fold(squares) + eps));
  for_lanes(n, [&](u32 i, u32 n_lane) {
    store_lanes(y + i, (load_lanes(x + i, n_lane) * inverse) * f_splat(factor), n_lane);
  });
}

// Groups of 16 lanes that go through the rows of S together: their sums are independent, which
// hides the time that one addition takes.
constexpr u32 kDeltaGroups = kPart == 16 ? 8 : kPart == 8 ? 4 : 2;

// Two passes over S for each token: what the key finds in the decayed state, then the new state and
// what the query finds in it. The first pass writes nothing; decaying twice costs less than storing
// in between. The lanes go through all tokens before the next ones do, so their part of S stays
// near.
template <u32 kGroups>
LBM_APART void delta_net_lanes(const DeltaNetArgs& args, u32 lane) {
  const f32* from = args.state_in + lane;
  f32* const to = args.state_out + lane;
  for (u32 token = 0; token < args.n_token; ++token) {
    const f32* q = args.q + token * args.stride;
    const f32* k = args.k + token * args.stride;
    const F32x16 decay = f_splat(args.decay[token * args.gate_stride]);
    const F32x16 beta = f_splat(args.beta[token * args.gate_stride]);
    F32x16 sum[kGroups];
    _Pragma("GCC unroll 8") for (F32x16& s : sum) s = f_zero();
    for (u32 i = 0; i < args.key_dim; ++i) {
      const F32x16 key = f_splat(k[i]);
      const f32* row = from + i * args.state_stride;
      _Pragma("GCC unroll 8") for (u32 g = 0; g < kGroups; ++g) {
        sum[g] = sum[g] + (f_load(row + g * kLanes) * decay) * key;
      }
    }
    F32x16 delta[kGroups];
    _Pragma("GCC unroll 8") for (u32 g = 0; g < kGroups; ++g) {
      const u32 first = lane + g * kLanes;
      const F32x16 v =
          load_lanes(args.v + token * args.stride + first, min_of(kLanes, args.value_dim - first));
      delta[g] = (v - sum[g]) * beta;
      sum[g] = f_zero();
    }
    for (u32 i = 0; i < args.key_dim; ++i) {
      const F32x16 key = f_splat(k[i]);
      const F32x16 query = f_splat(q[i]);
      const usize row = i * args.state_stride;
      _Pragma("GCC unroll 8") for (u32 g = 0; g < kGroups; ++g) {
        const F32x16 state = f_load(from + row + g * kLanes) * decay + key * delta[g];
        f_store(to + row + g * kLanes, state);
        sum[g] = sum[g] + state * query;
      }
    }
    _Pragma("GCC unroll 8") for (u32 g = 0; g < kGroups; ++g) {
      const u32 first = lane + g * kLanes;
      store_lanes(args.out + token * args.out_stride + first, sum[g],
                  min_of(kLanes, args.value_dim - first));
    }
    from = to;
  }
}

void delta_net(const DeltaNetArgs& args) {
  u32 lane = 0;
  for (; lane + kDeltaGroups * kLanes <= args.value_dim; lane += kDeltaGroups * kLanes)
    delta_net_lanes<kDeltaGroups>(args, lane);
  for (; lane < args.value_dim; lane += kLanes) delta_net_lanes<1>(args, lane);
}
