// One matrix and its activations, multiplied by the plain definition once and by any kernel as
// often as wanted.
//
// The memory is the caller's: static where stacks are small, of exactly the right size where a
// sanitizer looks on.
#pragma once

#include "core/base/check.h"
#include "core/tensor/repack.h"
#include "tests/kernels/plain_product.h"

namespace lbm::test {

struct MatmulShape {
  DType type;
  u32 n_row;
  u32 n_col;
  u32 n_token;    // at most; a run may take fewer
  u32 x_gap = 0;  // bytes between the activations of two tokens; a multiple of 64

  [[nodiscard]] bool quantized() const { return dtype_traits(type).block_size != 1; }
  [[nodiscard]] usize row_bytes() const {
    const DTypeTraits traits = dtype_traits(type);
    return usize{n_col} / traits.block_size * traits.block_bytes;
  }
  [[nodiscard]] u32 n_tile() const { return (n_row + kTileRows - 1) / kTileRows; }
  [[nodiscard]] usize tile_stride() const { return kTileRows * row_bytes(); }
  [[nodiscard]] usize x_stride() const {
    return x_gap + (quantized() ? usize{n_col} / kBlockSize * sizeof(ActivationBlock)
                                : usize{n_col} * sizeof(f32));
  }
};

struct MatmulRun {
  u32 n_token;
  u32 first_tile;
  u32 n_tile;
  u32 y_gap = 0;  // elements between the results of two tokens
};

class MatmulCase {
 public:
  // Tiles and activations 64-byte aligned. Elements, not bytes, of y and expected.
  struct Memory {
    u8* rows;       // [n_row][row_bytes]
    u8* tiles;      // [n_tile][tile_stride]
    f32* floats;    // [n_token][n_col]
    u8* x;          // n_token * x_stride, less the last gap
    f32* expected;  // [n_token][16 * n_tile]
    f32* y;         // [n_token][16 * n_tile + y_gap], less the last gap
  };

  // Takes the weights in memory.rows and the activations in memory.floats as they are.
  MatmulCase(const MatmulShape& shape, const Memory& memory) : shape_(shape), memory_(memory) {
    for (u32 tile = 0; tile < shape_.n_tile(); ++tile) repack(tile);
    for (u32 t = 0; t < shape_.n_token; ++t) put_activations(t);
    const u32 n_lane = shape_.n_tile() * kTileRows;
    for (u32 i = 0; i < shape_.n_token * n_lane; ++i) memory_.expected[i] = 0.0f;
    for (u32 row = 0; row < shape_.n_row; ++row) {
      plain_product(shape_.type, memory_.rows + row * shape_.row_bytes(), shape_.n_col, memory_.x,
                    shape_.x_stride(), shape_.n_token, memory_.expected + row, n_lane);
    }
  }

  // True where `fn` writes the bits of the plain definition (any NaN for a NaN) to the rows it was
  // asked for, +0 to the lanes that are no rows, and nothing to any other place.
  [[nodiscard]] bool equals(MatmulFn fn, const MatmulRun& run) const {
    constexpr u32 kUntouched = 0xa5a5a5a5;
    const u32 n_lane = shape_.n_tile() * kTileRows;
    const u32 y_stride = n_lane + run.y_gap;
    const usize n_y = usize{run.n_token} * y_stride - run.y_gap;
    for (usize i = 0; i < n_y; ++i) memory_.y[i] = __builtin_bit_cast(f32, kUntouched);
    fn({memory_.tiles, shape_.tile_stride(), shape_.n_col, run.first_tile, run.n_tile, memory_.x,
        shape_.x_stride(), run.n_token, memory_.y, y_stride});
    const u32 first = run.first_tile * kTileRows;
    const u32 end = first + run.n_tile * kTileRows;
    for (usize i = 0; i < n_y; ++i) {
      const u32 lane = static_cast<u32>(i % y_stride);
      const f32 actual = memory_.y[i];
      u32 expected = kUntouched;
      if (lane >= first && lane < end) {
        const f32 value = memory_.expected[i / y_stride * n_lane + lane];
        if (value != value && actual != actual) continue;
        expected = __builtin_bit_cast(u32, value);
      }
      if (__builtin_bit_cast(u32, actual) != expected) return false;
    }
    return true;
  }

 private:
  void repack(u32 tile) {
    const u32 first = tile * kTileRows;
    const u32 n = shape_.n_row - first < kTileRows ? shape_.n_row - first : kTileRows;
    const Span<const u8> rows(memory_.rows + first * shape_.row_bytes(), n * shape_.row_bytes());
    const Span<u8> out(memory_.tiles + tile * shape_.tile_stride(), shape_.tile_stride());
    LBM_CHECK(repack_tile(shape_.type, rows, n, shape_.n_col, out).ok());
  }

  void put_activations(u32 token) {
    const f32* from = memory_.floats + usize{token} * shape_.n_col;
    u8* to = memory_.x + token * shape_.x_stride();
    if (!shape_.quantized()) __builtin_memcpy(to, from, shape_.n_col * sizeof(f32));
    for (u32 b = 0; shape_.quantized() && b < shape_.n_col / kBlockSize; ++b)
      reinterpret_cast<ActivationBlock*>(to)[b] = plain_quantize(from + b * kBlockSize);
  }

  MatmulShape shape_;
  Memory memory_;
};

}  // namespace lbm::test
