// The grid types: from the bits of a block to int8, 8 elements in a 64-bit word at a time (SWAR),
// no branch per element. One decoder per type serves the kernels (16 rows) and the dequantizer
// (one).
#include "core/tensor/grid.h"

#include "core/base/check.h"
#include "core/tensor/block_bytes.h"
#include "core/tensor/elements.h"
#include "core/tensor/f16.h"
#include "core/tensor/grid_blocks.h"
#include "core/tensor/grid_tables.h"

namespace lbm {
namespace {

// 32 columns of one row: column 8l + j is byte j of q[l]. Value = d * scale[half] * q, or d and
// d_high where the halves have their own.
struct GridRow {
  u64 q[4];
  f32 d;
  f32 d_high = 0;
  i32 scale[2] = {1, 1};
};

constexpr u64 kOnes = 0x0101010101010101ull;

// By the signs of 8 elements: 0xff in each byte that is to become its negative.
struct SignMasks {
  u64 of[256];
};
consteval SignMasks make_sign_masks() {
  SignMasks masks = {};
  for (u32 signs = 0; signs < 256; ++signs) {
    for (u32 j = 0; j < 8; ++j) masks.of[signs] |= u64{(signs >> j) & 1} * 0xff << (8 * j);
  }
  return masks;
}
constexpr SignMasks kSigns = make_sign_masks();

// The types that store 7 signs: the eighth makes their number even.
consteval SignMasks make_even_sign_masks() {
  SignMasks masks = {};
  for (u32 seven = 0; seven < 128; ++seven) {
    u32 parity = 0;
    for (u32 j = 0; j < 7; ++j) parity ^= (seven >> j) & 1;
    masks.of[seven] = kSigns.of[seven | (parity << 7)];
  }
  return masks;
}
constexpr SignMasks kEvenSigns = make_even_sign_masks();

// No byte under the mask may be 0: its negative would carry.
u64 negate(u64 magnitudes, u64 mask) { return (magnitudes ^ mask) + (mask & kOnes); }

// Bytes of 0..3, minus 1 each.
u64 minus_one(u64 bytes) { return ((bytes | (kOnes << 7)) - kOnes) ^ (kOnes << 7); }

// Two points of 4 elements.
u64 join(u32 first, u32 second) { return first | (static_cast<u64>(second) << 32); }

// 8 * grid + 1, or - 1 where `negative`, for grid elements -1, 0 and 1: the shift of an eighth that
// IQ1 adds to each element, in units of an eighth. With their top bits flipped the bytes are far
// enough from 0 and 255 for the sum not to leave them.
u64 shifted_point(u32 index, bool negative) {
  constexpr u64 kTops = kOnes << 7;
  const u64 eights = (kIq1Grid.points[index] << 3) & 0xf8f8f8f8f8f8f8f8ull;
  return ((eights ^ kTops) + (negative ? u64{0} - kOnes : kOnes)) ^ kTops;
}

f32 odd_scale(f16_bits d, f32 unit, u32 scale) {
  return f16_to_f32(d) * unit * static_cast<f32>(2 * scale + 1);
}

void decode_row(const BlockIQ2_XXS& block, u32 part, GridRow& out) {
  const u8* index = block.parts[part];
  const u32 word = load_word(index + 4);
  out.d = odd_scale(block.d, 0.125f, word >> 28);
  for (u32 l = 0; l < 4; ++l) {
    out.q[l] = negate(kIq2XxsGrid.points[index[l]], kEvenSigns.of[(word >> (7 * l)) & 127]);
  }
}

void decode_row(const BlockIQ2_XS& block, u32 part, GridRow& out) {
  out.d = f16_to_f32(block.d) * 0.125f;
  out.scale[0] = 2 * (block.scales[part] & 15) + 1;
  out.scale[1] = 2 * (block.scales[part] >> 4) + 1;
  for (u32 l = 0; l < 4; ++l) {
    const u32 q = block.qs[4 * part + l];
    out.q[l] = negate(kIq2XsGrid.points[q & 511], kEvenSigns.of[q >> 9]);
  }
}

void decode_row(const BlockIQ2_S& block, u32 part, GridRow& out) {
  out.d = f16_to_f32(block.d) * 0.125f;
  out.scale[0] = 2 * (block.scales[part] & 15) + 1;
  out.scale[1] = 2 * (block.scales[part] >> 4) + 1;
  const u32 high = block.qh[part];
  for (u32 l = 0; l < 4; ++l) {
    const u32 index = block.qs[4 * part + l] | (((high >> (2 * l)) & 3) << 8);
    out.q[l] = negate(kIq2SGrid.points[index], kSigns.of[block.signs[4 * part + l]]);
  }
}

void decode_row(const BlockIQ3_XXS& block, u32 part, GridRow& out) {
  const u8* index = block.qs + 8 * part;
  const u32 word = load_word(block.signs + 4 * part);
  out.d = odd_scale(block.d, 0.25f, word >> 28);
  for (u32 l = 0; l < 4; ++l) {
    const u64 point = join(kIq3XxsGrid.points[index[2 * l]], kIq3XxsGrid.points[index[2 * l + 1]]);
    out.q[l] = negate(point, kEvenSigns.of[(word >> (7 * l)) & 127]);
  }
}

void decode_row(const BlockIQ3_S& block, u32 part, GridRow& out) {
  const u8* index = block.qs + 8 * part;
  const u32 high = block.qh[part];
  out.d =
      odd_scale(block.d, 1.0f, (static_cast<u32>(block.scales[part / 2]) >> (4 * (part % 2))) & 15);
  for (u32 l = 0; l < 4; ++l) {
    const u32 first = index[2 * l] | (((high >> (2 * l)) & 1) << 8);
    const u32 second = index[2 * l + 1] | (((high >> (2 * l + 1)) & 1) << 8);
    out.q[l] = negate(join(kIq3SGrid.points[first], kIq3SGrid.points[second]),
                      kSigns.of[block.signs[4 * part + l]]);
  }
}

void decode_row(const BlockIQ1_S& block, u32 part, GridRow& out) {
  const u32 high = block.qh[part];
  out.d = odd_scale(block.d, 0.125f, (high >> 12) & 7);
  for (u32 l = 0; l < 4; ++l) {
    const u32 index = block.qs[4 * part + l] | (((high >> (3 * l)) & 7) << 8);
    out.q[l] = shifted_point(index, (high >> 15) != 0);
  }
}

f16_bits scale_of(const BlockIQ1_M& block) {
  u32 bits = 0;
  for (u32 i = 0; i < 4; ++i) bits |= static_cast<u32>(block.scales[i] >> 12) << (4 * i);
  return static_cast<f16_bits>(bits);
}

void decode_row(const BlockIQ1_M& block, u32 part, GridRow& out) {
  const u32 scales = static_cast<u32>(block.scales[part / 2]) >> (6 * (part % 2));
  out.d = f16_to_f32(scale_of(block)) * 0.125f;
  out.scale[0] = static_cast<i32>(2 * (scales & 7) + 1);
  out.scale[1] = static_cast<i32>(2 * ((scales >> 3) & 7) + 1);
  for (u32 l = 0; l < 4; ++l) {
    const u32 high = static_cast<u32>(block.qh[2 * part + l / 2]) >> (4 * (l % 2));
    const u32 index = block.qs[4 * part + l] | ((high & 7) << 8);
    out.q[l] = shifted_point(index, (high & 8) != 0);
  }
}

// Ternary digit `n` of 8 bytes, each byte a fraction of 256 in base 3: multiplied by 3^n, modulo 1,
// times 3 is the digit before the point. In 16-bit lanes, even bytes and odd ones.
u64 ternary_digits(u64 bytes, u32 power_of_3) {
  constexpr u64 kLanes = 0x00ff00ff00ff00ffull;
  const u64 even = ((((bytes & kLanes) * power_of_3) & kLanes) * 3) >> 8;
  const u64 odd = (((((bytes >> 8) & kLanes) * power_of_3) & kLanes) * 3) >> 8;
  return minus_one((even & kLanes) | ((odd & kLanes) << 8));
}

// Columns 32n + m are digit n of byte m of 32 (n < 5); 160 + 16n + m digit n of byte 32 + m of 16;
// 240 + 4n + m digit n of the last 4 bytes (n < 4).
void decode_row(const BlockTQ1_0& block, u32 part, GridRow& out) {
  constexpr u32 kPowers[5] = {1, 3, 9, 27, 81};
  out.d = f16_to_f32(block.d);
  if (part < 5) {
    for (u32 l = 0; l < 4; ++l)
      out.q[l] = ternary_digits(load_two_words(block.qs + 8 * l), kPowers[part]);
    return;
  }
  const u32 digit = 2 * (part - 5);
  for (u32 l = 0; l < 2; ++l) {
    const u64 bytes = load_two_words(block.qs + 32 + 8 * l);
    out.q[l] = ternary_digits(bytes, kPowers[digit]);
    if (part < 7) out.q[2 + l] = ternary_digits(bytes, kPowers[digit + 1]);
  }
  if (part < 7) return;
  const u32 last = load_word(block.qh);
  for (u32 l = 0; l < 2; ++l) {
    const u64 first = ternary_digits(last, kPowers[2 * l]) & 0xffffffffu;
    out.q[2 + l] = first | (ternary_digits(last, kPowers[2 * l + 1]) << 32);
  }
}

void decode_row(const BlockTQ2_0& block, u32 part, GridRow& out) {
  out.d = f16_to_f32(block.d);
  const u8* qs = block.qs + 32 * (part / 4);
  for (u32 l = 0; l < 4; ++l)
    out.q[l] = minus_one((load_two_words(qs + 8 * l) >> (2 * (part % 4))) & (kOnes * 3));
}

void decode_row(const BlockQ1_0& block, u32 part, GridRow& out) {
  out.d = f16_to_f32(block.d);
  for (u32 l = 0; l < 4; ++l) out.q[l] = negate(kOnes, kSigns.of[block.qs[4 * part + l] ^ 0xff]);
}

void decode_row(const BlockQ2_0& block, u32 part, GridRow& out) {
  out.d = f16_to_f32(block.d);
  for (u32 l = 0; l < 4; ++l) {
    u64 fields = block.qs[8 * part + 2 * l] | (u64{block.qs[8 * part + 2 * l + 1]} << 32);
    fields = (fields | (fields << 12)) & 0x000f000f000f000full;
    fields = (fields | (fields << 6)) & 0x0303030303030303ull;
    out.q[l] = minus_one(fields);
  }
}

// kFp4Values of 8 nibbles s a b c: (2b + c) << a, plus 4a + 2abc; s negates what is not 0.
u64 fp4_values(u64 nibbles) {
  const u64 a = (nibbles >> 2) & kOnes;
  const u64 b_c = nibbles & (kOnes * 3);
  const u64 a_and_b_and_c = a & (nibbles >> 1) & nibbles;
  const u64 magnitude = b_c + (b_c & (a * 3)) + (a << 2) + (a_and_b_and_c << 1);
  const u64 not_zero = (magnitude + kOnes * 0x7f) >> 7;
  const u64 ones = (nibbles >> 3) & not_zero & kOnes;
  return negate(magnitude, ones * 0xff);
}

constexpr u8 kE4m3NotANumber = 0x7f;

// Half of an unsigned E4M3, for doubled elements. NaN counts as 0, as in the reference.
f32 half_e4m3(u8 bits) {
  const u32 exponent = (bits >> 3) & 15;
  const u32 mantissa = bits & 7;
  if (bits == kE4m3NotANumber) return 0;
  if (exponent == 0) return static_cast<f32>(mantissa) * 0x1p-10f;
  return __builtin_bit_cast(f32, ((exponent + 119) << 23) | (mantissa << 20));
}

void decode_row(const BlockNVFP4& block, u32 part, GridRow& out) {
  out.d = half_e4m3(block.d[2 * part]);
  out.d_high = half_e4m3(block.d[2 * part + 1]);
  for (u32 half = 0; half < 2; ++half) {
    const u64 bytes = load_two_words(block.qs + 16 * part + 8 * half);
    out.q[2 * half] = fp4_values(bytes & (kOnes * 15));
    out.q[2 * half + 1] = fp4_values((bytes >> 4) & (kOnes * 15));
  }
}

template <class Block>
void decode_block(const u8* bytes, u32 part, Elements& out) {
  GridRow row;
  decode_row(block_at<Block>(bytes), part, row);
  out.d[0] = row.d * static_cast<f32>(row.scale[0]);
  out.d[1] = row.d * static_cast<f32>(row.scale[1]);
  if constexpr (requires(Block block) { block.d[1]; }) out.d[1] = row.d_high;
  __builtin_memcpy(out.q, row.q, sizeof(out.q));
}

template <class Block, u32 kParts>
void expand(const u8* tile, u32 block, GridTile& out) {
  const Block* blocks =
      reinterpret_cast<const Block*>(tile) + static_cast<usize>(block / kParts) * kTileRows;
  for (u32 row = 0; row < kTileRows; ++row) {
    GridRow decoded;
    decode_row(blocks[row], block % kParts, decoded);
    for (u32 l = 0; l < 4; ++l) {
      store_word(reinterpret_cast<u8*>(&out.q[2 * l][4 * row]), static_cast<u32>(decoded.q[l]));
      store_word(reinterpret_cast<u8*>(&out.q[2 * l + 1][4 * row]),
                 static_cast<u32>(decoded.q[l] >> 32));
    }
    out.d[row] = decoded.d;
    out.d_high[row] = decoded.d_high;
    out.scale[0][row] = decoded.scale[0];
    out.scale[1][row] = decoded.scale[1];
  }
}

}  // namespace

bool is_grid_type(DType type) { return grid_decoder(type) != nullptr; }

GridStep grid_step(DType type) {
  switch (type) {
    case DType::kIQ1_M:
    case DType::kIQ2_XS:
    case DType::kIQ2_S: return GridStep::kHalves;
    case DType::kNVFP4: return GridStep::kTwoSteps;
    default: return GridStep::kScale;
  }
}

DecodeBlock grid_decoder(DType type) {
  switch (type) {
    case DType::kIQ1_S: return decode_block<BlockIQ1_S>;
    case DType::kIQ1_M: return decode_block<BlockIQ1_M>;
    case DType::kIQ2_XXS: return decode_block<BlockIQ2_XXS>;
    case DType::kIQ2_XS: return decode_block<BlockIQ2_XS>;
    case DType::kIQ2_S: return decode_block<BlockIQ2_S>;
    case DType::kIQ3_XXS: return decode_block<BlockIQ3_XXS>;
    case DType::kIQ3_S: return decode_block<BlockIQ3_S>;
    case DType::kTQ1_0: return decode_block<BlockTQ1_0>;
    case DType::kTQ2_0: return decode_block<BlockTQ2_0>;
    case DType::kNVFP4: return decode_block<BlockNVFP4>;
    case DType::kQ1_0: return decode_block<BlockQ1_0>;
    case DType::kQ2_0: return decode_block<BlockQ2_0>;
    default: return nullptr;
  }
}

void expand_grid(DType type, const u8* tile, u32 block, GridTile& out) {
  switch (type) {
    case DType::kIQ1_S: return expand<BlockIQ1_S, 8>(tile, block, out);
    case DType::kIQ1_M: return expand<BlockIQ1_M, 8>(tile, block, out);
    case DType::kIQ2_XXS: return expand<BlockIQ2_XXS, 8>(tile, block, out);
    case DType::kIQ2_XS: return expand<BlockIQ2_XS, 8>(tile, block, out);
    case DType::kIQ2_S: return expand<BlockIQ2_S, 8>(tile, block, out);
    case DType::kIQ3_XXS: return expand<BlockIQ3_XXS, 8>(tile, block, out);
    case DType::kIQ3_S: return expand<BlockIQ3_S, 8>(tile, block, out);
    case DType::kTQ1_0: return expand<BlockTQ1_0, 8>(tile, block, out);
    case DType::kTQ2_0: return expand<BlockTQ2_0, 8>(tile, block, out);
    case DType::kNVFP4: return expand<BlockNVFP4, 2>(tile, block, out);
    case DType::kQ1_0: return expand<BlockQ1_0, 4>(tile, block, out);
    case DType::kQ2_0: return expand<BlockQ2_0, 2>(tile, block, out);
    default: panic("expand_grid: not a grid type", __FILE__, __LINE__);
  }
}

bool grid_scale_is_finite(DType type, const u8* block) {
  switch (type) {
    case DType::kIQ1_M: return f16_is_finite(scale_of(block_at<BlockIQ1_M>(block)));
    case DType::kNVFP4: {
      const BlockNVFP4& nvfp4 = block_at<BlockNVFP4>(block);
      for (const u8 d : nvfp4.d) {
        if ((d & kE4m3NotANumber) == kE4m3NotANumber) return false;
      }
      return true;
    }
    case DType::kTQ1_0: return f16_is_finite(block_at<BlockTQ1_0>(block).d);
    case DType::kTQ2_0: return f16_is_finite(block_at<BlockTQ2_0>(block).d);
    default: return f16_is_finite(load_half(block));  // the first field of the others
  }
}

}  // namespace lbm
