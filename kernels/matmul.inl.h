// Matrix times activations for quantized weights, once for every type and every instruction set
// (R5-R7).
//
// A pass takes kTiles row tiles and kTokens tokens through a stretch of columns: per 32 columns an
// exact integer dot product per row and token, then unfused multiplies and adds into one f32
// accumulator per row and token. Where the elements come from makes two kinds of pass:
//   decode   unpacks them out of the weights as they go by: one sequential stream from memory.
//   prefill  unpacks a tile once into a Panel of bytes, which all tokens then share: the work of
//            unpacking is divided by their number, and one kernel serves every type.
// Neither the kind nor the counts change a bit.

// The accumulators and activations of one pass.
template <u32 kTokens>
LBM_LANE void point_at_tokens(const MatmulArgs& args, u32 first_token, u32 first_block,
                              const ActivationBlock* (&x)[kTokens]) {
  for (u32 t = 0; t < kTokens; ++t) {
    x[t] = reinterpret_cast<const ActivationBlock*>(args.x + (first_token + t) * args.x_stride) +
           first_block;
  }
}
LBM_LANE f32* output(const MatmulArgs& args, u32 tile, u32 token) {
  return args.y + token * args.y_stride + tile * kTileRows;
}

// ---- integer dot products -----------------------------------------------------------------------

// How elements are multiplied: unsigned ones of at most kLargest, signed bytes (kLargest 0), or
// bytes raised by 128.
constexpr u32 kRaised = 128;

// dot[r][t] = sum over quads 2 kFirst .. 2 kEnd - 1 of one block. `pair(r, g, low, high)` gives the
// elements of quads 2g and 2g + 1 of tile r.
template <u32 kLargest, i32 kOffset, u32 kFirst, u32 kEnd, u32 kTiles, u32 kTokens, class Pair>
LBM_LANE void dot_small(const Pair& pair, const ActivationBlock* const (&x)[kTokens],
                        I32x16 (&dot)[kTiles][kTokens]) {
  constexpr u32 kSumPairs = kQuadsPerSum<kLargest> >= 2 * (kEnd - kFirst)
                                ? kEnd - kFirst
                                : (kQuadsPerSum<kLargest> + 1) / 2;
  constexpr bool kSplit = kQuadsPerSum<kLargest> == 1;  // a sum can not even hold a pair
  SmallSum sum[kTiles][kTokens];
  bool first = true;
  _Pragma("GCC unroll 4") for (u32 g = kFirst; g < kEnd; ++g) {
    if ((g - kFirst) % kSumPairs == 0) {
      for (u32 r = 0; r < kTiles; ++r) {
        for (u32 t = 0; t < kTokens; ++t) sum[r][t] = small_zero();
      }
    }
    X4 low_x[kTokens];
    X4 high_x[kTokens];
    for (u32 t = 0; t < kTokens; ++t) {
      low_x[t] = x_load(x[t]->q + 8 * g);
      high_x[t] = x_load(x[t]->q + 8 * g + 4);
    }
    for (u32 r = 0; r < kTiles; ++r) {
      W64 low;
      W64 high;
      pair(r, g, low, high);
      for (u32 t = 0; t < kTokens; ++t) {
        small_add(sum[r][t], low, low_x[t]);
        if constexpr (kSplit) {
          const I32x16 part = small_finish(sum[r][t]);
          dot[r][t] = first ? part : dot[r][t] + part;
          sum[r][t] = small_zero();
        }
        small_add(sum[r][t], high, high_x[t]);
      }
    }
    if ((g - kFirst + 1) % kSumPairs == 0) {
      for (u32 r = 0; r < kTiles; ++r) {
        for (u32 t = 0; t < kTokens; ++t) {
          const I32x16 part = small_finish(sum[r][t]);
          dot[r][t] = first && !kSplit ? part : dot[r][t] + part;
        }
      }
      first = false;
    }
  }
  if constexpr (kOffset != 0) {
    for (u32 t = 0; t < kTokens; ++t) {
      const i32 sum_q = (kFirst == 0 ? x[t]->sum_low : 0) + (kEnd == 4 ? x[t]->sum_high : 0);
      for (u32 r = 0; r < kTiles; ++r) dot[r][t] = dot[r][t] - i_splat(kOffset * sum_q);
    }
  }
}

