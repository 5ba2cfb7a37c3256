// The matrix unit of the AMX table: integer dot products of many tokens.
//
// tdpbssd multiplies 16 tokens x 32 columns (tile A) with 32 columns x 16 rows (tile B, which is
// exactly a panel's block: [quad][row][4]) into 16 x 16 i32, exactly (tile C). That takes 16
// cycles, the f32 steps of the same 256 sums at least 32; but from loading operands to results in
// memory it is well over 100. So the unit works kAhead blocks ahead, and its results wait in a
// buffer for the steps.

// The operand of ldtilecfg.
struct alignas(64) TileConfig {
  u8 palette;
  u8 start_row;
  u8 reserved[14];
  u16 row_bytes[16];
  u8 n_row[16];
};

constexpr u32 kUnitTokens = 16;
constexpr u32 kAhead = 4;  // blocks

// Tiles 0, 1: results. 2, 3: activations. 4, 5: weights. For n_token tokens and n_quad quads a
// time.
LBM_LANE void configure_unit(u32 n_token, u32 n_quad) {
  TileConfig config = {};
  config.palette = 1;
  for (u32 i = 0; i < 6; ++i) {
    const bool is_weights = i >= 4;
    const bool is_activations = i == 2 || i == 3;
    config.n_row[i] = static_cast<u8>(is_weights ? n_quad : n_token);
    config.row_bytes[i] = static_cast<u16>(is_activations ? 4 * n_quad : 64);
  }
  // gcc 12 believes that the instruction reads 8 bytes of its operand, and drops the stores to the
  // others.
  __asm__ volatile("" : "+m"(config));
  _tile_loadconfig(&config);
}

// The results of one block: dots of all 32 columns, or of each half.
template <bool kWhole>
struct UnitResult {
  alignas(64) i32 dot[kWhole ? 1 : 2][kUnitTokens][kTileRows];
};

template <bool kWhole, bool kOdd>
LBM_LANE void run_unit(const ActivationBlock* x, usize x_stride, const u8 (*q)[64],
                       UnitResult<kWhole>& out) {
  const int stride = static_cast<int>(x_stride);
  if constexpr (kWhole && !kOdd) {
    _tile_zero(0);
    _tile_loadd(2, x->q, stride);
    _tile_loadd(4, q, 64);
    _tile_dpbssd(0, 2, 4);
    _tile_stored(0, out.dot[0], 64);
  } else if constexpr (kWhole) {
    _tile_zero(1);
    _tile_loadd(3, x->q, stride);
    _tile_loadd(5, q, 64);
    _tile_dpbssd(1, 3, 5);
    _tile_stored(1, out.dot[0], 64);
  } else {
    _tile_zero(0);
    _tile_loadd(2, x->q, stride);
    _tile_loadd(4, q, 64);
    _tile_dpbssd(0, 2, 4);
    _tile_stored(0, out.dot[0], 64);
    _tile_zero(1);
    _tile_loadd(3, x->q + 16, stride);
    _tile_loadd(5, q + 4, 64);
    _tile_dpbssd(1, 3, 5);
    _tile_stored(1, out.dot[1], 64);
  }
}

LBM_LANE I32x16 load_dots(const i32* p) {
  I32x16 dot;
  __builtin_memcpy(&dot, p, sizeof(dot));
  return dot;
}

// kCount tokens; 0: as many as `n_token` says, fewer than 16.
template <Step kStep, u32 kCount>
void unit_pass(const MatmulArgs& args, const Panel<kStep>& panel, Stretch stretch, u32 tile,
               u32 first_token, u32 n_token) {
  constexpr bool kWhole = is_whole(kStep);
  const u32 n = kCount != 0 ? kCount : n_token;
  const u8* row = args.x + first_token * args.x_stride;
  const auto block_of = [&](u32 token, u32 b) {
    return reinterpret_cast<const ActivationBlock*>(row + token * args.x_stride) +
           stretch.first_block + b;
  };
  F32x16 acc[kUnitTokens];
  for (u32 t = 0; t < n; ++t) {
    acc[t] = stretch.first_block == 0 ? f_zero() : f_load(output(args, tile, first_token + t));
  }
  UnitResult<kWhole> result[2 * kAhead];
  const auto run = [&](u32 b) __attribute__((always_inline)) {
    if (b >= stretch.n_block) return;
    UnitResult<kWhole>& out = result[b % (2 * kAhead)];
    if (b % 2 == 0) {
      run_unit<kWhole, false>(block_of(0, b), args.x_stride, panel.q[b], out);
    } else {
      run_unit<kWhole, true>(block_of(0, b), args.x_stride, panel.q[b], out);
    }
  };
  for (u32 b = 0; b < kAhead; ++b) run(b);
  for (u32 b = 0; b < stretch.n_block; ++b) {
    run(b + kAhead);
    const UnitResult<kWhole>& from = result[b % (2 * kAhead)];
    const u8* block = reinterpret_cast<const u8*>(block_of(0, b));
    Scales s;
    panel.get(b, s);
    _Pragma("GCC unroll 16") for (u32 t = 0; t < (kCount != 0 ? kCount : n); ++t) {
      add_dots<kStep>(acc[t], s, *reinterpret_cast<const ActivationBlock*>(block),
                      load_dots(from.dot[0][t]), load_dots(from.dot[kWhole ? 0 : 1][t]));
      block += args.x_stride;
    }
  }
  for (u32 t = 0; t < n; ++t) f_store(output(args, tile, first_token + t), acc[t]);
}

template <Step kStep, u32 kLargest, i32 kOffset, u32 kTiles>
void multiply_panels_by_unit(const MatmulArgs& args, const Panel<kStep>* panel, Stretch stretch,
                             u32 first_tile) {
  constexpr u32 kQuads = is_whole(kStep) ? 8 : 4;
  u32 token = 0;
  if (args.n_token >= kUnitTokens) configure_unit(kUnitTokens, kQuads);
  for (; token + kUnitTokens <= args.n_token; token += kUnitTokens) {
    for (u32 r = 0; r < kTiles; ++r)
      unit_pass<kStep, kUnitTokens>(args, panel[r], stretch, first_tile + r, token, kUnitTokens);
  }
  if (token < args.n_token) {
    configure_unit(args.n_token - token, kQuads);
    for (u32 r = 0; r < kTiles; ++r)
      unit_pass<kStep, 0>(args, panel[r], stretch, first_tile + r, token, args.n_token - token);
  }
  _tile_release();
}
