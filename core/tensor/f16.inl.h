// Half precision, formula only. Included inside a namespace by core/tensor/f16.h and by each kernel
// file. Both directions are integer arithmetic plus one exact product, so every host gives the same
// bits (R10).

// Exact, infinities and NaN included.
inline float f16_to_f32(unsigned short half) {
  const unsigned magnitude = half & 0x7fffu;
  const unsigned sign = (half & 0x8000u) << 16;
  unsigned bits = 0;
  if (magnitude >= 0x7c00u) {
    bits = 0x7f800000u | ((magnitude & 0x3ffu) << 13);
  } else {
    // The exponent is off by 127 - 15 = 112 after the shift; the product corrects it, for
    // subnormals too.
    const unsigned shifted = magnitude << 13;
    float value = __builtin_bit_cast(float, shifted) * 0x1p112f;
    bits = __builtin_bit_cast(unsigned, value);
  }
  return __builtin_bit_cast(float, bits | sign);
}

// Round to nearest even; overflow to infinity; subnormals kept; NaN becomes a quiet NaN with the
// top of its payload.
inline unsigned short f32_to_f16(float value) {
  const unsigned bits = __builtin_bit_cast(unsigned, value);
  const unsigned sign = (bits >> 16) & 0x8000u;
  const unsigned magnitude = bits & 0x7fffffffu;
  unsigned half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {
    half = 0x7c00u;  // 65520 and above round to infinity
  } else if (magnitude < 0x38800000u) {
    // Below the smallest normal half: adding 0.5 aligns the last kept bit with the last bit of the
    // sum, which rounds.
    const float aligned = __builtin_bit_cast(float, magnitude) + 0.5f;
    half = __builtin_bit_cast(unsigned, aligned) - 0x3f000000u;
  } else {
    const unsigned odd = (magnitude >> 13) & 1u;
    half = (magnitude - 0x38000000u + 0xfffu + odd) >> 13;
  }
  return static_cast<unsigned short>(half | sign);
}

inline float bf16_to_f32(unsigned short half) {
  return __builtin_bit_cast(float, static_cast<unsigned>(half) << 16);
}
