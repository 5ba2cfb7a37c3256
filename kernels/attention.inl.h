// Attention with the online softmax over fixed tiles of 64 absolute positions (R14), in chunks of
// 1,024 (R15), for all tokens of a batch and all query heads that share a KV head.
//
// A row is one token and one query head. Scores and weighted values are the same computation, sums
// side by side that run over k:
//   scores[row][position] = sum over k = element  of q[row][k]      * key[k][position]
//   out[row][element]    += sum over k = position of weight[row][k] * value[k][element]
// so both are accumulate(): some rows times some lanes in registers, where what is read is shared
// by the rows, and no sum depends on how many there are. For few rows (decoding) keys and values
// are converted on their way into registers; for many, each tile of them once for all.

// Rows of one register tile, and the groups of 16 lanes beside them that leave registers for the
// operands.
constexpr u32 kAttentionRows = kPart == 4 ? 2 : 4;
constexpr u32 attention_groups(u32 n_row) {
  const u32 fit = (kPart == 16 ? 16 : 8) / (n_row * kParts);
  return fit >= 4 ? 4 : fit >= 2 ? 2 : 1;
}
// Up to here converting keys and values again for every register tile costs less than keeping them.
constexpr u32 kDirectRows = 2 * kAttentionRows;

// Functions of many callers that are long themselves: one copy of each is enough.
#define LBM_APART __attribute__((noinline))

LBM_LANE u32 pad_lanes(u32 n) { return (n + kLanes - 1) / kLanes * kLanes; }
LBM_LANE u32 min_of(u32 a, u32 b) { return a < b ? a : b; }
LBM_LANE u32 max_of(u32 a, u32 b) { return a < b ? b : a; }

// sum[r][g] += a[r][k] * lanes(k, group + g), for k in [begin, end) in ascending order.
template <class Source, u32 kRows, u32 kGroups>
LBM_LANE void accumulate(const Source& source, u32 group, u32 begin, u32 end,
                         const f32* const (&a)[kRows], F32x16 (&sum)[kRows][kGroups]) {
  for (u32 k = begin; k < end; ++k) {
    F32x16 lanes[kGroups];
    _Pragma("GCC unroll 4") for (u32 g = 0; g < kGroups; ++g) {
      lanes[g] = source.lanes(k, group + g);
      source.prefetch(k, group + g);
    }
    _Pragma("GCC unroll 4") for (u32 r = 0; r < kRows; ++r) {
      const F32x16 factor = f_splat(a[r][k]);
      _Pragma("GCC unroll 4") for (u32 g = 0; g < kGroups; ++g) {
        sum[r][g] = sum[r][g] + factor * lanes[g];
      }
    }
  }
}

// Up to 16 consecutive rows on their way through one tile; positions count from its start.
struct RowBatch {
  u32 n;
  u32 head_dim;
  f32 scale;
  const f32* q[kAttentionBatch];
  u32 low[kAttentionBatch];  // visible: [low, high); none where low >= high
  u32 high[kAttentionBatch];
  f32* scores;  // [n][64], then the weights
  f32* max;     // [n]
  f32* sum;     // [n]
  f32* out;     // [n][padded]
  u32 padded;   // head_dim in whole lanes
};

template <class Source, u32 kRows, u32 kGroups>
void score_block(const RowBatch& batch, const Source& keys, u32 row, u32 group) {
  const f32* q[kRows];
  F32x16 sum[kRows][kGroups];
  _Pragma("GCC unroll 4") for (u32 r = 0; r < kRows; ++r) {
    q[r] = batch.q[row + r];
    _Pragma("GCC unroll 4") for (u32 g = 0; g < kGroups; ++g) sum[r][g] = f_zero();
  }
  accumulate(keys, group, 0, batch.head_dim, q, sum);
  const F32x16 scale = f_splat(batch.scale);
  f32* scores = batch.scores + row * kAttentionTile + group * kLanes;
  _Pragma("GCC unroll 4") for (u32 r = 0; r < kRows; ++r) {
    _Pragma("GCC unroll 4") for (u32 g = 0; g < kGroups; ++g) {
      f_store(scores + r * kAttentionTile + g * kLanes, sum[r][g] * scale);
    }
  }
}

// Scores of kRows rows for the groups [group, end).
template <class Source, u32 kRows>
LBM_APART void score_rows(const RowBatch& batch, const Source& keys, u32 row, u32 group, u32 end) {
  constexpr u32 kGroups = attention_groups(kRows);
  for (; group + kGroups <= end; group += kGroups)
    score_block<Source, kRows, kGroups>(batch, keys, row, group);
  for (; group < end; ++group) score_block<Source, kRows, 1>(batch, keys, row, group);
}

