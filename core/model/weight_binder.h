// WeightBinder: finds the tensors of a model by name, checks type and shape, and lists where each
// goes. It keeps the first error, so that a list of tensors stays a list.
//
// A tensor may hold several matrices one after the other (queries, keys and values; gate and up;
// all experts): each is bound as a range of its rows, and repacked into tiles of its own.
#pragma once

#include "core/base/arena.h"
#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/model/families.h"
#include "core/model/weights.h"

namespace lbm {

// Rows first .. first + n - 1 of a tensor that has n_all rows: dims[1] * dims[2] of them. A tensor
// [n_expert][n_row][n_col] is asked for with n_all = n_row * n_expert and n_expert.
struct RowRange {
  u32 first = 0;
  u32 n = 0;
  u32 n_all = 0;
  u32 n_expert = 1;
};

class WeightBinder {
 public:
  WeightBinder(const ModelFile& file, Arena& arena, Span<WeightPlacement> items)
      : file_(file), arena_(arena), items_(items) {}

  [[nodiscard]] bool has(Str name) const;
  // W [n_row][n_col] of any weight type.
  void matrix(Str name, u32 n_col, u32 n_row, Matrix& out);
  void matrix_rows(Str name, u32 n_col, RowRange rows, Matrix& out);
  // One dimension, or rows of 2: a norm or bias of F32, F16 or BF16, kept as f32.
  void vector(Str name, u32 n, const f32*& out);
  void vector_rows(Str name, u32 n_col, RowRange rows, const f32*& out);
  // Elements first .. first + n - 1 of a vector of n_all.
  void vector_part(Str name, RowRange elements, const f32*& out);
  void optional_vector(Str name, u32 n, const f32*& out);
  // "<stem>.weight", and ".bias" where the family has one.
  void norm(Str stem, u32 n, Presence presence, Presence bias, NormWeights& out);
  // The embedding table; `tied` makes it the output matrix as well.
  void embedding(Str name, u32 n_col, u32 n_row, bool tied, Weights& weights);
  // A table of rows, gathered from as it is.
  void table(Str name, u32 n_col, u32 n_row, Embedding& out);

  [[nodiscard]] Arena& arena() { return arena_; }
  // Of the data of a tensor that is there; for messages.
  [[nodiscard]] u64 place_of(Str name) const;
  void keep(const Error& error) {
    if (status_.ok()) status_ = error;
  }
  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] u32 n_item() const { return n_item_; }

 private:
  // Finds a tensor of the dimensions that `rows` implies, and makes `out` the range of it.
  bool find(Str name, u32 n_col, RowRange rows, TensorInfo& out);
  void place_vector(const TensorInfo& tensor, const f32*& out);
  WeightPlacement& next(WeightPlacement::Kind kind, const TensorInfo& tensor);

  const ModelFile& file_;
  Arena& arena_;
  Span<WeightPlacement> items_;
  u32 n_item_ = 0;
  Status status_;
};

// "blk.<layer>.<suffix>", valid until the next call.
class LayerName {
 public:
  explicit LayerName(u32 layer) : layer_(layer) {}
  [[nodiscard]] Str operator()(Str suffix) {
    buffer_.clear();
    return buffer_.print("blk.{}.{}", layer_, suffix).text();
  }

 private:
  u32 layer_;
  TextBuffer<96> buffer_;
};

// The tensors of one layer with experts, and of one recurrent layer.
void bind_experts(WeightBinder& binder, const ModelConfig& config, u32 layer, LayerWeights& out);
void bind_recurrent(WeightBinder& binder, const ModelConfig& config, u32 layer, LayerWeights& out);

}  // namespace lbm
