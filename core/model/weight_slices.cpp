// See weight_slices.h.
#include "core/model/weight_slices.h"

#include "core/base/arith.h"
#include "core/tensor/blocks.h"
#include "core/tensor/f16.h"
#include "core/tensor/repack.h"

namespace lbm {
namespace {

constexpr u64 kSliceBytes = 128 * kKiB;
constexpr u64 kSmallGap = 64 * kKiB;  // keeps a read in one piece

u64 row_bytes(const TensorInfo& tensor) {
  const DTypeTraits traits = dtype_traits(tensor.dtype);
  return tensor.dims[0] / traits.block_size * traits.block_bytes;
}

u32 rows_of(const TensorInfo& tensor) {
  return static_cast<u32>(tensor.n_dim < 2 ? 1 : tensor.dims[1]);
}

f32 plain_element(DType type, const u8* bytes, u64 index) {
  if (type == DType::kF32) {
    f32 value = 0;
    __builtin_memcpy(&value, bytes + index * 4, 4);
    return value;
  }
  u16 half = 0;
  __builtin_memcpy(&half, bytes + index * 2, 2);
  return type == DType::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
}

}  // namespace

Status put_rows(const WeightSlice& slice) {
  const WeightPlacement& item = *slice.item;
  const TensorInfo& tensor = item.tensor;
  const u64 n_col = tensor.dims[0];
  const u64 n_row_byte = row_bytes(tensor);
  switch (item.kind) {
    case WeightPlacement::Kind::kVector: {
      f32* out = reinterpret_cast<f32*>(item.place) + slice.first_row * n_col;
      for (u64 i = 0; i < slice.n_row * n_col; ++i)
        out[i] = plain_element(tensor.dtype, slice.bytes.data(), i);
      return {};
    }
    case WeightPlacement::Kind::kRows:
      __builtin_memcpy(item.place + slice.first_row * n_row_byte, slice.bytes.data(),
                       slice.bytes.size());
      return {};
    case WeightPlacement::Kind::kTiles: break;
  }
  const u64 stride = tile_bytes(tensor.dtype, n_col);
  for (u32 row = 0; row < slice.n_row; row += kTileRows) {
    const u32 n = min_u32(slice.n_row - row, kTileRows);
    const Span<const u8> rows =
        slice.bytes.slice(static_cast<usize>(row * n_row_byte), static_cast<usize>(n * n_row_byte));
    const Span<u8> tile(item.place + (slice.first_row + row) / kTileRows * stride,
                        static_cast<usize>(stride));
    if (Status s = repack_tile(tensor.dtype, rows, n, n_col, tile); !s.ok()) {
      Error error = s.error();
      return error.about(tensor.name)
          .with(slice.first_row + row + error.value)
          .at(tensor.file_offset);
    }
  }
  return {};
}

WeightSlices::WeightSlices(const WeightPlan& plan, u64 start, u64 end)
    : plan_(plan),
      start_(start),
      end_(end),
      position_(start),
      slice_bytes_(min_u64(kSliceBytes, plan.chunk_bytes / 2)) {}

bool WeightSlices::next(Gaps gaps, usize room, WeightSlice& slice) {
  slice = WeightSlice();
  const bool at_end = all_tensors();
  const u64 gap_end = at_end ? end_ : plan_.placements[next_item_].tensor.file_offset;
  if (position_ < gap_end) {
    const u64 gap = gap_end - position_;
    if (gaps == Gaps::kAll || (gap <= kSmallGap && !at_end)) {
      if (room == 0) return false;  // mutants: the rest of the wave would be slices of no bytes
      slice.offset = position_;
      slice.bytes = {nullptr, static_cast<usize>(min_u64(min_u64(gap, slice_bytes_), room))};
      position_ += slice.bytes.size();
      return true;
    }
    position_ = gap_end;
  }
  if (at_end) return false;
  const WeightPlacement& item = plan_.placements[next_item_];
  const u32 n_row = rows_of(item.tensor);
  const u64 n_row_byte = row_bytes(item.tensor);
  const u64 fit = max_u64(slice_bytes_ / n_row_byte / kTileRows, 1) * kTileRows;
  slice.n_row = static_cast<u32>(min_u64(fit, n_row - row_));
  if (slice.n_row * n_row_byte > room) return false;
  slice.item = &item;
  slice.first_row = row_;
  slice.offset = position_;
  slice.bytes = {nullptr, static_cast<usize>(slice.n_row * n_row_byte)};
  position_ += slice.bytes.size();
  row_ += slice.n_row;
  if (row_ == n_row) {
    row_ = 0;
    ++next_item_;
  }
  return true;
}

}  // namespace lbm
