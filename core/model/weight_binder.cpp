#include "core/model/weight_binder.h"

#include "core/tensor/repack.h"

namespace lbm {
namespace {

RowRange all_rows(u32 n) { return {0, n, n, 1}; }

}  // namespace

bool WeightBinder::has(Str name) const {
  TensorInfo ignored;
  return file_.find_tensor(name, ignored);
}

u64 WeightBinder::place_of(Str name) const {
  TensorInfo tensor;
  return file_.find_tensor(name, tensor) ? tensor.file_offset : Error::kNoOffset;
}

void WeightBinder::matrix(Str name, u32 n_col, u32 n_row, Matrix& out) {
  matrix_rows(name, n_col, all_rows(n_row), out);
}

void WeightBinder::matrix_rows(Str name, u32 n_col, RowRange rows, Matrix& out) {
  TensorInfo tensor;
  if (!find(name, n_col, rows, tensor)) return;
  WeightPlacement& item = next(WeightPlacement::Kind::kTiles, tensor);
  out = {tensor.dtype, rows.n, n_col, nullptr, static_cast<usize>(tile_bytes(tensor.dtype, n_col))};
  item.matrix = &out;
  item.n_byte = out.n_tile() * static_cast<u64>(out.tile_stride);
}

void WeightBinder::vector(Str name, u32 n, const f32*& out) {
  TensorInfo tensor;
  if (find(name, n, all_rows(1), tensor)) place_vector(tensor, out);
}

void WeightBinder::vector_rows(Str name, u32 n_col, RowRange rows, const f32*& out) {
  TensorInfo tensor;
  if (find(name, n_col, rows, tensor)) place_vector(tensor, out);
}

void WeightBinder::vector_part(Str name, RowRange elements, const f32*& out) {
  TensorInfo tensor;
  if (!find(name, elements.n_all, all_rows(1), tensor)) return;
  if (dtype_traits(tensor.dtype).block_size == 1) {
    tensor.file_offset += u64{elements.first} * dtype_traits(tensor.dtype).block_bytes;
    tensor.n_byte = u64{elements.n} * dtype_traits(tensor.dtype).block_bytes;
    tensor.dims[0] = elements.n;
  }
  place_vector(tensor, out);
}

void WeightBinder::place_vector(const TensorInfo& tensor, const f32*& out) {
  if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 && tensor.dtype != DType::kBF16) {
    keep(fail(ErrorCode::kBadType, "a norm or bias must be F32, F16 or BF16")
             .about(tensor.name)
             .at(tensor.file_offset));
    return;
  }
  WeightPlacement& item = next(WeightPlacement::Kind::kVector, tensor);
  item.vector = &out;
  item.n_byte = tensor.n_element() * sizeof(f32);
}

void WeightBinder::optional_vector(Str name, u32 n, const f32*& out) {
  if (has(name)) vector(name, n, out);
}

void WeightBinder::norm(Str stem, u32 n, Presence presence, Presence bias, NormWeights& out) {
  TextBuffer<96> name;
  name.print("{}.weight", stem);
  if (presence == Presence::kNever || (presence == Presence::kMay && !has(name.text()))) return;
  vector(name.text(), n, out.weight);
  name.clear();
  name.print("{}.bias", stem);
  if (bias == Presence::kMust) vector(name.text(), n, out.bias);
  if (bias == Presence::kMay) optional_vector(name.text(), n, out.bias);
}

void WeightBinder::embedding(Str name, u32 n_col, u32 n_row, bool tied, Weights& weights) {
  TensorInfo tensor;
  if (file_.find_tensor(name, tensor) && tensor.n_dim == 2 && tensor.dims[0] == n_col &&
      tensor.dims[1] != n_row) {
    keep(fail(ErrorCode::kMismatch, "rows differ from the number of tokens")
             .about(name)
             .with(tensor.dims[1], n_row)
             .at(tensor.file_offset));
  }
  if (!tied) return table(name, n_col, n_row, weights.embedding);
  if (!find(name, n_col, all_rows(n_row), tensor)) return;
  WeightPlacement& item = next(WeightPlacement::Kind::kTiles, tensor);
  weights.embedding = {tensor.dtype, n_row, n_col, nullptr, true};
  weights.output = {tensor.dtype, n_row, n_col, nullptr,
                    static_cast<usize>(tile_bytes(tensor.dtype, n_col))};
  item.embedding = &weights.embedding;
  item.n_byte = weights.output.n_tile() * static_cast<u64>(weights.output.tile_stride);
}

void WeightBinder::table(Str name, u32 n_col, u32 n_row, Embedding& out) {
  TensorInfo tensor;
  if (!find(name, n_col, all_rows(n_row), tensor)) return;
  WeightPlacement& item = next(WeightPlacement::Kind::kRows, tensor);
  out = {tensor.dtype, n_row, n_col, nullptr, false};
  item.embedding = &out;
  item.n_byte = tensor.n_byte;
}

bool WeightBinder::find(Str name, u32 n_col, RowRange rows, TensorInfo& out) {
  TensorInfo tensor;
  if (!file_.find_tensor(name, tensor)) {
    keep(fail(ErrorCode::kMissing, "tensor is not in the file").about(name));
    return false;
  }
  const u64 expected[4] = {n_col, rows.n_all / rows.n_expert, rows.n_expert, 1};
  constexpr const char* kWrong[4] = {
      "first dimension is not the expected one", "second dimension is not the expected one",
      "third dimension is not the expected one", "fourth dimension is not the expected one"};
  for (u32 i = 0; i < 4; ++i) {
    if (tensor.dims[i] == expected[i]) continue;
    keep(fail(ErrorCode::kBadShape, kWrong[i])
             .about(name)
             .with(tensor.dims[i], expected[i])
             .at(tensor.file_offset));
    return false;
  }
  const DTypeTraits traits = dtype_traits(tensor.dtype);
  if (!traits.is_weight) {
    TextBuffer<Error::kSubjectCapacity> subject;
    subject.print("{} ({})", name, traits.name);
    keep(fail(ErrorCode::kUnsupported,
              "not a type for weights; quantize the original model again, as Q4_K_M or Q8_0")
             .about(subject.text())
             .at(tensor.file_offset));
    return false;
  }
  const u64 row_bytes = tensor.dims[0] / traits.block_size * traits.block_bytes;
  tensor.file_offset += rows.first * row_bytes;
  tensor.n_byte = rows.n * row_bytes;
  tensor.dims[1] = rows.n;
  tensor.dims[2] = 1;
  tensor.n_dim = 2;
  out = tensor;
  return true;
}

// plan_weights() has counted at least as many items as the tensors of the file can be bound to.
WeightPlacement& WeightBinder::next(WeightPlacement::Kind kind, const TensorInfo& tensor) {
  LBM_CHECK(n_item_ < items_.size());
  WeightPlacement& item = items_[n_item_++];
  item = WeightPlacement();
  item.kind = kind;
  item.tensor = tensor;
  return item;
}

}  // namespace lbm
