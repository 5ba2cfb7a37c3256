// Weights that are stored as integers with their scales apart, shown in the layouts of GGUF.
//
// .slm and version 2 of llama2.c keep all integers of a tensor together and all f32 scales after
// them. Nothing is quantized again: where every scale of a tensor is exactly an f16 and rows are
// whole blocks of 32, the blocks of Q8_0 or Q4_0 hold the same numbers; where not, the weights are
// shown as F32, each the one product f32(q) * scale. docs/formats/slm.md has the rules.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/platform.h"
#include "core/tensor/dtype.h"

namespace lbm {

// Where a tensor stands in the file.
struct ScaledTensor {
  enum class Form : u8 {
    kPlain,  // as it is: f32
    kInt8,   // one byte an element
    kInt4,   // two elements a byte, the even one in the low bits, each plus 8; rows start bytes
  };
  Form form = Form::kPlain;
  u32 n_col = 0;
  u32 group = 0;  // elements of a row that share a scale; the last of a row may be shorter
  u64 n_row = 0;
  u64 quants = 0;  // in the file: the integers, or the plain values
  u64 scales = 0;  // f32, one for each group of each row
  // How it is shown, by scan_scales() and place().
  DType dtype = DType::kF32;
  u64 offset = 0;  // in ScaledSource
  u64 n_byte = 0;

  [[nodiscard]] u64 n_group_of_row() const { return (u64{n_col} + group - 1) / group; }
  [[nodiscard]] u64 n_scale() const { return form == Form::kPlain ? 0 : n_row * n_group_of_row(); }
  [[nodiscard]] u64 quants_bytes() const;
};

// Reads the scales of `tensor`, refuses what is no number, and chooses its dtype: the one of GGUF
// that holds it exactly. `as_vector` asks for F32 whatever the scales are (norms).
// Errors: kNumeric  at the scale.   Those of the source.
[[nodiscard]] Status choose_dtype(ByteSource& file, ScaledTensor& tensor, bool as_vector);

class ScaledSource final : public ByteSource {
 public:
  // Takes the place of each tensor after the one before; sets offset and n_byte. The tensors are in
  // `tensors` as long as the source lives.
  ScaledSource(ByteSource& file, Span<ScaledTensor> tensors);

  [[nodiscard]] u64 size() const override { return size_; }
  // Errors: kTruncated and those of the file; kMismatch when a scale changed since it was looked
  // at.
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override;
  [[nodiscard]] bool concurrent() const override { return file_.concurrent(); }
  [[nodiscard]] Str name() const override { return file_.name(); }

 private:
  ByteSource& file_;
  Span<ScaledTensor> tensors_;
  u64 size_ = 0;
};

}  // namespace lbm
