#include "core/tensor/quantize.h"

#include "core/base/arith.h"
#include "core/base/fmath.h"
#include "core/tensor/block_bytes.h"
#include "core/tensor/elements.h"
#include "core/tensor/f16.h"
#include "core/tensor/quantize_blocks.h"
#include "core/tensor/quantize_fit.h"

namespace lbm {
namespace {

constexpr u32 kMaxBlock = kSuperSize;

// ---- blocks of 32 -------------------------------------------------------------------------------

template <class Block>
Block& block_to_write(u8* bytes) {
  return *reinterpret_cast<Block*>(bytes);
}

// The scale as the file will have it.
f32 rounded(f32 scale, f16_bits& out) {
  out = f32_to_f16(scale);
  return f16_to_f32(out);
}

// Bit 4 of every element, for the types that have five.
template <class Block>
void store_elements(const f32* levels, f32 offset, Block& block) {
  store_nibbles(levels, offset, block.qs);
  if constexpr (requires { block.qh; }) {
    u32 bits = 0;
    for (u32 i = 0; i < kBlockSize; ++i)
      bits |= ((static_cast<u32>(levels[i] + offset) >> 4) & 1) << i;
    store_word(block.qh, bits);
  }
}

// Q4_0, Q5_0.
template <class Block, i32 kOffset>
void encode_symmetric(const f32* values, const f32* weights, u8* bytes) {
  constexpr f32 kLow = -static_cast<f32>(kOffset);
  constexpr IntegerLevels kLevels = {kLow, -kLow - 1, kLow, 0.1f};
  Group group;
  group.load(values, weights, kBlockSize);
  Block& block = block_to_write<Block>(bytes);
  const f32 scale = rounded(fit_scale(group, kLevels), block.d);
  f32 levels[kBlockSize];
  assign(group, kLevels, {scale, 0}, levels);
  store_elements(levels, -kLow, block);
}

// Q4_1, Q5_1.
template <class Block, i32 kHigh>
void encode_affine(const f32* values, const f32* weights, u8* bytes) {
  constexpr f32 kTop = static_cast<f32>(kHigh);
  constexpr IntegerLevels kLevels = {0, kTop, kTop, 0};
  Group group;
  group.load(values, weights, kBlockSize);
  Block& block = block_to_write<Block>(bytes);
  const Grid fit = fit_grid(group, kTop, /*minimum_below_zero=*/false);
  const Grid grid = {rounded(fit.scale, block.d), rounded(fit.minimum, block.m)};
  f32 levels[kBlockSize];
  assign(group, kLevels, grid, levels);
  store_elements(levels, 0, block);
}

void encode_q8_0(const f32* values, const f32* weights, u8* bytes) {
  constexpr IntegerLevels kLevels = {-127, 127, 127, 0.1f};
  Group group;
  group.load(values, weights, kBlockSize);
  BlockQ8_0& block = block_to_write<BlockQ8_0>(bytes);
  const f32 scale = rounded(fit_scale(group, kLevels), block.d);
  f32 levels[kBlockSize];
  assign(group, kLevels, {scale, 0}, levels);
  for (u32 i = 0; i < kBlockSize; ++i) block.qs[i] = static_cast<i8>(levels[i]);
}

void encode_iq4_nl(const f32* values, const f32* weights, u8* bytes) {
  constexpr Iq4Levels kLevels;
  Group group;
  group.load(values, weights, kBlockSize);
  BlockQ4_0& block = block_to_write<BlockQ4_0>(bytes);
  const f32 scale = rounded(fit_scale(group, kLevels), block.d);
  f32 levels[kBlockSize];
  assign(group, kLevels, {scale, 0}, levels);
  for (f32& level : levels) level = static_cast<f32>(iq4_index(level));
  store_nibbles(levels, 0, block.qs);
}

EncodeBlock encoder_of(DType type) {
  switch (type) {
    case DType::kQ4_0: return encode_symmetric<BlockQ4_0, 8>;
    case DType::kQ5_0: return encode_symmetric<BlockQ5_0, 16>;
    case DType::kQ4_1: return encode_affine<BlockQ4_1, 15>;
    case DType::kQ5_1: return encode_affine<BlockQ5_1, 31>;
    case DType::kQ8_0: return encode_q8_0;
    case DType::kIQ4_NL: return encode_iq4_nl;
    default: return superblock_encoder(type);
  }
}

// ---- input --------------------------------------------------------------------------------------

bool is_plain(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

bool is_finite(f32 value) { return value - value == 0; }

Status check_values(DType type, Span<const f32> values, Span<const f32> importance) {
  const bool any_magnitude = type == DType::kF32 || type == DType::kBF16;
  for (usize i = 0; i < values.size(); ++i) {
    if (!is_finite(values[i]))
      return fail(ErrorCode::kNumeric, "value is NaN or infinite").with(i);
    if (!any_magnitude && magnitude(values[i]) > kMaxQuantizable)
      return fail(ErrorCode::kNumeric, "value is larger than the type can hold").with(i);
    if (type == DType::kBF16 && !is_finite(bf16_to_f32(f32_to_bf16(values[i]))))
      return fail(ErrorCode::kNumeric, "value is larger than the type can hold").with(i);
  }
  for (usize i = 0; i < importance.size(); ++i) {
    if (!is_finite(importance[i]) || importance[i] < 0)
      return fail(ErrorCode::kNumeric, "importance is negative or not finite").with(i);
  }
  return {};
}

// What an error in each value of a block costs. A large weight is multiplied with the same
// activations as a small one, but it is large because it matters: sqrt(mean square + x^2) leans
// towards it. The importance is divided by its largest, so that products of it stay in range.
void weigh(const f32* values, const f32* importance, u32 n_value, f32* weights) {
  f32 squares = 0;
  f32 largest = 0;
  for (u32 i = 0; i < n_value; ++i) {
    squares += values[i] * values[i];
    if (importance != nullptr && importance[i] > largest) largest = importance[i];
  }
  const f32 mean = squares / static_cast<f32>(n_value);
  for (u32 i = 0; i < n_value; ++i) {
    const f32 relative = largest > 0 ? importance[i] / largest : 1.0f;
    weights[i] = relative * sqrt_f32(mean + values[i] * values[i]);
  }
}

template <u16 (*kConvert)(f32)>
void convert_all(Span<const f32> values, u8* out) {
  for (usize i = 0; i < values.size(); ++i) {
    const u16 half = kConvert(values[i]);
    __builtin_memcpy(out + 2 * i, &half, 2);
  }
}

void convert_plain(DType type, Span<const f32> values, Span<u8> out) {
  switch (type) {
    case DType::kF16: convert_all<f32_to_f16>(values, out.data()); return;
    case DType::kBF16: convert_all<f32_to_bf16>(values, out.data()); return;
    default: __builtin_memcpy(out.data(), values.data(), out.size()); return;
  }
}

}  // namespace

u32 iq4_index(f32 level) {
  u32 index = 0;
  while (index < 15 && static_cast<f32>(kIq4Values[index]) < level) ++index;
  return index;
}

bool can_quantize(DType type) { return is_plain(type) || encoder_of(type) != nullptr; }

Status quantize(DType type, Span<const f32> values, Span<const f32> importance, Span<u8> blocks) {
  const DTypeTraits traits = dtype_traits(type);
  if (!can_quantize(type)) {
    return fail(ErrorCode::kUnsupported, "no quantizer for this type in this build")
        .about(traits.name != nullptr ? Str(traits.name) : Str("unknown type"));
  }
  u64 expected = 0;
  if (values.size() % traits.block_size != 0 ||
      !checked_mul(values.size() / traits.block_size, traits.block_bytes, expected) ||
      expected != blocks.size() ||
      (!importance.empty() && importance.size() != values.size())) {
    return fail(ErrorCode::kMismatch, "output bytes do not match the number of elements")
        .about(traits.name)
        .with(blocks.size(), expected);
  }
  if (Status checked = check_values(type, values, importance); !checked.ok()) return checked;
  if (is_plain(type)) {
    convert_plain(type, values, blocks);
    return {};
  }
  const EncodeBlock encode = encoder_of(type);
  const u32 n_value = traits.block_size;
  f32 weights[kMaxBlock];
  for (usize i = 0; i < values.size() / n_value; ++i) {
    const f32* x = values.data() + i * n_value;
    weigh(x, importance.empty() ? nullptr : importance.data() + i * n_value, n_value, weights);
    encode(x, weights, blocks.data() + i * traits.block_bytes);
  }
  return {};
}

}  // namespace lbm
