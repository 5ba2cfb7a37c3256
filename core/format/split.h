// Split GGUF: a model in files NAME-00001-of-0000N.gguf, as gguf-split of llama.cpp writes them.
//
// Each part is a GGUF file of its own. The first has the metadata, every one has the tensors whose
// data it holds and three keys: split.no (from 0), split.count, split.tensors.count (of all parts).
// Any part may be opened; the others are found beside it by their names. They are then one model:
// one table of tensors, and one run of bytes in which the parts stand one after the other, in
// order. That run is what offsets count in and what the SHA-256 of the model is taken of.
#pragma once

#include "core/base/arena.h"
#include "core/format/model_file.h"

namespace lbm {

// Reads a GGUF file and, where it is a part of a split model, the other parts.
[[nodiscard]] Result<ModelFile> read_gguf(ByteSource& source, Arena& arena);

// "model-00002-of-00003.gguf" taken apart. The number counts from 1.
struct PartName {
  Str stem;    // "model"
  Str suffix;  // ".gguf", as it is spelled
  u32 number = 0;
  u32 count = 0;
};
// False where `name` is not of that form.
[[nodiscard]] bool parse_part_name(Str name, PartName& out);

// Files one after the other, as one.
class JoinedSource final : public ByteSource {
 public:
  struct Piece {
    ByteSource* source;
    u64 offset;  // of its first byte in the whole
  };
  JoinedSource(Span<const Piece> pieces, u64 size) : pieces_(pieces), size_(size) {}

  [[nodiscard]] u64 size() const override { return size_; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override;
  [[nodiscard]] bool concurrent() const override;
  [[nodiscard]] Str name() const override { return pieces_[0].source->name(); }

 private:
  Span<const Piece> pieces_;  // in order; pieces_[0].offset is 0
  u64 size_;
};

// Used once, by read_gguf.
class SplitReader {
 public:
  SplitReader(ByteSource& source, Arena& arena) : source_(source), arena_(arena) {}

  // `own` is the ModelFile of the source: part `index` of `count`.
  [[nodiscard]] Result<ModelFile> join(const ModelFile& own, u32 index, u32 count);

 private:
  struct Part {
    ByteSource* source;
    ModelFile file;
  };
  [[nodiscard]] Status check_name(u32 index, u32 count);
  [[nodiscard]] Status open_parts(const ModelFile& own, u32 index);
  [[nodiscard]] Status check_part(u32 index);
  [[nodiscard]] Status check_total() const;
  [[nodiscard]] Result<ModelFile> merge();
  [[nodiscard]] Status copy_table(Span<u8> table, NameTable& names);
  [[nodiscard]] Error in_part(const Error& error, u32 index) const;

  ByteSource& source_;
  Arena& arena_;
  PartName name_;
  Span<Part> parts_;
  Span<ModelPart> listed_;
  u64 n_tensor_ = 0;  // in all parts, as the first says
};

}  // namespace lbm