// The same for signed bytes, and for bytes raised by 128.
template <bool kIsRaised, u32 kFirst, u32 kEnd, u32 kTiles, u32 kTokens, class Pair>
LBM_LANE void dot_bytes(const Pair& pair, const ActivationBlock* const (&x)[kTokens],
                        I32x16 (&dot)[kTiles][kTokens]) {
  for (u32 t = 0; t < kTokens; ++t) {
    const i32 sum_q = (kFirst == 0 ? x[t]->sum_low : 0) + (kEnd == 4 ? x[t]->sum_high : 0);
    for (u32 r = 0; r < kTiles; ++r) {
      if constexpr (kIsRaised) {
        dot[r][t] = kFirst == 0 && kEnd == 4 ? i_splat(x[t]->raised_start) : i_splat(-128 * sum_q);
      } else {
        dot[r][t] = signed_start(sum_q);
      }
    }
  }
  const auto add = [](I32x16 sum, W64 w, X4 four) {
    return kIsRaised ? raised_add(sum, w, four) : signed_add(sum, w, four);
  };
  _Pragma("GCC unroll 4") for (u32 g = kFirst; g < kEnd; ++g) {
    W64 low[kTiles];
    W64 high[kTiles];
    for (u32 r = 0; r < kTiles; ++r) pair(r, g, low[r], high[r]);
    for (u32 t = 0; t < kTokens; ++t) {
      const X4 four = x_load(x[t]->q + 8 * g);
      for (u32 r = 0; r < kTiles; ++r) dot[r][t] = add(dot[r][t], low[r], four);
    }
    for (u32 t = 0; t < kTokens; ++t) {
      const X4 four = x_load(x[t]->q + 8 * g + 4);
      for (u32 r = 0; r < kTiles; ++r) dot[r][t] = add(dot[r][t], high[r], four);
    }
  }
}

template <u32 kLargest, i32 kOffset, u32 kFirst, u32 kEnd, u32 kTiles, u32 kTokens, class Pair>
LBM_LANE void dot_pairs(const Pair& pair, const ActivationBlock* const (&x)[kTokens],
                        I32x16 (&dot)[kTiles][kTokens]) {
  if constexpr (kLargest == kRaised) {
    dot_bytes<true, kFirst, kEnd>(pair, x, dot);
  } else if constexpr (kLargest == 0) {
    dot_bytes<false, kFirst, kEnd>(pair, x, dot);
  } else {
    dot_small<kLargest, kOffset, kFirst, kEnd>(pair, x, dot);
  }
}

// ---- one block ----------------------------------------------------------------------------------

// What the dot products of one block add to the accumulator of a row tile and a token.
template <Step kStep>
LBM_LANE void add_dots(F32x16& acc, const Scales& s, const ActivationBlock& x, I32x16 dot,
                       I32x16 dot1) {
  const F32x16 dx = f_splat(x.d);
  F32x16 value = f_from_int(dot);
  if constexpr (kStep == Step::kHalves || kStep == Step::kHalvesMin) {
    // In f32, and exact: at most 2 * (16 * 32 * 127) * 128 < 2^24 (Q6_K; the others are less).
    value = s.s0 * value + s.s1 * f_from_int(dot1);
  }
  acc = acc + (s.d * dx) * value;
  if constexpr (kStep == Step::kTwoSteps) acc = acc + (s.d1 * dx) * f_from_int(dot1);
  if constexpr (kStep == Step::kScaleMin) acc = acc + s.m * f_splat(x.sx);
  if constexpr (kStep == Step::kHalvesMin) {
    const F32x16 sums =
        s.m0 * f_splat(static_cast<f32>(x.sum_low)) + s.m1 * f_splat(static_cast<f32>(x.sum_high));
    acc = acc + (s.m * dx) * sums;
  }
}

constexpr bool is_whole(Step step) { return step == Step::kScale || step == Step::kScaleMin; }

// acc[r][t] takes in one block of 32 columns. `scales(r, s)` fills in what the step needs.
template <Step kStep, u32 kLargest, i32 kOffset, u32 kTiles, u32 kTokens, class Pair,
          class GetScales>
LBM_LANE void add_block(const Pair& pair, const GetScales& scales,
                        const ActivationBlock* const (&x)[kTokens],
                        F32x16 (&acc)[kTiles][kTokens]) {
  I32x16 dot[kTiles][kTokens];
  I32x16 dot1[kTiles][kTokens];
  if constexpr (is_whole(kStep)) {
    dot_pairs<kLargest, kOffset, 0, 4>(pair, x, dot);
  } else {
    dot_pairs<kLargest, kOffset, 0, 2>(pair, x, dot);
    dot_pairs<kLargest, kOffset, 2, 4>(pair, x, dot1);
  }
  for (u32 r = 0; r < kTiles; ++r) {
    Scales s;
    scales(r, s);
    for (u32 t = 0; t < kTokens; ++t) add_dots<kStep>(acc[r][t], s, *x[t], dot[r][t], dot1[r][t]);
  }
}

