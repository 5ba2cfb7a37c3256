// ModelFile: what every model format becomes once its bytes were checked. Metadata and a table of
// tensors; no weights yet.
//
// This is the border. Behind it every length, count, offset and name is known to be consistent with
// the size of the file, so readers of metadata look things up but never bounds-check. Other formats
// than GGUF synthesize the same metadata (core/format/header_builder.h), and the parts of a split
// model become one (core/format/split.h).
//
// Limits: docs/formats/. They stand once, in core/format/limits.h.
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
  u64 file_offset = 0;  // of the value, for messages; none where ModelFile says so

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

enum class FileFormat : u8 { kGguf, kSlm, kLlama2c, kTokenizerJson };
// "GGUF", "SLM1", "llama2.c", "tokenizer.json"
[[nodiscard]] Str file_format_name(FileFormat format);

// One file of a model that was split.
struct ModelPart {
  Str name;        // of the file; empty where the source has none
  u64 offset = 0;  // of its first byte in data()
  u64 n_byte = 0;
  u32 n_tensor = 0;
};

struct OpenOptions {
  // The tokenizer of a llama2.c model; null: looked for beside the model.
  ByteSource* tokenizer = nullptr;
  // Whether a llama2.c model may lack its tokenizer: to inspect it, not to run it.
  bool without_tokenizer = false;
  // Whether a tokenizer.json is taken for a model without weights: to tokenize, not to run it.
  bool tokenizer_json = false;
};

class ModelFile {
 public:
  // Recognises the format by the content, then reads and checks header, metadata and tensor table:
  // GGUF (any part of a split model; the others are found beside it), .slm, llama2.c and, where the
  // options allow it, tokenizer.json. Everything that the ModelFile refers to is taken from
  // `arena`, which must outlive it, as must `source`. On failure the arena is rewound to where it
  // was. Errors: see docs/formats/; each names the key, tensor or part and the byte offset.
  [[nodiscard]] static Result<ModelFile> open(ByteSource& source, Arena& arena,
                                              const OpenOptions& options = {});

  [[nodiscard]] FileFormat format() const { return format_; }
  [[nodiscard]] u32 version() const { return version_; }
  // Bytes of the file, of all its parts together.
  [[nodiscard]] u64 file_size() const { return file_size_; }
  [[nodiscard]] u64 alignment() const { return alignment_; }
  // Where tensor data begins; beyond the end of a file without tensors that was not padded. 0 where
  // TensorInfo::file_offset does not count from one place.
  [[nodiscard]] u64 data_offset() const { return data_offset_; }

  // The bytes in which TensorInfo::file_offset counts: the file, its parts one after the other, or
  // what is_translated() says.
  [[nodiscard]] ByteSource& data() const { return *data_; }
  // True where data() is not the file as it stands but its weights in the layout of GGUF. The file
  // is then hashed apart from reading weights.
  [[nodiscard]] bool is_translated() const { return is_translated_; }
  // The start of data() as far as it was read and checked already (a GGUF file up to the end of its
  // tensor table); empty where that is nothing.
  [[nodiscard]] Span<const u8> header() const { return header_; }
  // The files of a split model in order; empty for one file.
  [[nodiscard]] Span<const ModelPart> parts() const { return parts_; }

  // False where the metadata were made up from something else: their places are in no file, so
  // errors about them name none.
  [[nodiscard]] bool metadata_has_place() const { return metadata_at_ != Error::kNoOffset; }
  [[nodiscard]] u32 n_meta() const { return metas_.size(); }
  [[nodiscard]] Str meta_key(u32 index) const;
  [[nodiscard]] MetaValue meta_value(u32 index) const;
  // False when there is no such key.
  [[nodiscard]] bool find(Str key, MetaValue& out) const;
  // Where the value of `key` stands in the file; Error::kNoOffset where it does not.
  [[nodiscard]] u64 place_of(Str key) const;

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
  friend class HeaderBuilder;
  friend class SplitReader;

  Span<const u8> metadata_;      // holds the entries of metas_
  Span<const u8> tensor_table_;  // holds the entries of tensors_
  Span<const u8> header_;
  NameTable metas_;
  NameTable tensors_;
  Span<const ModelPart> parts_;
  ByteSource* data_ = nullptr;
  u64 file_size_ = 0;
  u64 metadata_at_ = 0;  // where metadata_ stands in the file
  u64 alignment_ = 32;
  u64 data_offset_ = 0;
  u32 version_ = 0;
  FileFormat format_ = FileFormat::kGguf;
  bool is_translated_ = false;
};

}  // namespace lbm
