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
  for (f32 x = -87.3f; x < 88.7f; x += 0.000137f) {
    worst_exp32 = std::max(worst_exp32, ulps(exp_f32(x), std::exp(static_cast<long double>(x))));
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
  INFO("exp f32 " << worst_exp32 << " ulp, exp f64 " << worst_exp << " ulp, log f64 " << worst_log
                  << " ulp, sin abs " << worst_sin);
  CHECK(worst_exp32 < 1.0);
  CHECK(worst_exp < 1.0);
  CHECK(worst_log < 1.8);
  CHECK(worst_sin < 2e-16);
}
