#include "tools/file_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "tools/output.h"

namespace lbm::cli {

ErrorCode write_error_code(int error) {
  switch (error) {
    case EROFS:
    case EACCES:
    case EPERM: return ErrorCode::kReadOnly;
    case ENOENT:
    case ENOTDIR: return ErrorCode::kNotFound;
    default: return ErrorCode::kIo;
  }
}

FileWriter::FileWriter(std::string path)
    : path_(std::move(path)),
      partial_(path_ + ".partial"),
      file_(std::fopen(partial_.c_str(), "wb")) {
  if (file_ == nullptr) fail_with_errno();
}

FileWriter::~FileWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove(partial_.c_str());
}

void FileWriter::write(const void* data, usize size) {
  if (size == 0) return;
  if (std::fwrite(data, 1, size, file_) != size) fail_with_errno();
  position_ += size;
}

void FileWriter::pad(u64 alignment) {
  static constexpr u8 kZeros[4096] = {};
  for (u64 n = (alignment - position_ % alignment) % alignment; n != 0;) {
    const u64 part = n < sizeof(kZeros) ? n : sizeof(kZeros);
    write(kZeros, static_cast<usize>(part));
    n -= part;
  }
}

void FileWriter::rewrite(u64 offset, Span<const u8> bytes) {
  if (fseeko(file_, static_cast<off_t>(offset), SEEK_SET) != 0 ||
      std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size() ||
      fseeko(file_, static_cast<off_t>(position_), SEEK_SET) != 0) {
    fail_with_errno();
  }
}

void FileWriter::commit() {
  if (std::fflush(file_) != 0 || fsync(fileno(file_)) != 0) fail_with_errno();
  std::FILE* file = file_;
  file_ = nullptr;
  if (std::fclose(file) == 0 && std::rename(partial_.c_str(), path_.c_str()) == 0) return;
  const int error = errno;
  std::remove(partial_.c_str());
  errno = error;
  fail_with_errno();
}

void FileWriter::fail_with_errno() const {
  const Str code = error_code_name(write_error_code(errno));
  throw CommandError(ExitCode::kRuntime, path_ + ": " + std::strerror(errno) + " [" +
                                             std::string(code.data(), code.size()) + "]");
}

}  // namespace lbm::cli
