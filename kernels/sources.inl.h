// How the blocks of each weight type are read: a Source walks along one row tile, 32 columns at a
// time, and gives the elements of two quads at once and the scales of the 16 rows.
//
// A Source says in constants what the arithmetic has to know (R5, R6):
//   kStep     how the integer dot products of a block enter the sum
//   kLargest  the largest unsigned element; 0: elements are signed bytes, -128 included
//   kOffset   what is subtracted from an unsigned element

enum class Step : u8 {
  kScale,      // acc + (d dx) f32(dot)
  kScaleMin,   // the same, then acc + m sx
  kHalves,     // acc + (d dx) f32(s0 dot0 + s1 dot1), dot0 of columns 0..15, dot1 of 16..31
  kHalvesMin,  // the same, then acc + (m dx) f32(m0 sum0 + m1 sum1), sums of the activations
  kTwoSteps,   // acc + (d dx) f32(dot0), then acc + (d1 dx) f32(dot1)
};

// The scales of a block. A step uses the members that its formula names.
struct Scales {
  F32x16 d;
  F32x16 d1;
  F32x16 m;
  F32x16 s0, s1;  // integers
  F32x16 m0, m1;  // integers
};

template <Step kTheStep, u32 kTheLargest, i32 kTheOffset>
struct SourceKind {
  static constexpr Step kStep = kTheStep;
  static constexpr u32 kLargest = kTheLargest;
  static constexpr i32 kOffset = kTheOffset;
};

// ---- blocks of 32 -------------------------------------------------------------------------------

template <class Tile, Step kTheStep, u32 kTheLargest, i32 kTheOffset>
struct BlockSource : SourceKind<kTheStep, kTheLargest, kTheOffset> {
  static constexpr usize kBytes = sizeof(Tile);  // of 32 columns
  const Tile* tile = nullptr;
  BlockSource() = default;
  BlockSource(const u8* row_tile, u32 block)
      : tile(reinterpret_cast<const Tile*>(row_tile) + block) {}
  LBM_LANE void next() { ++tile; }
  LBM_LANE const void* place() const { return tile; }
};

template <class Nibbles>
LBM_LANE void nibble_pair(const Nibbles& nibbles, u32 g, W64& low, W64& high) {
  const W64 packed = w_load(nibbles[g]);
  low = w_low_nibbles(packed);
  high = w_high_nibbles(packed);
}

struct SourceQ4_0 : BlockSource<TileQ4_0, Step::kScale, 15, 8> {
  using BlockSource::BlockSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const { nibble_pair(tile->nibbles, g, low, high); }
  LBM_LANE void scales(Scales& s) const { s.d = f_load_f16(tile->d); }
};
struct SourceQ4_1 : BlockSource<TileQ4_1, Step::kScaleMin, 15, 0> {
  using BlockSource::BlockSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const { nibble_pair(tile->nibbles, g, low, high); }
  LBM_LANE void scales(Scales& s) const {
    s.d = f_load_f16(tile->d);
    s.m = f_load_f16(tile->m);
  }
};
template <class Tile>
LBM_LANE void five_bit_pair(const Tile& tile, u32 g, W64& low, W64& high) {
  nibble_pair(tile.nibbles, g, low, high);
  low = w_add_bit<16>(low, tile.bits[2 * g]);
  high = w_add_bit<16>(high, tile.bits[2 * g + 1]);
}
struct SourceQ5_0 : BlockSource<TileQ5_0, Step::kScale, 31, 16> {
  using BlockSource::BlockSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const { five_bit_pair(*tile, g, low, high); }
  LBM_LANE void scales(Scales& s) const { s.d = f_load_f16(tile->d); }
};
struct SourceQ5_1 : BlockSource<TileQ5_1, Step::kScaleMin, 31, 0> {
  using BlockSource::BlockSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const { five_bit_pair(*tile, g, low, high); }
  LBM_LANE void scales(Scales& s) const {
    s.d = f_load_f16(tile->d);
    s.m = f_load_f16(tile->m);
  }
};
struct SourceQ8_0 : BlockSource<TileQ8_0, Step::kScale, 0, 0> {
  using BlockSource::BlockSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    low = w_load(tile->q[2 * g]);
    high = w_load(tile->q[2 * g + 1]);
  }
  LBM_LANE void scales(Scales& s) const { s.d = f_load_f16(tile->d); }
};

