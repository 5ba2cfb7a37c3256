// The transcendental functions in f32, one formula each, over any lane type (R12). Included inside
// a namespace.
//
// F is float or a vector of floats; the including file supplies, for that F,
//   + - * /  and unary use of splat<F>(c);
//   round_to_int(F shifted): the integer n of the magic sum below, as the lane's integer type I;
//   power_of_two(I n): 2^n for -126 <= n <= 127;   half(I n): n / 2 rounded down;   I - I;
//   select_less(a, b, x, y): x where a < b, else y (also where a or b is NaN).
//
// Nothing here is fused or reassociated, and all of it is add, multiply, divide and integer work,
// so scalar code, every vector width and WASM give the same bits. Maximum errors are in
// docs/numerics.md and are measured by tests/hosted/fmath_error_test.cpp.

// e^x. +0 below -87.3, +infinity above 88.72, NaN stays NaN.
//
// n = round(x / ln 2) by adding 1.5 * 2^23, which leaves n in the low mantissa bits; r = x - n ln 2
// in two steps, the first exact; e^r by its polynomial on [-0.35, 0.35] (minimax coefficients of
// degree 7, S. Moshier's Cephes form); times 2^n in two exact steps.
template <class F>
LBM_LANE F exp_fraction(F x, F& shifted) {
  const F magic = splat<F>(12582912.0f);
  shifted = x * splat<F>(1.44269504088896341f) + magic;
  const F n = shifted - magic;
  F r = x - n * splat<F>(0.693359375f);
  r = r - n * splat<F>(-2.12194440e-4f);
  F p = splat<F>(1.9875691500e-4f);
  p = p * r + splat<F>(1.3981999507e-3f);
  p = p * r + splat<F>(8.3334519073e-3f);
  p = p * r + splat<F>(4.1665795894e-2f);
  p = p * r + splat<F>(1.6666665459e-1f);
  p = p * r + splat<F>(5.0000001201e-1f);
  p = p * (r * r) + r;
  return p + splat<F>(1.0f);
}
template <class F>
LBM_LANE F exp_f32(F x) {
  F shifted;
  const F p = exp_fraction(x, shifted);
  const auto whole = round_to_int(shifted);
  const auto first = half(whole);
  F y = p * power_of_two(first) * power_of_two(whole - first);
  y = select_less(x, splat<F>(-87.3f), splat<F>(0.0f), y);
  return select_less(splat<F>(88.72f), x, splat<F>(__builtin_inff()), y);
}
// The same bits for x <= 0, where n is at least -126 and 2^n one exact step.
template <class F>
LBM_LANE F exp_nonpositive_f32(F x) {
  F shifted;
  const F p = exp_fraction(x, shifted);
  const F y = p * power_of_two(round_to_int(shifted));
  return select_less(x, splat<F>(-87.3f), splat<F>(0.0f), y);
}

// 1 / (1 + e^-x), and x times it.
template <class F>
LBM_LANE F sigmoid_f32(F x) {
  return splat<F>(1.0f) / (splat<F>(1.0f) + exp_f32(splat<F>(0.0f) - x));
}
template <class F>
LBM_LANE F silu_f32(F x) {
  return x / (splat<F>(1.0f) + exp_f32(splat<F>(0.0f) - x));
}

// Near 0 the odd polynomial of S. Moshier's Cephes form, elsewhere 1 - 2 / (e^2|x| + 1), which does
// not cancel there. tanh(-0) is +0.
template <class F>
LBM_LANE F tanh_f32(F x) {
  const F zero = splat<F>(0.0f);
  const F magnitude = select_less(x, zero, zero - x, x);
  const F z = x * x;
  F p = splat<F>(-5.70498872745e-3f);
  p = p * z + splat<F>(2.06390887954e-2f);
  p = p * z - splat<F>(5.37397155531e-2f);
  p = p * z + splat<F>(1.33314422036e-1f);
  p = p * z - splat<F>(3.33332819422e-1f);
  const F near = p * z * x + x;
  const F one = splat<F>(1.0f);
  const F far = one - splat<F>(2.0f) / (exp_f32(magnitude + magnitude) + one);
  const F sign_far = select_less(x, zero, zero - far, far);
  return select_less(magnitude, splat<F>(0.625f), near, sign_far);
}

// GELU in its tanh form, x / 2 * (1 + tanh u) with u = sqrt(2 / pi) * (x + 0.044715 x^3), written
// with 1 + tanh u = 2 / (1 + e^-2u), which keeps its precision where x is negative.
template <class F>
LBM_LANE F gelu_f32(F x) {
  const F cubic = splat<F>(0.044715f) * (x * x) + splat<F>(1.0f);
  const F exponent = (splat<F>(-1.5957691216057308f) * x) * cubic;
  return x / (splat<F>(1.0f) + exp_f32(exponent));
}
