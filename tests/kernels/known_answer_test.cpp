// The known-answer test itself: it passes every table that is right, and sees what engines have got
// wrong.
#include "kernels/known_answer.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kQ4 = static_cast<u32>(DType::kQ4_0);
constexpr u32 kQ8 = static_cast<u32>(DType::kQ8_0);

const KernelTable& scalar() { return *find_kernel_table(CpuFeatures(), "scalar"); }

// As the first engines with relaxed SIMD: twice what is right.
template <u32 kType>
void doubled(const MatmulArgs& args) {
  scalar().decode[kType](args);
  for (u32 t = 0; t < args.n_token; ++t) {
    for (u32 row = 0; row < kTileRows; ++row) args.y[t * args.y_stride + row] *= 2.0f;
  }
}

// As one that takes -128 for -127.
void clamped(const MatmulArgs& args) {
  TileQ8_0 tile;
  __builtin_memcpy(&tile, args.tiles, sizeof(tile));
  for (auto& quad : tile.q) {
    for (i8& q : quad) q = q == -128 ? -127 : q;
  }
  MatmulArgs changed = args;
  changed.tiles = reinterpret_cast<const u8*>(&tile);
  scalar().decode[kQ8](changed);
}

}  // namespace

TEST_CASE("known answers: every usable table gives them", "[kernels]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  for (u32 i = 0; i < n_table; ++i) CHECK(gives_known_answers(*tables[i]));
}

TEST_CASE("known answers: a table that is wrong in one entry does not", "[kernels]") {
  KernelTable table = scalar();
  table.decode[kQ4] = doubled<kQ4>;
  CHECK(!gives_known_answers(table));
  table = scalar();
  table.prefill[kQ4] = doubled<kQ4>;
  CHECK(!gives_known_answers(table));
  table = scalar();
  table.prefill[kQ8] = doubled<kQ8>;
  CHECK(!gives_known_answers(table));
  table = scalar();
  table.decode[kQ8] = clamped;
  CHECK(!gives_known_answers(table));
}
