// Attention of every table: the same bits, and the plain softmax within rounding; across tiles,
// chunks and head sizes.
#include "core/base/fmath.h"
#include "core/base/pcg32.h"
#include "core/tensor/f16.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kMaxPos = 1200;  // more than one chunk of 1,024
constexpr u32 kMaxDim = 40;
constexpr u32 kGroup = 3;

struct Cache {
  alignas(64) u16 keys[(kMaxPos + 16) * kMaxDim];
  alignas(64) u16 values[kMaxPos * kMaxDim];
  f32 plain_keys[kMaxPos * kMaxDim];  // what was stored, [pos][head_dim]
  f32 plain_values[kMaxPos * kMaxDim];
  alignas(64) f32 q[kGroup * kMaxDim + 16];
  alignas(64) f32 out[kGroup * 48];
  alignas(64) f32 first_out[kGroup * 48];
  alignas(64) f32 scratch[attention_scratch_floats(kMaxDim, kGroup)];
  f64 weights[kMaxPos];
};
Cache g_cache;

f32 random_value(Pcg32& rng) {
  return static_cast<f32>(static_cast<i32>(rng.next() % 2001) - 1000) / 500.0f;
}

void fill(const KernelTable& table, u32 n_pos, u32 head_dim, Pcg32& rng) {
  f32 row[kMaxDim];
  for (u32 pos = 0; pos < n_pos; ++pos) {
    for (u32 kind = 0; kind < 2; ++kind) {
      f32* plain = (kind == 0 ? g_cache.plain_keys : g_cache.plain_values) + pos * head_dim;
      for (u32 d = 0; d < head_dim; ++d) {
        row[d] = random_value(rng);
        plain[d] = f16_to_f32(f32_to_f16(row[d]));
      }
      if (kind == 0) {
        table.store_key_f16(row, head_dim, g_cache.keys, pos);
      } else {
        table.store_value_f16(row, head_dim, g_cache.values, pos);
      }
    }
  }
  for (u32 i = 0; i < kGroup * head_dim; ++i) g_cache.q[i] = random_value(rng);
}

AttentionArgs args_of(u32 head_dim, u32 first_pos, u32 end_pos) {
  return {g_cache.q,
          reinterpret_cast<const u8*>(g_cache.keys),
          reinterpret_cast<const u8*>(g_cache.values),
          head_dim,
          kGroup,
          first_pos,
          end_pos,
          0.35f,
          g_cache.out,
          48,
          g_cache.scratch};
}

// Largest difference to softmax(scale * q k) v in f64.
f64 error_of(u32 head_dim, u32 first_pos, u32 end_pos, const f32* out) {
  f64 worst = 0;
  for (u32 h = 0; h < kGroup; ++h) {
    f64 max = -1e300;
    for (u32 pos = first_pos; pos < end_pos; ++pos) {
      f64 s = 0;
      for (u32 d = 0; d < head_dim; ++d) {
        s += static_cast<f64>(g_cache.q[h * head_dim + d]) *
             static_cast<f64>(g_cache.plain_keys[pos * head_dim + d]);
      }
      g_cache.weights[pos] = s * static_cast<f64>(0.35f);
      max = g_cache.weights[pos] > max ? g_cache.weights[pos] : max;
    }
    f64 sum = 0;
    for (u32 pos = first_pos; pos < end_pos; ++pos) {
      g_cache.weights[pos] = exp_f64(g_cache.weights[pos] - max);
      sum += g_cache.weights[pos];
    }
    for (u32 d = 0; d < head_dim; ++d) {
      f64 value = 0;
      for (u32 pos = first_pos; pos < end_pos; ++pos) {
        value += g_cache.weights[pos] * static_cast<f64>(g_cache.plain_values[pos * head_dim + d]);
      }
      const f64 difference = value / sum - static_cast<f64>(out[h * 48 + d]);
      worst = difference > worst ? difference : (-difference > worst ? -difference : worst);
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("attention: same bits in every table, and the softmax within rounding",
          "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  struct Range {
    u32 head_dim;
    u32 first_pos;
    u32 end_pos;
  };
  const Range ranges[] = {{16, 0, 1},      {16, 0, 16},     {24, 0, 17},   {40, 0, 64},
                          {16, 0, 65},     {16, 5, 130},    {24, 63, 129}, {16, 0, 1024},
                          {16, 0, 1025},   {16, 100, 1200}, {8, 0, 33},    {16, 64, 65},
                          {16, 1023, 1025}};
  for (const Range& range : ranges) {
    Pcg32 rng(range.end_pos, range.head_dim);
    fill(*tables[0], range.end_pos, range.head_dim, rng);
    for (u32 i = 0; i < n_table; ++i) {
      __builtin_memset(g_cache.out, 0, sizeof(g_cache.out));
      tables[i]->attention_f16(args_of(range.head_dim, range.first_pos, range.end_pos));
      if (i == 0) {
        __builtin_memcpy(g_cache.first_out, g_cache.out, sizeof(g_cache.out));
        CHECK(error_of(range.head_dim, range.first_pos, range.end_pos, g_cache.out) < 2e-6);
      }
      CHECK(__builtin_memcmp(g_cache.out, g_cache.first_out, sizeof(g_cache.out)) == 0);
      CHECK(g_cache.out[range.head_dim] == 0.0f);  // nothing beyond the head is written
    }
  }
}

TEST_CASE("what lies outside the visible positions never matters", "[kernels]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(1, 1);
  fill(*tables[0], 128, 16, rng);
  for (u32 i = 0; i < n_table; ++i) {
    tables[i]->attention_f16(args_of(16, 20, 70));
    __builtin_memcpy(g_cache.first_out, g_cache.out, sizeof(g_cache.out));
    f32 poison[16];
    for (f32& v : poison) v = 60000.0f;
    for (const u32 pos : {0u, 19u, 70u, 79u, 127u}) {
      tables[0]->store_key_f16(poison, 16, g_cache.keys, pos);
      tables[0]->store_value_f16(poison, 16, g_cache.values, pos);
    }
    tables[i]->attention_f16(args_of(16, 20, 70));
    CHECK(__builtin_memcmp(g_cache.out, g_cache.first_out, sizeof(g_cache.out)) == 0);
  }
}
