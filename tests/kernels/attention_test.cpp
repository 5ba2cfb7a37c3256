// Attention of every table and cache type against one plain definition (R14, R15), all bits: head
// sizes, groups, batches, windows, soft caps, sinks, and positions on both sides of tiles and
// chunks. The cache is filled with NaN before anything is stored: what was not stored never
// matters.
#include "core/base/fmath.h"
#include "core/base/pcg32.h"
#include "core/tensor/f16.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kMaxElements = 2064 * 16;  // positions times head_dim, groups of 16 filled up
constexpr u32 kMaxQ = 220 * 16;          // tokens times group times head_dim
constexpr u32 kMaxScratch = 60000;
constexpr f32 kScale = 0.35f;
constexpr u32 kMaxHeadDim = 256;
// Of the heads of a group: one that takes nearly all, ordinary ones, one that takes nothing.
constexpr f32 kSinks[] = {9.0f, -1.5f, 0.0f, 2.25f, -200.0f, 30.0f, 1.0f, -__builtin_inff()};

struct Shape {
  u32 head_dim;
  u32 n_group;
  u32 n_token;
  u32 first_pos;
  u32 window;
  f32 soft_cap = 0.0f;
  bool sinks = false;

  [[nodiscard]] u32 n_pos() const { return first_pos + n_token; }
  [[nodiscard]] u32 n_row() const { return n_token * n_group; }
};

struct Case {
  alignas(64) u8 keys[kMaxElements * sizeof(f32)];
  alignas(64) u8 values[kMaxElements * sizeof(f32)];
  f32 k[kMaxElements];  // what was stored, [pos][head_dim]
  f32 v[kMaxElements];
  f32 plain_k[kMaxElements];  // what the cache makes of it
  f32 plain_v[kMaxElements];
  f32 q[kMaxQ];
  f32 out[kMaxQ + 16];
  f32 expected[kMaxQ];
  alignas(64) f32 scratch[kMaxScratch];
  alignas(64) f32 partials[kMaxScratch];
};
Case g_case;

f32 random_value(Pcg32& rng) {
  return static_cast<f32>(static_cast<i32>(rng.next() % 2001) - 1000) / 500.0f;
}

// One block of up to 32 elements as q8_0 keeps it.
void plain_q8(const f32* x, u32 n, f32* out) {
  f32 amax = 0.0f;
  for (u32 i = 0; i < n; ++i) {
    const f32 magnitude = x[i] < 0.0f ? -x[i] : x[i];
    amax = magnitude > amax ? magnitude : amax;
  }
  const f32 scale = f16_to_f32(f32_to_f16(amax / 127.0f));
  const f32 id = amax >= 0x1p-100f ? 127.0f / amax : 0.0f;
  for (u32 i = 0; i < n; ++i) {
    const volatile f32 shifted = x[i] * id + 12582912.0f;
    out[i] = (shifted - 12582912.0f) * scale;
  }
}

void plain_row(KvType type, const f32* x, u32 head_dim, f32* out) {
  for (u32 d = 0; d < head_dim; d += 32) {
    const u32 n = head_dim - d < 32 ? head_dim - d : 32;
    if (type == KvType::kQ8_0) plain_q8(x + d, n, out + d);
    for (u32 i = d; i < d + n && type != KvType::kQ8_0; ++i)
      out[i] = type == KvType::kF32 ? x[i] : f16_to_f32(f32_to_f16(x[i]));
  }
}

struct PlainState {
  f32 max;
  f32 sum;
  f32 out[kMaxHeadDim];
};

