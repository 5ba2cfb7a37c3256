// 32 columns of one row of a weight matrix as integers and scales, for every weight type (R6):
// unpacked from the bytes of the file, one element after the other.
//
// It shares nothing with what it is there to judge, neither with the repacking nor with the
// kernels. Grid types are the exception: their integers come from expand_grid(), which
// tests/tensor/grid_test.cpp holds against the reference dequantizer.
#pragma once

#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"
#include "core/tensor/grid.h"

namespace lbm::test {

// How a block enters the sum (plain_product.h has the formulas).
enum class PlainStep : u8 { kScale, kScaleMin, kHalves, kHalvesMin, kTwoSteps };

struct PlainBlock {
  PlainStep step = PlainStep::kScale;
  i32 q[kBlockSize] = {};
  f32 d = 0;
  f32 d_high = 0;       // kTwoSteps: of columns 16..31
  f32 m = 0;            // kScaleMin: the minimum as it is added. kHalvesMin: -dmin
  i32 scale[2] = {};    // kHalves, kHalvesMin: of columns 0..15 and 16..31
  i32 minimum[2] = {};  // kHalvesMin
};

// 2^n for n in [-149, 127].
inline f32 plain_power_of_two(i32 n) {
  const u32 bits = n < -126 ? 1u << (n + 149) : static_cast<u32>(n + 127) << 23;
  return __builtin_bit_cast(f32, bits);
}

inline f32 plain_f16(u32 bits) {
  const i32 exponent = static_cast<i32>((bits >> 10) & 31);
  const f32 mantissa = static_cast<f32>(bits & 1023);
  const f32 sign = (bits >> 15) != 0 ? -1.0f : 1.0f;
  if (exponent == 31) return mantissa == 0.0f ? sign * __builtin_inff() : __builtin_nanf("");
  if (exponent == 0) return sign * mantissa * plain_power_of_two(-24);
  return sign * (1024.0f + mantissa) * plain_power_of_two(exponent - 25);
}

inline constexpr i32 kPlainIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};
// FP4 is 0, 0.5, 1, 1.5, 2, 3, 4, 6; here doubled.
inline constexpr i32 kPlainFp4[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

// Column i of 32 in 16 bytes: low halves first.
inline i32 plain_nibble(const u8* qs, u32 i) { return i < 16 ? qs[i] % 16 : qs[i - 16] / 16; }
inline i32 plain_bit(const u8* bytes, u32 i) { return (bytes[i / 8] >> (i % 8)) % 2; }

inline void read_plain(const BlockQ4_0& b, u32, PlainBlock& out) {
  out.d = plain_f16(b.d);
  for (u32 i = 0; i < 32; ++i) out.q[i] = plain_nibble(b.qs, i) - 8;
}
inline void read_plain(const BlockQ4_1& b, u32, PlainBlock& out) {
  out.step = PlainStep::kScaleMin;
  out.d = plain_f16(b.d);
  out.m = plain_f16(b.m);
  for (u32 i = 0; i < 32; ++i) out.q[i] = plain_nibble(b.qs, i);
}
inline void read_plain(const BlockQ5_0& b, u32, PlainBlock& out) {
  out.d = plain_f16(b.d);
  for (u32 i = 0; i < 32; ++i) out.q[i] = plain_nibble(b.qs, i) + 16 * plain_bit(b.qh, i) - 16;
}
inline void read_plain(const BlockQ5_1& b, u32, PlainBlock& out) {
  out.step = PlainStep::kScaleMin;
  out.d = plain_f16(b.d);
  out.m = plain_f16(b.m);
  for (u32 i = 0; i < 32; ++i) out.q[i] = plain_nibble(b.qs, i) + 16 * plain_bit(b.qh, i);
}
inline void read_plain(const BlockQ8_0& b, u32, PlainBlock& out) {
  out.d = plain_f16(b.d);
  for (u32 i = 0; i < 32; ++i) out.q[i] = b.qs[i];
}
// IQ4_NL has the block of Q4_0.
struct PlainIQ4_NL : BlockQ4_0 {};
inline void read_plain(const PlainIQ4_NL& b, u32, PlainBlock& out) {
  out.d = plain_f16(b.d);
  for (u32 i = 0; i < 32; ++i) out.q[i] = kPlainIq4[plain_nibble(b.qs, i)];
}
inline void read_plain(const BlockMXFP4& b, u32, PlainBlock& out) {
  out.d = plain_power_of_two(b.e - 128);  // half of 2^(e - 127), since elements are doubled
  for (u32 i = 0; i < 32; ++i) out.q[i] = kPlainFp4[plain_nibble(b.qs, i)];
}

// Superblocks: `c` is a column of 256, `part` the 32 of them that are asked for.
inline i32 plain_two_bits(const u8* qs, u32 c) {
  return (qs[32 * (c / 128) + c % 32] >> (2 * (c % 128 / 32))) % 4;
}
inline i32 plain_super_nibble(const u8* qs, u32 c) {
  return (qs[32 * (c / 64) + c % 32] >> (4 * (c % 64 / 32))) % 16;
}

inline void read_plain(const BlockQ2_K& b, u32 part, PlainBlock& out) {
  out.step = PlainStep::kHalvesMin;
  out.d = plain_f16(b.d);
  out.m = -plain_f16(b.dmin);
  for (u32 half = 0; half < 2; ++half) {
    out.scale[half] = b.scales[2 * part + half] % 16;
    out.minimum[half] = b.scales[2 * part + half] / 16;
  }
  for (u32 i = 0; i < 32; ++i) out.q[i] = plain_two_bits(b.qs, 32 * part + i);
}
inline void read_plain(const BlockQ3_K& b, u32 part, PlainBlock& out) {
  out.step = PlainStep::kHalves;
  out.d = plain_f16(b.d);
  for (u32 half = 0; half < 2; ++half) {
    const u32 n = 2 * part + half;  // of 16 scales: 4 low bits each, then 2 high bits each
    const i32 low = n < 8 ? b.scales[n] % 16 : b.scales[n - 8] / 16;
    const i32 high = (b.scales[8 + n % 4] >> (2 * (n / 4))) % 4;
    out.scale[half] = low + 16 * high - 32;
  }
  for (u32 i = 0; i < 32; ++i)
    out.q[i] = plain_two_bits(b.qs, 32 * part + i) + 4 * ((b.hmask[i] >> part) % 2) - 4;
}

// Q4_K and Q5_K: 8 scales and 8 minima of 6 bits. The first 4 of each are the low 6 bits of a byte;
// the others have 4 bits in the last bytes and 2 in the tops of the first.
template <class Block>
void read_plain_scales(const Block& b, u32 part, PlainBlock& out) {
  const u8* s = b.scales;
  i32 scale = s[part] % 64;
  i32 minimum = s[part + 4] % 64;
  if (part >= 4) {
    scale = s[part + 4] % 16 + 16 * (s[part - 4] / 64);
    minimum = s[part + 4] / 16 + 16 * (s[part] / 64);
  }
  out.step = PlainStep::kScaleMin;
  out.d = plain_f16(b.d) * static_cast<f32>(scale);
  out.m = -(plain_f16(b.dmin) * static_cast<f32>(minimum));
}
inline void read_plain(const BlockQ4_K& b, u32 part, PlainBlock& out) {
  read_plain_scales(b, part, out);
  for (u32 i = 0; i < 32; ++i) out.q[i] = plain_super_nibble(b.qs, 32 * part + i);
}
inline void read_plain(const BlockQ5_K& b, u32 part, PlainBlock& out) {
  read_plain_scales(b, part, out);
  for (u32 i = 0; i < 32; ++i)
    out.q[i] = plain_super_nibble(b.qs, 32 * part + i) + 16 * ((b.qh[i] >> part) % 2);
}
inline void read_plain(const BlockQ6_K& b, u32 part, PlainBlock& out) {
  out.step = PlainStep::kHalves;
  out.d = plain_f16(b.d);
  for (u32 half = 0; half < 2; ++half) out.scale[half] = b.scales[2 * part + half];
  for (u32 i = 0; i < 32; ++i) {
    const u32 c = 32 * part + i;
    const i32 low = (b.ql[64 * (c / 128) + c % 64] >> (4 * (c % 128 / 64))) % 16;
    out.q[i] = low + 16 * plain_two_bits(b.qh, c) - 32;
  }
}
inline void read_plain(const BlockIQ4_XS& b, u32 part, PlainBlock& out) {
  const i32 low = (b.scales_l[part / 2] >> (4 * (part % 2))) % 16;
  const i32 high = (b.scales_h >> (2 * part)) % 4;
  out.d = plain_f16(b.d) * static_cast<f32>(low + 16 * high - 32);
  for (u32 i = 0; i < 32; ++i) out.q[i] = kPlainIq4[plain_nibble(b.qs + 16 * part, i)];
}

inline void read_plain_grid(DType type, const u8* block, u32 part, PlainBlock& out) {
  constexpr u32 kLargestBlock = 110;
  const u32 n_byte = dtype_traits(type).block_bytes;
  alignas(64) u8 tile[kTileRows * kLargestBlock] = {};
  __builtin_memcpy(tile, block, n_byte);  // row 0; the other rows are zeros
  GridTile grid;
  expand_grid(type, tile, part, grid);
  out.d = grid.d[0];
  if (grid_step(type) == GridStep::kHalves) {
    out.step = PlainStep::kHalves;
    for (u32 half = 0; half < 2; ++half) out.scale[half] = grid.scale[half][0];
  }
  if (grid_step(type) == GridStep::kTwoSteps) {
    out.step = PlainStep::kTwoSteps;
    out.d_high = grid.d_high[0];
  }
  for (u32 i = 0; i < 32; ++i) out.q[i] = grid.q[i / 4][i % 4];
}

// Columns 32 * n .. 32 * n + 31 of a row, as the file stores it, of a quantized type.
inline PlainBlock plain_block(DType type, const u8* row, u32 n) {
  const DTypeTraits traits = dtype_traits(type);
  const u32 n_part = traits.block_size / kBlockSize;
  const u8* bytes = row + static_cast<usize>(n / n_part) * traits.block_bytes;
  PlainBlock out;
  const auto read = [&](auto block) {
    __builtin_memcpy(&block, bytes, sizeof(block));
    read_plain(block, n % n_part, out);
  };
  switch (type) {
    case DType::kQ4_0: read(BlockQ4_0{}); break;
    case DType::kQ4_1: read(BlockQ4_1{}); break;
    case DType::kQ5_0: read(BlockQ5_0{}); break;
    case DType::kQ5_1: read(BlockQ5_1{}); break;
    case DType::kQ8_0: read(BlockQ8_0{}); break;
    case DType::kIQ4_NL: read(PlainIQ4_NL{}); break;
    case DType::kMXFP4: read(BlockMXFP4{}); break;
    case DType::kQ2_K: read(BlockQ2_K{}); break;
    case DType::kQ3_K: read(BlockQ3_K{}); break;
    case DType::kQ4_K: read(BlockQ4_K{}); break;
    case DType::kQ5_K: read(BlockQ5_K{}); break;
    case DType::kQ6_K: read(BlockQ6_K{}); break;
    case DType::kIQ4_XS: read(BlockIQ4_XS{}); break;
    default: read_plain_grid(type, bytes, n % n_part, out);
  }
  return out;
}

// Column k of a row of F32, F16 or BF16.
inline f32 plain_element(DType type, const u8* row, u32 k) {
  u32 bits = 0;
  if (type == DType::kF32) {
    __builtin_memcpy(&bits, row + 4 * usize{k}, 4);
    return __builtin_bit_cast(f32, bits);
  }
  __builtin_memcpy(&bits, row + 2 * usize{k}, 2);
  return type == DType::kF16 ? plain_f16(bits) : __builtin_bit_cast(f32, bits << 16);
}

}  // namespace lbm::test
