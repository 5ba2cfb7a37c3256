// Blocks of every weight type: random bytes with scales that are finite, and where those scales
// are.
#pragma once

#include "core/base/pcg32.h"
#include "core/base/span.h"
#include "core/tensor/dtype.h"

namespace lbm::test {

// The types with a tile layout, all of them.
inline constexpr DType kWeightTypes[] = {
    DType::kF32,     DType::kF16,    DType::kBF16,   DType::kQ4_0,    DType::kQ4_1,  DType::kQ5_0,
    DType::kQ5_1,    DType::kQ8_0,   DType::kQ2_K,   DType::kQ3_K,    DType::kQ4_K,  DType::kQ5_K,
    DType::kQ6_K,    DType::kIQ4_NL, DType::kIQ4_XS, DType::kMXFP4,   DType::kIQ1_S, DType::kIQ1_M,
    DType::kIQ2_XXS, DType::kIQ2_XS, DType::kIQ2_S,  DType::kIQ3_XXS, DType::kIQ3_S, DType::kTQ1_0,
    DType::kTQ2_0,   DType::kNVFP4,  DType::kQ1_0,   DType::kQ2_0};

// Where the binary16 scales of a block are; `n` of them. MXFP4 and NVFP4 have bytes of their own
// kind, IQ1_M the four nibbles at the tops of the words at 48.
struct ScalePlaces {
  u32 n;
  u32 at[2];
};
inline ScalePlaces scale_places(DType type) {
  switch (type) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kMXFP4:
    case DType::kNVFP4:
    case DType::kIQ1_M: return {0, {}};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K: return {2, {0, 2}};
    case DType::kQ2_K: return {2, {80, 82}};
    case DType::kQ3_K: return {1, {108, 0}};
    case DType::kQ6_K: return {1, {208, 0}};
    case DType::kTQ1_0: return {1, {52, 0}};
    case DType::kTQ2_0: return {1, {64, 0}};
    default: return {1, {0, 0}};
  }
}

// Clears the lowest bit of the exponent of each scale, so none of them is NaN or infinite.
inline void make_scales_finite(DType type, u8* block) {
  const ScalePlaces places = scale_places(type);
  for (u32 i = 0; i < places.n; ++i) block[places.at[i] + 1] &= 0xfb;
  if (type == DType::kIQ1_M) block[55] &= 0xbf;
  if (type == DType::kMXFP4) block[0] &= 0x7f;  // also keeps 12 * 2^e below infinity
  if (type == DType::kNVFP4) {
    for (u32 i = 0; i < 4; ++i) block[i] &= 0xfe;
  }
}

// Fills `bytes`, whole blocks of `type`.
inline void fill_random_blocks(Pcg32& rng, DType type, Span<u8> bytes) {
  for (u8& b : bytes) b = static_cast<u8>(rng.next());
  const u32 n_byte = dtype_traits(type).block_bytes;
  for (usize at = 0; at < bytes.size(); at += n_byte) make_scales_finite(type, bytes.data() + at);
}

}  // namespace lbm::test
