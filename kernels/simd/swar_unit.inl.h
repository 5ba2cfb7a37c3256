// The panels of the SWAR table, multiplied for several tokens at a time.
//
// What costs under an emulator decides the form. A 64-bit multiplication and its addition are three
// host instructions, half a nanosecond. A load is twelve, and has all registers written to memory
// before it. Code that does not fit in the first-level cache after its translation (tenfold) is the
// slowest of all. So:
//   - weights are split into multipliable words once per panel, activations once per token;
//   - 2 words and 3 activations make 6 sums, which stay in registers;
//   - the loops are small, and one function serves all types of a kind.
//
// Elements of at most 4 bits are multiplied as simd/swar.inl.h describes, 4 products at a time.
// Eight of those multiplications, 16 columns, fill a lane of 16 bits. Wider ones take lanes of 32
// bits: w = a + b 2^32, one column of two rows, which no block can fill (32 * 128 * 127 < 2^31).

constexpr u32 kUnitTokens = 3;
constexpr u32 kChunkBlocks = 8;    // split words of two tiles: 16 or 32 KiB
constexpr u32 kStreamBlocks = 48;  // of one token: 7 or 13 KiB
constexpr u64 kEachRow = 0x0000000100000001u;

// One block of 16 rows, for elements of at most kLargest (0: signed bytes).
template <u32 kLargest, i32 kOffset>
struct SplitWeights {
  static constexpr bool kNarrow = kLargest != 0 && kLargest <= 15;
  static constexpr u32 kSteps = kNarrow ? 16 : 32;  // multiplications of a pair of rows

  u64 word[kPairs / 2][kSteps][2];  // two pairs of rows side by side

  LBM_LANE void put(u32 step, u32 pair, u64 w) { word[pair / 2][step][pair % 2] = w; }
  LBM_LANE void fill(const u8 (*q)[64]) {
    for (u32 c = 0; c < 8; ++c) {
      const W64 quad = w_load(q[c]);
      for (u32 i = 0; i < kPairs; ++i) {
        const u64 w = quad.pair[i];
        if constexpr (kNarrow) {
          put(2 * c, i, w & kEvenBytes);
          put(2 * c + 1, i, (w >> 8) & kEvenBytes);
        } else {
          // As integers: a + b 2^32 with negative a and b, too.
          const u64 bytes = kLargest == 0 ? w ^ 0x8080808080808080u : w;
          constexpr u64 kCentre = kEachRow * (kLargest == 0 ? 128 : kOffset);
          for (u32 j = 0; j < 4; ++j)
            put(4 * c + j, i, ((bytes >> (8 * j)) & (0xff * kEachRow)) - kCentre);
        }
      }
    }
  }
};

// One block of kTokens tokens.
template <class Weights, bool kWhole, i32 kOffset, u32 kTokens>
struct SplitActivations {
  static constexpr u32 kStepParts = kWhole ? 1 : 2;

  u64 x[Weights::kSteps][kTokens];
  u64 finish[kStepParts][kTokens];  // what makes i32 out of summed 16-bit lanes, but for the sign

  LBM_LANE void fill(u32 t, const ActivationBlock& block) {
    if constexpr (Weights::kNarrow) {
      for (u32 c = 0; c < 8; c += 2) {
        u64 q;
        __builtin_memcpy(&q, block.q + 4 * c, sizeof(q));
        // The earlier of two activations stands higher (X4), so the bytes change their order. 128
        // is taken off again where two lanes have become a number of their own.
        const u64 raised = __builtin_bswap64(q ^ 0x8080808080808080u);
        const u64 odd = raised & kEvenBytes;
        const u64 even = (raised >> 8) & kEvenBytes;
        constexpr u64 kCentre = 0x00800080u;
        x[2 * c][t] = (even >> 32) - kCentre;
        x[2 * c + 1][t] = (odd >> 32) - kCentre;
        x[2 * c + 2][t] = (even & 0xffffffffu) - kCentre;
        x[2 * c + 3][t] = (odd & 0xffffffffu) - kCentre;
      }
      // The bias of each sum of 16 columns and the offset of the elements; 2^31 keeps the lower
      // lane from borrowing of the upper one.
      const auto finish_of = [](u32 n_sum, i32 sum_q) {
        return (0x80000000u - 0x8000u * n_sum - static_cast<u32>(kOffset * sum_q)) * kEachRow;
      };
      finish[0][t] =
          kWhole ? finish_of(2, block.sum_low + block.sum_high) : finish_of(1, block.sum_low);
      if constexpr (!kWhole) finish[1][t] = finish_of(1, block.sum_high);
    } else {
      for (u32 k = 0; k < kBlockSize; ++k) x[k][t] = static_cast<u64>(static_cast<i64>(block.q[k]));
    }
  }
};

