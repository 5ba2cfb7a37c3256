// Matrix times activations, once for every type and every instruction set (R5-R8).
//
// A pass takes kTiles row tiles and kTokens tokens through all columns: per 32 columns an exact
// integer dot product per row and token, then unfused multiply and add into one f32 accumulator per
// row and token. Weights are read once per pass, in one sequential stream; unpacking them is shared
// by the tokens, reading activations by the tiles. Neither count changes a bit.

// How the elements of a tile type are stored: bits each, what is subtracted from the unsigned
// value, and whether every block has a minimum beside its scale.
template <u32 kElementBits, i32 kSubtracted, bool kMin>
struct Elements {
  static constexpr u32 kBits = kElementBits;
  static constexpr i32 kOffset = kSubtracted;
  static constexpr bool kHasMin = kMin;
};
template <class Tile>
struct TileTraits;
template <>
struct TileTraits<TileQ4_0> : Elements<4, 8, false> {};
template <>
struct TileTraits<TileQ4_1> : Elements<4, 0, true> {};
template <>
struct TileTraits<TileQ5_0> : Elements<5, 16, false> {};
template <>
struct TileTraits<TileQ5_1> : Elements<5, 0, true> {};
template <>
struct TileTraits<TileQ8_0> : Elements<8, 0, false> {};

// The integer dot products of one block: kTiles tiles (tile_stride bytes apart) x kTokens
// activation blocks.
template <class Tile, u32 kTiles, u32 kTokens>
LBM_LANE void dot_small(const Tile* const (&tile)[kTiles],
                        const ActivationBlock* const (&x)[kTokens],
                        I32x16 (&dot)[kTiles][kTokens]) {
  constexpr u32 kBits = TileTraits<Tile>::kBits;
  constexpr u32 kQuads = kBits == 4 ? kQuadsPerSum4 : kQuadsPerSum5;
  SmallSum sum[kTiles][kTokens];
  _Pragma("GCC unroll 4") for (u32 g = 0; g < 4; ++g) {
    if (2 * g % kQuads == 0) {
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
      const W64 packed = w_load(tile[r]->nibbles[g]);
      W64 low = w_low_nibbles(packed);
      W64 high = w_high_nibbles(packed);
      if constexpr (kBits == 5) {
        low = w_add_fifth_bit(low, tile[r]->high[2 * g]);
        high = w_add_fifth_bit(high, tile[r]->high[2 * g + 1]);
      }
      for (u32 t = 0; t < kTokens; ++t) {
        small_add(sum[r][t], low, low_x[t]);
        small_add(sum[r][t], high, high_x[t]);
      }
    }
    if ((2 * g + 2) % kQuads == 0) {
      for (u32 r = 0; r < kTiles; ++r) {
        for (u32 t = 0; t < kTokens; ++t) {
          const I32x16 part = small_finish(sum[r][t]);
          dot[r][t] = 2 * g + 2 == kQuads ? part : dot[r][t] + part;
        }
      }
    }
  }
}

template <class Tile, u32 kTiles, u32 kTokens>
LBM_LANE void dot_signed(const Tile* const (&tile)[kTiles],
                         const ActivationBlock* const (&x)[kTokens],
                         I32x16 (&dot)[kTiles][kTokens]) {
  for (u32 r = 0; r < kTiles; ++r) {
    for (u32 t = 0; t < kTokens; ++t) dot[r][t] = signed_start(x[t]->sum_low + x[t]->sum_high);
  }
  _Pragma("GCC unroll 8") for (u32 c = 0; c < 8; ++c) {
    X4 four[kTokens];
    for (u32 t = 0; t < kTokens; ++t) four[t] = x_load(x[t]->q + 4 * c);
    for (u32 r = 0; r < kTiles; ++r) {
      const W64 w = w_load(tile[r]->q[c]);
      for (u32 t = 0; t < kTokens; ++t) dot[r][t] = signed_add(dot[r][t], w, four[t]);
    }
  }
}

// Decoding reads each weight once, straight from memory, faster than the hardware prefetcher
// follows: 4 KiB ahead keeps enough lines under way. Tiles of a matrix follow each other, so the
// end of one fetches the start of the next.
constexpr usize kPrefetchBytes = 4096;
template <usize kBytes>
LBM_LANE void prefetch(const void* p) {
  for (usize at = 0; at < kBytes; at += 64)
    __builtin_prefetch(static_cast<const u8*>(p) + kPrefetchBytes + at);
}

