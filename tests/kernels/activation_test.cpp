// Activation functions, norms, soft cap and softmax of every table against their definition in
// scalar code (R11, R12), all bits, for every length; in place; and values at the edges.
#include "core/base/fmath.h"
#include "core/base/pcg32.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kMost = 70;
constexpr u32 kRoom = kMost + 16;  // what lies behind n must stay as it was
constexpr f32 kUntouched = 77.0f;

struct Row {
  f32 v[kRoom];
};
Row untouched() {
  Row row;
  for (f32& v : row.v) v = kUntouched;
  return row;
}
bool same(const Row& a, const Row& b) { return __builtin_memcmp(&a, &b, sizeof(Row)) == 0; }

// The definitions.
f32 folded(const f32* x, u32 n) {
  f32 lane[16] = {};
  for (u32 i = 0; i < n; ++i) lane[i % 16] = lane[i % 16] + x[i];
  for (u32 width = 8; width != 0; width /= 2) {
    for (u32 i = 0; i < width; ++i) lane[i] = lane[i] + lane[i + width];
  }
  return lane[0];
}
Row plain_layer_norm(const Row& x, const Row& weight, const f32* bias, u32 n) {
  Row y = untouched();
  f32 squares[kMost];
  const f32 mean = folded(x.v, n) / static_cast<f32>(n);
  for (u32 i = 0; i < n; ++i) squares[i] = (x.v[i] - mean) * (x.v[i] - mean);
  const f32 scale = 1.0f / sqrt_f32(folded(squares, n) / static_cast<f32>(n) + 1e-5f);
  for (u32 i = 0; i < n; ++i) {
    y.v[i] = ((x.v[i] - mean) * scale) * weight.v[i];
    if (bias != nullptr) y.v[i] = y.v[i] + bias[i];
  }
  return y;
}
Row plain_rms_norm(const Row& x, const Row& weight, u32 n) {
  Row y = untouched();
  f32 squares[kMost];
  for (u32 i = 0; i < n; ++i) squares[i] = x.v[i] * x.v[i];
  const f32 scale = 1.0f / sqrt_f32(folded(squares, n) / static_cast<f32>(n) + 1e-5f);
  for (u32 i = 0; i < n; ++i) y.v[i] = (x.v[i] * scale) * weight.v[i];
  return y;
}
Row plain_softmax(const Row& x, u32 n) {
  Row y = untouched();
  f32 max = x.v[0];
  for (u32 i = 1; i < n; ++i) max = max < x.v[i] ? x.v[i] : max;
  for (u32 i = 0; i < n; ++i) y.v[i] = exp_f32(x.v[i] - max);
  const f32 sum = folded(y.v, n);
  for (u32 i = 0; i < n; ++i) y.v[i] = y.v[i] / sum;
  return y;
}
f32 plain_swiglu(f32 gate, f32 up) {
  const f32 g = gate > 7.0f ? 7.0f : gate;
  const f32 u = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
  return (g / (1.0f + exp_f32(g * -1.702f))) * (u + 1.0f);
}
f32 plain_relu_squared(f32 x) { return x > 0.0f ? x * x : 0.0f; }
f32 plain_cap(f32 x, f32 cap) { return cap * tanh_f32(x / cap); }

template <class F>
Row plain_map(const Row& a, const Row& b, u32 n, F f) {
  Row y = untouched();
  for (u32 i = 0; i < n; ++i) y.v[i] = f(a.v[i], b.v[i]);
  return y;
}
// A row whose first n elements are those of x.
Row copy_of(const Row& x, u32 n) {
  Row y = untouched();
  __builtin_memcpy(y.v, x.v, n * sizeof(f32));
  return y;
}

void check_norms(const KernelTable& table, const Row& a, const Row& b, u32 n) {
  Row y = untouched();
  table.layer_norm(a.v, b.v, nullptr, n, 1e-5f, y.v);
  CHECK(same(y, plain_layer_norm(a, b, nullptr, n)));
  y = copy_of(a, n);
  table.layer_norm(y.v, b.v, a.v, n, 1e-5f, y.v);
  CHECK(same(y, plain_layer_norm(a, b, a.v, n)));
  y = untouched();
  table.rms_norm(a.v, b.v, n, 1e-5f, y.v);
  CHECK(same(y, plain_rms_norm(a, b, n)));
  y = copy_of(a, n);
  table.rms_norm(y.v, b.v, n, 1e-5f, y.v);
  CHECK(same(y, plain_rms_norm(a, b, n)));
  y = copy_of(a, n);
  table.softmax(y.v, n);
  CHECK(same(y, plain_softmax(a, n)));
}

