// The largest error of each elementary function over dense samples, against the C library in a
// wider type (docs/numerics.md).
#include <cmath>

#include "core/base/fmath.h"
#include "tests/test.h"

using namespace lbm;

namespace {

// Distance in units of the last place of the correctly rounded result.
f64 ulps(f32 actual, long double expected) {
  const f32 rounded = static_cast<f32>(expected);
  const long double ulp = static_cast<long double>(std::nextafterf(std::fabs(rounded), HUGE_VALF)) -
                          static_cast<long double>(std::fabs(rounded));
  return static_cast<f64>(std::fabs((static_cast<long double>(actual) - expected) / ulp));
}
f64 ulps(f64 actual, long double expected) {
  const f64 rounded = static_cast<f64>(expected);
  const long double ulp = static_cast<long double>(std::nextafter(std::fabs(rounded), HUGE_VAL)) -
                          static_cast<long double>(std::fabs(rounded));
  return static_cast<f64>(std::fabs((static_cast<long double>(actual) - expected) / ulp));
}

}  // namespace

TEST_CASE("maximum errors of the elementary functions", "[base][fmath]") {
  f64 worst_exp32 = 0;
  f64 worst_softplus = 0;
  for (f32 x = -87.3f; x < 88.7f; x += 0.000137f) {
    const long double power = std::exp(static_cast<long double>(x));
    worst_exp32 = std::max(worst_exp32, ulps(exp_f32(x), power));
    worst_softplus = std::max(worst_softplus, ulps(softplus_f32(x), std::log1p(power)));
  }
  f64 worst_tanh32 = 0;
  f64 worst_sigmoid32 = 0;
  f64 worst_silu32 = 0;
  f64 worst_gelu32 = 0;
  f64 worst_gelu_tail = 0;  // absolute: for x < -1, GELU falls off to nothing
  for (f32 x = -20.0f; x < 20.0f; x += 0.000031f) {
    const long double wide = static_cast<long double>(x);
    const long double inner =
        std::sqrt(2.0L / 3.14159265358979323846L) * (wide + 0.044715L * wide * wide * wide);
    const long double gelu = wide / (1 + std::exp(-2 * inner));
    worst_tanh32 = std::max(worst_tanh32, ulps(tanh_f32(x), std::tanh(wide)));
    worst_sigmoid32 = std::max(worst_sigmoid32, ulps(sigmoid_f32(x), 1 / (1 + std::exp(-wide))));
    worst_silu32 = std::max(worst_silu32, ulps(silu_f32(x), wide / (1 + std::exp(-wide))));
    if (x > -1.0f) {
      worst_gelu32 = std::max(worst_gelu32, ulps(gelu_f32(x), gelu));
    } else {
      const long double error = std::fabs(static_cast<long double>(gelu_f32(x)) - gelu);
      worst_gelu_tail = std::max(worst_gelu_tail, static_cast<f64>(error));
    }
  }
  f64 worst_exp = 0;
  f64 worst_log = 0;
  f64 worst_sin = 0;
  for (f64 x = 1e-3; x < 700.0; x += 0.00171) {
    worst_exp = std::max(worst_exp, ulps(exp_f64(-x), std::exp(static_cast<long double>(-x))));
    worst_log = std::max(worst_log, ulps(log_f64(x), std::log(static_cast<long double>(x))));
    // Relative to 1: near a zero of the sine its own last place is no measure of a rotation.
    const f64 error = static_cast<f64>(std::fabs(static_cast<long double>(sincos_f64(x * 100).sin) -
                                                 std::sin(static_cast<long double>(x * 100))));
    worst_sin = std::max(worst_sin, error);
  }
  INFO("tanh f32 " << worst_tanh32 << ", sigmoid " << worst_sigmoid32 << ", silu " << worst_silu32
                   << ", gelu " << worst_gelu32 << " ulp, below -1 " << worst_gelu_tail);
  INFO("exp f32 " << worst_exp32 << " ulp, exp f64 " << worst_exp << " ulp, log f64 " << worst_log
                  << " ulp, sin abs " << worst_sin);
  INFO("softplus f32 " << worst_softplus << " ulp");
  CHECK(worst_exp32 < 1.0);
  CHECK(worst_softplus < 0.51);
  CHECK(worst_tanh32 < 1.3);
  CHECK(worst_sigmoid32 < 2.5);
  CHECK(worst_silu32 < 2.5);
  CHECK(worst_gelu32 < 2.8);
  CHECK(worst_gelu_tail < 6e-8);
  CHECK(worst_exp < 1.0);
  CHECK(worst_log < 1.8);
  CHECK(worst_sin < 2e-16);
}
