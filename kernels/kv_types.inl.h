// The element types of the KV cache: how 16 lanes of keys or values become f32, and how they are
// stored (kernels/attention.h has the layout).
//
// A source stands for one tile of 64 positions. For keys, lanes(k, g) is element k of the positions
// 16 g .. 16 g + 15; for values, elements 16 g .. 16 g + 15 of position k: either way one step of
// 16 sums that run over k. Conversions are exact; q8_0 is the product of the integer and its scale.

constexpr u32 kTileGroups = kAttentionTile / kKvGroup;

// A tile in f32: one that was converted for many rows, or the cache itself.
struct TileSource {
  const f32* base;
  usize step;  // elements from k to k + 1
  usize next;  // elements from g to g + 1

  LBM_LANE F32x16 lanes(u32 k, u32 g) const { return f_load(base + k * step + g * next); }
  LBM_LANE F32x16 lanes_first(u32 k, u32 g, u32 n) const {
    return f_load_first(base + k * step + g * next, n);
  }
  LBM_LANE void prefetch(u32, u32) const {}
};

// Decoding reads keys and values once, from far away: prefetch() asks for the same lanes of the
// next tile.
struct F16Source {
  const u16* base;
  usize step;
  usize next;
  usize tile;  // elements from one tile to the next

  LBM_LANE F32x16 lanes(u32 k, u32 g) const { return LoadF16::lanes(base + k * step + g * next); }
  LBM_LANE F32x16 lanes_first(u32 k, u32 g, u32 n) const {
    return LoadF16::lanes_first(base + k * step + g * next, n);
  }
  LBM_LANE void prefetch(u32 k, u32 g) const {
    __builtin_prefetch(base + k * step + g * next + tile);
  }
};

// Scales are f32 by now, [block][64 positions].
struct Q8Keys {
  const u8* base;  // elements of the first group
  usize group;     // bytes
  const f32* scales;

  LBM_LANE const u8* at(u32 k, u32 g) const { return base + g * group + k * kLanes; }
  LBM_LANE F32x16 lanes(u32 k, u32 g) const {
    return f_from_int(i_from_signed_bytes(b_load(at(k, g)))) *
           f_load(scales + k / kKvBlock * kAttentionTile + g * kLanes);
  }
  LBM_LANE F32x16 lanes_first(u32 k, u32 g, u32) const { return lanes(k, g); }
  LBM_LANE void prefetch(u32 k, u32 g) const { __builtin_prefetch(at(k, g) + kTileGroups * group); }
};
struct Q8Values {
  const u8* base;
  usize group;
  usize head_dim;
  const f32* scales;

  LBM_LANE const u8* at(u32 k, u32 g) const {
    return base + k / kKvGroup * group + k % kKvGroup * head_dim + g * kLanes;
  }
  LBM_LANE F32x16 scaled(Bytes16 bytes, u32 k, u32 g) const {
    return f_from_int(i_from_signed_bytes(bytes)) *
           f_splat(scales[g * kLanes / kKvBlock * kAttentionTile + k]);
  }
  LBM_LANE F32x16 lanes(u32 k, u32 g) const { return scaled(b_load(at(k, g)), k, g); }
  LBM_LANE F32x16 lanes_first(u32 k, u32 g, u32 n) const {
    u8 padded[kLanes] = {};
    __builtin_memcpy(padded, at(k, g), n);
    return scaled(b_load(padded), k, g);
  }
  LBM_LANE void prefetch(u32 k, u32 g) const { __builtin_prefetch(at(k, g) + kTileGroups * group); }
};

// How many lanes of a head are left from element `first` on, at most 16.
LBM_LANE u32 lanes_from(u32 first, u32 head_dim) {
  return head_dim - first < kLanes ? head_dim - first : kLanes;
}

struct KvF32 {
  static constexpr KvType kType = KvType::kF32;
  static constexpr bool kIsTile = true;  // needs no conversion

