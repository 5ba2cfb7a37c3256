// See shard_assemble.h.
#include "tools/shard_assemble.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "tools/interrupt.h"

namespace lbm::cli {
namespace {

constexpr u64 kBase64Overhead = 4096;  // of the JSON around a shard

Sha256Digest hash_of(const std::string& bytes) {
  Sha256 hash;
  hash.update(to_str(bytes).bytes());
  return hash.finish();
}

// NAME.part: random access, one process at a time, kept until it is given its name.
class PartFile {
 public:
  explicit PartFile(const std::string& path) : path_(path), part_(path + ".part") {
    descriptor_ = ::open(part_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0) fail("can not be opened");  // mutants: 0 is open already, as stdin
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      ::close(descriptor_);
      throw CommandError(ExitCode::kRuntime, part_ + ": another lbm is at work on it");
    }
  }
  ~PartFile() { ::close(descriptor_); }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  [[nodiscard]] u64 size() const {
    struct stat status = {};
    return ::fstat(descriptor_, &status) == 0 && status.st_size > 0
               ? static_cast<u64>(status.st_size)
               : 0;
  }
  // False where the file ends before.
  [[nodiscard]] bool read(u64 offset, std::string& bytes) const {
    for (usize n_done = 0; n_done < bytes.size();) {
      const ssize_t n = ::pread(descriptor_, bytes.data() + n_done, bytes.size() - n_done,
                                static_cast<off_t>(offset + n_done));
      if (n == 0 || (n < 0 && errno != EINTR)) return false;
      if (n > 0) n_done += static_cast<usize>(n);
    }
    return true;
  }
  void write(u64 offset, const std::string& bytes) {
    for (usize n_done = 0; n_done < bytes.size();) {
      const ssize_t n = ::pwrite(descriptor_, bytes.data() + n_done, bytes.size() - n_done,
                                 static_cast<off_t>(offset + n_done));
      if (n < 0 && errno != EINTR) fail("can not be written");
      if (n > 0) n_done += static_cast<usize>(n);
    }
  }
  void commit(u64 size) {
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0 || ::fsync(descriptor_) != 0)
      fail("can not be written");  // coverage: a device that breaks at the very end
    if (::rename(part_.c_str(), path_.c_str()) != 0) fail("can not be given its name");
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw CommandError(ExitCode::kRuntime, part_ + ": " + what + ": " + std::strerror(errno));
  }

  std::string path_;
  std::string part_;
  int descriptor_ = -1;
};

std::string read_with_retries(const ShardIndex& index, usize number, ShardSource& source,
                              const AssembleOptions& options, AssembleReport& report) {
  for (u32 attempt = 0;; ++attempt) {
    try {
      return read_chunk(index, number, source);
    } catch (const FetchError& error) {
      if (!error.may_retry() || attempt == options.n_retry || interrupt_pending()) throw;
    }
    ++report.n_retried;
    std::this_thread::sleep_for(std::chrono::milliseconds(100u << attempt));
  }
}

}  // namespace

std::string read_chunk(const ShardIndex& index, usize number, ShardSource& source) {
  const Chunk& chunk = index.chunks[number];
  std::string bytes;
  if (index.is_base64) {
    const std::string text = source.read_all(chunk.path, chunk.size / 3 * 4 + kBase64Overhead);
    bytes = decode_base64_shard(text, index, number, chunk.path);
  } else {
    // A chunk file is exactly its chunk; of a file that holds all of them the size is known, too.
    const bool has_own_file =
        index.chunks.size() == 1 || index.chunks[0].path != index.chunks[1].path;
    bytes = source.read_part(chunk.path, chunk.path_at, chunk.size,
                             has_own_file ? chunk.size : index.size);
  }
  if (index.has_hashes && !(hash_of(bytes) == chunk.sha256)) {
    throw FetchError(chunk.path + ": chunk " + std::to_string(number) + ", bytes " +
                         std::to_string(chunk.offset) + " to " +
                         std::to_string(chunk.offset + chunk.size) +
                         ", is not the one of the index",
                     ErrorCode::kBadHash, true);
  }
  return bytes;
}

AssembleReport assemble(const ShardIndex& index, ShardSource& source, const std::string& out_path,
                        const AssembleOptions& options) {
  AssembleReport report;
  PartFile part(out_path);
  const u64 n_there = part.size();
  Sha256 whole;
  for (usize i = 0; i < index.chunks.size(); ++i) {
    const Chunk& chunk = index.chunks[i];
    std::string bytes;
    bool is_there = false;
    if (index.has_hashes && chunk.offset + chunk.size <= n_there) {
      bytes.resize(static_cast<usize>(chunk.size));
      is_there = part.read(chunk.offset, bytes) && hash_of(bytes) == chunk.sha256;
    }
    if (is_there) {
      ++report.n_kept;
    } else {
      bytes = read_with_retries(index, i, source, options, report);
      part.write(chunk.offset, bytes);
      ++report.n_read;
    }
    whole.update(to_str(bytes).bytes());
    if (options.on_progress) options.on_progress(chunk.offset + chunk.size, index.size);
    if (take_interrupt()) {
      throw CommandError(ExitCode::kInterrupted, "stopped; what is there stays in " + out_path +
                                                     ".part, and the same command goes on from it");
    }
  }
  report.sha256 = whole.finish();
  if (options.expects_whole && !(report.sha256 == index.sha256)) {
    throw CommandError(ExitCode::kModel, out_path +
                                             ": all chunks are there, but the whole is not "
                                             "the file that was asked for [bad_hash]");
  }
  part.commit(index.size);
  return report;
}

}  // namespace lbm::cli
