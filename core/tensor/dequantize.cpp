#include "core/tensor/dequantize.h"

#include "core/base/arith.h"
#include "core/tensor/blocks.h"
#include "core/tensor/f16.h"

namespace lbm {
namespace {

// File bytes carry no alignment: each block is copied before it is looked at.
template <class Block>
Block load_block(const u8* bytes) {
  Block block;
  __builtin_memcpy(&block, bytes, sizeof(Block));
  return block;
}

void expand(const BlockQ4_0& block, f32* out) {
  const f32 d = f16_to_f32(block.d);
  for (u32 i = 0; i < 16; ++i) {
    out[i] = d * static_cast<f32>((block.qs[i] & 15) - 8);
    out[i + 16] = d * static_cast<f32>((block.qs[i] >> 4) - 8);
  }
}

void expand(const BlockQ4_1& block, f32* out) {
  const f32 d = f16_to_f32(block.d);
  const f32 m = f16_to_f32(block.m);
  for (u32 i = 0; i < 16; ++i) {
    out[i] = d * static_cast<f32>(block.qs[i] & 15) + m;
    out[i + 16] = d * static_cast<f32>(block.qs[i] >> 4) + m;
  }
}

// The 5-bit value of element i.
template <class Block>
i32 five_bits(const Block& block, u32 i) {
  const i32 nibble = i < 16 ? block.qs[i] & 15 : block.qs[i - 16] >> 4;
  const i32 fifth = (block.qh[i / 8] >> (i % 8)) & 1;
  return nibble | (fifth << 4);
}

void expand(const BlockQ5_0& block, f32* out) {
  const f32 d = f16_to_f32(block.d);
  for (u32 i = 0; i < 32; ++i) out[i] = d * static_cast<f32>(five_bits(block, i) - 16);
}

void expand(const BlockQ5_1& block, f32* out) {
  const f32 d = f16_to_f32(block.d);
  const f32 m = f16_to_f32(block.m);
  for (u32 i = 0; i < 32; ++i) out[i] = d * static_cast<f32>(five_bits(block, i)) + m;
}

void expand(const BlockQ8_0& block, f32* out) {
  const f32 d = f16_to_f32(block.d);
  for (u32 i = 0; i < 32; ++i) out[i] = d * static_cast<f32>(block.qs[i]);
}

template <class Block>
void expand_all(Span<const u8> bytes, Span<f32> out) {
  for (usize i = 0; i < out.size() / 32; ++i) {
    expand(load_block<Block>(bytes.data() + i * sizeof(Block)), out.data() + i * 32);
  }
}

template <f32 (*kConvert)(u16)>
void convert_all(Span<const u8> bytes, Span<f32> out) {
  for (usize i = 0; i < out.size(); ++i) out[i] = kConvert(load_block<u16>(bytes.data() + i * 2));
}

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

}  // namespace

bool can_dequantize(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ8_0: return true;
    default: return false;
  }
}

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
    case DType::kF32: __builtin_memcpy(out.data(), blocks.data(), blocks.size()); break;
    case DType::kF16: convert_all<f16_to_f32>(blocks, out); break;
    case DType::kBF16: convert_all<bf16_to_f32>(blocks, out); break;
    case DType::kQ4_0: expand_all<BlockQ4_0>(blocks, out); break;
    case DType::kQ4_1: expand_all<BlockQ4_1>(blocks, out); break;
    case DType::kQ5_0: expand_all<BlockQ5_0>(blocks, out); break;
    case DType::kQ5_1: expand_all<BlockQ5_1>(blocks, out); break;
    case DType::kQ8_0: expand_all<BlockQ8_0>(blocks, out); break;
    default: break;
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
