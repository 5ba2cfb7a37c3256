// Quantizers: what comes back is close, what lies on the grid comes back exactly, and nothing that
// is no number goes in.
#include "core/tensor/quantize.h"

#include "core/base/pcg32.h"
#include "core/tensor/dequantize.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kColumns = 512;

// How far a type may be from bell-shaped values, as a share of their root mean square.
struct Quality {
  DType type;
  f32 limit;
};
constexpr Quality kQualities[] = {
    {DType::kF32, 0.0f},     {DType::kF16, 0.0003f},    {DType::kBF16, 0.0025f},
    {DType::kQ8_0, 0.0060f}, {DType::kQ4_0, 0.0900f},   {DType::kQ4_1, 0.0780f},
    {DType::kQ5_0, 0.0450f}, {DType::kQ5_1, 0.0390f},   {DType::kQ2_K, 0.3000f},
    {DType::kQ3_K, 0.1650f}, {DType::kQ4_K, 0.0800f},   {DType::kQ5_K, 0.0400f},
    {DType::kQ6_K, 0.0195f}, {DType::kIQ4_NL, 0.0800f}, {DType::kIQ4_XS, 0.0830f},
};

usize bytes_of(DType type, u32 n) {
  return n / dtype_traits(type).block_size * dtype_traits(type).block_bytes;
}

// The sum of four uniform numbers: close enough to a bell.
void fill_bell(Pcg32& rng, f32 scale, f32 (&values)[kColumns]) {
  for (f32& value : values) {
    f32 sum = 0;
    for (u32 i = 0; i < 4; ++i) sum += static_cast<f32>(rng.next() >> 8) * 0x1p-24f - 0.5f;
    value = sum * scale;
  }
}

u8 g_blocks[kColumns * 4];

// There and back. False where either refuses.
bool round_trip(DType type, const f32 (&values)[kColumns], f32 (&back)[kColumns]) {
  const Span<u8> blocks(g_blocks, bytes_of(type, kColumns));
  return quantize(type, {values, kColumns}, {}, blocks).ok() &&
         dequantize(type, blocks, {back, kColumns}).ok();
}

f32 relative_error_squared(const f32 (&values)[kColumns], const f32 (&back)[kColumns]) {
  f32 error = 0;
  f32 squares = 0;
  for (u32 i = 0; i < kColumns; ++i) {
    error += (values[i] - back[i]) * (values[i] - back[i]);
    squares += values[i] * values[i];
  }
  return error / squares;
}

u32 count_different(const f32 (&a)[kColumns], const f32 (&b)[kColumns]) {
  u32 n = 0;
  for (u32 i = 0; i < kColumns; ++i) n += a[i] == b[i] ? 0 : 1;
  return n;
}

}  // namespace

TEST_CASE("what was quantized comes back close", "[quantize]") {
  Pcg32 rng(1, 1);
  f32 values[kColumns];
  f32 back[kColumns];
  for (const f32 scale : {1.0f, 0.02f, 100.0f}) {
    fill_bell(rng, scale, values);
    for (const Quality& quality : kQualities) {
      REQUIRE(round_trip(quality.type, values, back));
      CHECK(relative_error_squared(values, back) <= quality.limit * quality.limit);
    }
  }
}

TEST_CASE("values on the grid come back exactly", "[quantize]") {
  Pcg32 rng(2, 1);
  f32 values[kColumns];
  f32 back[kColumns];
  // Each block of 32 has both ends of the grid in it, so no other scale fits as well.
  for (u32 i = 0; i < kColumns; ++i) {
    const u32 level = i % 32 == 0 ? 0 : i % 32 == 1 ? 15 : rng.next() % 16;
    values[i] = 0.125f * static_cast<f32>(level) - 1.0f;
  }
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_0, DType::kQ4_1}) {
    REQUIRE(round_trip(type, values, back));
    CHECK(count_different(values, back) == 0);
  }
  for (u32 i = 0; i < kColumns; ++i) {
    const u32 level = i % 32 == 0 ? 0 : i % 32 == 1 ? 31 : rng.next() % 32;
    values[i] = 0.25f * static_cast<f32>(level) - 4.0f;
  }
  for (const DType type : {DType::kF16, DType::kQ5_0, DType::kQ5_1}) {
    REQUIRE(round_trip(type, values, back));
    CHECK(count_different(values, back) == 0);
  }
}

TEST_CASE("zeros and the smallest numbers become zeros", "[quantize]") {
  f32 values[kColumns] = {};
  f32 back[kColumns];
  for (const f32 tiny : {0.0f, 0x1p-149f, -0x1p-130f, 1e-20f}) {
    for (u32 i = 0; i < kColumns; ++i) values[i] = i % 3 == 0 ? tiny : -tiny;
    for (const Quality& quality : kQualities) {
      if (quality.type == DType::kF32 || quality.type == DType::kBF16) continue;
      REQUIRE(round_trip(quality.type, values, back));
      for (const f32 value : back) CHECK(value == 0);
    }
  }
}

