// Matrix times activations for F32, F16 and BF16 weights, which take f32 activations: sequential
// over k from +0 (R8). Load is one of loads.inl.h.

// Two tiles at a time when there is one token: the additions of a row wait for each other, those of
// another tile do not.
constexpr u32 kPlainDecodeTiles = 2;
// Two streams want to be fetched further ahead than one: F16 on Sapphire Rapids in one run, 16.8
// GB/s at 1 KiB, 19.1 at 2, 18.9 at 3, 18.1 at 4.
constexpr usize kPlainPrefetchBytes = 2048;

template <class Load, u32 kTiles>
void plain_decode_pass(const MatmulArgs& args, u32 first_tile) {
  using Element = typename Load::Element;
  const Element* tile[kTiles];
  F32x16 acc[kTiles];
  for (u32 r = 0; r < kTiles; ++r) {
    tile[r] = reinterpret_cast<const Element*>(args.tiles + (first_tile + r) * args.tile_stride);
    acc[r] = f_zero();
  }
  const f32* x = reinterpret_cast<const f32*>(args.x);
  for (u32 k = 0; k < args.n_col; ++k) {
    const F32x16 activation = f_splat(x[k]);
    for (u32 r = 0; r < kTiles; ++r) {
      const Element* column = tile[r] + static_cast<usize>(k) * kTileRows;
      prefetch<kTileRows * sizeof(Element), kPlainPrefetchBytes>(column);
      acc[r] = acc[r] + Load::lanes(column) * activation;
    }
  }
  for (u32 r = 0; r < kTiles; ++r) f_store(output(args, first_tile + r, 0), acc[r]);
}

constexpr u32 kPlainColumns = 256;  // of one panel: 16 KiB of f32

template <u32 kTokens>
void plain_pass(const MatmulArgs& args, const f32* panel, u32 first_column, u32 n_column, u32 tile,
                u32 first_token) {
  const f32* x[kTokens];
  F32x16 acc[kTokens];
  for (u32 t = 0; t < kTokens; ++t) {
    x[t] = reinterpret_cast<const f32*>(args.x + (first_token + t) * args.x_stride) + first_column;
    acc[t] = first_column == 0 ? f_zero() : f_load(output(args, tile, first_token + t));
  }
  for (u32 k = 0; k < n_column; ++k) {
    const F32x16 w = f_load(panel + static_cast<usize>(k) * kTileRows);
    for (u32 t = 0; t < kTokens; ++t) acc[t] = acc[t] + w * f_splat(x[t][k]);
  }
  for (u32 t = 0; t < kTokens; ++t) f_store(output(args, tile, first_token + t), acc[t]);
}

template <class Load>
void plain_batch(const MatmulArgs& args) {
  using Element = typename Load::Element;
  alignas(64) f32 panel[kPlainColumns * kTileRows];
  for (u32 tile = args.first_tile; tile < args.first_tile + args.n_tile; ++tile) {
    const Element* weights = reinterpret_cast<const Element*>(args.tiles + tile * args.tile_stride);
    for (u32 first = 0; first < args.n_col; first += kPlainColumns) {
      const u32 n = args.n_col - first < kPlainColumns ? args.n_col - first : kPlainColumns;
      for (u32 k = 0; k < n; ++k) {
        const Element* column = weights + static_cast<usize>(first + k) * kTileRows;
        prefetch<kTileRows * sizeof(Element)>(column);
        f_store(panel + k * kTileRows, Load::lanes(column));
      }
      u32 token = 0;
      for (; token + kPlainTokens <= args.n_token; token += kPlainTokens)
        plain_pass<kPlainTokens>(args, panel, first, n, tile, token);
      for (; token + 2 <= args.n_token; token += 2)
        plain_pass<2>(args, panel, first, n, tile, token);
      for (; token < args.n_token; ++token) plain_pass<1>(args, panel, first, n, tile, token);
    }
  }
}

template <class Load>
void plain_prefill(const MatmulArgs& args) {
  for_token_batches(args, plain_batch<Load>);
}

template <class Load>
void plain_decode(const MatmulArgs& args) {
  if (args.n_token != 1) {
    plain_prefill<Load>(args);
    return;
  }
  const u32 end = args.first_tile + args.n_tile;
  u32 tile = args.first_tile;
  for (; tile + kPlainDecodeTiles <= end; tile += kPlainDecodeTiles)
    plain_decode_pass<Load, kPlainDecodeTiles>(args, tile);
  for (; tile < end; ++tile) plain_decode_pass<Load, 1>(args, tile);
}
