// The vector operations of all kernel tables against one definition, bit by bit. Matrix products
// are in matmul_test.cpp, attention in attention_test.cpp.
#include "core/base/pcg32.h"
#include "kernels/select.h"
#include "tests/kernels/plain_product.h"
#include "tests/test.h"

using namespace lbm;

TEST_CASE("every table quantizes activations as the plain definition does", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(7, 1);
  f32 x[64];
  for (u32 round = 0; round < 50; ++round) {
    // Magnitudes from subnormal to near the largest float.
    const f32 magnitude = __builtin_bit_cast(f32, (rng.next() % 250 + 1) << 23);
    for (f32& v : x)
      v = (static_cast<f32>(static_cast<i32>(rng.next() % 2001) - 1000) / 1000.0f) * magnitude;
    const ActivationBlock expected[2] = {test::plain_quantize(x), test::plain_quantize(x + 32)};
    for (u32 i = 0; i < n_table; ++i) {
      ActivationBlock actual[2] = {};
      REQUIRE(tables[i]->quantize_row(x, 64, actual));
      CHECK(__builtin_memcmp(actual, expected, sizeof(expected)) == 0);
    }
  }
}

TEST_CASE("quantizing follows R3: largest becomes 127, ties go to even, tiny blocks become zero",
          "[kernels]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  for (u32 i = 0; i < n_table; ++i) {
    f32 x[32] = {127.0f, -127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f};
    ActivationBlock block;
    REQUIRE(tables[i]->quantize_row(x, 32, &block));
    const i8 expected[7] = {127, -127, 0, 2, 2, 0, -2};
    CHECK(__builtin_memcmp(block.q, expected, sizeof(expected)) == 0);
    CHECK(block.d == 1.0f);
    f32 tiny[32] = {0x1p-101f, -0x1p-101f};
    REQUIRE(tables[i]->quantize_row(tiny, 32, &block));
    CHECK((block.q[0] == 0 && block.q[1] == 0 && block.sum_low == 0));
    for (const f32 bad : {__builtin_nanf(""), __builtin_inff(), -__builtin_inff()}) {
      f32 y[32] = {};
      y[29] = bad;
      CHECK(!tables[i]->quantize_row(y, 32, &block));
    }
  }
}

TEST_CASE("vector operations give the same bits in every table, for every length",
          "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(3, 2);
  f32 a[70];
  f32 b[70];
  for (u32 n = 1; n <= 70; n += n < 34 ? 1 : 9) {
    for (u32 i = 0; i < n; ++i) {
      a[i] = static_cast<f32>(static_cast<i32>(rng.next() % 40001) - 20000) / 1000.0f;
      b[i] = static_cast<f32>(static_cast<i32>(rng.next() % 40001) - 20000) / 3000.0f;
    }
    f32 expected[3][80];
    for (u32 i = 0; i < n_table; ++i) {
      f32 actual[3][80] = {};
      tables[i]->rms_norm(a, b, n, 1e-5f, actual[0]);
      tables[i]->silu_mul(a, b, n, actual[1]);
      __builtin_memcpy(actual[2], a, n * sizeof(f32));
      tables[i]->add(actual[2], b, n);
      CHECK(actual[0][n] == 0.0f);
      CHECK(actual[1][n] == 0.0f);
      if (i == 0) __builtin_memcpy(expected, actual, sizeof(actual));
      CHECK(__builtin_memcmp(actual, expected, sizeof(actual)) == 0);
      CHECK(tables[i]->all_finite(a, n));
      const f32 kept = a[n - 1];
      a[n - 1] = __builtin_inff();
      CHECK(!tables[i]->all_finite(a, n));
      a[n - 1] = kept;
    }
  }
}
