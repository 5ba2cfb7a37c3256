// Weights and activations that corner the kernels.
#pragma once

#include "core/tensor/f16.h"
#include "tests/tensor/random_blocks.h"

namespace lbm::test {

enum class Values : u8 {
  kOrdinary,  // of like size, so that a wrong bit anywhere shows in the sum
  kLargest,   // integers at their limits, so that a sum that saturates shows
  kWild,      // scales from subnormal to the largest, blocks of zeros and of one repeated byte
};

// Gives every scale of a block the value that `next()` says, a binary16. The scales of MXFP4, NVFP4
// and IQ1_M are made of its upper bits.
template <class Next>
void set_scales(DType type, u8* block, Next next) {
  const ScalePlaces places = scale_places(type);
  for (u32 i = 0; i < places.n; ++i) {
    const u16 scale = next();
    __builtin_memcpy(block + places.at[i], &scale, 2);
  }
  if (type == DType::kIQ1_M) {
    const u16 scale = next();
    for (u32 i = 0; i < 4; ++i) {  // a nibble in each of 4 words
      u8& top = block[48 + 2 * i + 1];
      top = static_cast<u8>((top & 15) | (((scale >> (4 * i)) & 15) << 4));
    }
  }
  if (type == DType::kMXFP4) block[0] = static_cast<u8>(next() >> 7);
  for (u32 i = 0; i < 4 && type == DType::kNVFP4; ++i) block[i] = static_cast<u8>(next() >> 8);
}

inline constexpr u8 kBytePatterns[] = {0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0, 0x08, 0x88};
inline constexpr u16 kScalePatterns[] = {0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400,
                                         0x3c00, 0xbc00, 0x7bff, 0xfbff, 0x2e66, 0xae66};

inline f32 random_unit(Pcg32& rng) {
  return static_cast<f32>(static_cast<i32>(rng.next() % 4001) - 2000) / 2048.0f;
}

inline void fill_plain_weights(Pcg32& rng, DType type, Values values, Span<u8> bytes) {
  const usize step = dtype_traits(type).block_bytes;
  for (usize at = 0; at < bytes.size(); at += step) {
    u32 bits = __builtin_bit_cast(u32, random_unit(rng));
    if (values != Values::kOrdinary) {
      bits = rng.next() & ~(1u << (23 + rng.next() % 8));  // a zero in the exponent: finite
    }
    u32 narrow = bits >> 16;
    if (type == DType::kF16) {
      narrow = values == Values::kOrdinary ? f32_to_f16(__builtin_bit_cast(f32, bits))
                                           : narrow & ~(0x400u << (rng.next() % 5));
    }
    __builtin_memcpy(bytes.data() + at, type == DType::kF32 ? &bits : &narrow, step);
  }
}

// Whole blocks of `type`.
inline void fill_weights(Pcg32& rng, DType type, Values values, Span<u8> bytes) {
  const usize n_byte = dtype_traits(type).block_bytes;
  if (dtype_traits(type).block_size == 1) return fill_plain_weights(rng, type, values, bytes);
  for (u8& b : bytes) b = static_cast<u8>(rng.next());
  for (usize at = 0; at < bytes.size(); at += n_byte) {
    u8* block = bytes.data() + at;
    if (values == Values::kLargest || (values == Values::kWild && rng.next() % 2 == 0)) {
      const usize cut = rng.next() % (n_byte + 1);
      __builtin_memset(block, kBytePatterns[rng.next() % 8], cut);
      __builtin_memset(block + cut, kBytePatterns[rng.next() % 8], n_byte - cut);
    }
    // The largest that the exactness of R6 has to hold: 32 * -32 * 127 * -128.
    if (values == Values::kLargest && type == DType::kQ6_K && rng.next() % 2 == 0) {
      __builtin_memset(block, rng.next() % 2 == 0 ? 0x00 : 0xff, 192);
      __builtin_memset(block + 192, 0x80, 16);
    }
    if (values == Values::kWild) {
      set_scales(type, block, [&] { return kScalePatterns[rng.next() % 12]; });
    } else {
      set_scales(type, block, [&] { return f32_to_f16(random_unit(rng)); });
      if (type == DType::kMXFP4) block[0] = static_cast<u8>(120 + rng.next() % 8);
    }
    make_scales_finite(type, block);
  }
}

// By blocks of 32. Not over 2^120: the sum of a block times its scale (sx, R3) stays finite, so
// that lanes which are no rows stay zero.
inline void fill_activations(Pcg32& rng, Values values, f32* x, u32 n) {
  constexpr f32 kMagnitudes[] = {0.0f,      1.0f,      0x1p-100f, 0x1.fffffep-101f,
                                 0x1p-101f, 0x1p-126f, 0x1p-149f, 0x1p-60f,
                                 0x1p60f,   0x1p120f,  0x1p-100f, 1e-3f};
  for (u32 first = 0; first < n; first += kBlockSize) {
    const f32 magnitude = values == Values::kWild ? kMagnitudes[rng.next() % 12] : 3.0f;
    const u32 shape = values == Values::kOrdinary ? 0 : rng.next() % 4;
    for (u32 i = first; i < first + kBlockSize && i < n; ++i) {
      switch (shape) {
        case 0: x[i] = random_unit(rng) * magnitude; break;
        case 1: x[i] = magnitude; break;
        case 2: x[i] = -magnitude; break;
        default: x[i] = rng.next() % 2 == 0 ? magnitude : -magnitude;
      }
    }
  }
}

}  // namespace lbm::test