// sum[pair][token] takes in 8 steps. The barriers keep the compiler from other orders, which need
// more registers than there are.
template <u32 kTokens>
LBM_LANE void eight_steps(const u64 (*w)[2], const u64 (*x)[kTokens], u64 (&sum)[2][kTokens]) {
  _Pragma("GCC unroll 8") for (u32 s = 0; s < 8; ++s) {
    for (u32 t = 0; t < kTokens; ++t) {
      sum[0][t] += w[s][0] * x[s][t];
      sum[1][t] += w[s][1] * x[s][t];
      __asm__("" : "+r"(sum[0][t]), "+r"(sum[1][t]));
    }
  }
}

// dot[part][token][pair of rows]: the integer dot products, as two i32.
template <u32 kStepParts, class Weights, class Activations, u32 kTokens>
__attribute__((noinline)) void split_dots(const Weights& weights, const Activations& x,
                                          u64 (&dot)[kStepParts][kTokens][kPairs]) {
  constexpr u32 kPartSteps = Weights::kSteps / kStepParts;
  u64 sum[2][kTokens];
  _Pragma("GCC unroll 1") for (u32 p = 0; p < kPairs; p += 2) {
    _Pragma("GCC unroll 1") for (u32 part = 0; part < kStepParts; ++part) {
      const u64(*w)[2] = weights.word[p / 2] + part * kPartSteps;
      const u64(*v)[kTokens] = x.x + part * kPartSteps;
      if constexpr (!Weights::kNarrow) {
        for (u32 t = 0; t < kTokens; ++t) sum[0][t] = sum[1][t] = 0x80000000u;
      }
      _Pragma("GCC unroll 1") for (u32 s = 0; s < kPartSteps; s += 8) {
        if constexpr (Weights::kNarrow) {
          for (u32 t = 0; t < kTokens; ++t) sum[0][t] = sum[1][t] = kLaneBias;
        }
        eight_steps<kTokens>(w + s, v + s, sum);
        for (u32 t = 0; Weights::kNarrow && t < kTokens; ++t) {
          for (u32 i = 0; i < 2; ++i) {
            u64& to = dot[part][t][p + i];
            const u64 lanes = (sum[i][t] >> 16) & (0xffff * kEachRow);
            if (kStepParts == 1 && s == 0) {
              to = lanes;
            } else {
              const u64 all = lanes + (kStepParts == 1 ? to : 0) + x.finish[part][t];
              to = all ^ (0x80000000u * kEachRow);
            }
          }
        }
      }
      for (u32 t = 0; !Weights::kNarrow && t < kTokens; ++t) {
        for (u32 i = 0; i < 2; ++i) dot[part][t][p + i] = sum[i][t] ^ 0x80000000u;
      }
    }
  }
}

