// Tensors on their way from one file to another, whatever the first one is: a model file, or a
// Hugging Face directory whose tensors are renamed and rearranged while they are read.
#pragma once

#include <vector>

#include "tools/gguf_writer.h"
#include "tools/model_reader.h"

namespace lbm::cli {

class TensorSource {
 public:
  virtual ~TensorSource() = default;

  // In the order in which they will be written.
  [[nodiscard]] virtual const std::vector<GgufTensor>& tensors() const = 0;
  // Fills `out` with the bytes at `offset` of a tensor, as its dtype says. Asked for in ascending
  // order, one tensor after the other. Throws CommandError.
  virtual void read(usize tensor, u64 offset, Span<u8> out) = 0;
};

// The tensors of a model file as they stand in it.
class ModelTensors final : public TensorSource {
 public:
  explicit ModelTensors(ModelReader& reader);

  [[nodiscard]] const std::vector<GgufTensor>& tensors() const override { return tensors_; }
  void read(usize tensor, u64 offset, Span<u8> out) override;

 private:
  ModelReader& reader_;
  std::vector<GgufTensor> tensors_;
};

// Elements of a row and rows of a tensor; every dimension after the first counts rows.
[[nodiscard]] inline u64 n_column(const GgufTensor& tensor) { return tensor.dims[0]; }
[[nodiscard]] u64 n_row(const GgufTensor& tensor);

}  // namespace lbm::cli