  static LBM_LANE TileSource keys(const AttentionArgs& args, u32 tile_pos, f32*) {
    return {reinterpret_cast<const f32*>(args.keys) + static_cast<usize>(tile_pos) * args.head_dim,
            kKvGroup, static_cast<usize>(kKvGroup) * args.head_dim};
  }
  static LBM_LANE TileSource values(const AttentionArgs& args, u32 tile_pos, f32*) {
    const f32* first = reinterpret_cast<const f32*>(args.values);
    return {first + static_cast<usize>(tile_pos) * args.head_dim, args.head_dim, kLanes};
  }

  static LBM_LANE bool store(const KvStoreArgs& args, u32 token, u32 pos) {
    const f32* k = args.k + token * args.stride;
    const f32* v = args.v + token * args.stride;
    f32* key = reinterpret_cast<f32*>(args.keys) +
               static_cast<usize>(pos / kKvGroup) * args.head_dim * kKvGroup + pos % kKvGroup;
    f32* value = reinterpret_cast<f32*>(args.values) + static_cast<usize>(pos) * args.head_dim;
    for (u32 d = 0; d < args.head_dim; ++d) key[d * kKvGroup] = k[d];
    __builtin_memcpy(value, v, args.head_dim * sizeof(f32));
    return all_finite(k, args.head_dim) && all_finite(v, args.head_dim);
  }
};

struct KvF16 {
  static constexpr KvType kType = KvType::kF16;
  static constexpr bool kIsTile = false;

  static LBM_LANE F16Source keys(const AttentionArgs& args, u32 tile_pos, f32*) {
    const usize group = static_cast<usize>(kKvGroup) * args.head_dim;
    return {reinterpret_cast<const u16*>(args.keys) + tile_pos / kKvGroup * group, kKvGroup, group,
            kTileGroups * group};
  }
  static LBM_LANE F16Source values(const AttentionArgs& args, u32 tile_pos, f32*) {
    const u16* first = reinterpret_cast<const u16*>(args.values);
    return {first + static_cast<usize>(tile_pos) * args.head_dim, args.head_dim, kLanes,
            static_cast<usize>(kAttentionTile) * args.head_dim};
  }

  static LBM_LANE bool store(const KvStoreArgs& args, u32 token, u32 pos) {
    const f32* k = args.k + token * args.stride;
    const f32* v = args.v + token * args.stride;
    u16* key = reinterpret_cast<u16*>(args.keys) +
               static_cast<usize>(pos / kKvGroup) * args.head_dim * kKvGroup + pos % kKvGroup;
    u16* value = reinterpret_cast<u16*>(args.values) + static_cast<usize>(pos) * args.head_dim;
    I32x16 largest = i_splat(0);
    for (u32 d = 0; d < args.head_dim; d += kLanes) {
      const u32 n = lanes_from(d, args.head_dim);
      const F32x16 key_lanes = load_lanes(k + d, n);
      const F32x16 value_lanes = load_lanes(v + d, n);
      largest = i_max(largest, i_max(magnitude_bits(key_lanes), magnitude_bits(value_lanes)));
      u16 halves[kLanes];
      f_store_f16(halves, value_lanes);
      __builtin_memcpy(value + d, halves, n * sizeof(u16));
      f_store_f16(halves, key_lanes);
      for (u32 i = 0; i < n; ++i) key[(d + i) * kKvGroup] = halves[i];
    }
    return i_fold_max(largest) < 0x477ff000;  // 65520.0f, the first that rounds to infinity
  }
};

// Per 32 elements of a head: integers as R3 makes them, and the scale rounded to f16.
struct KvQ8 {
  static constexpr KvType kType = KvType::kQ8_0;
  static constexpr bool kIsTile = false;

