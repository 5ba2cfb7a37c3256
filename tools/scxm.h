// SCXM, the int4 container that CSS-LLM's packer writes: names, packed values and one scale for
// each tensor, and a SHA-256 of everything at the end. docs/formats/scxm.md
//
//   "SCXM"  u32 version = 1  u32 tensor_count
//   repeat, names ascending:  u32 n  name[n]  u32 n  packed[n]  u32 n  scale f16[n]
//   SHA-256 of all bytes before
//
// A byte holds element 2i in its low half and 2i + 1 in its high half, in two's complement; a value
// is q * scale. Shapes are not stored, so an odd number of elements can not be told from the even
// one above it.
#pragma once

#include <string>
#include <vector>

#include "core/platform.h"
#include "tools/output.h"

namespace lbm::cli {

struct ScxmTensor {
  std::string name;
  u64 packed_at = 0;  // byte offset in the file
  u32 n_packed = 0;
  u64 scales_at = 0;
  u32 n_scale = 0;
};

struct ScxmFile {
  std::vector<ScxmTensor> tensors;
  u64 footer_at = 0;
};

// True when `source` begins with "SCXM".
[[nodiscard]] bool is_scxm(ByteSource& source);

// Reads the table and verifies the footer. Errors, with the byte offset:
//   kTruncated    a field ends behind the file or in its footer.   kBadMagic.   kBadVersion.
//   kLimit        more tensors than the file could hold, a name of more than 255 bytes.
//   kBadName      an empty name, or one that is not UTF-8.
//   kDuplicate    a name that came before.   kMismatch  names out of order, bytes left over.
//   kBadHash      the footer is not the SHA-256 of what stands before it.   kIo.
[[nodiscard]] Result<ScxmFile> read_scxm(ByteSource& source);

// For `lbm inspect`.
[[nodiscard]] Json describe_scxm(ByteSource& source, const ScxmFile& file);

// Writes the tensors to a GGUF file at `path`, exactly: Q4_0 with the scale of the tensor where
// rows are whole blocks of 32, else F32. `shapes` is a JSON object {"name": [rows, columns], ...},
// or null: then every tensor is one row of F32. The result is a container of tensors, not a model
// that runs: SCXM has no configuration. Throws CommandError: kModel for what the format leaves
// undefined (several scales, none, one that is no number; [unsupported], [numeric]) and for shapes
// that do not fit ([bad_shape], [missing]).
void import_scxm(ByteSource& source, const ScxmFile& file, const Json& shapes,
                 const std::string& path);

}  // namespace lbm::cli
