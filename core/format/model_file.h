// ModelFile: what every model format becomes once its bytes were checked. Metadata and a table of
// tensors; no weights yet.
//
// This is the border. Behind it every length, count, offset and name is known to be consistent with
// the size of the file, so readers of metadata look things up but never bounds-check. Other formats
// than GGUF synthesize the same metadata.
//
// Limits: docs/formats/gguf.md. They stand once, in core/format/limits.h.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/span.h"
#include "core/format/name_table.h"
#include "core/platform.h"
#include "core/tensor/dtype.h"

namespace lbm {

// Value types with the ids of GGUF.
enum class MetaType : u8 {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};
inline constexpr u32 kMetaTypeCount = 13;

[[nodiscard]] Str meta_type_name(MetaType type);
// Bytes of one value; 0 for strings and arrays, which say themselves how long they are.
[[nodiscard]] u32 meta_type_bytes(MetaType type);

// A checked array of scalars or strings, as it stands in the metadata.
struct MetaArray {
  MetaType type = MetaType::kU8;
  u64 count = 0;
  Span<const u8> bytes;

  // Element `index` of an integer or bool array, converted; LBM_CHECK on the index and on a type
  // that is no integer.
  [[nodiscard]] i64 integer(u64 index) const;
  [[nodiscard]] f64 number(u64 index) const;
};

// Walks an array of strings in order (random access would need an index).
class StringCursor {
 public:
  explicit StringCursor(const MetaArray& array) : bytes_(array.bytes), remaining_(array.count) {}
  [[nodiscard]] bool done() const { return remaining_ == 0; }
  [[nodiscard]] Str next();

 private:
  Span<const u8> bytes_;
  u64 remaining_;
};

struct MetaValue {
  MetaType type = MetaType::kU8;
  i64 integer = 0;  // every integer type and bool; a u64 above 2^63-1 wraps and sets `huge`
  bool huge = false;
  f64 number = 0;       // f32 and f64
  Str text;             // kString
  MetaArray array;      // kArray
  u64 file_offset = 0;  // of the value, for messages

  [[nodiscard]] bool is_integer() const {
    return type != MetaType::kF32 && type != MetaType::kF64 && type != MetaType::kString &&
           type != MetaType::kArray && type != MetaType::kBool;
  }
};

struct TensorInfo {
  Str name;
  DType dtype = DType::kF32;
  u32 n_dim = 0;
  u64 dims[4] = {1, 1, 1, 1};  // dims[0] is contiguous; unused ones are 1
  u64 file_offset = 0;         // of the first byte, absolute
  u64 n_byte = 0;

  [[nodiscard]] u64 n_element() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
};

class ModelFile {
 public:
  // Reads and checks the header, the metadata and the tensor table of a GGUF file. Everything that
  // the ModelFile refers to is taken from `arena`, which must outlive it. On failure the arena is
  // rewound to where it was.
  // Errors: see docs/formats/gguf.md; each names the key or tensor and the byte offset.
  [[nodiscard]] static Result<ModelFile> open(ByteSource& source, Arena& arena);

  [[nodiscard]] u32 version() const { return version_; }
  [[nodiscard]] u64 file_size() const { return file_size_; }
  [[nodiscard]] u64 alignment() const { return alignment_; }
  // Where tensor data begins; beyond the end of a file without tensors that was not padded.
  [[nodiscard]] u64 data_offset() const { return data_offset_; }
  // The bytes of the file from its start to the end of the tensor table.
  [[nodiscard]] Span<const u8> header() const { return metadata_; }

  [[nodiscard]] u32 n_meta() const { return metas_.size(); }
  [[nodiscard]] Str meta_key(u32 index) const;
  [[nodiscard]] MetaValue meta_value(u32 index) const;
  // False when there is no such key.
  [[nodiscard]] bool find(Str key, MetaValue& out) const;

  // Typed access. Errors: kMissing, kBadType (names the type it has), kBadValue (out of [low, high]
  // or not finite).
  [[nodiscard]] Result<u64> get_u64(Str key, u64 low, u64 high) const;
  [[nodiscard]] Result<f64> get_f64(Str key, f64 low, f64 high) const;
  [[nodiscard]] Result<Str> get_text(Str key) const;
  [[nodiscard]] Result<bool> get_bool(Str key) const;
  [[nodiscard]] Result<MetaArray> get_array(Str key) const;
  // The same with a default for an absent key; a present one of the wrong type or range is still an
  // error.
  [[nodiscard]] Result<u64> get_u64_or(Str key, u64 fallback, u64 low, u64 high) const;
  [[nodiscard]] Result<f64> get_f64_or(Str key, f64 fallback, f64 low, f64 high) const;
  [[nodiscard]] Result<Str> get_text_or(Str key, Str fallback) const;
  [[nodiscard]] Result<bool> get_bool_or(Str key, bool fallback) const;

  [[nodiscard]] u32 n_tensor() const { return tensors_.size(); }
  [[nodiscard]] TensorInfo tensor(u32 index) const;
  // False when there is no such tensor.
  [[nodiscard]] bool find_tensor(Str name, TensorInfo& out) const;

 private:
  friend class GgufReader;

  Span<const u8> metadata_;  // the file from byte 0 up to the end of the tensor table
  NameTable metas_;
  NameTable tensors_;
  u64 file_size_ = 0;
  u64 alignment_ = 32;
  u64 data_offset_ = 0;
  u32 version_ = 0;
};

}  // namespace lbm
