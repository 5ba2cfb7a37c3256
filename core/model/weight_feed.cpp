// See weight_feed.h.
#include "core/model/weight_feed.h"

#include "core/base/arith.h"

namespace lbm {

// Cuts the next slice off the file; one of no bytes at its end.
void WeightFeed::cut() {
  if (slices_.next(WeightSlices::Gaps::kAll, room_.size(), next_)) return;
  // A slice never has more than half of a chunk, so this is the end.
  LBM_CHECK(slices_.position() == slices_.end() && slices_.all_tensors());
  next_ = WeightSlice();
}

// Moves the next slice into the wave, if `bytes` have the rest of it.
bool WeightFeed::take(Span<const u8>& bytes) {
  const usize n_wanted = next_.bytes.size() - n_in_room_;
  if (n_wanted == 0 || n_wanted > bytes.size()) return false;
  WeightSlice& slice = wave_[n_wave_++];
  slice = next_;
  slice.bytes = bytes.first(n_wanted);
  if (n_in_room_ != 0) {
    __builtin_memcpy(room_.data() + n_in_room_, bytes.data(), n_wanted);
    slice.bytes = room_.first(next_.bytes.size());
    n_in_room_ = 0;
  }
  bytes = bytes.from(n_wanted);
  cut();
  return true;
}

Status WeightFeed::add(Span<const u8> bytes, Sha256* hash) {
  LBM_CHECK(bytes.size() <= n_missing());
  Span<const u8> to_hash = bytes;
  for (;;) {
    n_wave_ = 0;
    while (n_wave_ < kMaxSlices && take(bytes)) {
    }
    if (n_wave_ == 0 && (to_hash.empty() || hash == nullptr)) break;
    if (Status s = process(to_hash, hash); !s.ok()) return s;
    to_hash = {};
  }
  // The room is free again: a slice that was in it is in its place.
  if (!bytes.empty()) {
    __builtin_memcpy(room_.data() + n_in_room_, bytes.data(), bytes.size());
    n_in_room_ += bytes.size();
  }
  return {};
}

// Repacks the wave, and hashes alongside.
Status WeightFeed::process(Span<const u8> to_hash, Sha256* hash) {
  struct Job {
    WeightFeed& feed;
    Span<const u8> to_hash;
    Sha256* hash;
    u32 n_hash;
  } job = {*this, to_hash, hash, hash == nullptr || to_hash.empty() ? 0u : 1u};
  const Workers::Task task = [](void* context, u32 index) {
    const Job& self = *static_cast<Job*>(context);
    if (index < self.n_hash) {
      self.hash->update(self.to_hash);
      return;
    }
    WeightSlice& slice = self.feed.wave_[index - self.n_hash];
    if (slice.item != nullptr) slice.status = put_rows(slice);
  };
  workers_.run(task, &job, job.n_hash + n_wave_);
  for (u32 i = 0; i < n_wave_; ++i) {
    if (!wave_[i].status.ok()) return wave_[i].status;
  }
  return {};
}

}  // namespace lbm
