// The file of a model cut into slices: whole row tiles of one tensor, or bytes that belong to none.
//
// A slice is what one core repacks at a time. read_weights() fetches slices, WeightFeed is given
// bytes and finds the slices in them; where a slice goes is the same for both.
#pragma once

#include "core/base/result.h"
#include "core/model/weights.h"

namespace lbm {

struct WeightSlice {
  const WeightPlacement* item = nullptr;  // null: bytes that belong to no tensor
  u32 first_row = 0;
  u32 n_row = 0;
  u64 offset = 0;  // in the file
  Span<const u8> bytes;
  Status status;
};

// Puts the rows of a slice, as they stand in the file, into their place.
// Errors: kNumeric  a scale is NaN or infinite, with the tensor and the row.
[[nodiscard]] Status put_rows(const WeightSlice& slice);

// Cuts slices off the file, in its order.
class WeightSlices {
 public:
  // Of a file with these bytes: `start` is where its header ends.
  WeightSlices(const WeightPlan& plan, u64 start, u64 end);

  // Which bytes between tensors become slices.
  enum class Gaps : u8 {
    kAll,
    kSmall,  // those that it costs less to read than to skip
  };
  // The next slice; of its bytes only their number is set. False at the end of the file, and where
  // the next slice has more than `room` bytes.
  [[nodiscard]] bool next(Gaps gaps, usize room, WeightSlice& slice);

  // Of the first byte that was not cut off yet.
  [[nodiscard]] u64 position() const { return position_; }
  [[nodiscard]] u64 start() const { return start_; }
  [[nodiscard]] u64 end() const { return end_; }
  // No tensor is left; bytes that belong to none may be.
  [[nodiscard]] bool all_tensors() const { return next_item_ == plan_.placements.size(); }

 private:
  const WeightPlan& plan_;
  u64 start_;
  u64 end_;
  u64 position_;
  u64 slice_bytes_;
  usize next_item_ = 0;
  u32 row_ = 0;  // of the next item
};

}  // namespace lbm
