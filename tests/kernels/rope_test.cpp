// RoPE of every table and layout against the formula of R13, all bits.
#include "core/base/pcg32.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

TEST_CASE("RoPE gives the bits of its formula in every table, for every size", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(5, 4);
  const auto random = [&rng] {
    return static_cast<f32>(static_cast<i32>(rng.next() % 2001) - 1000) / 1000.0f;
  };
  for (u32 n_rot = 2; n_rot <= 80; n_rot += n_rot < 36 ? 2 : 14) {
    const u32 n_pair = n_rot / 2;
    f32 x[84];
    f32 angles[2][80];  // of neighbours, of halves
    f32 expected[2][84];
    for (f32& v : x) v = random();
    for (u32 kind = 0; kind < 2; ++kind) __builtin_memcpy(expected[kind], x, sizeof(x));
    for (u32 i = 0; i < n_pair; ++i) {
      const f32 c = random();
      const f32 s = i == 0 ? 0.0f : random();  // position 0
      angles[0][2 * i] = angles[1][i] = c;
      angles[0][2 * i + 1] = angles[1][n_pair + i] = s;
      const u32 first[2] = {2 * i, i};
      const u32 second[2] = {2 * i + 1, n_pair + i};
      for (u32 kind = 0; kind < 2; ++kind) {
        const f32 x0 = x[first[kind]];
        const f32 x1 = x[second[kind]];
        expected[kind][first[kind]] = x0 * c - x1 * s;
        expected[kind][second[kind]] = x0 * s + x1 * c;
      }
    }
    for (u32 i = 0; i < n_table; ++i) {
      f32 actual[84];
      __builtin_memcpy(actual, x, sizeof(x));
      tables[i]->rope_neighbours(actual, angles[0], n_rot);
      CHECK(__builtin_memcmp(actual, expected[0], sizeof(actual)) == 0);
      __builtin_memcpy(actual, x, sizeof(x));
      tables[i]->rope_halves(actual, angles[1], n_rot);
      CHECK(__builtin_memcmp(actual, expected[1], sizeof(actual)) == 0);
    }
  }
}
