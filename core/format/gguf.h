// GGUF, versions 2 and 3: the container that llama.cpp and its relatives keep models in.
//
//   "GGUF"  u32 version  u64 n_tensor  u64 n_meta
//   n_meta   x { string key, u32 type, value }
//   n_tensor x { string name, u32 n_dim, u64 dims[n_dim], u32 type, u64 offset }
//   padding to general.alignment (32 where the key is absent)
//   tensor data, each tensor padded to the alignment
//
// A string is a u64 length and that many bytes; an array is a u32 type, a u64 count and its
// elements. All little-endian. Source: ggml/docs/gguf.md of the ggml project. What is refused, and
// with which code: docs/formats/gguf.md.
//
// The file is read in one pass and each byte once: what was checked is what is used, even if the
// file changes meanwhile.
#pragma once

#include "core/base/arena.h"
#include "core/base/byte_reader.h"
#include "core/base/result.h"
#include "core/format/limits.h"
#include "core/format/model_file.h"
#include "core/platform.h"

namespace lbm {

class GgufReader {
 public:
  GgufReader(ByteSource& source, Arena& arena)
      : source_(source), arena_(arena), file_size_(source.size()) {}

  // Used once. Leaves the arena as it is on failure; ModelFile::open rewinds it.
  [[nodiscard]] Result<ModelFile> read();

 private:
  static constexpr usize kHeaderBytes = 24;
  // The least an entry can take: length, one byte of name, type, one byte of value; or length,
  // name, n_dim, dim, type, offset.
  static constexpr u64 kMinMetaBytes = 8 + 1 + 4 + 1;
  static constexpr u64 kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

  [[nodiscard]] Status read_header();
  [[nodiscard]] Status check_magic(Span<const u8> head) const;
  [[nodiscard]] Status check_counts() const;
  [[nodiscard]] Status take_memory(Span<const u8> header);

  [[nodiscard]] Status read_meta(u32 index);
  [[nodiscard]] Status read_value(MetaType type, u64 max_string);
  [[nodiscard]] Status read_array(u64 max_string);
  [[nodiscard]] Status read_string(u64 max_string);
  [[nodiscard]] Status check_bools(u64 count);
  [[nodiscard]] Status read_alignment(u32 type);

  [[nodiscard]] Status read_tensor(u32 index);
  [[nodiscard]] Status place_tensor(const TensorInfo& tensor, u64 offset, u64 entry);
  [[nodiscard]] Status check_data_end() const;

  // Makes sure that the next n bytes of the file are in loaded_.
  // Errors: kTruncated, kLimit, kOutOfMemory, and those of the source.
  [[nodiscard]] Status require(u64 n);
  [[nodiscard]] Status load(u64 n);
  // A reader at position_ over what is loaded.
  [[nodiscard]] ByteReader here() const { return ByteReader(loaded_.from(position_)); }

  ByteSource& source_;
  Arena& arena_;
  u64 file_size_;
  Span<u8> loaded_;     // the file from byte 0; grows while it is read
  usize position_ = 0;  // of the next byte to look at, at most loaded_.size()

  u32 version_ = 0;
  u64 n_meta_ = 0;
  u64 n_tensor_ = 0;
  NameTable metas_;
  NameTable tensors_;
  u64 alignment_ = kDefaultAlignment;
  bool alignment_given_ = false;
  u64 data_end_ = 0;     // of the padded tensors so far, relative to the data
  u64 last_offset_ = 0;  // of the newest tensor, relative to the data
  u64 last_bytes_ = 0;
};

// Valid UTF-8 without NUL, as keys and names have to be.
[[nodiscard]] bool is_clean_name(Str name);

// The bytes of a tensor from its type and dims, with every product checked; sets tensor.n_byte.
// Errors: kBadShape  a dimension of 0, or rows that are no whole number of blocks.
//         kOverflow  a dimension above 2^40, or a product that does not fit.
[[nodiscard]] Status measure_tensor(TensorInfo& tensor);

}  // namespace lbm
