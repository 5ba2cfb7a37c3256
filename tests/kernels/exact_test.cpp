// All kernel tables against one plain definition, bit by bit, on shapes and values that corner the
// integer forms.
#include "core/base/pcg32.h"
#include "core/tensor/dequantize.h"
#include "core/tensor/f16.h"
#include "core/tensor/repack.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kMaxTile = 5;
constexpr u32 kMaxColumn = 96;
constexpr u32 kMaxToken = 9;
constexpr u32 kMaxRow = kMaxTile * kTileRows;

// Everything one case needs; static, since a stack of firmware is small.
struct Case {
  alignas(64) u8 rows[kMaxRow * kMaxColumn * 4];
  alignas(64) u8 tiles[kMaxRow * kMaxColumn * 4];
  alignas(64) f32 x[kMaxToken * kMaxColumn];
  alignas(64) ActivationBlock blocks[kMaxToken * kMaxColumn / kBlockSize];
  alignas(64) f32 y[kMaxToken * kMaxRow];
  alignas(64) f32 expected[kMaxToken * kMaxRow];
  f32 row[kMaxColumn];
};
Case g_case;

const DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ4_0,
                        DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0};

u64 bytes_per_row(DType type, u32 n_col) {
  const DTypeTraits traits = dtype_traits(type);
  return n_col / traits.block_size * traits.block_bytes;
}

// Random bytes with finite scales. `extreme` drives every integer to its limit: all bits set, or
// -128 in Q8_0.
void fill_rows(DType type, u32 n_row, u32 n_col, bool extreme, Pcg32& rng) {
  const DTypeTraits traits = dtype_traits(type);
  const u64 n_byte = n_row * bytes_per_row(type, n_col);
  for (u64 i = 0; i < n_byte; ++i) g_case.rows[i] = static_cast<u8>(rng.next());
  for (u64 at = 0; at < n_byte; at += traits.block_bytes) {
    if (type == DType::kF32) {
      const f32 value = static_cast<f32>(static_cast<i32>(rng.next() % 2001) - 1000) / 256.0f;
      __builtin_memcpy(g_case.rows + at, &value, 4);
      continue;
    }
    const f32 scale = static_cast<f32>(static_cast<i32>(rng.next() % 4001) - 2000) / 1024.0f;
    if (type == DType::kBF16) {
      const u16 bits = static_cast<u16>(__builtin_bit_cast(u32, scale) >> 16);
      __builtin_memcpy(g_case.rows + at, &bits, 2);
      continue;
    }
    const u16 half = f32_to_f16(scale);
    __builtin_memcpy(g_case.rows + at, &half, 2);
    const bool has_min = type == DType::kQ4_1 || type == DType::kQ5_1;
    if (has_min) __builtin_memcpy(g_case.rows + at + 2, &half, 2);
    const u32 scales = has_min ? 4 : 2;
    if (extreme && type != DType::kF16) {
      __builtin_memset(g_case.rows + at + scales, type == DType::kQ8_0 ? 0x80 : 0xff,
                       traits.block_bytes - scales);
    }
  }
}

void repack(DType type, u32 n_row, u32 n_col) {
  const u64 stride = tile_bytes(type, n_col);
  for (u32 row = 0; row < n_row; row += kTileRows) {
    const u32 n = n_row - row < kTileRows ? n_row - row : kTileRows;
    const Span<const u8> rows(g_case.rows + row * bytes_per_row(type, n_col),
                              n * bytes_per_row(type, n_col));
    REQUIRE(repack_tile(type, rows, n, n_col,
                        {g_case.tiles + row / kTileRows * stride, static_cast<usize>(stride)})
                .ok());
  }
}

void fill_activations(u32 n, bool extreme, Pcg32& rng) {
  for (u32 i = 0; i < n; ++i) {
    const i32 v = static_cast<i32>(rng.next() % 20001) - 10000;
    g_case.x[i] = extreme ? (v < 0 ? -3.0f : 3.0f) : static_cast<f32>(v) / 777.0f;
  }
}

