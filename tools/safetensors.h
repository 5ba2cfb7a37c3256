// Reading .safetensors, the file of weights of Hugging Face.
//
//   u64 n_header   JSON header of n_header bytes   tensor data
//   header: {"NAME": {"dtype": "BF16", "shape": [rows, columns], "data_offsets": [begin, end]},
//   ...,
//            "__metadata__": {"key": "text"}}
//
// Offsets count from the end of the header; the last dimension is contiguous. Every byte is checked
// before it is used: the sizes of all tensors follow from shape and dtype, and together they fill
// the data without holes and without sharing a byte.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/result.h"
#include "core/base/span.h"
#include "tools/platform_posix.h"

namespace lbm::cli {

struct StoredTensor {
  std::string name;
  std::string dtype;       // as the file spells it: "F32", "F16", "BF16", "I64", ...
  std::vector<u64> shape;  // slowest dimension first, as Hugging Face counts
  u64 begin = 0;           // in the data
  u64 end = 0;
};

// Bytes of one element; 0 for a dtype that safetensors does not know.
[[nodiscard]] u32 stored_dtype_bytes(const std::string& dtype);

// Parses and checks the header. `data_bytes` is what follows it in the file.
// Errors: kBadSyntax   not JSON (with the byte of the file), or not of the shape above.
//         kDuplicate   a name or a key twice.     kBadName  an empty or overlong name.
//         kBadType     an unknown dtype.          kBadShape more than 8 dimensions.
//         kOverflow    a size that does not fit.  kMismatch offsets that are not the size.
//         kTruncated   data beyond the end.       kOverlap  bytes of two tensors.
//         kBadOffset   bytes of no tensor.        kLimit    more than 65536 tensors.
[[nodiscard]] Result<std::vector<StoredTensor>> parse_safetensors_header(Str json, u64 data_bytes);

class SafetensorsFile {
 public:
  // Throws CommandError (kModel) naming the file, the tensor and what is wrong.
  explicit SafetensorsFile(std::string path);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const std::vector<StoredTensor>& tensors() const { return tensors_; }
  // Fills `out` with the bytes at `offset` of a tensor. Throws CommandError.
  void read(const StoredTensor& tensor, u64 offset, Span<u8> out) const;

 private:
  std::string path_;
  std::unique_ptr<FileSource> source_;
  u64 data_offset_ = 0;
  std::vector<StoredTensor> tensors_;
};

}  // namespace lbm::cli
