// Our elementary functions against values of 40 digits (computed with an arbitrary-precision
// calculator), and their identities. The error over dense samples against the C library is measured
// by tests/hosted/fmath_error_test.cpp.
#include "core/base/fmath.h"
#include "tests/test.h"

using namespace lbm;

namespace {

bool close(f64 actual, f64 expected, f64 tolerance) {
  const f64 difference = actual > expected ? actual - expected : expected - actual;
  const f64 magnitude = expected < 0 ? -expected : expected;
  return difference <= tolerance * (magnitude > 1e-300 ? magnitude : 1.0);
}
constexpr f64 kUlp = 2.220446049250313e-16;

}  // namespace

TEST_CASE("exp in f32 at its edges", "[base]") {
  CHECK(exp_f32(0.0f) == 1.0f);
  CHECK(exp_f32(-0.0f) == 1.0f);
  CHECK(exp_f32(-87.4f) == 0.0f);
  CHECK(exp_f32(-__builtin_inff()) == 0.0f);
  CHECK(exp_f32(88.73f) == __builtin_inff());
  CHECK(exp_f32(__builtin_inff()) == __builtin_inff());
  const f32 nan = exp_f32(__builtin_nanf(""));
  CHECK(nan != nan);
  CHECK(exp_f32(88.7f) < __builtin_inff());
  CHECK(exp_f32(-87.2f) > 0.0f);
  CHECK(close(static_cast<f64>(exp_f32(1.0f)), 2.718281828459045, 1.2e-7));
}

TEST_CASE("functions in f64 at known points", "[base]") {
  CHECK(close(exp_f64(1.0), 2.718281828459045235, 2 * kUlp));
  CHECK(close(exp_f64(-700.5), 5.9792151146749376e-305, 2e-14));
  CHECK(close(log_f64(10.0), 2.302585092994045684, 2 * kUlp));
  CHECK(close(log_f64(1e-310), -713.8013788281542, 4 * kUlp));
  CHECK(log_f64(1.0) == 0.0);
  CHECK(close(pow_f64(10000.0, -0.5), 0.01, 1e-14));
  CHECK(close(sincos_f64(1.0).sin, 0.8414709848078965067, 2 * kUlp));
  CHECK(close(sincos_f64(1.0).cos, 0.5403023058681397174, 2 * kUlp));
  CHECK(close(sincos_f64(100000.0).sin, 0.03574879797201650931, 1e-13));
  CHECK(close(sincos_f64(1048575.0).cos, 0.7880422395289275, 1e-11));
  CHECK(sqrt_f64(2.25) == 1.5);
  CHECK(floor_f64(-1.5) == -2.0);
  CHECK(floor_f64(3.0) == 3.0);
}

TEST_CASE("sine and cosine stay on the unit circle", "[base]") {
  f64 worst = 0;
  for (u32 i = 0; i < 2000; ++i) {
    const SinCos at = sincos_f64(static_cast<f64>(i) * 17.3);
    const f64 off = at.sin * at.sin + at.cos * at.cos - 1.0;
    worst = off > worst ? off : (-off > worst ? -off : worst);
  }
  CHECK(worst < 1e-15);
}
