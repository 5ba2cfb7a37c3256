// Tiles hold what the rows held: reading a row back out of its tile gives the reference
// dequantizer's bits.
#include "core/base/pcg32.h"
#include "core/tensor/dequantize.h"
#include "core/tensor/f16.h"
#include "core/tensor/repack.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kColumns = 64;
u8 g_rows[16 * kColumns * 4];
u8 g_tile[16 * kColumns * 4];

const DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ4_0,
                        DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0};

}  // namespace

TEST_CASE("a tile gives back every row it was made of", "[tensor]") {
  Pcg32 rng(11, 5);
  for (const DType type : kTypes) {
    const DTypeTraits traits = dtype_traits(type);
    const usize n_byte = kColumns / traits.block_size * traits.block_bytes;
    for (const u32 n_row : {1u, 7u, 16u}) {
      for (u8& b : g_rows) b = static_cast<u8>(rng.next());
      for (usize at = 0; at < 16 * n_byte; at += traits.block_bytes) {
        if (traits.block_size == 1) continue;
        g_rows[at + 1] &= 0x3b;  // exponent bits of the scales: finite
        g_rows[at + 3] &= 0x3b;
      }
      const Span<u8> tile(g_tile, 16 * n_byte);
      REQUIRE(repack_tile(type, {g_rows, n_row * n_byte}, n_row, kColumns, tile).ok());
      for (u32 row = 0; row < 16; ++row) {
        f32 expected[kColumns] = {};
        f32 actual[kColumns];
        dequantize_tile_row(type, g_tile, row, kColumns, actual);
        if (row < n_row) REQUIRE(dequantize(type, {g_rows + row * n_byte, n_byte}, expected).ok());
        // A row that is not there reads as zeros; -0 from a zero scale times a negative element
        // counts as one.
        for (u32 i = 0; i < kColumns; ++i) {
          const bool same = __builtin_memcmp(&actual[i], &expected[i], 4) == 0;
          CHECK((same || (row >= n_row && actual[i] == 0.0f)));
        }
      }
    }
  }
}

TEST_CASE("a scale that is not finite is refused with its row", "[tensor]") {
  for (const DType type : {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0}) {
    const DTypeTraits traits = dtype_traits(type);
    for (const u16 bad : {u16{0x7c00}, u16{0xfc00}, u16{0x7e01}}) {
      __builtin_memset(g_rows, 0, sizeof(g_rows));
      __builtin_memcpy(g_rows + 2 * traits.block_bytes, &bad, 2);
      const Status s = repack_tile(type, {g_rows, 4 * static_cast<usize>(traits.block_bytes)}, 4,
                                   32, {g_tile, 16 * static_cast<usize>(traits.block_bytes)});
      REQUIRE(!s.ok());
      CHECK(s.error().code == ErrorCode::kNumeric);
      CHECK(s.error().value == 2);
    }
  }
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
