// Tiles hold what the rows held: reading a row back out of its tile gives the reference
// dequantizer's bits.
#include "core/tensor/dequantize.h"
#include "core/tensor/f16.h"
#include "core/tensor/repack.h"
#include "tests/tensor/random_blocks.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kColumns = 512;  // two superblocks
u8 g_rows[16 * kColumns * 4];
alignas(64) u8 g_tile[16 * kColumns * 4];

usize row_bytes(DType type, u32 n_col) {
  const DTypeTraits traits = dtype_traits(type);
  return n_col / traits.block_size * traits.block_bytes;
}

// Elements that differ in their bits. A row that is not there reads as zeros; -0 from a zero scale
// times a negative element counts as one.
u32 count_wrong(DType type, u32 n_row, u32 n_col) {
  const usize n_byte = row_bytes(type, n_col);
  u32 n_wrong = 0;
  for (u32 row = 0; row < 16; ++row) {
    f32 expected[kColumns] = {};
    f32 actual[kColumns];
    dequantize_tile_row(type, g_tile, row, n_col, actual);
    if (row < n_row && !dequantize(type, {g_rows + row * n_byte, n_byte}, {expected, n_col}).ok()) {
      return n_col;
    }
    for (u32 i = 0; i < n_col; ++i) {
      const bool same = __builtin_memcmp(&actual[i], &expected[i], 4) == 0;
      if (!same && !(row >= n_row && actual[i] == 0.0f)) ++n_wrong;
    }
  }
  return n_wrong;
}

}  // namespace

TEST_CASE("a tile gives back every row it was made of", "[tensor]") {
  Pcg32 rng(11, 5);
  for (const DType type : kWeightTypes) {
    const usize n_byte = row_bytes(type, kColumns);
    for (const u32 n_row : {1u, 7u, 15u, 16u}) {
      fill_random_blocks(rng, type, {g_rows, n_row * n_byte});
      __builtin_memset(g_tile, 0xa5, sizeof(g_tile));  // nothing of what stood there may stay
      const Span<u8> tile(g_tile, 16 * n_byte);
      REQUIRE(repack_tile(type, {g_rows, n_row * n_byte}, n_row, kColumns, tile).ok());
      CHECK(count_wrong(type, n_row, kColumns) == 0);
    }
  }
}

TEST_CASE("plain element types may have any number of columns", "[tensor]") {
  Pcg32 rng(12, 5);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const u32 n_col : {1u, 3u, 17u, 66u}) {
      const usize n_byte = row_bytes(type, n_col);
      fill_random_blocks(rng, type, {g_rows, 5 * n_byte});
      __builtin_memset(g_tile, 0xa5, sizeof(g_tile));
      REQUIRE(repack_tile(type, {g_rows, 5 * n_byte}, 5, n_col, {g_tile, 16 * n_byte}).ok());
      CHECK(count_wrong(type, 5, n_col) == 0);
      CHECK(g_tile[16 * n_byte] == 0xa5);
    }
  }
}

namespace {

// Repacks 4 rows of two blocks, zeros but for what `spoil` does to the second block of row 2.
template <class Spoil>
bool is_refused(DType type, Spoil spoil) {
  const DTypeTraits traits = dtype_traits(type);
  __builtin_memset(g_rows, 0, sizeof(g_rows));
  spoil(g_rows + 5 * traits.block_bytes);
  const Status s =
      repack_tile(type, {g_rows, 8 * static_cast<usize>(traits.block_bytes)}, 4,
                  2 * traits.block_size, {g_tile, 32 * static_cast<usize>(traits.block_bytes)});
  return !s.ok() && s.error().code == ErrorCode::kNumeric && s.error().value == 2;
}

}  // namespace

TEST_CASE("a scale that is not finite is refused with its row", "[tensor]") {
  for (const DType type : kWeightTypes) {
    const ScalePlaces places = scale_places(type);
    for (u32 i = 0; i < places.n; ++i) {
      for (const u16 bad : {u16{0x7c00}, u16{0xfc00}, u16{0x7e01}}) {
        CHECK(is_refused(type, [&](u8* b) { __builtin_memcpy(b + places.at[i], &bad, 2); }));
      }
      const u16 largest = 0xfbff;
      CHECK(!is_refused(type, [&](u8* b) { __builtin_memcpy(b + places.at[i], &largest, 2); }));
    }
  }
  // d of IQ1_M is the tops of 4 words: the exponent is bits 14..10, in the last two.
  CHECK(is_refused(DType::kIQ1_M, [](u8* b) { b[55] = 0x70, b[53] = 0xc0; }));
  CHECK(!is_refused(DType::kIQ1_M, [](u8* b) { b[55] = 0x7f, b[53] = 0xbf; }));
  CHECK(is_refused(DType::kMXFP4, [](u8* b) { b[0] = 0xff; }));
  CHECK(!is_refused(DType::kMXFP4, [](u8* b) { b[0] = 0xfe; }));
  for (u32 i = 0; i < 4; ++i) {
    CHECK(is_refused(DType::kNVFP4, [&](u8* b) { b[i] = 0x7f; }));
    CHECK(is_refused(DType::kNVFP4, [&](u8* b) { b[i] = 0xff; }));
    CHECK(!is_refused(DType::kNVFP4, [&](u8* b) { b[i] = 0x7e; }));
  }
}