template <class Source, u32 kRows, u32 kGroups>
void value_block(const RowBatch& batch, const Source& values, u32 row, u32 group, u32 begin,
                 u32 end) {
  const f32* weights[kRows];
  F32x16 sum[kRows][kGroups];
  f32* out = batch.out + static_cast<usize>(row) * batch.padded + group * kLanes;
  _Pragma("GCC unroll 4") for (u32 r = 0; r < kRows; ++r) {
    weights[r] = batch.scores + (row + r) * kAttentionTile;
    _Pragma("GCC unroll 4") for (u32 g = 0; g < kGroups; ++g) {
      sum[r][g] = f_load(out + r * batch.padded + g * kLanes);
    }
  }
  accumulate(values, group, begin, end, weights, sum);
  _Pragma("GCC unroll 4") for (u32 r = 0; r < kRows; ++r) {
    _Pragma("GCC unroll 4") for (u32 g = 0; g < kGroups; ++g) {
      f_store(out + r * batch.padded + g * kLanes, sum[r][g]);
    }
  }
}

// out += weight * value of kRows rows over the positions [begin, end).
template <class Source, u32 kRows>
LBM_APART void value_rows(const RowBatch& batch, const Source& values, u32 row, u32 begin,
                          u32 end) {
  constexpr u32 kGroups = attention_groups(kRows);
  const u32 n_group = batch.padded / kLanes;
  if (begin >= end) return;
  u32 group = 0;
  for (; group + kGroups <= n_group; group += kGroups)
    value_block<Source, kRows, kGroups>(batch, values, row, group, begin, end);
  for (; group < n_group; ++group)
    value_block<Source, kRows, 1>(batch, values, row, group, begin, end);
}

// What all of kRows rows see, they add together; what one of them sees before and after that, on
// its own. A position that is masked must not even be added as zero: +0 times a value may be -0 or
// NaN.
template <class Source, u32 kRows>
void ragged_value_rows(const RowBatch& batch, const Source& values, u32 row) {
  u32 low = 0;
  u32 high = kAttentionTile;
  for (u32 r = row; r < row + kRows; ++r) {
    low = max_of(low, batch.low[r]);
    high = min_of(high, batch.high[r]);
  }
  if (kRows > 1 && low >= high) low = high = kAttentionTile;  // nothing in common
  for (u32 r = row; kRows > 1 && r < row + kRows; ++r)
    value_rows<Source, 1>(batch, values, r, batch.low[r], min_of(low, batch.high[r]));
  value_rows<Source, kRows>(batch, values, row, low, high);
  for (u32 r = row; kRows > 1 && r < row + kRows; ++r)
    value_rows<Source, 1>(batch, values, r, max_of(high, batch.low[r]), batch.high[r]);
}

template <class Source, u32 kRows>
void ragged_score_rows(const RowBatch& batch, const Source& keys, u32 row) {
  u32 low = kAttentionTile;
  u32 high = 0;
  for (u32 r = row; r < row + kRows; ++r) {
    if (batch.low[r] >= batch.high[r]) continue;
    low = min_of(low, batch.low[r]);
    high = max_of(high, batch.high[r]);
  }
  score_rows<Source, kRows>(batch, keys, row, low / kLanes, (high + kLanes - 1) / kLanes);
}

// The scores that score_rows() made for what each row sees (R14).
LBM_APART void cap_scores(const RowBatch& batch, f32 cap) {
  const F32x16 lanes = f_splat(cap);
  for (u32 r = 0; r < batch.n; ++r) {
    f32* scores = batch.scores + r * kAttentionTile;
    for (u32 j = batch.low[r] / kLanes * kLanes; j < batch.high[r]; j += kLanes)
      f_store(scores + j, capped(f_load(scores + j), lanes));
  }
}

// Calls f(first, count) for rows 0 .. n - 1, kAttentionRows at a time, the last ones fewer; `count`
// is a constant.
template <u32 kRows>
struct RowCount {
  static constexpr u32 kValue = kRows;
};
template <class F>
LBM_LANE void for_rows(u32 n, F f) {
  u32 row = 0;
  for (; row + kAttentionRows <= n; row += kAttentionRows) f(row, RowCount<kAttentionRows>());
  if constexpr (kAttentionRows > 2) {
    if (n - row == 3) return f(row, RowCount<3>());
    if (n - row == 2) return f(row, RowCount<2>());
  }
  if (n - row == 1) f(row, RowCount<1>());
}

