// Attention of one token with the online softmax over fixed tiles of 64 absolute positions (R14),
// in chunks of 1,024 (R15).
//
// Keys are stored with positions in the lanes, so 16 scores come from one sequential walk over
// head_dim; values with head elements in the lanes, so each output element is one sequential walk
// over positions. Neither sum depends on how many tokens, heads or cores are at work. The query
// heads that share a KV head go through a tile together and share its loads.

// The running softmax of one query head: maximum, sum, and weighted values of the positions so far.
struct HeadState {
  f32 max;
  f32 sum;
  f32* out;  // [padded head_dim]
};

constexpr u32 kMaxGroup = 64;  // query heads that may share one KV head

LBM_LANE u32 pad_lanes(u32 n) { return (n + kLanes - 1) / kLanes * kLanes; }

// scores[64] of one query head over the tile that starts at `tile_pos`, for the groups of 16
// positions that hold a visible one.
template <class Load>
LBM_LANE void tile_scores(const AttentionArgs& args, const f32* q, u32 tile_pos, u32 low, u32 high,
                          f32* scores) {
  const typename Load::Element* keys = reinterpret_cast<const typename Load::Element*>(args.keys);
  for (u32 g = low / kLanes; g * kLanes < high; ++g) {
    const typename Load::Element* row =
        keys + static_cast<usize>(tile_pos / kLanes + g) * args.head_dim * kLanes;
    F32x16 sum = f_zero();
    for (u32 d = 0; d < args.head_dim; ++d)
      sum = sum + f_splat(q[d]) * Load::lanes(row + d * kLanes);
    f_store(scores + g * kLanes, sum * f_splat(args.scale));
  }
}

// Turns scores[low, high) into weights and returns the factor for what was summed before.
LBM_LANE f32 tile_softmax(HeadState& state, f32* scores, u32 low, u32 high) {
  f32 max = state.max;
  for (u32 j = low; j < high; ++j) max = max < scores[j] ? scores[j] : max;
  for (u32 j = 0; j < low; ++j) scores[j] = -__builtin_inff();
  for (u32 j = high; j < kAttentionTile; ++j) scores[j] = -__builtin_inff();
  const f32 correction_input = state.max - max;
  F32x16 lanes = f_zero();
  for (u32 g = 0; g < kAttentionTile; g += kLanes) {
    const F32x16 p = exp_f32(f_load(scores + g) -
                             f_splat(max));  // a masked position gives +0, which adds nothing
    f_store(scores + g, p);
    lanes = lanes + p;
  }
  f32 correction[kLanes];
  f_store(correction, exp_f32(f_splat(correction_input)));
  state.sum = state.sum * correction[0] + fold(lanes);
  state.max = max;
  return correction[0];
}

// out = out * correction + sum over the visible positions of weight * value, in ascending order.
template <class Load>
LBM_LANE void tile_values(const AttentionArgs& args, HeadState* heads, const f32* weights,
                          const f32* corrections, u32 tile_pos, u32 low, u32 high) {
  const typename Load::Element* values =
      reinterpret_cast<const typename Load::Element*>(args.values) +
      static_cast<usize>(tile_pos) * args.head_dim;
  for (u32 d = 0; d < args.head_dim; d += kLanes) {
    const u32 n = args.head_dim - d < kLanes ? args.head_dim - d : kLanes;
    for (u32 h = 0; h < args.n_group; ++h) {
      F32x16 out = f_load(heads[h].out + d) * f_splat(corrections[h]);
      const f32* weight = weights + h * kAttentionTile;
      for (u32 j = low; j < high; ++j) {
        const typename Load::Element* row = values + static_cast<usize>(j) * args.head_dim + d;
        out =
            out + f_splat(weight[j]) * (n == kLanes ? Load::lanes(row) : Load::lanes_first(row, n));
      }
      f_store(heads[h].out + d, out);
    }
  }
}

