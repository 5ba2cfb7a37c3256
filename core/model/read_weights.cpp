// read_weights: one pass through the file, on all cores.
//
// The file is cut into slices (whole row tiles of one tensor, or bytes between tensors), in its
// order. As many as fit into one half of the chunk are a wave, and the slices of a wave are
// repacked by whoever has time. Where the source allows it, each core reads its slices itself;
// otherwise the caller reads the wave, in one piece where it can. Hashing is sequential, so it goes
// alongside: one task hashes the wave before while the others read and repack this one in the other
// half.
#include "core/base/arith.h"
#include "core/model/weights.h"
#include "core/tensor/blocks.h"
#include "core/tensor/f16.h"
#include "core/tensor/repack.h"

namespace lbm {
namespace {

constexpr u64 kSliceBytes = 128 * kKiB;
constexpr u32 kMaxSlices = 48;        // of a wave
constexpr u64 kSmallGap = 64 * kKiB;  // read rather than skipped: keeps a read in one piece

struct Slice {
  const WeightPlacement* item = nullptr;  // null: bytes that belong to no tensor
  u32 first_row = 0;
  u32 n_row = 0;
  u64 offset = 0;  // in the file
  Span<u8> bytes;
  Status status;
};

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

// Puts the rows of a slice, as they stand in the file, into their place.
Status put_rows(const Slice& slice) {
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

class WeightReader {
 public:
  WeightReader(const WeightPlan& plan, const ModelFile& file, const WeightReading& with)
      : plan_(plan),
        with_(with),
        start_(file.header().size()),
        end_(with.source.size()),
        position_(start_),
        slice_bytes_(min_u64(kSliceBytes, plan.chunk_bytes / 2)) {
    const usize half = static_cast<usize>(plan.chunk_bytes / 2);
    for (u32 i = 0; i < 2; ++i) halves_[i] = with.chunk.slice(i * half, half);
  }

  [[nodiscard]] Status run() {
    Span<const u8> to_hash;
    for (u32 turn = 0;; turn ^= 1) {
      const Span<const u8> wave = cut(halves_[turn]);
      if (n_slice_ == 0 && to_hash.empty()) {
        LBM_CHECK(next_item_ == plan_.placements.size());
        return {};
      }
      if (Status s = process(to_hash); !s.ok()) return s;
      if (with_.hash != nullptr) to_hash = wave;
      if (with_.progress.on_progress != nullptr &&
          !with_.progress.on_progress(with_.progress.context, position_ - start_, end_ - start_)) {
        return fail(ErrorCode::kCancelled, "load stopped by the user").at(position_);
      }
    }
  }

 private:
  // Cuts the next wave off the file: as many slices as fit into `half`. Returns their place.
  Span<const u8> cut(Span<u8> half) {
    n_slice_ = 0;
    usize n_byte = 0;
    while (n_slice_ < kMaxSlices) {
      Slice slice;
      if (!next_slice(half.size() - n_byte, slice)) break;
      slice.bytes = half.slice(n_byte, slice.bytes.size());
      n_byte += slice.bytes.size();
      slices_[n_slice_++] = slice;
    }
    return half.first(n_byte);
  }

  // False at the end of the file, and where the next slice has more than `room` bytes. Only the
  // size of slice.bytes is set.
  [[nodiscard]] bool next_slice(usize room, Slice& slice) {
    const bool at_end = next_item_ == plan_.placements.size();
    const u64 gap_end = at_end ? end_ : plan_.placements[next_item_].tensor.file_offset;
    if (position_ < gap_end) {
      const u64 gap = gap_end - position_;
      if (with_.hash != nullptr || (gap <= kSmallGap && !at_end)) {
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

  void process_slice(Slice& slice) {
    if (with_.source.concurrent()) slice.status = read(slice);
    if (slice.status.ok() && slice.item != nullptr) slice.status = put_rows(slice);
  }

  [[nodiscard]] Status read(const Slice& slice) {
    Status status = with_.source.read(slice.offset, slice.bytes);
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
      if (with_.source.read(offset, {slices_[i].bytes.data(), static_cast<usize>(n_byte)}).ok()) {
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

  const WeightPlan& plan_;
  const WeightReading& with_;
  u64 start_;
  u64 end_;
  u64 position_;
  u64 slice_bytes_;
  usize next_item_ = 0;
  u32 row_ = 0;         // of the next item
  Span<u8> halves_[2];  // of the chunk, filled in turn
  Slice slices_[kMaxSlices];
  u32 n_slice_ = 0;
};

}  // namespace

Status read_weights(const WeightPlan& plan, const ModelFile& file, const WeightReading& with) {
  LBM_CHECK(with.chunk.size() >= plan.chunk_bytes);
  WeightReader reader(plan, file, with);
  return reader.run();
}

}  // namespace lbm
