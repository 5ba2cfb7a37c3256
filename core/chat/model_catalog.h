// The model files that the host has, numbered from 1, and the finding of one by what a person
// types.
#pragma once

#include "core/base/arena.h"
#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/base/span.h"
#include "core/platform.h"

namespace lbm {

class ModelCatalog {
 public:
  static constexpr u32 kMaxModels = 256;

  // `storage` outlives the catalog; more files than it has room for are not listed.
  explicit ModelCatalog(Span<FileEntry> storage) : storage_(storage) {}

  // Lists the files anew. A split model is one file: its first part, with the size of all.
  void refresh(Volume& volume);
  [[nodiscard]] u32 size() const { return n_file_; }
  [[nodiscard]] const FileEntry& at(u32 index) const { return storage_.first(n_file_)[index]; }

  // The index of the file that `name` means: its number, its path, "volume:path", its file name
  // with or without extension, or the beginning of just one file name. Letter case does not count,
  // and '\' is '/': FAT does the same.
  // Errors: kNotFound.   kInvalidArgument  several files could be meant: (how many).
  [[nodiscard]] Result<u32> resolve(Str name) const;

  struct Totals {
    u32 n_bin = 0;
    u32 n_gguf = 0;
    u64 bytes = 0;
  };
  [[nodiscard]] Totals totals() const;

 private:
  void fold_parts();

  Span<FileEntry> storage_;
  u32 n_file_ = 0;
};

// "models/a.gguf", or "2:models/a.gguf" for a file of another volume than the program's.
[[nodiscard]] Str file_label(const FileEntry& file, TextWriter& out);
// "gguf", "bin", "slm" or "unknown", by the name.
[[nodiscard]] Str file_kind(Str path);

}  // namespace lbm