template <class Load>
void attention_chunk(const AttentionArgs& args, HeadState* heads, f32* weights, u32 begin,
                     u32 end) {
  f32 corrections[kMaxGroup];
  for (u32 tile_pos = begin / kAttentionTile * kAttentionTile; tile_pos < end;
       tile_pos += kAttentionTile) {
    const u32 low = begin > tile_pos ? begin - tile_pos : 0;
    const u32 high = end - tile_pos < kAttentionTile ? end - tile_pos : kAttentionTile;
    for (u32 h = 0; h < args.n_group; ++h) {
      f32* scores = weights + h * kAttentionTile;
      tile_scores<Load>(args, args.q + static_cast<usize>(h) * args.head_dim, tile_pos, low, high,
                        scores);
      corrections[h] = tile_softmax(heads[h], scores, low, high);
    }
    tile_values<Load>(args, heads, weights, corrections, tile_pos, low, high);
  }
}

// a = a merged with the later partial result b.
LBM_LANE void merge_heads(HeadState& a, const HeadState& b, u32 padded) {
  const f32 max = a.max < b.max ? b.max : a.max;
  f32 scale_a[kLanes];
  f32 scale_b[kLanes];
  f_store(scale_a, exp_f32(f_splat(a.max - max)));
  f_store(scale_b, exp_f32(f_splat(b.max - max)));
  a.sum = a.sum * scale_a[0] + b.sum * scale_b[0];
  for (u32 d = 0; d < padded; d += kLanes) {
    f_store(a.out + d,
            f_load(a.out + d) * f_splat(scale_a[0]) + f_load(b.out + d) * f_splat(scale_b[0]));
  }
  a.max = max;
}

LBM_LANE void start_heads(HeadState* heads, f32* out, u32 n_group, u32 padded) {
  for (u32 h = 0; h < n_group; ++h) {
    heads[h] = {-__builtin_inff(), 0.0f, out + static_cast<usize>(h) * padded};
    for (u32 d = 0; d < padded; d += kLanes) f_store(heads[h].out + d, f_zero());
  }
}

template <class Load>
void attention(const AttentionArgs& args) {
  const u32 padded = pad_lanes(args.head_dim);
  f32* weights = args.scratch;
  f32* merged_out = weights + static_cast<usize>(args.n_group) * kAttentionTile;
  f32* chunk_out = merged_out + static_cast<usize>(args.n_group) * padded;
  HeadState merged[kMaxGroup];
  HeadState part[kMaxGroup];
  bool first = true;
  for (u32 chunk = args.first_pos / kAttentionChunk * kAttentionChunk; chunk < args.end_pos;
       chunk += kAttentionChunk) {
    const u32 begin = chunk > args.first_pos ? chunk : args.first_pos;
    const u32 end = chunk + kAttentionChunk < args.end_pos ? chunk + kAttentionChunk : args.end_pos;
    // The first partial result is where the merge starts from.
    HeadState* heads = first ? merged : part;
    start_heads(heads, first ? merged_out : chunk_out, args.n_group, padded);
    attention_chunk<Load>(args, heads, weights, begin, end);
    for (u32 h = 0; !first && h < args.n_group; ++h) merge_heads(merged[h], part[h], padded);
    first = false;
  }
  for (u32 h = 0; h < args.n_group; ++h) {
    const F32x16 sum = f_splat(merged[h].sum);
    for (u32 d = 0; d < args.head_dim; d += kLanes) {
      const u32 n = args.head_dim - d < kLanes ? args.head_dim - d : kLanes;
      store_lanes(args.out + h * args.out_stride + d, f_load(merged[h].out + d) / sum, n);
    }
  }
}

void store_key_f16(const f32* k, u32 head_dim, u16* keys, u32 pos) {
  u16* row = keys + static_cast<usize>(pos / kLanes) * head_dim * kLanes + pos % kLanes;
  for (u32 d = 0; d < head_dim; d += kLanes) {
    const u32 n = head_dim - d < kLanes ? head_dim - d : kLanes;
    u16 halves[kLanes];
    f_store_f16(halves, load_lanes(k + d, n));
    for (u32 i = 0; i < n; ++i) row[(d + i) * kLanes] = halves[i];
  }
}

void store_value_f16(const f32* v, u32 head_dim, u16* values, u32 pos) {
  u16* row = values + static_cast<usize>(pos) * head_dim;
  for (u32 d = 0; d < head_dim; d += kLanes) {
    const u32 n = head_dim - d < kLanes ? head_dim - d : kLanes;
    u16 halves[kLanes];
    f_store_f16(halves, load_lanes(v + d, n));
    __builtin_memcpy(row + d, halves, n * sizeof(u16));
  }
}