// Turns the scores of a row into weights. Lanes that are masked get weight +0, which adds nothing
// to a sum of weights that is never -0. Returns the lanes of that sum.
LBM_LANE F32x16 weights_of(f32* scores, f32 max) {
  F32x16 sum = f_zero();
  _Pragma("GCC unroll 4") for (u32 g = 0; g < kTileGroups; ++g) {
    const F32x16 p = exp_nonpositive_f32(f_load(scores + g * kLanes) - f_splat(max));
    f_store(scores + g * kLanes, p);
    sum = sum + p;
  }
  return sum;
}

// The largest of a row's visible scores, by lane. Masks the others.
LBM_LANE F32x16 tile_max_of(f32* scores, u32 low, u32 high) {
  for (u32 j = 0; j < low; ++j) scores[j] = -__builtin_inff();
  for (u32 j = high; j < kAttentionTile; ++j) scores[j] = -__builtin_inff();
  return f_max(f_max(f_load(scores), f_load(scores + kLanes)),
               f_max(f_load(scores + 2 * kLanes), f_load(scores + 3 * kLanes)));
}

// Calls f(row) for the rows of the batch that see something of the tile.
template <class F>
LBM_LANE void for_visible_rows(const RowBatch& batch, F f) {
  for (u32 r = 0; r < batch.n; ++r) {
    if (batch.low[r] < batch.high[r]) f(r);
  }
}

// The online softmax of all rows of the batch: scores become weights, sums and results so far are
// scaled to the new maximum.
LBM_APART void softmax_rows(const RowBatch& batch) {
  F32x16 lanes[kAttentionBatch];
  f32 folded[kAttentionBatch];
  f32 after[kAttentionBatch];
  f32 correction[kAttentionBatch];
  const u32 n_fold = (batch.n + 3) / 4 * 4;
  for (u32 r = 0; r < n_fold; ++r) lanes[r] = f_splat(-__builtin_inff());
  f_store(folded, f_splat(-__builtin_inff()));
  for_visible_rows(batch, [&](u32 r) {
    lanes[r] = tile_max_of(batch.scores + r * kAttentionTile, batch.low[r], batch.high[r]);
  });
  for (u32 r = 0; r < n_fold; r += 4) fold_four<MaxLanes>(lanes + r, folded + r);
  const F32x16 max = f_max(f_load(batch.max), f_load(folded));
  f_store(correction, exp_f32(f_load(batch.max) - max));
  f_store(after, max);
  f_store(batch.max, max);
  for_visible_rows(batch, [&](u32 r) {
    lanes[r] = weights_of(batch.scores + r * kAttentionTile, after[r]);
    f32* out = batch.out + static_cast<usize>(r) * batch.padded;
    const F32x16 factor = f_splat(correction[r]);
    for (u32 d = 0; d < batch.padded; d += kLanes) f_store(out + d, f_load(out + d) * factor);
  });
  for (u32 r = 0; r < n_fold; r += 4) fold_four<AddLanes>(lanes + r, folded + r);
  for_visible_rows(batch, [&](u32 r) { batch.sum[r] = batch.sum[r] * correction[r] + folded[r]; });
}

// The parts of a partial result, [n_row] rows.
struct Partial {
  f32* max;
  f32* sum;  // 0: no visible position yet; a row that has seen one sums to at least 1
  f32* out;  // [n_row][padded]
};
LBM_LANE u32 n_row_of(const AttentionArgs& args) { return args.n_token * args.n_group; }
LBM_LANE Partial partial_at(const AttentionArgs& args, f32* memory) {
  const u32 rows = pad_lanes(n_row_of(args));
  return {memory, memory + rows, memory + 2 * static_cast<usize>(rows)};
}
LBM_LANE u32 first_visible(const AttentionArgs& args, u32 pos) {
  return args.window <= pos ? pos + 1 - args.window : 0;
}