// One tile, kTokens tokens, n_block blocks.
template <Step kStep, class Weights, class Activations, u32 kTokens>
LBM_LANE void split_pass(const Panel<kStep>& panel, Stretch in_panel, const Weights* weights,
                         const Activations* split_x, const ActivationBlock* const (&x)[kTokens],
                         f32* const (&y)[kTokens]) {
  constexpr u32 kStepParts = is_whole(kStep) ? 1 : 2;
  F32x16 acc[kTokens];
  for (u32 t = 0; t < kTokens; ++t) acc[t] = f_load(y[t]);
  for (u32 b = 0; b < in_panel.n_block; ++b) {
    alignas(16) u64 dot[kStepParts][kTokens][kPairs];
    split_dots(weights[b], split_x[b], dot);
    for (u32 t = 0; t < kTokens; ++t) {
      // Scales are operands in memory then, not registers that have to be saved.
      __asm__ volatile("" : : : "memory");
      Scales s;
      panel.get(in_panel.first_block + b, s);
      I32x16 dots[2];
      __builtin_memcpy(&dots[0], dot[0][t], sizeof(dots[0]));
      __builtin_memcpy(&dots[1], dot[kStepParts - 1][t], sizeof(dots[1]));
      add_dots<kStep>(acc[t], s, x[t][b], dots[0], dots[1]);
    }
  }
  for (u32 t = 0; t < kTokens; ++t) f_store(y[t], acc[t]);
}

template <Step kStep, u32 kLargest, i32 kOffset, u32 kTiles>
void multiply_panels_by_unit(const MatmulArgs& args, const Panel<kStep>* panel, Stretch stretch,
                             u32 first_tile) {
  using Weights = SplitWeights<kLargest, kOffset>;
  Weights weights[kTiles][kChunkBlocks];
  for (u32 done = 0; done < stretch.n_block; done += kChunkBlocks) {
    const u32 rest = stretch.n_block - done;
    const Stretch in_panel = {done, rest < kChunkBlocks ? rest : kChunkBlocks};
    const bool first = stretch.first_block + done == 0;
    for (u32 r = 0; r < kTiles; ++r) {
      for (u32 b = 0; b < in_panel.n_block; ++b) weights[r][b].fill(panel[r].q[done + b]);
    }
    const auto multiply = [&]<u32 kTokens>(u32 token) {
      using Activations = SplitActivations<Weights, is_whole(kStep), kOffset, kTokens>;
      Activations split_x[kChunkBlocks];
      const ActivationBlock* x[kTokens];
      point_at_tokens(args, token, stretch.first_block + done, x);
      for (u32 t = 0; t < kTokens; ++t) {
        for (u32 b = 0; b < in_panel.n_block; ++b) split_x[b].fill(t, x[t][b]);
      }
      for (u32 r = 0; r < kTiles; ++r) {
        f32* y[kTokens];
        for (u32 t = 0; t < kTokens; ++t) {
          y[t] = output(args, first_tile + r, token + t);
          if (first) f_store(y[t], f_zero());
        }
        split_pass(panel[r], in_panel, weights[r], split_x, x, y);
      }
    };
    u32 token = 0;
    for (; token + kUnitTokens <= args.n_token; token += kUnitTokens)
      multiply.template operator()<kUnitTokens>(token);
    for (; token < args.n_token; ++token) multiply.template operator()<1>(token);
  }
}

// ---- one token ----------------------------------------------------------------------------------

