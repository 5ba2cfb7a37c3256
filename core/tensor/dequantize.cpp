#include "core/tensor/dequantize.h"

#include "core/base/arith.h"
#include "core/tensor/block_bytes.h"
#include "core/tensor/blocks.h"
#include "core/tensor/elements.h"
#include "core/tensor/f16.h"

namespace lbm {
namespace {

i32 nibble(const u8* qs, u32 i) { return i < 16 ? qs[i] & 15 : qs[i - 16] >> 4; }
i32 fifth_bit(const u8* qh, u32 i) { return ((qh[i / 8] >> (i % 8)) & 1) << 4; }

// Blocks of 32. `kOffset` is what the type takes off its unsigned elements.
template <class Block, i32 kOffset>
void decode(const u8* bytes, u32 /*part*/, Elements& out) {
  const Block& block = block_at<Block>(bytes);
  f32 m = 0;
  if constexpr (requires { block.m; }) m = f16_to_f32(block.m);
  set_scales(out, f16_to_f32(block.d), m);
  for (u32 i = 0; i < kBlockSize; ++i) {
    i32 q = nibble(block.qs, i);
    if constexpr (requires { block.qh; }) q |= fifth_bit(block.qh, i);
    out.q[i] = static_cast<i8>(q - kOffset);
  }
}

void decode_q8_0(const u8* bytes, u32 /*part*/, Elements& out) {
  const BlockQ8_0& block = block_at<BlockQ8_0>(bytes);
  set_scales(out, f16_to_f32(block.d));
  __builtin_memcpy(out.q, block.qs, sizeof(out.q));
}

void decode_iq4_nl(const u8* bytes, u32 /*part*/, Elements& out) {
  const BlockQ4_0& block = block_at<BlockQ4_0>(bytes);
  set_scales(out, f16_to_f32(block.d));
  for (u32 i = 0; i < kBlockSize; ++i) out.q[i] = kIq4Values[nibble(block.qs, i)];
}

void decode_mxfp4(const u8* bytes, u32 /*part*/, Elements& out) {
  const BlockMXFP4& block = block_at<BlockMXFP4>(bytes);
  set_scales(out, half_power(block.e));
  for (u32 i = 0; i < kBlockSize; ++i) out.q[i] = kFp4Values[nibble(block.qs, i)];
}

DecodeBlock decoder_of(DType type) {
  switch (type) {
    case DType::kQ4_0: return decode<BlockQ4_0, 8>;
    case DType::kQ4_1: return decode<BlockQ4_1, 0>;
    case DType::kQ5_0: return decode<BlockQ5_0, 16>;
    case DType::kQ5_1: return decode<BlockQ5_1, 0>;
    case DType::kQ8_0: return decode_q8_0;
    case DType::kIQ4_NL: return decode_iq4_nl;
    case DType::kMXFP4: return decode_mxfp4;
    default: break;
  }
  const DecodeBlock decode = superblock_decoder(type);
  return decode != nullptr ? decode : grid_decoder(type);
}

template <f32 (*kConvert)(u16)>
void convert_all(Span<const u8> bytes, Span<f32> out) {
  for (usize i = 0; i < out.size(); ++i) out[i] = kConvert(load_half(bytes.data() + i * 2));
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

bool can_dequantize(DType type) { return dtype_traits(type).is_weight; }

Status dequantize(DType type, Span<const u8> blocks, Span<f32> out) {
  const DTypeTraits traits = dtype_traits(type);
  if (!can_dequantize(type)) {
    return fail(ErrorCode::kUnsupported, "no dequantizer for this type in this build")
        .about(traits.name != nullptr ? Str(traits.name) : Str("unknown type"));
  }
  u64 expected = 0;
  if (out.size() % traits.block_size != 0 ||
      !checked_mul(out.size() / traits.block_size, traits.block_bytes, expected) ||
      expected != blocks.size()) {
    return fail(ErrorCode::kMismatch, "input bytes do not match the number of elements")
        .about(traits.name)
        .with(blocks.size(), expected);
  }
  switch (type) {
    case DType::kF32: __builtin_memcpy(out.data(), blocks.data(), blocks.size()); return {};
    case DType::kF16: convert_all<f16_to_f32>(blocks, out); return {};
    case DType::kBF16: convert_all<bf16_to_f32>(blocks, out); return {};
    default: break;
  }
  const DecodeBlock decode = decoder_of(type);
  const bool minimum = has_minimum(type);
  const u32 n_part = traits.block_size / kBlockSize;
  Elements elements;
  for (usize i = 0; i < out.size() / kBlockSize; ++i) {
    decode(blocks.data() + i / n_part * traits.block_bytes, static_cast<u32>(i % n_part), elements);
    multiply_out(elements, minimum, out.data() + i * kBlockSize);
  }
  return {};
}

bool find_dtype(Str name, DType& out) {
  for (u32 id = 0; id < kDTypeLimit; ++id) {
    const DTypeTraits traits = dtype_traits(static_cast<DType>(id));
    if (traits.name == nullptr) continue;
    const Str candidate(traits.name);
    if (candidate.size() != name.size()) continue;
    bool same = true;
    for (usize i = 0; i < name.size(); ++i) same = same && upper(candidate[i]) == upper(name[i]);
    if (same) {
      out = static_cast<DType>(id);
      return true;
    }
  }
  return false;
}

}  // namespace lbm