TEST_CASE("any bytes make a tile or are refused", "[tensor]") {
  Pcg32 rng(13, 5);
  for (const DType type : kWeightTypes) {
    const usize n_byte = row_bytes(type, kColumns);
    f32 row[kColumns];
    u32 n_taken = 0;
    for (u32 i = 0; i < 8; ++i) {
      for (usize at = 0; at < 3 * n_byte; ++at) g_rows[at] = static_cast<u8>(rng.next());
      CHECK(dequantize(type, {g_rows, n_byte}, row).ok());
      const Status s = repack_tile(type, {g_rows, 3 * n_byte}, 3, kColumns, {g_tile, 16 * n_byte});
      CHECK((s.ok() || s.error().code == ErrorCode::kNumeric));
      if (!s.ok()) continue;
      ++n_taken;
      CHECK(count_wrong(type, 3, kColumns) == 0);
    }
    if (dtype_traits(type).block_size == 1) CHECK(n_taken == 8);
  }
}

TEST_CASE("file bytes need no alignment", "[tensor]") {
  Pcg32 rng(14, 5);
  for (const DType type : kWeightTypes) {
    const usize n_byte = row_bytes(type, kColumns);
    fill_random_blocks(rng, type, {g_rows, 3 * n_byte});
    const Span<u8> tile(g_tile, 16 * n_byte);
    REQUIRE(repack_tile(type, {g_rows, 3 * n_byte}, 3, kColumns, tile).ok());
    __builtin_memmove(g_rows + 1, g_rows, 3 * n_byte);
    static u8 expected[sizeof(g_tile)];
    __builtin_memcpy(expected, g_tile, 16 * n_byte);
    REQUIRE(repack_tile(type, {g_rows + 1, 3 * n_byte}, 3, kColumns, tile).ok());
    CHECK(__builtin_memcmp(expected, g_tile, 16 * n_byte) == 0);
    f32 row[kColumns];
    CHECK(dequantize(type, {g_rows + 1, n_byte}, row).ok());
  }
}

TEST_CASE("a type without a tile layout is refused by name", "[tensor]") {
  const Status s = repack_tile(DType::kQ8_1, {g_rows, 36}, 1, 32, {g_tile, 16 * 36});
  REQUIRE(!s.ok());
  CHECK(s.error().code == ErrorCode::kUnsupported);
}

TEST_CASE("half precision converts exactly, both ways, for all 65,536 patterns", "[tensor]") {
  u32 n_wrong = 0;
  for (u32 bits = 0; bits < 65536; ++bits) {
    const u16 half = static_cast<u16>(bits);
    const f32 value = f16_to_f32(half);
    if (value != value) {
      if ((half & 0x7fff) <= 0x7c00 || (f32_to_f16(value) & 0x7c00) != 0x7c00) ++n_wrong;
    } else if (f32_to_f16(value) != half) {
      ++n_wrong;
    }
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("rounding to half precision goes to the nearest, ties to even", "[tensor]") {
  CHECK(f32_to_f16(1.0f + 0x1p-11f) == 0x3c00);      // tie, even below
  CHECK(f32_to_f16(1.0f + 3 * 0x1p-11f) == 0x3c02);  // tie, even above
  CHECK(f32_to_f16(1.0f + 0x1p-11f + 0x1p-20f) == 0x3c01);
  CHECK(f32_to_f16(65519.0f) == 0x7bff);
  CHECK(f32_to_f16(65520.0f) == 0x7c00);
  CHECK(f32_to_f16(0x1p-24f) == 0x0001);
  CHECK(f32_to_f16(0x1p-25f) == 0x0000);  // tie with zero
  CHECK(f32_to_f16(0x1.8p-25f) == 0x0001);
  CHECK(f32_to_f16(-0x1p-14f) == 0x8400);
}
