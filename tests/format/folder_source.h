// A folder of files in memory: sources that have names and neighbours.
#pragma once

#include "core/platform.h"
#include "tests/format/gguf_builder.h"

namespace lbm::test {

struct MemoryFile {
  Str name;
  Span<const u8> bytes;
};

// Opens up to kMostOpen files of `files`, which outlives it. Neighbours open from the same places.
class MemoryFolder {
 public:
  static constexpr u32 kMostOpen = 16;

  explicit MemoryFolder(Span<const MemoryFile> files) : files_(files) {}

  [[nodiscard]] Result<ByteSource*> open(Str name) {
    for (const MemoryFile& file : files_) {
      if (!(file.name == name)) continue;
      if (n_open_ == kMostOpen) return fail(ErrorCode::kLimit, "too many open files").about(name);
      open_[n_open_].attach(*this, file);
      return static_cast<ByteSource*>(&open_[n_open_++]);
    }
    return fail(ErrorCode::kNotFound, "no such file").about(name);
  }
  [[nodiscard]] u32 n_open() const { return n_open_; }

 private:
  class Source final : public ByteSource {
   public:
    void attach(MemoryFolder& folder, const MemoryFile& file) {
      folder_ = &folder;
      file_ = file;
    }
    [[nodiscard]] u64 size() const override { return file_.bytes.size(); }
    [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
      return BufferSource(file_.bytes).read(offset, out);
    }
    [[nodiscard]] Str name() const override { return file_.name; }
    [[nodiscard]] Result<ByteSource*> open_beside(Str neighbour) override {
      return folder_->open(neighbour);
    }

   private:
    MemoryFolder* folder_ = nullptr;
    MemoryFile file_;
  };

  Span<const MemoryFile> files_;
  Source open_[kMostOpen];
  u32 n_open_ = 0;
};

}  // namespace lbm::test
