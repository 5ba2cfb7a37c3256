// The matrix products of every kernel table, weight type and shape that a kernel could treat
// differently, against the plain definition (tests/kernels/plain_product.h), bit by bit.
//
// `hosted_tests '[cover]'` runs the full product, which takes minutes; the default run is a cover
// of it.
#include "tests/hosted/loaded_model.h"
#include "tests/hosted/matmul_memory.h"
#include "tests/kernels/matmul_values.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kTokens = 70;
constexpr u32 kRunTokens[] = {1, 2, 3, 4, 5, 6, 7, 9, 16, 17, 33, 70};
constexpr u32 kRows[] = {1, 15, 16, 17, 80};
constexpr u32 kYGap = 24;
// Of one panel and of several, of whole pairs of blocks and not; 1792 is three uneven stretches of
// superblocks.
constexpr u32 kColumns[] = {32, 64, 96, 256, 512, 768, 800, 1024, 1600, 1792};

class Cover {
 public:
  Cover(const MatmulShape& shape, Values values)
      : type_(shape.type), memory_(shape, kYGap), product_(shape, filled(shape, values)) {}

  // The names of the kernels that give other bits.
  [[nodiscard]] std::string wrong(const MatmulRun& run) const {
    std::string names;
    const u32 id = static_cast<u32>(type_);
    for (const KernelTable* table : kernel_tables()) {
      const std::string name = table->name;
      if (!product_.equals(table->decode[id], run)) names += " decode " + name;
      if (!product_.equals(table->prefill[id], run)) names += " prefill " + name;
    }
    return names;
  }

 private:
  [[nodiscard]] MatmulCase::Memory filled(const MatmulShape& shape, Values values) const {
    Pcg32 rng(shape.n_row * 1000 + shape.n_col, static_cast<u64>(shape.type));
    const MatmulCase::Memory memory = memory_.pieces();
    fill_weights(rng, shape.type, values, {memory.rows, shape.n_row * shape.row_bytes()});
    fill_activations(rng, values, memory.floats, shape.n_token * shape.n_col);
    return memory;
  }

  DType type_;
  MatmulMemory memory_;
  MatmulCase product_;
};

void check(const Cover& cover, const MatmulShape& shape, const MatmulRun& run) {
  const std::string wrong = cover.wrong(run);
  INFO(dtype_traits(shape.type).name << ", " << shape.n_row << " rows x " << shape.n_col
                                     << " columns, " << run.n_token << " tokens, tiles "
                                     << run.first_tile << " + " << run.n_tile << ":" << wrong);
  CHECK(wrong.empty());
}

void check_all_runs(const MatmulShape& shape, Values values, bool full) {
  const Cover cover(shape, values);
  const u32 n_tile = shape.n_tile();
  u32 n = shape.n_row + shape.n_col / 32 + static_cast<u32>(shape.type);
  for (const u32 n_token : kRunTokens) {
    // The cover takes every fourth count, other ones for the next shape.
    if (!full && ++n % 4 != 0) continue;
    check(cover, shape, {n_token, 0, n_tile, n_token % 2 == 0 ? kYGap : 0});
    if (n_tile > 2) check(cover, shape, {n_token, 1, n_tile - 2});
  }
}

void check_all_shapes(Values values, bool full) {
  for (const DType type : kWeightTypes) {
    u32 n = static_cast<u32>(type);
    for (const u32 n_col : kColumns) {
      if (n_col % dtype_traits(type).block_size != 0) continue;
      for (const u32 n_row : kRows) {
        // The cover takes each number of columns with one or two of the numbers of rows.
        if (!full && ++n % 4 != 0) continue;
        const u32 x_gap = 64 * ((n_row + n_col / 32) % 2);
        check_all_runs({type, n_row, n_col, kTokens, x_gap}, values, full);
      }
    }
  }
}

}  // namespace

TEST_CASE("a cover of all shapes: every table gives the bits of the plain product",
          "[kernels][bits]") {
  check_all_shapes(Values::kOrdinary, false);
  check_all_shapes(Values::kLargest, false);
  check_all_shapes(Values::kWild, false);
}

TEST_CASE("all shapes: every table gives the bits of the plain product", "[.][cover]") {
  check_all_shapes(Values::kOrdinary, true);
  check_all_shapes(Values::kLargest, true);
  check_all_shapes(Values::kWild, true);
}
