// quantize_row of every table against R3 written out, for rows of every number of blocks.
#include "core/base/pcg32.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kMaxBlocks = 11;

ActivationBlock plain_block(const f32* x) {
  ActivationBlock out = {};
  f32 amax = 0.0f;
  for (u32 i = 0; i < 32; ++i) {
    const f32 magnitude = x[i] < 0.0f ? -x[i] : x[i];
    amax = magnitude > amax ? magnitude : amax;
  }
  out.d = amax / 127.0f;
  const f32 id = amax >= 0x1p-100f ? 127.0f / amax : 0.0f;
  for (u32 i = 0; i < 32; ++i) {
    const f32 exact = x[i] * id;
    i32 q = static_cast<i32>(exact);  // toward zero, then to the nearest, ties to even
    const f32 rest = exact - static_cast<f32>(q);
    if (rest > 0.5f || (rest == 0.5f && q % 2 != 0)) ++q;
    if (rest < -0.5f || (rest == -0.5f && q % 2 != 0)) --q;
    out.q[i] = static_cast<i8>(q);
    (i < 16 ? out.sum_low : out.sum_high) += q;
  }
  out.sx = out.d * static_cast<f32>(out.sum_low + out.sum_high);
  out.raised_start = -128 * (out.sum_low + out.sum_high);
  return out;
}

}  // namespace

TEST_CASE("rows of every length are quantized by R3", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(11, 3);
  f32 x[kMaxBlocks * 32];
  ActivationBlock expected[kMaxBlocks];
  ActivationBlock actual[kMaxBlocks + 1];
  for (u32 n_block = 1; n_block <= kMaxBlocks; ++n_block) {
    for (u32 b = 0; b < n_block; ++b) {
      const f32 magnitude = __builtin_bit_cast(f32, (rng.next() % 250 + 1) << 23);
      for (u32 i = 0; i < 32; ++i)
        x[b * 32 + i] =
            (static_cast<f32>(static_cast<i32>(rng.next() % 2001) - 1000) / 1000.0f) * magnitude;
      expected[b] = plain_block(x + b * 32);
    }
    for (u32 i = 0; i < n_table; ++i) {
      __builtin_memset(actual, 0x77, sizeof(actual));
      REQUIRE(tables[i]->quantize_row(x, n_block * 32, actual));
      CHECK(__builtin_memcmp(actual, expected, n_block * sizeof(ActivationBlock)) == 0);
      CHECK(actual[n_block].sum_low == 0x77777777);  // nothing beyond the row
      const u32 at = rng.next() % (n_block * 32);
      const f32 kept = x[at];
      for (const f32 bad : {__builtin_nanf(""), -__builtin_inff()}) {
        x[at] = bad;
        CHECK(!tables[i]->quantize_row(x, n_block * 32, actual));
      }
      x[at] = kept;
    }
  }
}
