// The world of a Linux process, as core/platform.h asks for it: files, memory, time and folders of
// models.
//
// The thread pool and the terminal, which carry ideas of their own, are in thread_pool.h and
// terminal.h. panic() (check.h) is defined here: a message on stderr and abort().
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/platform.h"

namespace lbm::cli {

// One open file, read with pread(2): no position is shared, nothing is mapped, and a file that
// shrinks while it is read gives kTruncated instead of a SIGBUS.
class FileSource final : public ByteSource {
 public:
  // Errors: kNotFound  there is no such file.   kIo  it can not be opened, or is no regular file.
  [[nodiscard]] static Result<std::unique_ptr<FileSource>> open(const std::string& path);
  ~FileSource();
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  [[nodiscard]] u64 size() const override { return size_; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override;
  [[nodiscard]] bool concurrent() const override { return true; }
  [[nodiscard]] Str name() const override;
  [[nodiscard]] Result<ByteSource*> open_beside(Str neighbour) override;

 private:
  FileSource(int descriptor, u64 size, std::string path)
      : descriptor_(descriptor), size_(size), path_(std::move(path)) {}

  int descriptor_;
  u64 size_;
  std::string path_;
  std::vector<std::unique_ptr<FileSource>> neighbours_;
};

// Bytes that are in memory already; they must outlive the source.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(Span<const u8> bytes) : bytes_(bytes) {}

  [[nodiscard]] u64 size() const override { return bytes_.size(); }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override;
  [[nodiscard]] bool concurrent() const override { return true; }

 private:
  Span<const u8> bytes_;
};

// Anonymous mappings. They are reserved without swap space behind them, so take() itself compares
// with what the machine, the control group and RLIMIT_AS leave: a refusal with numbers instead of
// the out-of-memory killer.
class PosixPages final : public Pages {
 public:
  [[nodiscard]] Result<Span<u8>> take(u64 bytes, const char* what) override;
  void give_back(Span<u8> range) override;
  [[nodiscard]] u64 bytes_free() const override;
  [[nodiscard]] u64 largest_free() const override { return bytes_free(); }
};

// Address space for one arena whose final size is not known when it starts; pages become real as
// they are written. `bytes` is a limit, not a cost. Given back by the destructor.
class ReservedMemory {
 public:
  explicit ReservedMemory(u64 bytes);
  ~ReservedMemory();
  ReservedMemory(const ReservedMemory&) = delete;
  ReservedMemory& operator=(const ReservedMemory&) = delete;

  // Empty where the system refused.
  [[nodiscard]] Span<u8> span() const { return range_; }

 private:
  Span<u8> range_;
};

class PosixClock final : public Clock {
 public:
  [[nodiscard]] u64 now_us() override;
};

// The local time as chat templates see it: "2025-06-15T12:34:56".
[[nodiscard]] std::string local_time_text();

// The model files of one folder and of its models/ (files in the folder itself first, each part in
// byte order of the names). open() also takes a path outside of it: absolute, or relative to the
// working directory, as a person types it.
class DirectoryVolume final : public Volume {
 public:
  explicit DirectoryVolume(std::string root) : root_(std::move(root)) {}

  [[nodiscard]] u32 list_models(Span<FileEntry> out) override;
  [[nodiscard]] Result<ByteSource*> open(u32 volume, Str path) override;
  void close(ByteSource* source) override;

 private:
  ByteSource* keep(std::unique_ptr<FileSource> file);

  std::string root_;
  std::vector<std::unique_ptr<FileSource>> open_;
};

// Called by panic() before it aborts; the terminal puts itself in order there. One function, null
// for none.
void set_panic_hook(void (*hook)());

}  // namespace lbm::cli