// One pass over all columns.
template <class Tile, u32 kTiles, u32 kTokens>
void quantized_pass(const MatmulArgs& args, u32 first_tile, u32 first_token) {
  using Traits = TileTraits<Tile>;
  const u32 n_block = args.n_col / kBlockSize;
  const Tile* tile[kTiles];
  const ActivationBlock* x[kTokens];
  F32x16 acc[kTiles][kTokens];
  for (u32 r = 0; r < kTiles; ++r) {
    tile[r] = reinterpret_cast<const Tile*>(args.tiles + (first_tile + r) * args.tile_stride);
    for (u32 t = 0; t < kTokens; ++t) acc[r][t] = f_zero();
  }
  for (u32 t = 0; t < kTokens; ++t) {
    x[t] = reinterpret_cast<const ActivationBlock*>(args.x + (first_token + t) * args.x_stride);
  }
  for (u32 b = 0; b < n_block; ++b) {
    I32x16 dot[kTiles][kTokens];
    if constexpr (kTokens == 1) {
      for (u32 r = 0; r < kTiles; ++r) prefetch<sizeof(Tile)>(tile[r]);
    }
    if constexpr (Traits::kBits == 8) {
      dot_signed(tile, x, dot);
    } else {
      dot_small(tile, x, dot);
    }
    for (u32 r = 0; r < kTiles; ++r) {
      const F32x16 dw = f_load_f16(tile[r]->d);
      F32x16 mw;
      if constexpr (Traits::kHasMin) mw = f_load_f16(tile[r]->m);
      for (u32 t = 0; t < kTokens; ++t) {
        I32x16 whole = dot[r][t];
        if constexpr (Traits::kOffset != 0) {
          whole = whole - i_splat(Traits::kOffset * (x[t]->sum_low + x[t]->sum_high));
        }
        acc[r][t] = acc[r][t] + (dw * f_splat(x[t]->d)) * f_from_int(whole);
        if constexpr (Traits::kHasMin) acc[r][t] = acc[r][t] + mw * f_splat(x[t]->sx);
      }
      ++tile[r];
    }
    for (u32 t = 0; t < kTokens; ++t) ++x[t];
  }
  for (u32 r = 0; r < kTiles; ++r) {
    for (u32 t = 0; t < kTokens; ++t) {
      f_store(args.y + (first_token + t) * args.y_stride + (first_tile + r) * kTileRows, acc[r][t]);
    }
  }
}

// F32, F16 and BF16 weights take f32 activations: sequential over k from +0 (R8). Load is one of
// loads.inl.h.
template <class Load, u32 kTiles, u32 kTokens>
void plain_pass(const MatmulArgs& args, u32 first_tile, u32 first_token) {
  const typename Load::Element* tile[kTiles];
  const f32* x[kTokens];
  F32x16 acc[kTiles][kTokens];
  for (u32 r = 0; r < kTiles; ++r) {
    tile[r] = reinterpret_cast<const typename Load::Element*>(args.tiles +
                                                              (first_tile + r) * args.tile_stride);
    for (u32 t = 0; t < kTokens; ++t) acc[r][t] = f_zero();
  }
  for (u32 t = 0; t < kTokens; ++t)
    x[t] = reinterpret_cast<const f32*>(args.x + (first_token + t) * args.x_stride);
  for (u32 k = 0; k < args.n_col; ++k) {
    for (u32 r = 0; r < kTiles; ++r) {
      const typename Load::Element* column = tile[r] + static_cast<usize>(k) * kTileRows;
      if constexpr (kTokens == 1) prefetch<kTileRows * sizeof(typename Load::Element)>(column);
      const F32x16 w = Load::lanes(column);
      for (u32 t = 0; t < kTokens; ++t) acc[r][t] = acc[r][t] + w * f_splat(x[t][k]);
    }
  }
  for (u32 r = 0; r < kTiles; ++r) {
    for (u32 t = 0; t < kTokens; ++t) {
      f_store(args.y + (first_token + t) * args.y_stride + (first_tile + r) * kTileRows, acc[r][t]);
    }
  }
}

// The passes of one type, by name, so that one driver serves both kinds.
template <class Tile>
struct Quantized {
  template <u32 kTiles, u32 kTokens>
  static void pass(const MatmulArgs& args, u32 tile, u32 token) {
    quantized_pass<Tile, kTiles, kTokens>(args, tile, token);
  }
};
template <class Load>
struct Plain {
  template <u32 kTiles, u32 kTokens>
  static void pass(const MatmulArgs& args, u32 tile, u32 token) {
    plain_pass<Load, kTiles, kTokens>(args, tile, token);
  }
};

// All tiles of the arguments for `kTokens` tokens.
template <class Kind, u32 kTiles, u32 kTokens>
void all_tiles(const MatmulArgs& args, u32 first_tile, u32 end_tile, u32 token) {
  u32 tile = first_tile;
  for (; tile + kTiles <= end_tile; tile += kTiles)
    Kind::template pass<kTiles, kTokens>(args, tile, token);
  for (; tile < end_tile; ++tile) Kind::template pass<1, kTokens>(args, tile, token);
}

template <class Kind>
void matmul(const MatmulArgs& args) {
  const u32 end = args.first_tile + args.n_tile;
  if (args.n_token == 1) {
    all_tiles<Kind, kDecodeTiles, 1>(args, args.first_tile, end, 0);
    return;
  }
  // Tiles outside, tokens inside: a tile stays in the first-level cache while every token passes
  // by.
  for (u32 tile = args.first_tile; tile < end; tile += kPrefillTiles) {
    const u32 last = tile + kPrefillTiles < end ? tile + kPrefillTiles : end;
    u32 token = 0;
    for (; token + kPrefillTokens <= args.n_token; token += kPrefillTokens) {
      all_tiles<Kind, kPrefillTiles, kPrefillTokens>(args, tile, last, token);
    }
    for (; token < args.n_token; ++token)
      all_tiles<Kind, kPrefillTiles, 1>(args, tile, last, token);
  }
}
