// read_weights: one pass through the file, on all cores.
//
// The file is cut into slices (weight_slices.h), in its order. As many as fit into one half of the
// chunk are a wave, and the slices of a wave are repacked by whoever has time. Where the source
// allows it, each core reads its slices itself; otherwise the caller reads the wave, in one piece
// where it can. Hashing is sequential, so it goes alongside: one task hashes the wave before while
// the others read and repack this one in the other half.
#include "core/model/weight_slices.h"

namespace lbm {
namespace {

constexpr u32 kMaxSlices = 48;  // of a wave

// A slice and where it is read to.
struct Fetched : WeightSlice {
  Span<u8> room;
};

class WeightReader {
 public:
  WeightReader(const WeightPlan& plan, const ModelFile& file, const WeightReading& with)
      : with_(with), cutter_(plan, file.header().size(), with.source.size()) {
    const usize half = static_cast<usize>(plan.chunk_bytes / 2);
    for (u32 i = 0; i < 2; ++i) halves_[i] = with.chunk.slice(i * half, half);
  }

  [[nodiscard]] Status run() {
    Span<const u8> to_hash;
    for (u32 turn = 0;; turn ^= 1) {
      const Span<const u8> wave = cut(halves_[turn]);
      if (n_slice_ == 0 && to_hash.empty()) {
        LBM_CHECK(cutter_.all_tensors());
        return {};
      }
      if (Status s = process(to_hash); !s.ok()) return s;
      if (with_.hash != nullptr) to_hash = wave;
      if (with_.progress.on_progress != nullptr &&
          !with_.progress.on_progress(with_.progress.context, cutter_.position() - cutter_.start(),
                                      cutter_.end() - cutter_.start())) {
        return fail(ErrorCode::kCancelled, "load stopped by the user").at(cutter_.position());
      }
    }
  }

 private:
  // Cuts the next wave off the file: as many slices as fit into `half`. Returns their place.
  Span<const u8> cut(Span<u8> half) {
    n_slice_ = 0;
    usize n_byte = 0;
    // What is hashed has to be read, whatever it is.
    const auto gaps = with_.hash != nullptr ? WeightSlices::Gaps::kAll : WeightSlices::Gaps::kSmall;
    while (n_slice_ < kMaxSlices) {
      Fetched& slice = slices_[n_slice_];
      if (!cutter_.next(gaps, half.size() - n_byte, slice)) break;
      slice.room = half.slice(n_byte, slice.bytes.size());
      slice.bytes = slice.room;
      n_byte += slice.bytes.size();
      ++n_slice_;
    }
    return half.first(n_byte);
  }

  // Reads and repacks the wave, and hashes the one before.
  [[nodiscard]] Status process(Span<const u8> to_hash) {
    if (!with_.source.concurrent()) read_all();
    struct Job {
      WeightReader& reader;
      Span<const u8> to_hash;
      u32 n_hash;
    } job = {*this, to_hash, to_hash.empty() ? 0u : 1u};
    const Workers::Task task = [](void* context, u32 index) {
      const Job& self = *static_cast<Job*>(context);
      if (index < self.n_hash) {
        self.reader.with_.hash->update(self.to_hash);
      } else {
        self.reader.process_slice(self.reader.slices_[index - self.n_hash]);
      }
    };
    with_.workers.run(task, &job, job.n_hash + n_slice_);
    for (u32 i = 0; i < n_slice_; ++i) {
      if (!slices_[i].status.ok()) return slices_[i].status;
    }
    return {};
  }

  void process_slice(Fetched& slice) {
    if (with_.source.concurrent()) slice.status = read(slice);
    if (slice.status.ok() && slice.item != nullptr) slice.status = put_rows(slice);
  }

  [[nodiscard]] Status read(const Fetched& slice) {
    Status status = with_.source.read(slice.offset, slice.room);
    if (slice.item == nullptr) return status;
    Error error = status.error();
    return error.about(slice.item->tensor.name);
  }

  // Reads all slices, neighbours in one piece. Where that fails, the slices one by one tell where;
  // what lies behind is not read.
  void read_all() {
    for (u32 i = 0; i < n_slice_;) {
      const u64 offset = slices_[i].offset;
      u32 end = i;
      u64 n_byte = 0;
      for (; end < n_slice_ && slices_[end].offset == offset + n_byte; ++end)
        n_byte += slices_[end].bytes.size();
      if (with_.source.read(offset, {slices_[i].room.data(), static_cast<usize>(n_byte)}).ok()) {
        i = end;
        continue;
      }
      for (; i < end; ++i) {
        slices_[i].status = read(slices_[i]);
        if (slices_[i].status.ok()) continue;
        n_slice_ = i + 1;
        return;
      }
    }
  }

  const WeightReading& with_;
  WeightSlices cutter_;
  Span<u8> halves_[2];  // of the chunk, filled in turn
  Fetched slices_[kMaxSlices];
  u32 n_slice_ = 0;
};

}  // namespace

Status read_weights(const WeightPlan& plan, const ModelFile& file, const WeightReading& with) {
  LBM_CHECK(with.chunk.size() >= plan.chunk_bytes);
  WeightReader reader(plan, file, with);
  return reader.run();
}

}  // namespace lbm