// ---- decode -------------------------------------------------------------------------------------

// Decoding reads each weight once, straight from memory, faster than the hardware prefetcher
// follows: fetching ahead keeps enough lines under way. Measured on Sapphire Rapids in one
// run: 14.2 GB/s without, 16.3 at 1 KiB, 15.4 at 1.5 KiB, 13.8 at 4 KiB (docs/performance.md).
// Tiles of a matrix follow each other, so the end of one fetches the start of the next.
constexpr usize kPrefetchBytes = 1024;
template <usize kBytes, usize kAhead = kPrefetchBytes>
LBM_LANE void prefetch(const void* p) {
  for (usize at = 0; at < kBytes; at += 64)
    __builtin_prefetch(static_cast<const u8*>(p) + kAhead + at);
}

template <class Source, u32 kTiles, u32 kTokens>
void decode_pass(const MatmulArgs& args, u32 first_tile, u32 first_token) {
  const u32 n_block = args.n_col / kBlockSize;
  Source row[kTiles];
  const ActivationBlock* x[kTokens];
  F32x16 acc[kTiles][kTokens];
  for (u32 r = 0; r < kTiles; ++r) {
    row[r] = Source(args.tiles + (first_tile + r) * args.tile_stride, 0);
    for (u32 t = 0; t < kTokens; ++t) acc[r][t] = f_zero();
  }
  point_at_tokens(args, first_token, 0, x);
  for (u32 b = 0; b < n_block; ++b) {
    for (u32 r = 0; r < kTiles; ++r) prefetch<Source::kBytes>(row[r].place());
    add_block<Source::kStep, Source::kLargest, Source::kOffset>(
        [&](u32 r, u32 g, W64& low, W64& high) { row[r].pair(g, low, high); },
        [&](u32 r, Scales& s) { row[r].scales(s); }, x, acc);
    for (u32 r = 0; r < kTiles; ++r) row[r].next();
    for (u32 t = 0; t < kTokens; ++t) ++x[t];
  }
  for (u32 r = 0; r < kTiles; ++r) {
    for (u32 t = 0; t < kTokens; ++t)
      f_store(output(args, first_tile + r, first_token + t), acc[r][t]);
  }
}

// Defined where kDecodeUnit says that a vocabulary streams weights in its own way
// (kernels/simd/swar_unit.inl.h).
template <class Source>
void decode_by_unit(const MatmulArgs& args);

template <class Source>
void decode(const MatmulArgs& args) {
  if constexpr (kDecodeUnit) {
    decode_by_unit<Source>(args);
    return;
  }
  const u32 end = args.first_tile + args.n_tile;
  u32 tile = args.first_tile;
  if (args.n_token == 1) {
    if constexpr (kDecodeTiles > 1) {
      for (; tile + kDecodeTiles <= end; tile += kDecodeTiles)
        decode_pass<Source, kDecodeTiles, 1>(args, tile, 0);
    }
    for (; tile < end; ++tile) decode_pass<Source, 1, 1>(args, tile, 0);
    return;
  }
  // Tiles outside, tokens inside: after its first token a tile is in the first-level cache.
  for (; tile < end; ++tile) {
    u32 token = 0;
    for (; token + 4 <= args.n_token; token += 4) decode_pass<Source, 1, 4>(args, tile, token);
    for (; token + 2 <= args.n_token; token += 2) decode_pass<Source, 1, 2>(args, tile, token);
    for (; token < args.n_token; ++token) decode_pass<Source, 1, 1>(args, tile, token);
  }
}

// ---- prefill ------------------------------------------------------------------------------------

constexpr u32 kPanelBlocks = 24;  // 768 columns: two panels and their scales stay in the L1 cache

// Tokens go by in batches whose activations stay in the L2 cache while every tile meets them.
constexpr usize kBatchBytes = 512 * 1024;
template <class Multiply>
LBM_LANE void for_token_batches(const MatmulArgs& args, const Multiply& multiply) {
  const usize fit = kBatchBytes / args.x_stride / 16 * 16;
  const u32 step = fit < 64 ? 64 : fit < args.n_token ? static_cast<u32>(fit) : args.n_token;
  for (u32 token = 0; token < args.n_token; token += step) {
    MatmulArgs batch = args;
    batch.x += token * args.x_stride;
    batch.y += token * args.y_stride;
    batch.n_token = args.n_token - token < step ? args.n_token - token : step;
    multiply(batch);
  }
}