// One row over the visible positions of one chunk.
void plain_chunk(const Shape& shape, const f32* q, u32 begin, u32 end, PlainState& state) {
  state.max = -__builtin_inff();
  state.sum = 0.0f;
  for (f32& o : state.out) o = 0.0f;
  for (u32 tile = begin / 64 * 64; tile < end; tile += 64) {
    f32 weight[64] = {};
    f32 max = state.max;
    for (u32 j = 0; j < 64; ++j) {
      if (tile + j < begin || tile + j >= end) continue;
      f32 s = 0.0f;
      for (u32 d = 0; d < shape.head_dim; ++d)
        s = s + q[d] * g_case.plain_k[(tile + j) * shape.head_dim + d];
      weight[j] = s * kScale;
      if (shape.soft_cap != 0.0f) weight[j] = shape.soft_cap * tanh_f32(weight[j] / shape.soft_cap);
      max = max < weight[j] ? weight[j] : max;
    }
    const f32 correction = exp_f32(state.max - max);
    f32 lanes[16] = {};
    for (u32 j = 0; j < 64; ++j) {
      if (tile + j < begin || tile + j >= end) continue;
      weight[j] = exp_f32(weight[j] - max);
      lanes[j % 16] = lanes[j % 16] + weight[j];
    }
    for (u32 width = 8; width != 0; width /= 2) {
      for (u32 i = 0; i < width; ++i) lanes[i] = lanes[i] + lanes[i + width];
    }
    state.sum = state.sum * correction + lanes[0];
    state.max = max;
    for (u32 d = 0; d < shape.head_dim; ++d) {
      state.out[d] = state.out[d] * correction;
      for (u32 j = 0; j < 64; ++j) {
        if (tile + j < begin || tile + j >= end) continue;
        state.out[d] = state.out[d] + weight[j] * g_case.plain_v[(tile + j) * shape.head_dim + d];
      }
    }
  }
}

void plain_merge(const Shape& shape, const PlainState& part, PlainState& merged) {
  const f32 max = merged.max < part.max ? part.max : merged.max;
  const f32 a = exp_f32(merged.max - max);
  const f32 b = exp_f32(part.max - max);
  merged.max = max;
  merged.sum = merged.sum * a + part.sum * b;
  for (u32 d = 0; d < shape.head_dim; ++d) merged.out[d] = merged.out[d] * a + part.out[d] * b;
}

void plain_attention(const Shape& shape, u32 row, f32* out) {
  const f32* q = g_case.q + row * shape.head_dim;
  const u32 end_pos = shape.first_pos + row / shape.n_group + 1;
  const u32 first = shape.window < end_pos ? end_pos - shape.window : 0;
  PlainState merged = {};
  if (shape.sinks) {
    merged.max = kSinks[row % shape.n_group];
    merged.sum = 1.0f;
  }
  for (u32 chunk = first / 1024; chunk * 1024 < end_pos; ++chunk) {
    const u32 begin = chunk * 1024 > first ? chunk * 1024 : first;
    const u32 end = (chunk + 1) * 1024 < end_pos ? (chunk + 1) * 1024 : end_pos;
    PlainState part;
    plain_chunk(shape, q, begin, end, part);
    if (chunk == first / 1024 && !shape.sinks) {
      merged = part;
    } else {
      plain_merge(shape, part, merged);
    }
  }
  for (u32 d = 0; d < shape.head_dim; ++d) out[d] = merged.out[d] / merged.sum;
}

KvStoreArgs store_args(const Shape& shape, u32 first_pos, u32 n_token) {
  return {g_case.k + first_pos * shape.head_dim,
          g_case.v + first_pos * shape.head_dim,
          shape.head_dim,
          shape.head_dim,
          n_token,
          first_pos,
          g_case.keys,
          g_case.values};
}

AttentionArgs attention_args(const Shape& shape) {
  return {g_case.q,
          shape.n_group * shape.head_dim,
          g_case.keys,
          g_case.values,
          shape.head_dim,
          shape.n_group,
          shape.n_token,
          shape.first_pos,
          shape.window,
          kScale,
          g_case.out,
          shape.n_group * shape.head_dim,
          g_case.scratch,
          shape.soft_cap,
          shape.sinks ? kSinks : nullptr};
}

void fill(const Shape& shape) {
  Pcg32 rng(shape.n_pos(), shape.head_dim);
  const u32 n = shape.n_pos() * shape.head_dim;
  for (u32 i = 0; i < n; ++i) g_case.k[i] = random_value(rng);
  for (u32 i = 0; i < n; ++i) g_case.v[i] = random_value(rng);
  for (u32 i = 0; i < shape.n_row() * shape.head_dim; ++i) g_case.q[i] = random_value(rng);
}