// R5 and R8, row by row and block by block, from the file's bytes.
f32 expected_product(DType type, const u8* row, const f32* x, const ActivationBlock* blocks,
                     u32 n_col) {
  f32 acc = 0.0f;
  const DTypeTraits traits = dtype_traits(type);
  if (traits.block_size == 1) {
    REQUIRE(
        dequantize(type, {row, static_cast<usize>(bytes_per_row(type, n_col))}, {g_case.row, n_col})
            .ok());
    for (u32 k = 0; k < n_col; ++k) acc = acc + g_case.row[k] * x[k];
    return acc;
  }
  for (u32 b = 0; b < n_col / kBlockSize; ++b) {
    u8 block[48];
    __builtin_memcpy(block, row + b * traits.block_bytes, traits.block_bytes);
    // The integer values come from the reference dequantizer with a scale of one and no minimum.
    u16 d = 0;
    __builtin_memcpy(&d, block, 2);
    u16 m = 0;
    const u16 one = 0x3c00;
    const u16 zero = 0;
    __builtin_memcpy(block, &one, 2);
    const bool has_min = type == DType::kQ4_1 || type == DType::kQ5_1;
    if (has_min) {
      __builtin_memcpy(&m, block + 2, 2);
      __builtin_memcpy(block + 2, &zero, 2);
    }
    f32 values[kBlockSize];
    REQUIRE(dequantize(type, {block, traits.block_bytes}, {values, kBlockSize}).ok());
    i32 dot = 0;
    for (u32 k = 0; k < kBlockSize; ++k) dot += static_cast<i32>(values[k]) * blocks[b].q[k];
    acc = acc + (f16_to_f32(d) * blocks[b].d) * static_cast<f32>(dot);
    if (has_min) acc = acc + f16_to_f32(m) * blocks[b].sx;
  }
  return acc;
}

void check_matmul(DType type, u32 n_row, u32 n_col, u32 n_token, bool extreme) {
  Pcg32 rng(n_row * 1000 + n_col * 10 + n_token, static_cast<u64>(type));
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  fill_rows(type, n_row, n_col, extreme, rng);
  repack(type, n_row, n_col);
  fill_activations(n_token * n_col, extreme, rng);
  const bool quantized = dtype_traits(type).block_size != 1;
  const u32 n_block = n_col / kBlockSize;
  for (u32 t = 0; quantized && t < n_token; ++t) {
    REQUIRE(tables[0]->quantize_row(g_case.x + t * n_col, n_col, g_case.blocks + t * n_block));
  }
  const u32 n_tile = (n_row + kTileRows - 1) / kTileRows;
  const u32 stride = n_tile * kTileRows;
  for (u32 t = 0; t < n_token; ++t) {
    for (u32 row = 0; row < n_row; ++row) {
      g_case.expected[t * stride + row] =
          expected_product(type, g_case.rows + row * bytes_per_row(type, n_col),
                           g_case.x + t * n_col, g_case.blocks + t * n_block, n_col);
    }
  }
  for (u32 i = 0; i < n_table; ++i) {
    __builtin_memset(g_case.y, 0xff, sizeof(g_case.y));
    const MatmulArgs args = {g_case.tiles,
                             static_cast<usize>(tile_bytes(type, n_col)),
                             n_col,
                             0,
                             n_tile,
                             quantized ? reinterpret_cast<const u8*>(g_case.blocks)
                                       : reinterpret_cast<const u8*>(g_case.x),
                             quantized ? n_block * sizeof(ActivationBlock) : n_col * sizeof(f32),
                             n_token,
                             g_case.y,
                             stride};
    tables[i]->matmul[static_cast<u32>(type)](args);
    bool same = true;
    for (u32 t = 0; t < n_token; ++t) {
      same = same && __builtin_memcmp(g_case.y + t * stride, g_case.expected + t * stride,
                                      n_row * sizeof(f32)) == 0;
    }
    CHECK(same);
  }
}

}  // namespace