constexpr u32 n_scale_row(Step step) {
  switch (step) {
    case Step::kScale: return 1;
    case Step::kScaleMin:
    case Step::kTwoSteps: return 2;
    case Step::kHalves: return 3;
    case Step::kHalvesMin: return 6;
  }
  return 0;
}

// Up to kPanelBlocks blocks of one row tile, unpacked: the elements as bytes, the scales as f32.
template <Step kStep>
struct Panel {
  alignas(64) u8 q[kPanelBlocks][8][64];
  alignas(64) f32 scale[kPanelBlocks][n_scale_row(kStep)][kTileRows];

  LBM_LANE void put(u32 b, const Scales& s) {
    f32(*row)[kTileRows] = scale[b];
    f_store(row[0], s.d);
    if constexpr (kStep == Step::kScaleMin) f_store(row[1], s.m);
    if constexpr (kStep == Step::kTwoSteps) f_store(row[1], s.d1);
    if constexpr (kStep == Step::kHalves || kStep == Step::kHalvesMin) {
      f_store(row[1], s.s0);
      f_store(row[2], s.s1);
    }
    if constexpr (kStep == Step::kHalvesMin) {
      f_store(row[3], s.m);
      f_store(row[4], s.m0);
      f_store(row[5], s.m1);
    }
  }
  LBM_LANE void get(u32 b, Scales& s) const {
    const f32(*row)[kTileRows] = scale[b];
    s.d = f_load(row[0]);
    if constexpr (kStep == Step::kScaleMin) s.m = f_load(row[1]);
    if constexpr (kStep == Step::kTwoSteps) s.d1 = f_load(row[1]);
    if constexpr (kStep == Step::kHalves || kStep == Step::kHalvesMin) {
      s.s0 = f_load(row[1]);
      s.s1 = f_load(row[2]);
    }
    if constexpr (kStep == Step::kHalvesMin) {
      s.m = f_load(row[3]);
      s.m0 = f_load(row[4]);
      s.m1 = f_load(row[5]);
    }
  }
};

template <class Source>
void fill_panel(const u8* row_tile, u32 first_block, u32 n_block, Panel<Source::kStep>& panel) {
  Source source(row_tile, first_block);
  for (u32 b = 0; b < n_block; ++b) {
    prefetch<Source::kBytes>(source.place());
    _Pragma("GCC unroll 4") for (u32 g = 0; g < 4; ++g) {
      W64 low;
      W64 high;
      source.pair(g, low, high);
      w_store(panel.q[b][2 * g], w_to_panel<Source::kOffset>(low));
      w_store(panel.q[b][2 * g + 1], w_to_panel<Source::kOffset>(high));
    }
    Scales s;
    source.scales(s);
    panel.put(b, s);
    source.next();
  }
}

// A stretch of a multiplication: which columns, and whether they are the first.
struct Stretch {
  u32 first_block;
  u32 n_block;
};

template <Step kStep, u32 kLargest, i32 kOffset, u32 kTiles, u32 kTokens>
void panel_pass(const MatmulArgs& args, const Panel<kStep>* panel, Stretch stretch, u32 first_tile,
                u32 first_token) {
  const ActivationBlock* x[kTokens];
  F32x16 acc[kTiles][kTokens];
  point_at_tokens(args, first_token, stretch.first_block, x);
  for (u32 r = 0; r < kTiles; ++r) {
    for (u32 t = 0; t < kTokens; ++t) {
      acc[r][t] = stretch.first_block == 0 ? f_zero()
                                           : f_load(output(args, first_tile + r, first_token + t));
    }
  }
  for (u32 b = 0; b < stretch.n_block; ++b) {
    add_block<kStep, kLargest, kOffset>(
        [&](u32 r, u32 g, W64& low, W64& high) {
          low = w_load(panel[r].q[b][2 * g]);
          high = w_load(panel[r].q[b][2 * g + 1]);
        },
        [&](u32 r, Scales& s) { panel[r].get(b, s); }, x, acc);
    for (u32 t = 0; t < kTokens; ++t) ++x[t];
  }
  for (u32 r = 0; r < kTiles; ++r) {
    for (u32 t = 0; t < kTokens; ++t)
      f_store(output(args, first_tile + r, first_token + t), acc[r][t]);
  }
}