void expect(const Shape& shape, KvType type) {
  for (u32 pos = 0; pos < shape.n_pos(); ++pos) {
    const u32 at = pos * shape.head_dim;
    plain_row(type, g_case.k + at, shape.head_dim, g_case.plain_k + at);
    plain_row(type, g_case.v + at, shape.head_dim, g_case.plain_v + at);
  }
  for (u32 row = 0; row < shape.n_row(); ++row)
    plain_attention(shape, row, g_case.expected + row * shape.head_dim);
}

bool as_expected(const Shape& shape) {
  const u32 n = shape.n_row() * shape.head_dim;
  for (u32 i = n; i < n + 16; ++i) {
    if (g_case.out[i] != 1.0f) return false;  // written beyond the last head
  }
  return __builtin_memcmp(g_case.out, g_case.expected, n * sizeof(f32)) == 0;
}

void clear_out() {
  for (f32& o : g_case.out) o = 1.0f;
}

void poison(u8 byte) {
  __builtin_memset(g_case.keys, byte, sizeof(g_case.keys));
  __builtin_memset(g_case.values, byte, sizeof(g_case.values));
}

// One call, and the same in parts as several cores do it.
void check_table(const KernelTable& table, const Shape& shape, KvType type) {
  const u32 id = static_cast<u32>(type);
  const AttentionArgs args = attention_args(shape);
  clear_out();
  table.attention[id](args);
  CHECK(as_expected(shape));

  const u32 first_visible =
      shape.window <= shape.first_pos ? shape.first_pos + 1 - shape.window : 0;
  const u32 first_chunk = first_visible / kAttentionChunk;
  const u32 last_chunk = (shape.n_pos() - 1) / kAttentionChunk;
  const usize stride = attention_partial_floats(shape.head_dim, shape.n_row());
  REQUIRE((last_chunk - first_chunk + 1) * stride <= kMaxScratch);
  for (u32 chunk = last_chunk + 1; chunk-- > first_chunk;)
    table.attention_part[id](args, chunk, g_case.partials + (chunk - first_chunk) * stride);
  clear_out();
  table.attention_join(args, g_case.partials, last_chunk - first_chunk + 1);
  CHECK(as_expected(shape));

  // Chunks that the window hides from every row change nothing.
  if (first_chunk == 0 || (last_chunk + 1) * stride > kMaxScratch) return;
  for (u32 chunk = 0; chunk <= last_chunk; ++chunk)
    table.attention_part[id](args, chunk, g_case.partials + chunk * stride);
  clear_out();
  table.attention_join(args, g_case.partials, last_chunk + 1);
  CHECK(as_expected(shape));
}

void check_shape(const Shape& shape, KvType type) {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  REQUIRE(attention_scratch_floats(shape.head_dim, shape.n_row()) <= kMaxScratch);
  REQUIRE((shape.n_pos() + 15) / 16 * 16 * shape.head_dim <= kMaxElements);
  REQUIRE(shape.n_row() * shape.head_dim <= kMaxQ);
  fill(shape);
  expect(shape, type);
  for (u32 i = 0; i < n_table; ++i) {
    poison(0xff);
    CHECK(tables[i]->store_kv[static_cast<u32>(type)](store_args(shape, 0, shape.n_pos())));
    check_table(*tables[i], shape, type);
  }
}

constexpr KvType kTypes[] = {KvType::kF16, KvType::kF32, KvType::kQ8_0};

}  // namespace

TEST_CASE("G-5: attention: every table and cache type gives the bits of the plain definition",
          "[kernels][bits]") {
  const Shape shapes[] = {
      {16, 1, 1, 0, kNoWindow},  {24, 1, 2, 15, kNoWindow},  {40, 3, 3, 62, kNoWindow},
      {80, 1, 5, 60, kNoWindow}, {64, 3, 1, 129, kNoWindow}, {8, 8, 9, 57, kNoWindow},
      {16, 3, 70, 0, kNoWindow}, {34, 2, 4, 31, kNoWindow},  {2, 1, 17, 3, kNoWindow}};
  for (const Shape& shape : shapes) {
    for (const KvType type : kTypes) check_shape(shape, type);
  }
}

