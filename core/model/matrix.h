// A weight matrix in the layout the kernels read.
#pragma once

#include "core/base/types.h"
#include "core/tensor/dtype.h"

namespace lbm {

// W [n_row][n_col] as row tiles (core/tensor/blocks.h): y = W x.
struct Matrix {
  DType dtype = DType::kF32;
  u32 n_row = 0;
  u32 n_col = 0;
  const u8* tiles = nullptr;
  usize tile_stride = 0;  // bytes

  [[nodiscard]] u32 n_tile() const { return (n_row + 15) / 16; }
  [[nodiscard]] bool present() const { return n_row != 0; }
};

}  // namespace lbm