TEST_CASE("constants and single outliers stay close", "[quantize]") {
  f32 values[kColumns];
  f32 back[kColumns];
  for (const f32 constant : {1.0f, -0.37f, 60000.0f}) {
    for (f32& value : values) value = constant;
    for (const Quality& quality : kQualities) {
      REQUIRE(round_trip(quality.type, values, back));
      CHECK(relative_error_squared(values, back) <= 0.01f * 0.01f);
    }
  }
  // One value a thousand times larger than the others: it has to survive.
  for (f32& value : values) value = 0.001f;
  values[77] = -1.0f;
  for (const Quality& quality : kQualities) {
    REQUIRE(round_trip(quality.type, values, back));
    CHECK(back[77] < -0.85f);
    CHECK(back[77] > -1.15f);
  }
}

TEST_CASE("importance draws the error to where it costs least", "[quantize]") {
  Pcg32 rng(3, 1);
  f32 values[kColumns];
  f32 importance[kColumns];
  fill_bell(rng, 1.0f, values);
  for (u32 i = 0; i < kColumns; ++i) importance[i] = i % 4 == 0 ? 100.0f : 1.0f;
  for (const DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ4_K, DType::kQ3_K}) {
    f32 errors[2] = {};
    for (u32 guided = 0; guided < 2; ++guided) {
      f32 back[kColumns];
      const Span<u8> blocks(g_blocks, bytes_of(type, kColumns));
      const Span<const f32> weights = guided == 1 ? Span<const f32>(importance) : Span<const f32>();
      REQUIRE(quantize(type, {values, kColumns}, weights, blocks).ok());
      REQUIRE(dequantize(type, blocks, {back, kColumns}).ok());
      for (u32 i = 0; i < kColumns; i += 4)
        errors[guided] += (values[i] - back[i]) * (values[i] - back[i]);
    }
    CHECK(errors[1] < errors[0]);
  }
}

TEST_CASE("importance of zero everywhere is no importance", "[quantize]") {
  Pcg32 rng(4, 1);
  f32 values[kColumns];
  const f32 importance[kColumns] = {};
  fill_bell(rng, 1.0f, values);
  u8 plain[kColumns * 4];
  for (const Quality& quality : kQualities) {
    const usize n_byte = bytes_of(quality.type, kColumns);
    REQUIRE(quantize(quality.type, {values, kColumns}, {}, {plain, n_byte}).ok());
    REQUIRE(quantize(quality.type, {values, kColumns}, importance, {g_blocks, n_byte}).ok());
    CHECK(__builtin_memcmp(plain, g_blocks, n_byte) == 0);
  }
}

TEST_CASE("what is no number is refused with its place", "[quantize]") {
  f32 values[kColumns] = {};
  const f32 infinity = __builtin_inff();
  for (const f32 bad : {infinity, -infinity, __builtin_nanf("")}) {
    values[301] = bad;
    for (const Quality& quality : kQualities) {
      __builtin_memset(g_blocks, 0x5a, sizeof(g_blocks));
      const Status status = quantize(quality.type, {values, kColumns}, {},
                                     {g_blocks, bytes_of(quality.type, kColumns)});
      CHECK(status.error().code == ErrorCode::kNumeric);
      CHECK(status.error().value == 301);
      CHECK(g_blocks[0] == 0x5a);  // nothing was written
    }
  }
  values[301] = 70000.0f;  // beyond binary16
  CHECK(quantize(DType::kQ4_0, {values, kColumns}, {}, {g_blocks, 288}).error().code ==
        ErrorCode::kNumeric);
  CHECK(quantize(DType::kBF16, {values, kColumns}, {}, {g_blocks, 1024}).ok());
  values[301] = 3.4e38f;  // rounds up to infinity
  CHECK(quantize(DType::kBF16, {values, kColumns}, {}, {g_blocks, 1024}).error().code ==
        ErrorCode::kNumeric);
}

TEST_CASE("sizes and types that do not fit are refused", "[quantize]") {
  f32 values[kColumns] = {};
  f32 importance[kColumns] = {};
  CHECK(quantize(DType::kQ4_0, {values, 33}, {}, {g_blocks, 18}).error().code ==
        ErrorCode::kMismatch);
  CHECK(quantize(DType::kQ4_K, {values, 256}, {}, {g_blocks, 143}).error().code ==
        ErrorCode::kMismatch);
  CHECK(quantize(DType::kQ4_0, {values, 32}, {importance, 31}, {g_blocks, 18}).error().code ==
        ErrorCode::kMismatch);
  CHECK(quantize(DType::kIQ2_XXS, {values, 256}, {}, {g_blocks, 66}).error().code ==
        ErrorCode::kUnsupported);
  importance[3] = -1;
  CHECK(quantize(DType::kQ4_0, {values, 32}, {importance, 32}, {g_blocks, 18}).error().code ==
        ErrorCode::kNumeric);
  CHECK(quantize(DType::kQ4_0, {}, {}, {}).ok());  // nothing of nothing
}

TEST_CASE("f32 to bfloat16 rounds to nearest even", "[quantize]") {
  const f32 values[] = {1.0f, 1.00390625f, 1.01171875f, -1.00390625f, 0x1p-133f};
  const u16 expected[] = {0x3f80, 0x3f80, 0x3f82, 0xbf80, 0x0001};
  u8 out[10];
  REQUIRE(quantize(DType::kBF16, {values, 5}, {}, {out, 10}).ok());
  CHECK(__builtin_memcmp(out, expected, 10) == 0);
}