TEST_CASE("attention: weights that vanish", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  const Shape shape = {16, 2, 9, 200, kNoWindow};
  fill(shape);
  for (f32& q : g_case.q) q = q * 12.0f;  // exponents from 0 to far below -87.3
  expect(shape, KvType::kF16);
  for (u32 i = 0; i < n_table; ++i) {
    poison(0xff);
    CHECK(tables[i]->store_kv[0](store_args(shape, 0, shape.n_pos())));
    check_table(*tables[i], shape, KvType::kF16);
  }
}

TEST_CASE("attention: a window hides positions on the lower side, too", "[kernels][bits]") {
  const Shape shapes[] = {
      {16, 3, 40, 60, 20}, {16, 1, 1, 100, 64}, {24, 2, 5, 63, 1}, {16, 1, 3, 1030, 9}};
  for (const Shape& shape : shapes) {
    for (const KvType type : kTypes) check_shape(shape, type);
  }
}

TEST_CASE("attention: chunks of 1,024 positions are merged in ascending order", "[kernels][bits]") {
  const Shape shapes[] = {{8, 1, 40, 1000, kNoWindow},
                          {8, 3, 1, 1023, kNoWindow},
                          {8, 3, 1, 1024, kNoWindow},
                          {8, 1, 4, 2047, kNoWindow},
                          {8, 2, 3, 2046, 1024}};
  for (const Shape& shape : shapes) check_shape(shape, KvType::kF16);
  check_shape(shapes[0], KvType::kQ8_0);
}

TEST_CASE("attention: soft caps and sinks, alone and together, with windows and chunks",
          "[kernels][bits]") {
  const Shape shapes[] = {
      {16, 3, 5, 60, kNoWindow, 6.0f, false}, {16, 3, 5, 60, kNoWindow, 0.0f, true},
      {24, 8, 9, 57, 20, 6.0f, true},         {8, 8, 1, 0, kNoWindow, 0.5f, true},
      {8, 2, 5, 1022, kNoWindow, 0.0f, true}, {8, 8, 3, 2046, kNoWindow, 3.0f, true},
      {8, 3, 4, 2045, 9, 0.0f, true},         {8, 3, 2, 2047, 1, 2.0f, true},
      {8, 2, 40, 1000, 30, 2.0f, true}};
  for (const Shape& shape : shapes) {
    for (const KvType type : kTypes) check_shape(shape, type);
  }
}

TEST_CASE("attention: sizes of heads that are large or no multiple of 16", "[kernels][bits]") {
  const Shape shapes[] = {{80, 2, 3, 62, kNoWindow},
                          {96, 1, 2, 63, kNoWindow},
                          {100, 2, 1, 70, kNoWindow},
                          {112, 1, 3, 62, 40, 5.0f, true},
                          {128, 3, 2, 64, kNoWindow},
                          {192, 1, 9, 60, 33},
                          {256, 1, 2, 100, kNoWindow, 50.0f, false}};
  for (const Shape& shape : shapes) {
    for (const KvType type : kTypes) check_shape(shape, type);
  }
}

// A negative sum that is scaled by +0 is -0, and stays so. Rows that see nothing of a chunk must
// not be merged with it: -0 plus +0 would be +0.
TEST_CASE("attention: a chunk without a visible position leaves no trace", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  struct {
    Shape shape;
    u32 pos;  // a multiple of 64: from here on weights are so large that those before vanish
    u32 row;  // sees positions before and after it, of one chunk only
  } const cases[] = {{{8, 1, 40, 1000, kNoWindow}, 960, 23}, {{8, 1, 110, 1000, 70}, 1088, 105}};
  for (const auto& c : cases) {
    fill(c.shape);
    for (f32& q : g_case.q) q = 100.0f;
    for (u32 i = 0; i < c.shape.n_pos() * 8; ++i) {
      g_case.k[i] = i / 8 < c.pos ? 0.0f : 1.0f;
      g_case.v[i] = i / 8 < c.pos ? -1.0f : -0.0f;
    }
    expect(c.shape, KvType::kF16);
    REQUIRE(__builtin_bit_cast(u32, g_case.expected[c.row * 8]) == 0x80000000);
    for (u32 i = 0; i < n_table; ++i) {
      poison(0xff);
      CHECK(tables[i]->store_kv[0](store_args(c.shape, 0, c.shape.n_pos())));
      check_table(*tables[i], c.shape, KvType::kF16);
    }
  }
}