// The dot products of one block, straight from the weights, for four pairs of rows (what else a
// source gives is not used, and not loaded). dot[part][pair].
template <class Source, u32 kFirstPair, u32 kStepParts, class Activations>
LBM_LANE void stream_dots(const Source& source, const Activations& x, const ActivationBlock& block,
                          u64 (&dot)[kStepParts][kPairs]) {
  constexpr bool kNarrow = Source::kLargest != 0 && Source::kLargest <= 15;
  constexpr i32 kCentre = Source::kLargest == 0 ? 128 : Source::kOffset;
  constexpr u32 kGroups = kNarrow ? 2 : 4 / kStepParts;  // of two quads, in one sum
  _Pragma("GCC unroll 1") for (u32 begin = 0; begin < 4; begin += kGroups) {
    const u32 part = kStepParts == 1 ? 0 : begin / 2;
    // Wide sums take raised bytes, which are never negative: 32 * 255 * 127 < 2^31.
    const i32 sum_q =
        (part == 0 ? block.sum_low : block.sum_high) + (kStepParts == 1 ? block.sum_high : 0);
    const u64 start =
        kNarrow ? kLaneBias
                : static_cast<u64>(static_cast<i64>(-kCentre * sum_q)) * kEachRow + 0x80000000u;
    u64 sum[4] = {start, start, start, start};
    _Pragma("GCC unroll 1") for (u32 g = begin; g < begin + kGroups; ++g) {
      W64 quad[2];
      source.pair(g, quad[0], quad[1]);
      for (u32 c = 0; c < 2; ++c) {
        constexpr u32 kQuadSteps = kNarrow ? 2 : 4;
        for (u32 j = 0; j < kQuadSteps; ++j) {
          for (u32 i = 0; i < 4; ++i) {
            const u64 w = quad[c].pair[kFirstPair + i];
            const u64 raised = Source::kLargest == 0 ? w ^ 0x8080808080808080u : w;
            const u64 mask = kNarrow ? kEvenBytes : 0xff * kEachRow;
            sum[i] += ((raised >> (8 * j)) & mask) * x.x[(2 * g + c) * kQuadSteps + j][0];
            __asm__("" : "+r"(sum[i]));
          }
        }
      }
    }
    for (u32 i = 0; i < 4; ++i) {
      u64& to = dot[part][kFirstPair + i];
      if constexpr (!kNarrow) {
        to = sum[i] ^ 0x80000000u;
      } else {
        const u64 lanes = (sum[i] >> 16) & (0xffff * kEachRow);
        if (kStepParts == 1 && begin == 0) {
          to = lanes;
        } else {
          const u64 all = lanes + (kStepParts == 1 ? to : 0) + x.finish[part][0];
          to = all ^ (0x80000000u * kEachRow);
        }
      }
    }
  }
}

template <class Source>
void decode_one(const MatmulArgs& args, const u8* row, f32* y) {
  constexpr u32 kStepParts = is_whole(Source::kStep) ? 1 : 2;
  using Weights = SplitWeights<Source::kLargest, Source::kOffset>;
  using Activations = SplitActivations<Weights, kStepParts == 1, Source::kOffset, 1>;
  const u32 n_block = args.n_col / kBlockSize;
  const ActivationBlock* x = reinterpret_cast<const ActivationBlock*>(row);
  Activations split_x[kStreamBlocks];
  for (u32 first = 0; first < n_block; first += kStreamBlocks) {
    const u32 n = n_block - first < kStreamBlocks ? n_block - first : kStreamBlocks;
    for (u32 b = 0; b < n; ++b) split_x[b].fill(0, x[first + b]);
    for (u32 tile = args.first_tile; tile < args.first_tile + args.n_tile; ++tile) {
      Source source(args.tiles + tile * args.tile_stride, first);
      f32* out = y + tile * kTileRows;
      F32x16 acc = first == 0 ? f_zero() : f_load(out);
      for (u32 b = 0; b < n; ++b) {
        alignas(16) u64 dot[kStepParts][kPairs];
        stream_dots<Source, 0>(source, split_x[b], x[first + b], dot);
        stream_dots<Source, 4>(source, split_x[b], x[first + b], dot);
        __asm__ volatile("" : "+m"(dot));
        Scales s;
        source.scales(s);
        I32x16 dots[2];
        __builtin_memcpy(&dots[0], dot[0], sizeof(dots[0]));
        __builtin_memcpy(&dots[1], dot[kStepParts - 1], sizeof(dots[1]));
        add_dots<Source::kStep>(acc, s, x[first + b], dots[0], dots[1]);
        source.next();
      }
      f_store(out, acc);
    }
  }
}

// In place of decode_pass: the weights stream by once for each token.
template <class Source>
void decode_by_unit(const MatmulArgs& args) {
  for (u32 token = 0; token < args.n_token; ++token)
    decode_one<Source>(args, args.x + token * args.x_stride, args.y + token * args.y_stride);
}
