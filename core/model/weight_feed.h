// WeightFeed: read_weights() the other way round. The file comes by itself, in order, in pieces of
// any size, and each weight goes into its place as soon as its row tiles are whole.
//
// What is kept meanwhile is the part of one slice: memory at its peak is the model and the piece
// that came. Rows are repacked out of the piece itself, on all cores; only a slice that two pieces
// share is copied.
#pragma once

#include "core/base/result.h"
#include "core/base/sha256.h"
#include "core/model/weight_slices.h"
#include "core/platform.h"

namespace lbm {

class WeightFeed {
 public:
  // The first byte that comes is that after the header. `room`: half of plan.chunk_bytes.
  WeightFeed(const WeightPlan& plan, const ModelFile& file, Workers& workers, Span<u8> room)
      : slices_(plan, file.header().size(), file.file_size()), workers_(workers), room_(room) {
    cut();
  }
  WeightFeed(const WeightFeed&) = delete;
  WeightFeed& operator=(const WeightFeed&) = delete;

  // The next bytes of the file, at most n_missing() of them; they pass through `hash`, too, where
  // it is not null. After an error nothing more may be added.
  // Errors: as read_weights(), of the first in the order of the file.
  [[nodiscard]] Status add(Span<const u8> bytes, Sha256* hash);

  // Bytes of the file that have not come.
  [[nodiscard]] u64 n_missing() const {
    return slices_.end() - slices_.position() + next_.bytes.size() - n_in_room_;
  }

 private:
  static constexpr u32 kMaxSlices = 48;  // of a wave

  void cut();
  [[nodiscard]] bool take(Span<const u8>& bytes);
  [[nodiscard]] Status process(Span<const u8> to_hash, Sha256* hash);

  WeightSlices slices_;
  Workers& workers_;
  Span<u8> room_;  // of a slice that has come in part
  usize n_in_room_ = 0;
  WeightSlice next_;  // the slice that comes next: only the number of its bytes
  WeightSlice wave_[kMaxSlices];
  u32 n_wave_ = 0;
};

}  // namespace lbm
