// The grid types: the tables are those of the format, and what the kernels multiply is exactly what
// the dequantizer says (R6, R9).
#include "core/base/sha256.h"
#include "core/tensor/dequantize.h"
#include "core/tensor/grid.h"
#include "core/tensor/grid_tables.h"
#include "core/tensor/repack.h"
#include "tests/tensor/random_blocks.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kColumns = 512;
constexpr i32 kLargestElement = 62;
u8 g_rows[16 * kColumns];
alignas(64) u8 g_tile[16 * kColumns];
GridTile g_grid;

template <class Table>
bool has_digest(const Table& table, Str expected) {
  Sha256 hash;
  hash.update({reinterpret_cast<const u8*>(&table), sizeof(table)});
  return to_hex(hash.finish()).str() == expected;
}

// What the kernels make of element `col` of `row`: scale times integer, both as they are
// multiplied.
f32 product(GridStep step, u32 row, u32 col) {
  const f32 q = static_cast<f32>(g_grid.q[col / 4][4 * row + col % 4]);
  if (step == GridStep::kTwoSteps) return (col < 16 ? g_grid.d[row] : g_grid.d_high[row]) * q;
  if (step == GridStep::kHalves)
    return g_grid.d[row] * (static_cast<f32>(g_grid.scale[col / 16][row]) * q);
  return g_grid.d[row] * q;
}

// Elements of the tile that differ from the dequantized rows, or do not fit the bound that the
// kernels' proofs use.
u32 count_wrong(DType type) {
  const DTypeTraits traits = dtype_traits(type);
  const usize n_byte = kColumns / traits.block_size * traits.block_bytes;
  const GridStep step = grid_step(type);
  u32 n_wrong = 0;
  for (u32 row = 0; row < 16; ++row) {
    f32 expected[kColumns];
    if (!dequantize(type, {g_rows + row * n_byte, n_byte}, expected).ok()) return kColumns;
    for (u32 block = 0; block < kColumns / 32; ++block) {
      expand_grid(type, g_tile, block, g_grid);
      for (u32 col = 0; col < 32; ++col) {
        const i32 q = g_grid.q[col / 4][4 * row + col % 4];
        const f32 actual = product(step, row, col);
        const bool same = __builtin_memcmp(&actual, &expected[32 * block + col], 4) == 0;
        if (!same || q > kLargestElement || q < -kLargestElement) ++n_wrong;
      }
    }
  }
  return n_wrong;
}

bool repack_all(DType type) {
  const DTypeTraits traits = dtype_traits(type);
  const usize n_byte = kColumns / traits.block_size * traits.block_bytes;
  return repack_tile(type, {g_rows, 16 * n_byte}, 16, kColumns, {g_tile, 16 * n_byte}).ok();
}

}  // namespace

TEST_CASE("the lattices are those of the format", "[tensor]") {
  CHECK(
      has_digest(kIq2XxsGrid, "05826b5d3e472a3a78f196be62ac78acf81df0f909626e12ab9fa2a5d490dd54"));
  CHECK(has_digest(kIq2XsGrid, "06e47aaca60b4dc1d9b5a3f34540437058a6b142b4d7a59d5ded769b4d1bf1de"));
  CHECK(has_digest(kIq2SGrid, "e1aa1473412b0552c2174c30ef22ab4073f6a181b85a17056e8249bd2932fd88"));
  CHECK(
      has_digest(kIq3XxsGrid, "46e35f5a997efdee6c99ce57854c8a0d4f0ff8ca57e5e8a60c0793ea580acf5d"));
  CHECK(has_digest(kIq3SGrid, "bd1af4945a1717c65610b0284e4628b9a1ba3b306fae3a06f6e5f597356e349f"));
  CHECK(has_digest(kIq1Grid, "07540ffc1aeaf6ad4d97e96b0fcc765aae39671d4ae4a27bbd0e796fde167c6a"));
}

TEST_CASE("scale times grid element is the dequantized value, bit by bit", "[tensor]") {
  Pcg32 rng(21, 5);
  u32 n_type = 0;
  for (const DType type : kWeightTypes) {
    if (!is_grid_type(type)) continue;
    ++n_type;
    const DTypeTraits traits = dtype_traits(type);
    fill_random_blocks(rng, type, {g_rows, 16 * kColumns / traits.block_size * traits.block_bytes});
    REQUIRE(repack_all(type));
    CHECK(count_wrong(type) == 0);
  }
  CHECK(n_type == 12);
}

// Every byte value in every place, so every grid index, sign, digit and nibble that a single byte
// selects.
TEST_CASE("grid elements stay small for every byte", "[tensor]") {
  for (const DType type : kWeightTypes) {
    if (!is_grid_type(type)) continue;
    const DTypeTraits traits = dtype_traits(type);
    const u32 n_block = 16 * kColumns / traits.block_size;
    u32 n_wrong = 0;
    for (u32 first = 0; first < 256; first += n_block) {
      for (u32 b = 0; b < n_block; ++b) {
        u8* block = g_rows + b * traits.block_bytes;
        __builtin_memset(block, static_cast<u8>(first + b), traits.block_bytes);
        make_scales_finite(type, block);
      }
      REQUIRE(repack_all(type));
      n_wrong += count_wrong(type);
    }
    CHECK(n_wrong == 0);
  }
}

// IQ1 adds and takes away an eighth of a step; the largest element is 8 * 1 + 1.
TEST_CASE("elements of IQ1 are eighths: 8 * grid + 1 or - 1", "[tensor]") {
  __builtin_memset(g_rows, 0, sizeof(g_rows));
  const u16 one = 0x3c00;
  const u16 minus_shift = 0x8000;
  for (u32 b = 0; b < 32; ++b) {  // 16 rows of two blocks; odd rows shift down
    __builtin_memcpy(g_rows + 50 * b, &one, 2);
    for (u32 part = 0; part < 8 && b / 2 % 2 == 1; ++part)
      __builtin_memcpy(g_rows + 50 * b + 34 + 2 * part, &minus_shift, 2);
  }
  REQUIRE(repack_all(DType::kIQ1_S));
  expand_grid(DType::kIQ1_S, g_tile, 0, g_grid);
  const i8 point = static_cast<i8>(kIq1Grid.points[0] & 0xff);
  CHECK(g_grid.q[0][0] == 8 * point + 1);
  CHECK(g_grid.q[0][4] == 8 * point - 1);
  CHECK(g_grid.d[0] == 0.125f);
}
