// See state_folder.h.
#include "tools/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>

#include "core/state/record.h"
#include "tools/output.h"

namespace lbm::cli {
namespace {

namespace fs = std::filesystem;

// An open file that closes itself.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags)
      : value_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] bool ok() const { return value_ >= 0; }
  [[nodiscard]] int value() const { return value_; }

 private:
  int value_;
};

Status open_error(Str name) {
  if (errno == ENOENT) return fail(ErrorCode::kNotFound, "no such record").about(name);
  if (errno == EACCES || errno == EROFS || errno == EPERM)
    return fail(ErrorCode::kReadOnly, "the file can not be written").about(name);
  return fail(ErrorCode::kIo, "the file does not open").about(name);
}

bool write_all(int file, u64 offset, Span<const u8> bytes) {
  for (usize done = 0; done < bytes.size();) {
    const ssize_t n =
        ::pwrite(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<usize>(n);
  }
  return ::fsync(file) == 0;
}

}  // namespace

std::string StateFolder::default_path() {
  const char* xdg = std::getenv("XDG_STATE_HOME");
  if (xdg != nullptr && *xdg == '/') return std::string(xdg) + "/lbm";
  const char* home = std::getenv("HOME");
  std::error_code error;
  if (home == nullptr || *home == '\0' || !fs::is_directory(home, error)) return {};
  return std::string(home) + "/.local/state/lbm";
}

StateFolder::StateFolder(std::string path) : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (!fs::is_directory(path_, error)) {
    reason_ = "the folder " + path_ + " can not be made";
    return;
  }
  lock_ = ::open((path_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) {
    reason_ = "the folder " + path_ + " can not be written: " + std::strerror(errno);
  } else if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    reason_ = "another lbm keeps its conversations in " + path_;
  }
}

StateFolder::~StateFolder() {
  if (lock_ >= 0) ::close(lock_);
}

std::string StateFolder::slot_path(Str name, u32 slot) const {
  return path_ + "/" + to_string(name) + "." + std::to_string(slot);
}

u32 StateFolder::list(Str prefix, Span<Entry> out) {
  std::map<std::string, u64> found;  // in order of the names
  std::error_code error;
  for (const fs::directory_entry& file : fs::directory_iterator(path_, error)) {
    const std::string name = file.path().stem().string();
    if (file.path().extension() != ".0" || !is_record_name(to_str(name)) ||
        !to_str(name).starts_with(prefix))
      continue;
    found[name] = file.file_size(error);
  }
  u32 n = 0;
  for (const auto& [name, bytes] : found) {
    if (n < out.size()) {
      out[n] = {};
      std::memcpy(out[n].name, name.data(), name.size());
      out[n].name_size = static_cast<u32>(name.size());
      out[n].slot_bytes = bytes;
    }
    ++n;
  }
  return n;
}

Result<u64> StateFolder::slot_bytes(Str name) {
  u64 smallest = ~u64{0};
  for (u32 slot = 0; slot < kSlots; ++slot) {
    struct stat info = {};
    if (!is_record_name(name) || ::stat(slot_path(name, slot).c_str(), &info) != 0)
      return fail(ErrorCode::kNotFound, "no such record").about(name);
    smallest = std::min(smallest, static_cast<u64>(info.st_size));
  }
  return smallest;
}

Status StateFolder::read(Str name, u32 slot, u64 offset, Span<u8> out) {
  if (!is_record_name(name) || slot >= kSlots)
    return fail(ErrorCode::kNotFound, "no such record").about(name);
  const Descriptor file(slot_path(name, slot), O_RDONLY);
  if (!file.ok()) return open_error(name);
  for (usize done = 0; done < out.size();) {
    const ssize_t n = ::pread(file.value(), out.data() + done, out.size() - done,
                              static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(ErrorCode::kIo, "the device does not read").about(name).at(offset);
    if (n == 0) return fail(ErrorCode::kTruncated, "the file is shorter").about(name).at(offset);
    done += static_cast<usize>(n);
  }
  return {};
}

Status StateFolder::write(Str name, u32 slot, u64 offset, Span<const u8> bytes) {
  if (!reason_.empty()) return fail(ErrorCode::kReadOnly, "nothing is written here").about(name);
  const Result<u64> size = slot_bytes(name);
  if (!size.ok()) return size.error();
  if (slot >= kSlots || offset > size.value() || bytes.size() > size.value() - offset)
    return fail(ErrorCode::kLimit, "write beyond the end of a slot").about(name).with(size.value());
  const Descriptor file(slot_path(name, slot), O_WRONLY);
  if (!file.ok()) return open_error(name);
  if (!write_all(file.value(), offset, bytes))
    return fail(ErrorCode::kIo, "the device does not write").about(name).at(offset);
  return {};
}

Status StateFolder::reserve(Str name, u64 bytes, ProgressObserver*) {
  if (!reason_.empty()) return fail(ErrorCode::kReadOnly, "nothing is written here").about(name);
  if (!is_record_name(name)) return fail(ErrorCode::kLimit, "no name of a record").about(name);
  if (const Result<u64> have = slot_bytes(name); have.ok() && have.value() >= bytes) return {};
  for (u32 slot = 0; slot < kSlots; ++slot) {
    const Descriptor file(slot_path(name, slot), O_RDWR | O_CREAT);
    if (!file.ok()) return open_error(name);
    struct stat info = {};
    const bool is_there =
        ::fstat(file.value(), &info) == 0 && static_cast<u64>(info.st_size) >= bytes;
    if (is_there) continue;
    // Holes are zeros; blocks come with the writes.
    if (::ftruncate(file.value(), static_cast<off_t>(bytes)) != 0 || ::fsync(file.value()) != 0)
      return fail(ErrorCode::kLimit, "there is no room for it").about(name).with(bytes);
  }
  const Descriptor folder(path_, O_RDONLY | O_DIRECTORY);
  if (!folder.ok() || ::fsync(folder.value()) != 0)
    return fail(ErrorCode::kIo, "the folder can not be written").about(name);
  return {};
}

Result<Str> StateFolder::export_file(Str name, Span<const u8> bytes) {
  if (!reason_.empty()) return fail(ErrorCode::kReadOnly, "nothing is written here").about(name);
  const std::string file_name = to_string(name);
  if (file_name.empty() || file_name[0] == '.' || file_name.find('/') != std::string::npos)
    return fail(ErrorCode::kBadName, "no name of a file").about(name);
  exported_ = path_ + "/" + file_name;
  const std::string draft = exported_ + ".draft";
  {
    const Descriptor file(draft, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file.ok()) return fail(ErrorCode::kIo, "the file can not be made").about(name);
    if (!write_all(file.value(), 0, bytes))
      return fail(ErrorCode::kLimit, "there is no room for it").about(name).with(bytes.size());
  }
  if (::rename(draft.c_str(), exported_.c_str()) != 0)
    return fail(ErrorCode::kIo, "the file can not be replaced").about(name);
  return Str(exported_.data(), exported_.size());
}

}  // namespace lbm::cli