// The 16 values of a non-linear nibble.
alignas(16) constexpr i8 kValuesIQ4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};
// FP4 (E2M1) doubled, plus 12.
alignas(16) constexpr i8 kValuesMXFP4[16] = {12, 13, 14, 15, 16, 18, 20, 24,
                                             12, 11, 10, 9,  8,  6,  4,  0};

template <class Nibbles>
LBM_LANE void lookup_pair(const Nibbles& nibbles, const i8* table, u32 g, W64& low, W64& high) {
  nibble_pair(nibbles, g, low, high);
  low = w_lookup(low, table);
  high = w_lookup(high, table);
}
struct SourceIQ4_NL : BlockSource<TileQ4_0, Step::kScale, 0, 0> {
  using BlockSource::BlockSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    lookup_pair(tile->nibbles, kValuesIQ4, g, low, high);
  }
  LBM_LANE void scales(Scales& s) const { s.d = f_load_f16(tile->d); }
};
struct SourceMXFP4 : BlockSource<TileMXFP4, Step::kScale, 24, 12> {
  using BlockSource::BlockSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    lookup_pair(tile->nibbles, kValuesMXFP4, g, low, high);
  }
  // 2^(e - 128), as a product of two powers of two that are normal numbers for every e.
  LBM_LANE void scales(Scales& s) const {
    const I32x16 e = i_from_bytes(b_load(tile->e));
    const I32x16 part = half(e);
    s.d = power_of_two(part - i_splat(64)) * power_of_two(e - part - i_splat(64));
  }
};

// ---- superblocks of 256 -------------------------------------------------------------------------

template <class Tile, Step kTheStep, u32 kTheLargest, i32 kTheOffset>
struct SuperSource : SourceKind<kTheStep, kTheLargest, kTheOffset> {
  static constexpr usize kBytes = sizeof(Tile) / kSubBlocks;
  const Tile* tile = nullptr;
  u32 sub = 0;
  SuperSource() = default;
  SuperSource(const u8* row_tile, u32 block)
      : tile(reinterpret_cast<const Tile*>(row_tile) + block / kSubBlocks),
        sub(block % kSubBlocks) {}
  LBM_LANE void next() {
    if (++sub == kSubBlocks) {
      sub = 0;
      ++tile;
    }
  }
  LBM_LANE const void* place() const { return reinterpret_cast<const u8*>(tile) + sub * kBytes; }
};

template <class Pairs>
LBM_LANE void two_bit_pair(const Pairs& pairs, u32 g, W64& low, W64& high) {
  const W64 packed = w_load(pairs[g / 2]);
  if (g % 2 == 0) {
    low = w_two_bits<0>(packed);
    high = w_two_bits<1>(packed);
  } else {
    low = w_two_bits<2>(packed);
    high = w_two_bits<3>(packed);
  }
}

