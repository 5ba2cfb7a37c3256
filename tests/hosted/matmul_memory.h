// Memory for a MatmulCase, every piece of exactly the size that the kernels were promised, so that
// a sanitizer sees a read or write past it.
#pragma once

#include <new>

#include "tests/kernels/matmul_case.h"

namespace lbm::test {

// On a cache line, as the engine's own arrays are.
class AlignedBytes {
 public:
  explicit AlignedBytes(usize size) : bytes_(new(kAlign) u8[size]) {}
  ~AlignedBytes() { ::operator delete[](bytes_, kAlign); }
  AlignedBytes(const AlignedBytes&) = delete;
  AlignedBytes& operator=(const AlignedBytes&) = delete;
  [[nodiscard]] u8* data() const { return bytes_; }
  [[nodiscard]] f32* floats() const { return reinterpret_cast<f32*>(bytes_); }

 private:
  static constexpr std::align_val_t kAlign{64};
  u8* bytes_;
};

class MatmulMemory {
 public:
  // For runs with at most `y_gap`.
  MatmulMemory(const MatmulShape& shape, u32 y_gap)
      : rows_(shape.n_row * shape.row_bytes()),
        tiles_(shape.n_tile() * shape.tile_stride()),
        floats_(usize{shape.n_token} * shape.n_col * sizeof(f32)),
        x_(shape.n_token * shape.x_stride() - shape.x_gap),
        expected_(usize{shape.n_token} * shape.n_tile() * kTileRows * sizeof(f32)),
        y_((usize{shape.n_token} * (shape.n_tile() * kTileRows + y_gap) - y_gap) * sizeof(f32)) {}

  [[nodiscard]] MatmulCase::Memory pieces() const {
    return {rows_.data(), tiles_.data(),      floats_.floats(),
            x_.data(),    expected_.floats(), y_.floats()};
  }

 private:
  AlignedBytes rows_;
  AlignedBytes tiles_;
  AlignedBytes floats_;
  AlignedBytes x_;
  AlignedBytes expected_;
  AlignedBytes y_;
};

}  // namespace lbm::test