TEST_CASE("matmul of every type and table equals the plain definition", "[kernels][bits]") {
  for (const DType type : kTypes) {
    for (const bool extreme : {false, true}) {
      check_matmul(type, 16, 32, 1, extreme);
      check_matmul(type, 1, 32, 1, extreme);
      check_matmul(type, 17, 64, 3, extreme);
      check_matmul(type, 80, 96, 1, extreme);
      check_matmul(type, 80, 96, 9, extreme);
    }
  }
}

TEST_CASE("activations are quantized alike by every table", "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(7, 1);
  f32 x[64];
  for (u32 round = 0; round < 50; ++round) {
    // Magnitudes from subnormal to near the largest float.
    const f32 magnitude = __builtin_bit_cast(f32, (rng.next() % 250 + 1) << 23);
    for (f32& v : x)
      v = (static_cast<f32>(static_cast<i32>(rng.next() % 2001) - 1000) / 1000.0f) * magnitude;
    ActivationBlock expected[2];
    REQUIRE(tables[0]->quantize_row(x, 64, expected));
    for (u32 b = 0; b < 2; ++b) {
      i32 sum = 0;
      for (u32 i = 0; i < 32; ++i) sum += expected[b].q[i];
      CHECK(sum == expected[b].sum_low + expected[b].sum_high);
      CHECK(expected[b].sx == expected[b].d * static_cast<f32>(sum));
    }
    for (u32 i = 1; i < n_table; ++i) {
      ActivationBlock actual[2];
      REQUIRE(tables[i]->quantize_row(x, 64, actual));
      CHECK(__builtin_memcmp(actual, expected, sizeof(expected)) == 0);
    }
  }
}

TEST_CASE("quantizing follows R3: largest becomes 127, ties go to even, tiny blocks become zero",
          "[kernels]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  for (u32 i = 0; i < n_table; ++i) {
    f32 x[32] = {127.0f, -127.0f, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f};
    ActivationBlock block;
    REQUIRE(tables[i]->quantize_row(x, 32, &block));
    const i8 expected[7] = {127, -127, 0, 2, 2, 0, -2};
    CHECK(__builtin_memcmp(block.q, expected, sizeof(expected)) == 0);
    CHECK(block.d == 1.0f);
    f32 tiny[32] = {0x1p-101f, -0x1p-101f};
    REQUIRE(tables[i]->quantize_row(tiny, 32, &block));
    CHECK((block.q[0] == 0 && block.q[1] == 0 && block.sum_low == 0));
    for (const f32 bad : {__builtin_nanf(""), __builtin_inff(), -__builtin_inff()}) {
      f32 y[32] = {};
      y[29] = bad;
      CHECK(!tables[i]->quantize_row(y, 32, &block));
    }
  }
}

TEST_CASE("vector operations give the same bits in every table, for every length",
          "[kernels][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(3, 2);
  f32 a[70];
  f32 b[70];
  for (u32 n = 1; n <= 70; n += n < 34 ? 1 : 9) {
    for (u32 i = 0; i < n; ++i) {
      a[i] = static_cast<f32>(static_cast<i32>(rng.next() % 40001) - 20000) / 1000.0f;
      b[i] = static_cast<f32>(static_cast<i32>(rng.next() % 40001) - 20000) / 3000.0f;
    }
    f32 expected[3][80];
    for (u32 i = 0; i < n_table; ++i) {
      f32 actual[3][80] = {};
      tables[i]->rms_norm(a, b, n, 1e-5f, actual[0]);
      tables[i]->silu_mul(a, b, n, actual[1]);
      __builtin_memcpy(actual[2], a, n * sizeof(f32));
      tables[i]->add(actual[2], b, n);
      CHECK(actual[0][n] == 0.0f);
      CHECK(actual[1][n] == 0.0f);
      if (i == 0) __builtin_memcpy(expected, actual, sizeof(actual));
      CHECK(__builtin_memcmp(actual, expected, sizeof(actual)) == 0);
      CHECK(tables[i]->all_finite(a, n));
      const f32 kept = a[n - 1];
      a[n - 1] = __builtin_inff();
      CHECK(!tables[i]->all_finite(a, n));
      a[n - 1] = kept;
    }
  }
}
