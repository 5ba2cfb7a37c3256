#include "core/model/weights.h"

#include "core/tensor/blocks.h"
#include "core/tensor/dequantize.h"
#include "core/tensor/f16.h"
#include "core/tensor/repack.h"

namespace lbm {
namespace {

constexpr usize kPlaceAlignment = 64;

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

// Puts `n_row` rows from row `first_row` on, as they stand in `bytes`, into their place.
Status put_rows(const WeightPlacement& item, u32 first_row, u32 n_row, Span<const u8> bytes) {
  const TensorInfo& tensor = item.tensor;
  const u64 n_col = tensor.dims[0];
  switch (item.kind) {
    case WeightPlacement::Kind::kVector: {
      f32* out = reinterpret_cast<f32*>(item.place) + first_row * n_col;
      for (u64 i = 0; i < n_row * n_col; ++i) out[i] = plain_element(tensor.dtype, bytes.data(), i);
      return {};
    }
    case WeightPlacement::Kind::kRows:
      __builtin_memcpy(item.place + first_row * row_bytes(tensor), bytes.data(), bytes.size());
      return {};
    case WeightPlacement::Kind::kTiles: break;
  }
  const u64 stride = tile_bytes(tensor.dtype, n_col);
  for (u32 row = 0; row < n_row; row += kTileRows) {
    const u32 n = n_row - row < kTileRows ? n_row - row : kTileRows;
    const Span<const u8> rows = bytes.slice(static_cast<usize>(row * row_bytes(tensor)),
                                            static_cast<usize>(n * row_bytes(tensor)));
    const Span<u8> tile(item.place + (first_row + row) / kTileRows * stride,
                        static_cast<usize>(stride));
    if (Status s = repack_tile(tensor.dtype, rows, n, n_col, tile); !s.ok()) {
      Error error = s.error();
      return error.about(tensor.name).with(first_row + row + error.value).at(tensor.file_offset);
    }
  }
  return {};
}

// Reads the file front to back: weights into place, everything through the hash.
class WeightReader {
 public:
  WeightReader(ByteSource& source, Span<u8> chunk, Sha256* hash, ReadProgress progress,
               u64 position, u64 end)
      : source_(source),
        chunk_(chunk),
        hash_(hash),
        progress_(progress),
        start_(position),
        position_(position),
        end_(end) {}

  // Moves to `offset`; what lies between is hashed, or skipped when nothing asks for it.
  [[nodiscard]] Status skip_to(u64 offset) {
    if (hash_ == nullptr) {
      position_ = offset;
      return {};
    }
    while (position_ < offset) {
      const u64 n = min_u64(offset - position_, chunk_.size());
      if (Status s = read(chunk_.first(static_cast<usize>(n))); !s.ok()) return s;
    }
    return {};
  }

  [[nodiscard]] Status read_tensor(const WeightPlacement& item) {
    const u32 n_row = rows_of(item.tensor);
    const u64 bytes_per_row = row_bytes(item.tensor);
    const u64 fit = chunk_.size() / bytes_per_row / kTileRows * kTileRows;
    const u32 step = static_cast<u32>(min_u64(fit, align_up(n_row, kTileRows)));
    LBM_CHECK(step != 0);
    for (u32 row = 0; row < n_row; row += step) {
      const u32 n = min_u32(step, n_row - row);
      const Span<u8> bytes = chunk_.first(static_cast<usize>(n * bytes_per_row));
      if (Status s = read(bytes); !s.ok()) {
        Error error = s.error();
        return error.about(item.tensor.name);
      }
      if (Status s = put_rows(item, row, n, bytes); !s.ok()) return s;
    }
    return {};
  }

 private:
  Status read(Span<u8> out) {
    if (Status s = source_.read(position_, out); !s.ok()) return s;
    if (hash_ != nullptr) hash_->update(out);
    position_ += out.size();
    if (progress_.on_progress != nullptr &&
        !progress_.on_progress(progress_.context, position_ - start_, end_ - start_)) {
      return fail(ErrorCode::kCancelled, "load stopped by the user").at(position_);
    }
    return {};
  }

  ByteSource& source_;
  Span<u8> chunk_;
  Sha256* hash_;
  ReadProgress progress_;
  u64 start_;
  u64 position_;
  u64 end_;
};

}  // namespace

void Embedding::gather(u32 token, f32* out) const {
  LBM_CHECK(token < n_row);
  if (tiled) {
    const u64 stride = tile_bytes(dtype, n_col);
    dequantize_tile_row(dtype, bytes + token / kTileRows * stride, token % kTileRows, n_col, out);
    return;
  }
  const DTypeTraits traits = dtype_traits(dtype);
  const u64 n_byte = static_cast<u64>(n_col) / traits.block_size * traits.block_bytes;
  const Span<const u8> row(bytes + token * n_byte, static_cast<usize>(n_byte));
  LBM_CHECK(dequantize(dtype, row, {out, n_col}).ok());
}

Status place_weights(WeightPlan& plan, Arena& arena) {
  for (WeightPlacement& item : plan.placements) {
    Result<Span<u8>> place = arena.take_raw(item.n_byte, "weights", kPlaceAlignment);
    if (!place.ok()) {
      Error error = place.error();
      return error.about(item.tensor.name);
    }
    item.place = place.value().data();
    if (item.matrix != nullptr) item.matrix->tiles = item.place;
    if (item.embedding != nullptr) item.embedding->bytes = item.place;
    if (item.vector != nullptr) *item.vector = reinterpret_cast<const f32*>(item.place);
  }
  Weights& weights = *plan.weights;
  if (weights.output.tiles == nullptr) weights.output.tiles = weights.embedding.bytes;  // tied
  return {};
}

Status read_weights(const WeightPlan& plan, const ModelFile& file, ByteSource& source,
                    Span<u8> chunk, Sha256* hash, ReadProgress progress) {
  LBM_CHECK(chunk.size() >= plan.chunk_bytes);
  WeightReader reader(source, chunk.first(static_cast<usize>(plan.chunk_bytes)), hash, progress,
                      file.header().size(), file.file_size());
  for (const WeightPlacement& item : plan.placements) {
    if (Status s = reader.skip_to(item.tensor.file_offset); !s.ok()) return s;
    if (Status s = reader.read_tensor(item); !s.ok()) return s;
  }
  return reader.skip_to(file.file_size());
}

}  // namespace lbm