TEST_CASE("what lies outside the visible positions never matters", "[kernels]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  const Shape shape = {16, 3, 6, 77, 50};
  for (const KvType type : kTypes) {
    const u32 id = static_cast<u32>(type);
    fill(shape);
    expect(shape, type);
    for (u32 i = 0; i < n_table; ++i) {
      for (const u8 byte : {u8{0xff}, u8{0x7b}, u8{0}}) {
        poison(byte);
        // Only what some token sees: first_pos + 1 - window, and what follows.
        CHECK(tables[i]->store_kv[id](store_args(shape, 28, shape.n_pos() - 28)));
        clear_out();
        tables[i]->attention[id](attention_args(shape));
        CHECK(as_expected(shape));
      }
    }
  }
}

TEST_CASE("attention is the softmax of scale * q k over the values, within rounding", "[kernels]") {
  const KernelTable* tables[8];
  usable_kernel_tables(detect_cpu_features(), tables);
  const Shape shape = {16, 2, 2, 1199, kNoWindow};
  fill(shape);
  expect(shape, KvType::kF32);
  CHECK(tables[0]->store_kv[1](store_args(shape, 0, shape.n_pos())));
  tables[0]->attention[1](attention_args(shape));
  for (u32 row = 0; row < shape.n_row(); ++row) {
    const u32 end_pos = shape.first_pos + row / shape.n_group + 1;
    f64 sum = 0;
    f64 out[16] = {};
    for (u32 pos = 0; pos < end_pos; ++pos) {
      f64 s = 0;
      for (u32 d = 0; d < 16; ++d) {
        s += static_cast<f64>(g_case.q[row * 16 + d]) * static_cast<f64>(g_case.k[pos * 16 + d]);
      }
      const f64 weight = exp_f64(s * static_cast<f64>(kScale) - 20.0);  // |s| * scale < 23
      sum += weight;
      for (u32 d = 0; d < 16; ++d) out[d] += weight * static_cast<f64>(g_case.v[pos * 16 + d]);
    }
    for (u32 d = 0; d < 16; ++d) {
      const f64 difference = out[d] / sum - static_cast<f64>(g_case.out[row * 16 + d]);
      CHECK((difference < 2e-6 && difference > -2e-6));
    }
  }
}

TEST_CASE("the cache refuses what its type can not hold, and keeps the rest alike in every table",
          "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  const Shape shape = {40, 1, 18, 13, kNoWindow};
  static u8 expected[2][32 * 40 * sizeof(f32)];
  for (const KvType type : kTypes) {
    const u32 id = static_cast<u32>(type);
    for (u32 i = 0; i < n_table; ++i) {
      fill(shape);
      poison(0);
      CHECK(tables[i]->store_kv[id](store_args(shape, 13, 18)));
      if (i == 0) {
        __builtin_memcpy(expected[0], g_case.keys, sizeof(expected[0]));
        __builtin_memcpy(expected[1], g_case.values, sizeof(expected[1]));
        poison(0);  // one by one gives the same as together
        for (u32 pos = 13; pos < 31; ++pos)
          CHECK(tables[i]->store_kv[id](store_args(shape, pos, 1)));
      }
      CHECK(__builtin_memcmp(g_case.keys, expected[0], sizeof(expected[0])) == 0);
      CHECK(__builtin_memcmp(g_case.values, expected[1], sizeof(expected[1])) == 0);

      const f32 limit = type == KvType::kF16 ? 65519.0f : type == KvType::kF32 ? 3e38f : 8320000.0f;
      for (f32* element : {g_case.k + 14 * 40 + 39, g_case.v + 30 * 40 + 3}) {
        const f32 kept = *element;
        *element = -limit;
        CHECK(tables[i]->store_kv[id](store_args(shape, 13, 18)));
        for (const f32 bad : {limit * 1.2f, __builtin_nanf(""), -__builtin_inff()}) {
          *element = bad;
          CHECK(!tables[i]->store_kv[id](store_args(shape, 13, 18)));
        }
        *element = kept;
      }
    }
  }
}
