// The matrix products of every kernel table and weight type against the plain definition, bit by
// bit. A small cover, for bare metal too; the large one is tests/hosted/matmul_cover_test.cpp.
#include "kernels/select.h"
#include "tests/kernels/matmul_case.h"
#include "tests/kernels/matmul_values.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kRows = 3 * kTileRows;
constexpr u32 kColumns = 1024;
constexpr u32 kTokens = 5;
constexpr u32 kGap = 64;

// Static, since a stack of firmware is small, and the kernels themselves want 60 KiB of it.
alignas(64) u8 g_rows[kRows * kColumns * sizeof(f32)];
alignas(64) u8 g_tiles[kRows * kColumns * sizeof(f32)];
alignas(64) u8 g_x[kTokens * (kColumns * sizeof(f32) + kGap)];
f32 g_floats[kTokens * kColumns];
f32 g_expected[kTokens * kRows];
f32 g_y[kTokens * (kRows + kGap)];

void fill(const MatmulShape& shape, Values values) {
  Pcg32 rng(shape.n_row * 1000 + shape.n_col + shape.n_token, static_cast<u64>(shape.type));
  fill_weights(rng, shape.type, values, {g_rows, shape.n_row * shape.row_bytes()});
  fill_activations(rng, values, g_floats, shape.n_token * shape.n_col);
}

void check_tables(const MatmulShape& shape, const MatmulRun& run) {
  const MatmulCase product(shape, {g_rows, g_tiles, g_floats, g_x, g_expected, g_y});
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  for (u32 i = 0; i < n_table; ++i) {
    CHECK(product.equals(tables[i]->decode[static_cast<u32>(shape.type)], run));
    CHECK(product.equals(tables[i]->prefill[static_cast<u32>(shape.type)], run));
  }
}

void check_tables(const MatmulShape& shape, Values values, const MatmulRun& run) {
  fill(shape, values);
  check_tables(shape, run);
}

// The fewest columns of a type, and so many that a row crosses the stretches of a panel (24 blocks
// of 32), as unevenly as the type permits.
u32 few_columns(DType type) {
  const u32 block = dtype_traits(type).block_size;
  return block < kBlockSize ? kBlockSize : block;
}
u32 many_columns(DType type) { return dtype_traits(type).block_size > kBlockSize ? 1024 : 800; }

}  // namespace

TEST_CASE("every table has every weight type", "[kernels]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  for (u32 i = 0; i < n_table; ++i) {
    for (u32 id = 0; id < kDTypeLimit; ++id) {
      const bool is_weight = dtype_traits(static_cast<DType>(id)).is_weight;
      CHECK((tables[i]->decode[id] != nullptr) == is_weight);
      CHECK((tables[i]->prefill[id] != nullptr) == is_weight);
    }
  }
}

TEST_CASE("G-3: few columns: every table gives the bits of the plain product", "[kernels][bits]") {
  for (const DType type : kWeightTypes) {
    for (const Values values : {Values::kOrdinary, Values::kLargest, Values::kWild}) {
      const u32 n_col = few_columns(type);
      check_tables({type, 1, n_col, 1}, values, {1, 0, 1});
      check_tables({type, 40, n_col, 5, kGap}, values, {5, 0, 3, kGap});
      check_tables({type, 48, n_col, 3}, values, {3, 1, 2});
    }
  }
}

TEST_CASE("panels of many columns: every table gives the bits of the plain product",
          "[kernels][bits]") {
  for (const DType type : kWeightTypes) {
    check_tables({type, 17, many_columns(type), 3}, Values::kOrdinary, {3, 0, 2});
  }
}

// They are no scales, so nothing refuses them when they are repacked (R10).
TEST_CASE("infinite and NaN elements of plain types stay what they are", "[kernels][bits]") {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    const MatmulShape shape = {type, 16, 32, 5};
    fill(shape, Values::kOrdinary);
    for (u32 row = 0; row < shape.n_row; ++row) {
      u32 wide = row % 2 == 0 ? 0x7f800000 : 0xff800000;
      if (row % 4 == 3) wide = 0x7fc00000;
      u16 narrow = static_cast<u16>(wide >> 16);
      if (type == DType::kF16)
        narrow = static_cast<u16>((narrow & 0x8000) | (row % 4 == 3 ? 0x7e00 : 0x7c00));
      u8* element = g_rows + row * shape.row_bytes();
      __builtin_memcpy(element, type == DType::kF32 ? static_cast<void*>(&wide) : &narrow,
                       dtype_traits(type).block_bytes);
    }
    check_tables(shape, {1, 0, 1});
    check_tables(shape, {5, 0, 1});
  }
}
