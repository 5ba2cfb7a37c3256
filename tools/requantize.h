// Streams tensors from a source into a GGUF file, each to the type that was chosen for it.
//
// Rows are independent of each other: a slab of them is read, the cores share its rows, and the
// result is written before the next slab is read. So memory is a few slabs, whatever the size of
// the model, and the bytes do not depend on the number of threads.
#pragma once

#include <string>
#include <vector>

#include "core/platform.h"
#include "tools/importance.h"
#include "tools/tensor_source.h"

namespace lbm::cli {

class TensorStream {
 public:
  // `importance` may be empty. All must outlive the stream.
  TensorStream(TensorSource& source, Workers& workers, const ImportanceMatrix& importance,
               std::string subject);

  // Writes tensor `index` of the source as `type`. Throws CommandError: kModel for values that
  // `type` can not hold, naming tensor, row and column; kInterrupted after Ctrl-C.
  void write(usize index, DType type, GgufWriter& out);

  // Writes every tensor with the type that `after` gives it, with a progress line on a terminal.
  // Returns what each lost: the root of its squared error over that of its squares.
  std::vector<f64> write_all(const std::vector<GgufTensor>& after, GgufWriter& out);

 private:
  struct Slab;

  [[nodiscard]] f64 relative_error() const;
  void copy(usize index, GgufWriter& out);
  void convert(usize index, DType type, GgufWriter& out);
  [[noreturn]] void refuse_row(const GgufTensor& tensor, u64 row, const Error& error) const;
  // The importance of each column, of each expert; nullptr for none. Throws where sizes differ.
  [[nodiscard]] const std::vector<f32>* importance_of(const GgufTensor& tensor) const;

  TensorSource& source_;
  Workers& workers_;
  const ImportanceMatrix& importance_;
  std::string subject_;  // of messages: the model
  f64 error_squares_ = 0;
  f64 value_squares_ = 0;
};

}  // namespace lbm::cli