// The functions of gate and up, into a row of their own and in place of the gate.
void check_gated(const KernelTable& table, const Row& a, const Row& b, u32 n) {
  struct {
    void (*kernel)(const f32* gate, const f32* up, u32 n, f32* y);
    Row expected;
  } const cases[] = {
      {table.silu_mul, plain_map(a, b, n, [](f32 g, f32 u) { return silu_f32(g) * u; })},
      {table.gelu_mul, plain_map(a, b, n, [](f32 g, f32 u) { return gelu_f32(g) * u; })},
      {table.swiglu_clamped, plain_map(a, b, n, plain_swiglu)}};
  for (const auto& c : cases) {
    Row y = untouched();
    c.kernel(a.v, b.v, n, y.v);
    CHECK(same(y, c.expected));
    y = copy_of(a, n);
    c.kernel(y.v, b.v, n, y.v);
    CHECK(same(y, c.expected));
  }
}

void check_in_place(const KernelTable& table, const Row& a, const Row& b, u32 n) {
  Row y = copy_of(a, n);
  table.gelu(y.v, n);
  CHECK(same(y, plain_map(a, b, n, [](f32 x, f32) { return gelu_f32(x); })));
  y = copy_of(a, n);
  table.relu_squared(y.v, n);
  CHECK(same(y, plain_map(a, b, n, [](f32 x, f32) { return plain_relu_squared(x); })));
  y = copy_of(a, n);
  table.soft_cap(y.v, 6.5f, n);
  CHECK(same(y, plain_map(a, b, n, [](f32 x, f32) { return plain_cap(x, 6.5f); })));
  y = copy_of(a, n);
  table.sigmoid_mul(b.v, y.v, n);
  CHECK(same(y, plain_map(a, b, n, [](f32 x, f32 g) { return x * sigmoid_f32(g); })));
  y = copy_of(a, n);
  table.scale(y.v, -0.37f, n);
  CHECK(same(y, plain_map(a, b, n, [](f32 x, f32) { return x * -0.37f; })));
  y = copy_of(a, n);
  table.add_scaled(y.v, b.v, 0.37f, n);
  CHECK(same(y, plain_map(a, b, n, [](f32 x, f32 u) { return x + u * 0.37f; })));
}

bool is_nan(f32 x) { return x != x; }

}  // namespace

TEST_CASE("operations on rows give the bits of their definition in every table, for every length",
          "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(11, 6);
  Row a;
  Row b;
  for (u32 n = 1; n <= kMost; n += n < 34 ? 1 : 9) {
    for (u32 i = 0; i < kRoom; ++i) {
      a.v[i] = static_cast<f32>(static_cast<i32>(rng.next() % 40001) - 20000) / 1500.0f;
      b.v[i] = static_cast<f32>(static_cast<i32>(rng.next() % 40001) - 20000) / 2000.0f;
    }
    for (u32 i = 0; i < n_table; ++i) {
      check_norms(*tables[i], a, b, n);
      check_gated(*tables[i], a, b, n);
      check_in_place(*tables[i], a, b, n);
    }
  }
}

TEST_CASE("operations on rows at the edges: infinities, signed zeros, tiny and huge values",
          "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  const f32 inf = __builtin_inff();
  const f32 values[] = {0.0f,    -0.0f,  101.0f,  1e-40f,   -1e-40f,  3e38f, -3e38f,
                        44.0f,   -44.0f, 88.8f,   -88.8f,   7.0f,     -7.0f, 7.001f,
                        -7.001f, 0.625f, -0.625f, 0x1p-30f, -0x1p-30f};
  constexpr u32 kValues = sizeof(values) / sizeof(values[0]);
  for (u32 shift = 0; shift < kValues; ++shift) {
    Row a = untouched();
    Row b = untouched();
    for (u32 i = 0; i < kValues; ++i) {
      a.v[i] = values[i];
      b.v[i] = values[(i + shift) % kValues];
    }
    for (u32 i = 0; i < n_table; ++i) {
      check_gated(*tables[i], a, b, kValues);
      check_in_place(*tables[i], a, b, kValues);
    }
  }
  for (u32 i = 0; i < n_table; ++i) {
    Row y = untouched();
    y.v[0] = inf;
    y.v[1] = -inf;
    tables[i]->soft_cap(y.v, 6.5f, 2);
    CHECK((y.v[0] == 6.5f && y.v[1] == -6.5f));
    y.v[0] = inf;
    tables[i]->gelu(y.v, 1);
    CHECK(y.v[0] == inf);
    tables[i]->relu_squared(y.v, 2);
    CHECK((y.v[0] == inf && y.v[1] == 0.0f && y.v[2] == kUntouched));
  }
  Row scores = untouched();
  for (u32 i = 0; i < 20; ++i) scores.v[i] = i % 3 == 0 ? -inf : -100.0f * static_cast<f32>(i);
  for (u32 i = 0; i < n_table; ++i) {
    Row y = copy_of(scores, 20);
    tables[i]->softmax(y.v, 20);
    CHECK(same(y, plain_softmax(scores, 20)));
    CHECK((y.v[1] == 1.0f && y.v[0] == 0.0f && y.v[19] == 0.0f));
  }
}

