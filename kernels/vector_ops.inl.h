// The operations between matrix products: quantizing activations (R3), RMSNorm (R11), RoPE (R13).
// Activation functions and the other operations on rows are in activation_ops.inl.h.

// 32 elements as integers in [-127, 127] and what one of them stands for (R3). Adding 1.5 * 2^23
// rounds to nearest even and leaves the integer in the low bits; |v| <= 127 always fits.
struct Quantized {
  I32x16 low;
  I32x16 high;
};
LBM_LANE I32x16 magnitude_bits(F32x16 v) { return i_and(f_bits(v), i_splat(0x7fffffff)); }
LBM_LANE I32x16 magnitude_bits(F32x16 low, F32x16 high) {
  return i_max(magnitude_bits(low), magnitude_bits(high));
}
typedef float Fours __attribute__((vector_size(16)));
LBM_LANE Fours inverse_scales(Fours amax) {
  const Fours smallest = Fours{} + 0x1p-100f;
  return amax >= smallest ? 127.0f / amax : Fours{};
}
LBM_LANE Quantized quantize_lanes(F32x16 low, F32x16 high, f32 id) {
  const F32x16 magic = f_splat(12582912.0f);
  return {round_to_int(low * f_splat(id) + magic), round_to_int(high * f_splat(id) + magic)};
}

// Four blocks at a time, which share their folds and divisions.
constexpr u32 kQuantizeBlocks = 4;
LBM_LANE bool quantize_blocks(const f32* x, ActivationBlock* out) {
  F32x16 lanes[kQuantizeBlocks];
  f32 largest[kQuantizeBlocks];
  for (u32 b = 0; b < kQuantizeBlocks; ++b) {
    const f32* block = x + b * kBlockSize;
    lanes[b] = f_from_bits(magnitude_bits(f_load(block), f_load(block + kLanes)));
  }
  fold_four<MaxIntegers>(lanes, largest);
  bool finite = true;
  for (const f32 amax : largest) finite = finite & (__builtin_bit_cast(i32, amax) < 0x7f800000);
  if (!finite) return false;
  Fours amax;
  __builtin_memcpy(&amax, largest, sizeof(amax));
  const Fours d = amax / 127.0f;
  const Fours id = inverse_scales(amax);
  F32x16 high_lanes[kQuantizeBlocks];
  for (u32 b = 0; b < kQuantizeBlocks; ++b) {
    const f32* block = x + b * kBlockSize;
    const Quantized q = quantize_lanes(f_load(block), f_load(block + kLanes), id[b]);
    i_store_bytes(out[b].q, q.low);
    i_store_bytes(out[b].q + kLanes, q.high);
    lanes[b] = f_from_bits(q.low);
    high_lanes[b] = f_from_bits(q.high);
  }
  i32 sum_low[kQuantizeBlocks];
  i32 sum_high[kQuantizeBlocks];
  f32 bits[kQuantizeBlocks];
  fold_four<AddIntegers>(lanes, bits);
  __builtin_memcpy(sum_low, bits, sizeof(bits));
  fold_four<AddIntegers>(high_lanes, bits);
  __builtin_memcpy(sum_high, bits, sizeof(bits));
  for (u32 b = 0; b < kQuantizeBlocks; ++b) {
    const i32 sum = sum_low[b] + sum_high[b];
    out[b].d = d[b];
    out[b].sx = d[b] * static_cast<f32>(sum);
    out[b].sum_low = sum_low[b];
    out[b].sum_high = sum_high[b];
    out[b].raised_start = -128 * sum;
    for (i32& unused : out[b].padding) unused = 0;
  }
  return true;
}

bool quantize_row(const f32* x, u32 n, ActivationBlock* out) {
  const u32 n_block = n / kBlockSize;
  if (n_block < kQuantizeBlocks) {
    f32 padded[kQuantizeBlocks * kBlockSize] = {};
    ActivationBlock blocks[kQuantizeBlocks] = {};
    __builtin_memcpy(padded, x, n_block * kBlockSize * sizeof(f32));
    const bool finite = quantize_blocks(padded, blocks);
    __builtin_memcpy(out, blocks, n_block * sizeof(ActivationBlock));
    return finite;
  }
  bool finite = true;
  for (u32 b = 0; b < n_block; b += kQuantizeBlocks) {
    // The last four again where fewer are left: the same values in the same places.
    const u32 first = b + kQuantizeBlocks <= n_block ? b : n_block - kQuantizeBlocks;
    finite = quantize_blocks(x + first * kBlockSize, out + first) && finite;
  }
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

// A pair and its cosine and sine are 64 bits each, so the lanes find each other by shifts inside
// them: x0 * c + (-(x1 * s)) and x1 * c + x0 * s are the two results of R13.
typedef unsigned long long PairPart __attribute__((vector_size(4 * kPart)));

void rope_neighbours(f32* x, const f32* cos_sin, u32 n_rot) {
  u32 i = 0;
  for (; i + kPart <= n_rot; i += kPart) {
    PairPart angle;
    PairPart pair;
    __builtin_memcpy(&angle, cos_sin + i, sizeof(angle));
    __builtin_memcpy(&pair, x + i, sizeof(pair));
    const PairPart cosine = (angle & 0xffffffffull) | (angle << 32);
    const PairPart sine = (angle >> 32) | (angle & 0xffffffff00000000ull);
    const PairPart swapped = (pair >> 32) | (pair << 32);
    const FPart along = __builtin_bit_cast(FPart, pair) * __builtin_bit_cast(FPart, cosine);
    const FPart across = __builtin_bit_cast(FPart, swapped) * __builtin_bit_cast(FPart, sine);
    const FPart sum =
        along + __builtin_bit_cast(FPart, __builtin_bit_cast(PairPart, across) ^ 0x80000000ull);
    __builtin_memcpy(x + i, &sum, sizeof(sum));
  }
  for (; i < n_rot; i += 2) {
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
  for_lanes(n_pair, [&](u32 i, u32 n_lane) {
    const F32x16 c = load_lanes(cos_sin + i, n_lane);
    const F32x16 s = load_lanes(cos_sin + n_pair + i, n_lane);
    const F32x16 x0 = load_lanes(x + i, n_lane);
    const F32x16 x1 = load_lanes(x + n_pair + i, n_lane);
    store_lanes(x + i, x0 * c - x1 * s, n_lane);
    store_lanes(x + n_pair + i, x0 * s + x1 * c, n_lane);
  });
}

bool all_finite(const f32* x, u32 n) {
  I32x16 largest = i_splat(0);
  for_lanes(n, [&](u32 i, u32 n_lane) {
    largest = i_max(largest, magnitude_bits(load_lanes(x + i, n_lane)));
  });
  return i_fold_max(largest) < 0x7f800000;
}
