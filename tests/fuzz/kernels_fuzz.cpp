// libFuzzer on the matrix products: every kernel table against the plain definition
// (tests/kernels/plain_product.h), bit by bit, on any type, shape, weights and activations.
//
// Six bytes are the type and the shape; the rest are the weights as a file holds them, then the
// activations: of every 32 an exponent and 32 signed bytes. Where the input ends, random bytes
// follow. A difference shows the kernel and the shape and aborts. Build and run with `make fuzz`.
#include <cstdio>
#include <cstdlib>

#include "kernels/select.h"
#include "tests/hosted/matmul_memory.h"
#include "tests/kernels/matmul_values.h"
#include "tools/cpu.h"

namespace {

using namespace lbm;
using namespace lbm::test;

constexpr u32 kTypes = sizeof(kWeightTypes) / sizeof(kWeightTypes[0]);

class Input {
 public:
  Input(const u8* data, usize size) : data_(data), size_(size), rng_(size, 1) {}
  u8 next() {
    if (size_ == 0) return static_cast<u8>(rng_.next());
    --size_;
    return *data_++;
  }
  u32 below(u32 limit) { return next() % limit; }

 private:
  const u8* data_;
  usize size_;
  Pcg32 rng_;
};

// Up to 3 tiles, 30 blocks (a panel holds 24) and 40 tokens (a matrix unit takes 16).
MatmulShape shape_of(Input& in) {
  MatmulShape shape = {};
  shape.type = kWeightTypes[in.below(kTypes)];
  const u32 block = dtype_traits(shape.type).block_size;
  const u32 step = block == 1 ? 16 : block;  // plain types: any whole number of lanes
  shape.n_row = 1 + in.below(3 * kTileRows);
  shape.n_col = step * (1 + in.below((30 * kBlockSize + step - 1) / step));
  shape.n_token = 1 + in.below(40);
  shape.x_gap = 64 * in.below(2);
  return shape;
}

void read_weights(Input& in, const MatmulShape& shape, u8* rows) {
  const DTypeTraits traits = dtype_traits(shape.type);
  const usize n_byte = shape.n_row * shape.row_bytes();
  for (usize i = 0; i < n_byte; ++i) rows[i] = in.next();
  for (usize at = 0; at < n_byte; at += traits.block_bytes)
    make_scales_finite(shape.type, rows + at);
}

void read_activations(Input& in, f32* x, u32 n) {
  f32 unit = 0;
  for (u32 i = 0; i < n; ++i) {
    // Largest 2^7 * 2^111: sx stays finite (matmul_values.h). Smallest 2^-144: subnormal.
    if (i % kBlockSize == 0) unit = plain_power_of_two(static_cast<i32>(in.below(256)) - 144);
    x[i] = static_cast<f32>(static_cast<i8>(in.next())) * unit;
  }
}

void compare(const MatmulCase& product, const MatmulShape& shape, const MatmulRun& run, MatmulFn fn,
             const char* table, const char* phase) {
  if (product.equals(fn, run)) return;
  std::fprintf(stderr, "%s %s %s: other bits, %u rows x %u columns, %u tokens, tiles %u + %u\n",
               table, phase, dtype_traits(shape.type).name, shape.n_row, shape.n_col, run.n_token,
               run.first_tile, run.n_tile);
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, usize size) {
  static const CpuFeatures features = cli::usable_cpu_features();
  Input in(data, size);
  const MatmulShape shape = shape_of(in);
  MatmulRun run = {};
  run.n_token = shape.n_token;
  run.first_tile = in.below(shape.n_tile());
  run.n_tile = shape.n_tile() - run.first_tile;
  run.y_gap = shape.x_gap / 4;
  const MatmulMemory memory(shape, run.y_gap);
  read_weights(in, shape, memory.pieces().rows);
  read_activations(in, memory.pieces().floats, shape.n_token * shape.n_col);
  const MatmulCase product(shape, memory.pieces());
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(features, tables);
  const u32 type = static_cast<u32>(shape.type);
  for (u32 i = 0; i < n_table; ++i) {
    compare(product, shape, run, tables[i]->decode[type], tables[i]->name, "decode");
    compare(product, shape, run, tables[i]->prefill[type], tables[i]->name, "prefill");
  }
  return 0;
}