TEST_CASE("a NaN stays a NaN in every operation on rows", "[kernels]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  for (u32 i = 0; i < n_table; ++i) {
    const KernelTable& t = *tables[i];
    for (const u32 at : {0u, 15u, 16u, 20u}) {
      Row good = untouched();
      for (u32 k = 0; k < 21; ++k) good.v[k] = 0.25f * static_cast<f32>(k) - 1.0f;
      Row bad = good;
      bad.v[at] = __builtin_nanf("");
      Row y = untouched();
      const auto only_at = [&](u32 n_nan) {
        u32 n = 0;
        for (u32 k = 0; k < 21; ++k) n += is_nan(y.v[k]) ? 1u : 0u;
        return is_nan(y.v[at]) && n == n_nan;
      };
      for (const auto kernel : {t.silu_mul, t.gelu_mul, t.swiglu_clamped}) {
        kernel(bad.v, good.v, 21, y.v);
        CHECK(only_at(1));
        kernel(good.v, bad.v, 21, y.v);
        CHECK(only_at(1));
      }
      for (const auto kernel : {t.gelu, t.relu_squared}) {
        y = bad;
        kernel(y.v, 21);
        CHECK(only_at(1));
      }
      y = bad;
      t.soft_cap(y.v, 30.0f, 21);
      CHECK(only_at(1));
      y = good;
      t.sigmoid_mul(bad.v, y.v, 21);
      CHECK(only_at(1));
      y = bad;
      t.softmax(y.v, 21);
      CHECK(only_at(21));
      t.layer_norm(bad.v, good.v, nullptr, 21, 1e-5f, y.v);
      CHECK(only_at(21));
    }
    Row y = untouched();
    for (u32 k = 0; k < 5; ++k) y.v[k] = k == 3 ? __builtin_inff() : 1.0f;
    t.softmax(y.v, 5);
    CHECK((is_nan(y.v[0]) && is_nan(y.v[3]) && y.v[5] == kUntouched));
    for (u32 k = 0; k < 5; ++k) y.v[k] = -__builtin_inff();
    t.softmax(y.v, 5);
    CHECK(is_nan(y.v[4]));
  }
}

TEST_CASE("functions of activations take known values", "[kernels][base]") {
  const auto close = [](f32 actual, f64 expected) {
    const f64 difference = static_cast<f64>(actual) - expected;
    const f64 allowed = 3e-7 * (expected < 0 ? -expected : expected);
    return difference < allowed && difference > -allowed;
  };
  CHECK(close(tanh_f32(0.5f), 0.46211715726000975850));
  CHECK(close(tanh_f32(-1.5f), -0.90514825364486643824));
  CHECK(tanh_f32(40.0f) == 1.0f);
  CHECK(tanh_f32(-__builtin_inff()) == -1.0f);
  CHECK(tanh_f32(1e-30f) == 1e-30f);
  CHECK(is_nan(tanh_f32(__builtin_nanf(""))));
  CHECK(close(sigmoid_f32(-2.0f), 0.11920292202211755594));
  CHECK(close(gelu_f32(1.0f), 0.84119199060827670478));  // the tanh form; erf: 0.8413447
  CHECK(close(gelu_f32(-2.0f), -0.04540230591222494));
  CHECK(gelu_f32(30.0f) == 30.0f);
  CHECK(close(plain_swiglu(9.0f, -9.0f), -41.99971876981991));
  CHECK(plain_swiglu(0.0f, 3.0f) == 0.0f);
}
