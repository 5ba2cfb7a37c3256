#include "core/base/fmath.h"

#define LBM_LANE inline

namespace lbm {
namespace {

// The lane words of fmath.inl.h for one float.
template <class F>
F splat(f32 value);
template <>
inline f32 splat<f32>(f32 value) {
  return value;
}
inline i32 round_to_int(f32 shifted) {
  return static_cast<i32>(__builtin_bit_cast(u32, shifted) - 0x4b400000u);
}
inline i32 half(i32 n) { return n >> 1; }
inline f32 power_of_two(i32 n) { return __builtin_bit_cast(f32, static_cast<u32>(n + 127) << 23); }
inline f32 select_less(f32 a, f32 b, f32 x, f32 y) { return a < b ? x : y; }

namespace formula {
#include "core/base/fmath.inl.h"
}  // namespace formula

constexpr f64 kLn2High =
    6.93147180369123816490e-01;  // trailing zeros: n * kLn2High is exact for |n| < 2^20
constexpr f64 kLn2Low = 1.90821492927058770002e-10;
constexpr f64 kMagic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer

u64 bits_of(f64 x) { return __builtin_bit_cast(u64, x); }
f64 from_bits(u64 x) { return __builtin_bit_cast(f64, x); }
f64 power_of_two_f64(i32 n) { return from_bits(static_cast<u64>(n + 1023) << 52); }

// sin and cos on [-pi/4, pi/4]: Taylor polynomials, whose next term is below 2^-56 there.
f64 sin_polynomial(f64 r) {
  const f64 z = r * r;
  f64 p = -1.0 / 1307674368000.0;
  p = p * z + 1.0 / 6227020800.0;
  p = p * z - 1.0 / 39916800.0;
  p = p * z + 1.0 / 362880.0;
  p = p * z - 1.0 / 5040.0;
  p = p * z + 1.0 / 120.0;
  p = p * z - 1.0 / 6.0;
  return r + r * (z * p);
}
f64 cos_polynomial(f64 r) {
  const f64 z = r * r;
  f64 p = 1.0 / 20922789888000.0;
  p = p * z - 1.0 / 87178291200.0;
  p = p * z + 1.0 / 479001600.0;
  p = p * z - 1.0 / 3628800.0;
  p = p * z + 1.0 / 40320.0;
  p = p * z - 1.0 / 720.0;
  p = p * z + 1.0 / 24.0;
  p = p * z - 0.5;
  return 1.0 + z * p;
}

}  // namespace

f32 exp_f32(f32 x) { return formula::exp_f32(x); }
f32 tanh_f32(f32 x) { return formula::tanh_f32(x); }
f32 sigmoid_f32(f32 x) { return formula::sigmoid_f32(x); }
f32 silu_f32(f32 x) { return formula::silu_f32(x); }
f32 gelu_f32(f32 x) { return formula::gelu_f32(x); }

f64 exp_f64(f64 x) {
  if (x != x) return x;
  if (x > 709.0) return __builtin_inf();
  if (x < -708.0) return 0.0;
  const f64 shifted = x * 1.44269504088896338700 + kMagic;
  const f64 n = shifted - kMagic;
  const f64 r = (x - n * kLn2High) - n * kLn2Low;
  // Taylor to degree 13: below 2^-55 on |r| <= 0.347.
  f64 p = 1.0 / 6227020800.0;
  p = p * r + 1.0 / 479001600.0;
  p = p * r + 1.0 / 39916800.0;
  p = p * r + 1.0 / 3628800.0;
  p = p * r + 1.0 / 362880.0;
  p = p * r + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * (r * r) + r;
  p = p + 1.0;
  const i32 whole = static_cast<i32>(n);
  const i32 first = whole >> 1;
  return p * power_of_two_f64(first) * power_of_two_f64(whole - first);
}

// x = 2^k * f with f in [sqrt(1/2), sqrt(2)); log f = 2 atanh(s), s = (f - 1) / (f + 1), as a
// series in s^2.
f64 log_f64(f64 x) {
  if (x != x || x < 0.0) return __builtin_nan("");
  if (x == 0.0) return -__builtin_inf();
  if (x > 1.7976931348623157e308) return x;
  i32 k = 0;
  if (x < 2.2250738585072014e-308) {
    x *= 18014398509481984.0;  // 2^54: subnormals become normal
    k = -54;
  }
  k += static_cast<i32>(bits_of(x) >> 52) - 1023;
  f64 f = from_bits((bits_of(x) & 0x000fffffffffffffu) | 0x3ff0000000000000u);
  if (f > 1.41421356237309504880) {
    f *= 0.5;
    ++k;
  }
  const f64 s = (f - 1.0) / (f + 1.0);
  const f64 z = s * s;
  f64 p = 1.0 / 23.0;
  for (i32 odd = 21; odd >= 3; odd -= 2) p = p * z + 1.0 / static_cast<f64>(odd);
  const f64 log_f = 2.0 * s + 2.0 * s * (z * p);
  const f64 n = static_cast<f64>(k);
  return n * kLn2High + (n * kLn2Low + log_f);
}

f64 pow_f64(f64 base, f64 y) { return exp_f64(y * log_f64(base)); }

// Range reduction by pi/2 in three parts of 33 bits each, so that n * part is exact for n < 2^20
// and accurate beyond.
SinCos sincos_f64(f64 x) {
  const f64 n = (x * 0.63661977236758134308 + kMagic) - kMagic;
  f64 r = x - n * 1.57079632673412561417e+00;
  r = r - n * 6.07710050630396597660e-11;
  r = r - n * 2.02226624879595063154e-21;
  const f64 s = sin_polynomial(r);
  const f64 c = cos_polynomial(r);
  switch (static_cast<u64>(static_cast<i64>(n)) & 3) {
    case 0: return {s, c};
    case 1: return {c, -s};
    case 2: return {-s, -c};
    default: return {-c, s};
  }
}

// The compiler's builtin is the hardware instruction on every target we have, correctly rounded by
// IEEE-754.
f64 sqrt_f64(f64 x) { return __builtin_sqrt(x); }
f32 sqrt_f32(f32 x) { return __builtin_sqrtf(x); }

f64 floor_f64(f64 x) {
  constexpr f64 kAllWhole = 4503599627370496.0;      // 2^52: from here on there are no fractions
  if (!(x < kAllWhole && x > -kAllWhole)) return x;  // infinities and NaN, too
  const f64 cut = static_cast<f64>(static_cast<i64>(x));
  return cut > x ? cut - 1.0 : cut;
}

// max(x, 0) + ln(1 + e^-|x|). Where 1 + u rounds u, ln(1 + u) = ln(w) * u / (w - 1) with the rounded
// w = 1 + u is still right.
f32 softplus_f32(f32 x) {
  const f64 wide = static_cast<f64>(x);
  const f64 u = exp_f64(wide < 0.0 ? wide : -wide);
  const f64 w = 1.0 + u;
  const f64 tail = w == 1.0 ? u : log_f64(w) * (u / (w - 1.0));
  return static_cast<f32>((wide < 0.0 ? 0.0 : wide) + tail);
}

}  // namespace lbm