// All rows through one tile.
template <class Keys, class Values>
void attention_tile(const AttentionArgs& args, const Partial& partial, const Keys& keys,
                    const Values& values, u32 tile_pos, f32* scores) {
  const u32 n_row = n_row_of(args);
  RowBatch batch;
  batch.head_dim = args.head_dim;
  batch.padded = pad_lanes(args.head_dim);
  batch.scale = args.scale;
  batch.scores = scores;
  u32 token = 0;
  u32 head = 0;
  for (u32 row = 0; row < n_row; row += kAttentionBatch) {
    batch.n = min_of(kAttentionBatch, n_row - row);
    batch.max = partial.max + row;
    batch.sum = partial.sum + row;
    batch.out = partial.out + static_cast<usize>(row) * batch.padded;
    bool visible = false;
    for (u32 r = 0; r < batch.n; ++r) {
      const u32 pos = args.first_pos + token;
      const u32 low = max_of(first_visible(args, pos), tile_pos) - tile_pos;
      const u32 high = max_of(pos + 1, tile_pos) - tile_pos;
      batch.q[r] = args.q + token * args.q_stride + static_cast<usize>(head) * args.head_dim;
      batch.low[r] = min_of(low, kAttentionTile);
      batch.high[r] = min_of(high, kAttentionTile);
      visible = visible || batch.low[r] < batch.high[r];
      if (++head == args.n_group) {
        head = 0;
        ++token;
      }
    }
    if (!visible) continue;
    for_rows(batch.n, [&](u32 r, auto count) {
      ragged_score_rows<Keys, decltype(count)::kValue>(batch, keys, r);
    });
    if (args.soft_cap != 0.0f) cap_scores(batch, args.soft_cap);
    softmax_rows(batch);
    for_rows(batch.n, [&](u32 r, auto count) {
      ragged_value_rows<Values, decltype(count)::kValue>(batch, values, r);
    });
  }
}

// Keys of the groups that begin in [begin, end), and values of the positions [begin, end), to f32.
template <class Keys>
TileSource unpack_keys(const AttentionArgs& args, const Keys& keys, u32 begin, u32 end, f32* tile) {
  const usize group = static_cast<usize>(args.head_dim) * kLanes;
  for (u32 g = begin / kLanes; g * kLanes < end; ++g) {
    for (u32 d = 0; d < args.head_dim; ++d)
      f_store(tile + g * group + d * kLanes, keys.lanes(d, g));
  }
  return {tile, kLanes, group};
}
template <class Values>
TileSource unpack_values(const AttentionArgs& args, const Values& values, u32 begin, u32 end,
                         f32* tile) {
  const u32 padded = pad_lanes(args.head_dim);
  const u32 n_whole = args.head_dim / kLanes;
  for (u32 j = begin; j < end; ++j) {
    f32* row = tile + static_cast<usize>(j) * padded;
    for (u32 g = 0; g < n_whole; ++g) f_store(row + g * kLanes, values.lanes(j, g));
    if (n_whole * kLanes != padded)
      f_store(row + n_whole * kLanes, values.lanes_first(j, n_whole, args.head_dim % kLanes));
  }
  return {tile, padded, kLanes};
}

// The partial result of chunk `chunk`; a row that sees nothing of it has sum 0.
template <class Kv>
void attention_part(const AttentionArgs& args, u32 chunk, f32* memory) {
  const u32 n_row = n_row_of(args);
  const u32 padded = pad_lanes(args.head_dim);
  const Partial partial = partial_at(args, memory);
  for (u32 row = 0; row < pad_lanes(n_row); ++row) {
    partial.max[row] = -__builtin_inff();
    partial.sum[row] = 0.0f;
  }
  for (usize i = 0; i < static_cast<usize>(n_row) * padded; i += kLanes)
    f_store(partial.out + i, f_zero());

  f32* const key_tile = args.scratch;
  f32* const value_tile = key_tile + static_cast<usize>(kAttentionTile) * padded;
  f32* const scores = value_tile + static_cast<usize>(kAttentionTile) * padded;
  f32* const key_scales = scores + kAttentionBatch * kAttentionTile;
  const u32 n_block = (args.head_dim + kKvBlock - 1) / kKvBlock;
  f32* const value_scales = key_scales + static_cast<usize>(n_block) * kAttentionTile;
  const bool whole = args.head_dim % kLanes == 0;

  const u32 begin = max_of(chunk * kAttentionChunk, first_visible(args, args.first_pos));
  const u32 end = min_of((chunk + 1) * kAttentionChunk, args.first_pos + args.n_token);
  for (u32 pos = begin / kAttentionTile * kAttentionTile; pos < end; pos += kAttentionTile) {
    const auto keys = Kv::keys(args, pos, key_scales);
    const auto values = Kv::values(args, pos, value_scales);
    if (whole && (Kv::kIsTile || n_row <= kDirectRows)) {
      attention_tile(args, partial, keys, values, pos, scores);
      continue;
    }
    const u32 low = max_of(begin, pos) - pos;
    const u32 high = min_of(end - pos, kAttentionTile);
    attention_tile(args, partial, unpack_keys(args, keys, low, high, key_tile),
                   unpack_values(args, values, low, high, value_tile), pos, scores);
  }
}