struct SourceQ2_K : SuperSource<TileQ2_K, Step::kHalvesMin, 3, 0> {
  using SuperSource::SuperSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    two_bit_pair(tile->sub[sub].pairs, g, low, high);
  }
  LBM_LANE void scales(Scales& s) const {
    const Bytes16 first = b_load(tile->sub[sub].scales[0]);
    const Bytes16 second = b_load(tile->sub[sub].scales[1]);
    s.d = f_load_f16(tile->d);
    s.m = f_load_f16(tile->dmin) * f_splat(-1.0f);
    s.s0 = f_from_int(i_from_bytes(b_low_nibbles(first)));
    s.s1 = f_from_int(i_from_bytes(b_low_nibbles(second)));
    s.m0 = f_from_int(i_from_bytes(b_high_nibbles(first)));
    s.m1 = f_from_int(i_from_bytes(b_high_nibbles(second)));
  }
};
struct SourceQ3_K : SuperSource<TileQ3_K, Step::kHalves, 7, 4> {
  using SuperSource::SuperSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    two_bit_pair(tile->sub[sub].pairs, g, low, high);
    low = w_add_bit<4>(low, tile->sub[sub].bits[2 * g]);
    high = w_add_bit<4>(high, tile->sub[sub].bits[2 * g + 1]);
  }
  LBM_LANE void scales(Scales& s) const {
    const Bytes16 low = b_load(tile->sub[sub].scales_low);
    const Bytes16 high = b_load(tile->scales_high[sub / 2]);
    const u32 shift = 4 * (sub % 2);
    s.d = f_load_f16(tile->d);
    const Bytes16 first = b_low_nibbles(low) | (b_two_bits(high, shift) << 4);
    const Bytes16 second = b_high_nibbles(low) | (b_two_bits(high, shift + 2) << 4);
    s.s0 = f_from_int(i_from_bytes(first) - i_splat(32));
    s.s1 = f_from_int(i_from_bytes(second) - i_splat(32));
  }
};
// d * scale is exact: 11 bits times 6.
template <class Tile>
LBM_LANE void scales_and_minima(const Tile& tile, u32 sub, Scales& s) {
  const Bytes16 low = b_load(tile.sub[sub].scales_low);
  const Bytes16 high = b_load(tile.scales_high[sub / 2]);
  const u32 shift = 4 * (sub % 2);
  const Bytes16 scale = b_low_nibbles(low) | (b_two_bits(high, shift) << 4);
  const Bytes16 minimum = b_high_nibbles(low) | (b_two_bits(high, shift + 2) << 4);
  s.d = f_load_f16(tile.d) * f_from_int(i_from_bytes(scale));
  s.m = (f_load_f16(tile.dmin) * f_splat(-1.0f)) * f_from_int(i_from_bytes(minimum));
}
struct SourceQ4_K : SuperSource<TileQ4_K, Step::kScaleMin, 15, 0> {
  using SuperSource::SuperSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    nibble_pair(tile->sub[sub].nibbles, g, low, high);
  }
  LBM_LANE void scales(Scales& s) const { scales_and_minima(*tile, sub, s); }
};
struct SourceQ5_K : SuperSource<TileQ5_K, Step::kScaleMin, 31, 0> {
  using SuperSource::SuperSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    five_bit_pair(tile->sub[sub], g, low, high);
  }
  LBM_LANE void scales(Scales& s) const { scales_and_minima(*tile, sub, s); }
};
struct SourceQ6_K : SuperSource<TileQ6_K, Step::kHalves, 63, 32> {
  using SuperSource::SuperSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    W64 top_low;
    W64 top_high;
    nibble_pair(tile->sub[sub].nibbles, g, low, high);
    two_bit_pair(tile->sub[sub].pairs, g, top_low, top_high);
    low = w_join(low, top_low);
    high = w_join(high, top_high);
  }
  LBM_LANE void scales(Scales& s) const {
    s.d = f_load_f16(tile->d);
    s.s0 = f_from_int(i_from_signed_bytes(b_load(tile->sub[sub].scales[0])));
    s.s1 = f_from_int(i_from_signed_bytes(b_load(tile->sub[sub].scales[1])));
  }
};
struct SourceIQ4_XS : SuperSource<TileIQ4_XS, Step::kScale, 0, 0> {
  using SuperSource::SuperSource;
  LBM_LANE void pair(u32 g, W64& low, W64& high) const {
    lookup_pair(tile->nibbles[sub], kValuesIQ4, g, low, high);
  }
  LBM_LANE void scales(Scales& s) const {
    const Bytes16 packed = b_load(tile->scales_low[sub / 2]);
    const Bytes16 low = sub % 2 == 0 ? b_low_nibbles(packed) : b_high_nibbles(packed);
    const Bytes16 high = b_two_bits(b_load(tile->scales_high[sub / 4]), 2 * (sub % 4));
    s.d = f_load_f16(tile->d) * f_from_int(i_from_bytes(low | (high << 4)) - i_splat(32));
  }
};
