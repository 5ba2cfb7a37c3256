// A file that appears under its name only when it is whole: it is written beside it as NAME.partial
// and renamed by commit(). Whatever goes wrong before leaves what stood there untouched.
#pragma once

#include <cstdio>
#include <string>

#include "core/base/error.h"
#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm::cli {

// What an errno of a failed write means: kReadOnly for a volume or folder that may not be written,
// kNotFound for a folder that is not there, else kIo.
[[nodiscard]] ErrorCode write_error_code(int error);

class FileWriter {
 public:
  // Throws CommandError (kRuntime) naming the file where it can not be created.
  explicit FileWriter(std::string path);
  // Removes what was not committed.
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  [[nodiscard]] u64 position() const { return position_; }
  // Both throw CommandError (kRuntime): a full disk must not pass as success.
  void write(const void* data, usize size);
  void write(Span<const u8> bytes) { write(bytes.data(), bytes.size()); }
  // Zeros up to the next multiple of `alignment`.
  void pad(u64 alignment);
  // Replaces bytes that were written before; the position stays.
  void rewrite(u64 offset, Span<const u8> bytes);
  // Flushes to the device and gives the file its name. Nothing may be written after it.
  void commit();

 private:
  [[noreturn]] void fail_with_errno() const;

  std::string path_;
  std::string partial_;
  std::FILE* file_;
  u64 position_ = 0;
};

}  // namespace lbm::cli