// What a row is scaled by where its maximum becomes the larger one of two.
struct MergeScales {
  f32 max;
  f32 a;
  f32 b;
};
LBM_LANE MergeScales merge_scales(f32 max_a, f32 max_b) {
  const f32 max = max_a < max_b ? max_b : max_a;
  f32 scale_a[kLanes];
  f32 scale_b[kLanes];
  f_store(scale_a, exp_f32(f_splat(max_a - max)));
  f_store(scale_b, exp_f32(f_splat(max_b - max)));
  return {max, scale_a[0], scale_b[0]};
}

// The sinks merged with the first partial result (R15): max = sink, sum = 1, out = 0 come before
// it.
void start_from_sinks(const AttentionArgs& args, const Partial& first) {
  const u32 padded = pad_lanes(args.head_dim);
  for (u32 row = 0; row < n_row_of(args); ++row) {
    const f32 sink = args.sinks[row % args.n_group];
    if (first.sum[row] == 0.0f) {  // out is 0 already
      first.max[row] = sink;
      first.sum[row] = 1.0f;
      continue;
    }
    const MergeScales scales = merge_scales(sink, first.max[row]);
    f32* out = first.out + static_cast<usize>(row) * padded;
    const F32x16 nothing = f_zero() * f_splat(scales.a);
    for (u32 d = 0; d < padded; d += kLanes)
      f_store(out + d, nothing + f_load(out + d) * f_splat(scales.b));
    first.max[row] = scales.max;
    first.sum[row] = scales.a + first.sum[row] * scales.b;
  }
}

// a = a merged with the later partial result b, row by row.
void merge_partials(const AttentionArgs& args, const Partial& a, const Partial& b) {
  const u32 padded = pad_lanes(args.head_dim);
  for (u32 row = 0; row < n_row_of(args); ++row) {
    if (b.sum[row] == 0.0f) continue;
    f32* a_out = a.out + static_cast<usize>(row) * padded;
    const f32* b_out = b.out + static_cast<usize>(row) * padded;
    if (a.sum[row] == 0.0f) {  // what the merge starts from (R15)
      a.max[row] = b.max[row];
      a.sum[row] = b.sum[row];
      __builtin_memcpy(a_out, b_out, padded * sizeof(f32));
      continue;
    }
    const MergeScales scales = merge_scales(a.max[row], b.max[row]);
    a.sum[row] = a.sum[row] * scales.a + b.sum[row] * scales.b;
    for (u32 d = 0; d < padded; d += kLanes) {
      f_store(a_out + d,
              f_load(a_out + d) * f_splat(scales.a) + f_load(b_out + d) * f_splat(scales.b));
    }
    a.max[row] = scales.max;
  }
}

void finish_attention(const AttentionArgs& args, const Partial& partial) {
  const u32 padded = pad_lanes(args.head_dim);
  for (u32 row = 0; row < n_row_of(args); ++row) {
    const F32x16 sum = f_splat(partial.sum[row]);
    const f32* from = partial.out + static_cast<usize>(row) * padded;
    f32* to = args.out + row / args.n_group * args.out_stride +
              static_cast<usize>(row % args.n_group) * args.head_dim;
    for (u32 d = 0; d < args.head_dim; d += kLanes)
      store_lanes(to + d, f_load(from + d) / sum, lanes_from(d, args.head_dim));
  }
}

// Merges the partial results of consecutive chunks, attention_partial_floats() apart, into the
// first, and writes what is asked for.
void attention_join(const AttentionArgs& args, f32* partials, u32 n_partial) {
  const usize stride = attention_partial_floats(args.head_dim, n_row_of(args));
  const Partial first = partial_at(args, partials);
  if (args.sinks != nullptr) start_from_sinks(args, first);
  for (u32 i = 1; i < n_partial; ++i)
    merge_partials(args, first, partial_at(args, partials + i * stride));
  finish_attention(args, first);
}

template <class Kv>
void attention(const AttentionArgs& args) {
  const u32 n_row = n_row_of(args);
  f32* partials = args.scratch + attention_scratch_floats(args.head_dim, n_row) -
                  2 * attention_partial_floats(args.head_dim, n_row);
  f32* later = partials + attention_partial_floats(args.head_dim, n_row);
  const Partial first = partial_at(args, partials);
  u32 chunk = first_visible(args, args.first_pos) / kAttentionChunk;
  const u32 last = (args.first_pos + args.n_token - 1) / kAttentionChunk;
  attention_part<Kv>(args, chunk, partials);
  if (args.sinks != nullptr) start_from_sinks(args, first);
  while (chunk++ < last) {
    attention_part<Kv>(args, chunk, later);
    merge_partials(args, first, partial_at(args, later));
  }
  finish_attention(args, first);
}