// Defined where kMatrixUnit says that panels are multiplied in a form of their own
// (kernels/simd/amx.inl.h, swar_unit.inl.h).
template <Step kStep, u32 kLargest, i32 kOffset, u32 kTiles>
void multiply_panels_by_unit(const MatmulArgs& args, const Panel<kStep>* panel, Stretch stretch,
                             u32 first_tile);

// All tokens against kTiles filled panels.
template <Step kStep, u32 kLargest, i32 kOffset, u32 kTiles>
void multiply_panels(const MatmulArgs& args, const Panel<kStep>* panel, Stretch stretch,
                     u32 first_tile) {
  if constexpr (kMatrixUnit) {
    multiply_panels_by_unit<kStep, kLargest, kOffset, kTiles>(args, panel, stretch, first_tile);
    return;
  }
  u32 token = 0;
  for (; token + kPanelTokens <= args.n_token; token += kPanelTokens) {
    panel_pass<kStep, kLargest, kOffset, kTiles, kPanelTokens>(args, panel, stretch, first_tile,
                                                               token);
  }
  for (; token + 2 <= args.n_token; token += 2) {
    panel_pass<kStep, kLargest, kOffset, kTiles, 2>(args, panel, stretch, first_tile, token);
  }
  for (; token < args.n_token; ++token) {
    panel_pass<kStep, kLargest, kOffset, kTiles, 1>(args, panel, stretch, first_tile, token);
  }
}

// `fill(tile, stretch, panel)` unpacks.
template <Step kStep, u32 kLargest, i32 kOffset, class Fill>
LBM_LANE void multiply_through_panels(const MatmulArgs& args, const Fill& fill) {
  // In some vocabularies the elements of all types are alike once they are in a panel.
  constexpr bool kAsUnpacked = kPanelForm == PanelForm::kAsUnpacked;
  constexpr u32 kHeld = kAsUnpacked ? kLargest : kPanelForm == PanelForm::kRaised ? kRaised : 0;
  constexpr i32 kHeldOffset = kAsUnpacked ? kOffset : 0;
  Panel<kStep> panel[kPanelTiles];
  const u32 n_block = args.n_col / kBlockSize;
  const u32 n_stretch = (n_block + kPanelBlocks - 1) / kPanelBlocks;
  const u32 end = args.first_tile + args.n_tile;
  for (u32 tile = args.first_tile; tile < end;) {
    const u32 n_tile = end - tile < kPanelTiles ? 1 : kPanelTiles;
    for (u32 i = 0; i < n_stretch; ++i) {
      const u32 first = n_block * i / n_stretch;
      const Stretch stretch = {first, n_block * (i + 1) / n_stretch - first};
      for (u32 r = 0; r < n_tile; ++r) fill(tile + r, stretch, panel[r]);
      if (n_tile == kPanelTiles) {
        multiply_panels<kStep, kHeld, kHeldOffset, kPanelTiles>(args, panel, stretch, tile);
      } else {
        multiply_panels<kStep, kHeld, kHeldOffset, 1>(args, panel, stretch, tile);
      }
    }
    tile += n_tile;
  }
}

template <class Source>
void prefill(const MatmulArgs& args) {
  for_token_batches(args, [](const MatmulArgs& batch) {
    multiply_through_panels<Source::kStep, Source::kLargest, Source::kOffset>(
        batch, [&](u32 tile, Stretch stretch, Panel<Source::kStep>& panel) {
          fill_panel<Source>(batch.tiles + tile * batch.tile_stride, stretch.first_block,
                             stretch.n_block, panel);
        });
  });
}

// The grid types (core/tensor/grid.h) have no kernels of their own: their elements are expanded
// into panels for one token as for many.
template <DType kType, Step kStep>
void multiply_grid(const MatmulArgs& args) {
  multiply_through_panels<kStep, 0, 0>(args, [&](u32 tile, Stretch stretch, Panel<kStep>& panel) {
    GridTile grid;
    for (u32 b = 0; b < stretch.n_block; ++b) {
      expand_grid(kType, args.tiles + tile * args.tile_stride, stretch.first_block + b, grid);
      for (u32 c = 0; c < 8; ++c) w_store(panel.q[b][c], w_to_panel<0>(w_load(grid.q[c])));
      Scales s;
      s.d = f_load(grid.d);
      if constexpr (kStep == Step::kTwoSteps) s.d1 = f_load(grid.d_high);
      if constexpr (kStep == Step::kHalves) {
        I32x16 scale[2];
        __builtin_memcpy(scale, grid.scale, sizeof(scale));
        s.s0 = f_from_int(scale[0]);
        s.s1 = f_from_int(scale[1]);
      }
      panel.put(b, s);
    }
  });
}