  // The scales of the tile's groups that hold a visible position, to f32.
  static LBM_LANE void load_scales(const AttentionArgs& args, const u8* group, u32 tile_pos,
                                   f32* scales) {
    const usize group_bytes = kv_group_bytes(kType, args.head_dim);
    const u32 end_pos = args.first_pos + args.n_token;
    for (u32 g = 0; g < kTileGroups && tile_pos + g * kKvGroup < end_pos; ++g) {
      for (u32 b = 0; b * kKvBlock < args.head_dim; ++b) {
        f_store(scales + b * kAttentionTile + g * kLanes,
                LoadF16::lanes(reinterpret_cast<const u16*>(group + g * group_bytes) + b * kLanes));
      }
    }
  }
  static LBM_LANE const u8* group_at(const AttentionArgs& args, const u8* first, u32 tile_pos) {
    return first + tile_pos / kKvGroup * kv_group_bytes(kType, args.head_dim);
  }
  static LBM_LANE Q8Keys keys(const AttentionArgs& args, u32 tile_pos, f32* scales) {
    const u8* group = group_at(args, args.keys, tile_pos);
    load_scales(args, group, tile_pos, scales);
    return {group + kv_scale_bytes(kType, args.head_dim), kv_group_bytes(kType, args.head_dim),
            scales};
  }
  static LBM_LANE Q8Values values(const AttentionArgs& args, u32 tile_pos, f32* scales) {
    const u8* group = group_at(args, args.values, tile_pos);
    load_scales(args, group, tile_pos, scales);
    return {group + kv_scale_bytes(kType, args.head_dim), kv_group_bytes(kType, args.head_dim),
            args.head_dim, scales};
  }

  // One row of head_dim elements: element d goes to out[d * stride], the scale of block b to
  // scales[b * 16].
  static LBM_LANE bool store_row(const f32* x, u32 head_dim, i8* out, usize stride, u16* scales) {
    bool finite = true;
    for (u32 d = 0; d < head_dim; d += kKvBlock) {
      const u32 n = head_dim - d < kKvBlock ? head_dim - d : kKvBlock;
      const F32x16 low = load_lanes(x + d, lanes_from(0, n));
      const F32x16 high = n > kLanes ? load_lanes(x + d + kLanes, lanes_from(kLanes, n)) : f_zero();
      const i32 amax_bits = i_fold_max(magnitude_bits(low, high));
      const f32 amax = __builtin_bit_cast(f32, amax_bits);
      const Quantized q = quantize_lanes(low, high, inverse_scales(Fours{} + amax)[0]);
      const u16 scale = f32_to_f16(amax / 127.0f);
      scales[d / kKvBlock * kKvGroup] = scale;
      finite = finite && amax_bits < 0x7f800000 && (scale & 0x7c00) != 0x7c00;
      i8 bytes[kKvBlock];
      i_store_bytes(bytes, q.low);
      i_store_bytes(bytes + kLanes, q.high);
      for (u32 i = 0; i < n; ++i) out[(d + i) * stride] = bytes[i];
    }
    return finite;
  }
  static LBM_LANE bool store(const KvStoreArgs& args, u32 token, u32 pos) {
    const usize group_offset = pos / kKvGroup * kv_group_bytes(kType, args.head_dim);
    const usize scale_bytes = kv_scale_bytes(kType, args.head_dim);
    const u32 slot = pos % kKvGroup;
    u8* keys = args.keys + group_offset;
    u8* values = args.values + group_offset;
    const bool key_finite = store_row(args.k + token * args.stride, args.head_dim,
                                      reinterpret_cast<i8*>(keys + scale_bytes) + slot, kKvGroup,
                                      reinterpret_cast<u16*>(keys) + slot);
    const bool value_finite =
        store_row(args.v + token * args.stride, args.head_dim,
                  reinterpret_cast<i8*>(values + scale_bytes) + slot * args.head_dim, 1,
                  reinterpret_cast<u16*>(values) + slot);
    return key_finite && value_finite;
  }
};

template <class Kv>
bool store_kv(const KvStoreArgs& args) {
  bool finite = true;
  for (u32 token = 0; token < args.n_token; ++token)
    finite = Kv::store(args, token, args.first_pos + token) && finite;
  return finite;
}
