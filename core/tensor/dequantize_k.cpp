// Dequantization of superblocks of 256 columns: the K types and IQ4_XS, 32 columns ("part") at a
// time.
#include "core/tensor/block_bytes.h"
#include "core/tensor/blocks.h"
#include "core/tensor/elements.h"
#include "core/tensor/f16.h"

namespace lbm {
namespace {

// A superblock holds its 2-bit elements as two halves of 128 columns: byte l of the 32 of a half
// has columns l, 32 + l, 64 + l and 96 + l.
i32 two_bits(const u8* qs, u32 part, u32 i) {
  return (qs[32 * (part / 4) + i] >> (2 * (part % 4))) & 3;
}
// Nibbles of the types with 128 bytes: byte l of 32 has column l of two neighbouring parts.
i32 nibble(const u8* qs, u32 part, u32 i) {
  return (qs[32 * (part / 2) + i] >> (4 * (part % 2))) & 15;
}

void decode_q2_k(const u8* bytes, u32 part, Elements& out) {
  const BlockQ2_K& block = block_at<BlockQ2_K>(bytes);
  for (u32 half = 0; half < 2; ++half) {
    const u32 scale = block.scales[2 * part + half];
    out.d[half] = f16_to_f32(block.d) * static_cast<f32>(scale & 15);
    out.m[half] = -(f16_to_f32(block.dmin) * static_cast<f32>(scale >> 4));
  }
  for (u32 i = 0; i < kBlockSize; ++i) out.q[i] = static_cast<i8>(two_bits(block.qs, part, i));
}

void decode_q3_k(const u8* bytes, u32 part, Elements& out) {
  const BlockQ3_K& block = block_at<BlockQ3_K>(bytes);
  for (u32 half = 0; half < 2; ++half) {
    const u32 at = 2 * part + half;  // of 16 scales
    const i32 low = (block.scales[at % 8] >> (4 * (at / 8))) & 15;
    const i32 high = (block.scales[8 + at % 4] >> (2 * (at / 4))) & 3;
    out.d[half] = f16_to_f32(block.d) * static_cast<f32>((low | (high << 4)) - 32);
  }
  for (u32 i = 0; i < kBlockSize; ++i) {
    const i32 third = (block.hmask[i] >> part) & 1;
    out.q[i] = static_cast<i8>((two_bits(block.qs, part, i) | (third << 2)) - 4);
  }
}

// Scale and minimum of Q4_K and Q5_K. Parts 0..3 have them in the low 6 bits of bytes 0..3
// and 4..7; parts 4..7 have nibbles in bytes 8..11 and the other two bits in the tops of bytes
// 0..7.
template <class Block>
void decode_scales(const Block& block, u32 part, Elements& out) {
  const u8* s = block.scales;
  i32 scale = 0;
  i32 minimum = 0;
  if (part < 4) {
    scale = s[part] & 63;
    minimum = s[part + 4] & 63;
  } else {
    scale = (s[part + 4] & 15) | ((s[part - 4] >> 6) << 4);
    minimum = (s[part + 4] >> 4) | ((s[part] >> 6) << 4);
  }
  set_scales(out, f16_to_f32(block.d) * static_cast<f32>(scale),
             -(f16_to_f32(block.dmin) * static_cast<f32>(minimum)));
}

void decode_q4_k(const u8* bytes, u32 part, Elements& out) {
  const BlockQ4_K& block = block_at<BlockQ4_K>(bytes);
  decode_scales(block, part, out);
  for (u32 i = 0; i < kBlockSize; ++i) out.q[i] = static_cast<i8>(nibble(block.qs, part, i));
}

void decode_q5_k(const u8* bytes, u32 part, Elements& out) {
  const BlockQ5_K& block = block_at<BlockQ5_K>(bytes);
  decode_scales(block, part, out);
  for (u32 i = 0; i < kBlockSize; ++i) {
    const i32 fifth = (block.qh[i] >> part) & 1;
    out.q[i] = static_cast<i8>(nibble(block.qs, part, i) | (fifth << 4));
  }
}

// Q6_K: byte l of the 64 of a half of 128 columns has columns l and 64 + l.
void decode_q6_k(const u8* bytes, u32 part, Elements& out) {
  const BlockQ6_K& block = block_at<BlockQ6_K>(bytes);
  for (u32 half = 0; half < 2; ++half)
    out.d[half] = f16_to_f32(block.d) * static_cast<f32>(block.scales[2 * part + half]);
  const u8* low = block.ql + 64 * (part / 4) + 32 * (part % 2);
  for (u32 i = 0; i < kBlockSize; ++i) {
    const i32 four = (low[i] >> (4 * (part % 4 / 2))) & 15;
    out.q[i] = static_cast<i8>((four | (two_bits(block.qh, part, i) << 4)) - 32);
  }
}

void decode_iq4_xs(const u8* bytes, u32 part, Elements& out) {
  const BlockIQ4_XS& block = block_at<BlockIQ4_XS>(bytes);
  const i32 low = (block.scales_l[part / 2] >> (4 * (part % 2))) & 15;
  const i32 high = (block.scales_h >> (2 * part)) & 3;
  set_scales(out, f16_to_f32(block.d) * static_cast<f32>((low | (high << 4)) - 32));
  const u8* qs = block.qs + 16 * part;
  for (u32 i = 0; i < 16; ++i) {
    out.q[i] = kIq4Values[qs[i] & 15];
    out.q[i + 16] = kIq4Values[qs[i] >> 4];
  }
}

}  // namespace

DecodeBlock superblock_decoder(DType type) {
  switch (type) {
    case DType::kQ2_K: return decode_q2_k;
    case DType::kQ3_K: return decode_q3_k;
    case DType::kQ4_K: return decode_q4_k;
    case DType::kQ5_K: return decode_q5_k;
    case DType::kQ6_K: return decode_q6_k;
    case DType::kIQ4_XS: return decode_iq4_xs;
    default: return nullptr;
  }
}

}  // namespace lbm
