#include "tools/platform_posix.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "core/base/arith.h"

namespace lbm {
namespace {

void (*panic_hook)() = nullptr;

}  // namespace

void panic(const char* what, const char* file, u32 line) {
  if (panic_hook != nullptr) panic_hook();
  std::fprintf(stderr,
               "lbm: broken invariant: %s\n  at %s:%u\nThis is a bug in lbm, not in your model or "
               "command.\n",
               what, file, line);
  std::abort();
}

namespace cli {

namespace fs = std::filesystem;

void set_panic_hook(void (*hook)()) { panic_hook = hook; }

// ---- files --------------------------------------------------------------------------------------

Result<std::unique_ptr<FileSource>> FileSource::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return fail(ErrorCode::kNotFound, "no such file");
    if (errno == EACCES) return fail(ErrorCode::kIo, "no permission to read it");
    return fail(ErrorCode::kIo, "can not be opened");
  }
  struct stat info = {};
  if (fstat(descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return fail(ErrorCode::kIo, "not a regular file");
  }
  return std::unique_ptr<FileSource>(
      new FileSource(descriptor, static_cast<u64>(info.st_size), path));
}

Str FileSource::name() const {
  const usize slash = path_.find_last_of('/');
  const usize start = slash == std::string::npos ? 0 : slash + 1;
  return {path_.data() + start, path_.size() - start};
}

Result<ByteSource*> FileSource::open_beside(Str neighbour) {
  const std::string folder = path_.substr(0, path_.size() - name().size());
  Result<std::unique_ptr<FileSource>> opened =
      open(folder + std::string(neighbour.data(), neighbour.size()));
  if (!opened.ok()) return Error(opened.error()).about(neighbour);
  neighbours_.push_back(std::move(opened.value()));
  return static_cast<ByteSource*>(neighbours_.back().get());
}

FileSource::~FileSource() { ::close(descriptor_); }

Status FileSource::read(u64 offset, Span<u8> out) {
  if (offset > size_) return fail(ErrorCode::kTruncated, "the file ends early").at(size_);
  usize n_done = 0;
  while (n_done < out.size()) {
    const ssize_t n = pread(descriptor_, out.data() + n_done, out.size() - n_done,
                            static_cast<off_t>(offset + n_done));
    if (n < 0) {
      if (errno == EINTR) continue;
      return fail(ErrorCode::kIo, "read error").at(offset + n_done);
    }
    if (n == 0) return fail(ErrorCode::kTruncated, "the file ends early").at(offset + n_done);
    n_done += static_cast<usize>(n);
  }
  return {};
}

Status MemorySource::read(u64 offset, Span<u8> out) {
  if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
    return fail(ErrorCode::kTruncated, "the data end early").at(bytes_.size());
  }
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

// ---- memory -------------------------------------------------------------------------------------

namespace {

constexpr u64 kNoLimit = ~u64{0};
constexpr u64 kHugePage = 2 * kMiB;

// The first number of a small file of the kernel; `fallback` where it is absent or says "max".
u64 read_number(const char* path, u64 fallback) {
  std::ifstream in(path);
  u64 value = 0;
  return in >> value ? value : fallback;
}

// The value of "Name:  123 kB" in bytes.
u64 read_kb_field(const char* path, const char* name, u64 fallback) {
  std::ifstream in(path);
  std::string word;
  while (in >> word) {
    u64 value = 0;
    if (word == name && in >> value) return value * kKiB;
    in.ignore(256, '\n');
  }
  return fallback;
}

u64 address_space_left() {
  struct rlimit limit = {};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoLimit;
  const u64 used = read_kb_field("/proc/self/status", "VmSize:", 0);
  return limit.rlim_cur > used ? limit.rlim_cur - used : 0;
}

u64 control_group_left() {
  const u64 limit = read_number("/sys/fs/cgroup/memory.max", kNoLimit);
  const u64 used = read_number("/sys/fs/cgroup/memory.current", 0);
  if (limit == kNoLimit) return kNoLimit;
  return limit > used ? limit - used : 0;
}

Span<u8> map_anonymous(u64 bytes) {
  void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return {};
  return {static_cast<u8*>(base), bytes};
}

}  // namespace

Result<Span<u8>> PosixPages::take(u64 bytes, const char* what) {
  u64 rounded = 0;
  if (bytes == 0 || !checked_align(bytes, kHugePage, rounded))
    return fail(ErrorCode::kInvalidArgument, what).with(bytes);
  // Weights are streamed through on every token: huge pages save the page-table walks. Small ranges
  // stay small.
  const u64 size = bytes >= 2 * kHugePage ? rounded : align_up(bytes, 4 * kKiB);
  const u64 free_bytes = bytes_free();
  if (size > free_bytes) return fail(ErrorCode::kOutOfMemory, what).with(bytes, free_bytes);
  const Span<u8> range = map_anonymous(size);
  if (range.empty()) return fail(ErrorCode::kOutOfMemory, what).with(bytes, free_bytes);
  if (size >= 2 * kHugePage) madvise(range.data(), range.size(), MADV_HUGEPAGE);
  return range;
}

void PosixPages::give_back(Span<u8> range) {
  if (!range.empty()) munmap(range.data(), range.size());
}

u64 PosixPages::bytes_free() const {
  const u64 machine = read_kb_field("/proc/meminfo", "MemAvailable:", 0);
  return std::min({machine, address_space_left(), control_group_left()});
}

ReservedMemory::ReservedMemory(u64 bytes) {
  // Under a limit on address space, take what is there rather than nothing.
  while (range_.empty() && bytes >= kMiB) {
    range_ = map_anonymous(bytes);
    bytes /= 2;
  }
}

ReservedMemory::~ReservedMemory() {
  if (!range_.empty()) munmap(range_.data(), range_.size());
}

// ---- time ---------------------------------------------------------------------------------------

u64 PosixClock::now_us() {
  struct timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<u64>(now.tv_sec) * 1'000'000 + static_cast<u64>(now.tv_nsec) / 1000;
}

std::string local_time_text() {
  const time_t now = time(nullptr);
  struct tm parts = {};
  localtime_r(&now, &parts);
  char text[32] = {};
  strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
  return text;
}

// ---- folders ------------------------------------------------------------------------------------

namespace {

bool has_model_suffix(const std::string& name) {
  const auto ends = [&](const char* suffix) {
    const usize n = std::strlen(suffix);
    return name.size() > n && strcasecmp(name.c_str() + name.size() - n, suffix) == 0;
  };
  return ends(".gguf") || ends(".bin") || ends(".slm");
}

// Names of the model files of `folder`, sorted; each with `prefix` in front.
std::vector<std::string> model_names(const fs::path& folder, const std::string& prefix) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (has_model_suffix(name) && entry->is_regular_file(ignored)) names.push_back(prefix + name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

u32 DirectoryVolume::list_models(Span<FileEntry> out) {
  std::vector<std::string> names = model_names(root_, "");
  for (std::string& name : model_names(fs::path(root_) / "models", "models/"))
    names.push_back(std::move(name));
  u32 n = 0;
  for (const std::string& name : names) {
    if (n == out.size()) break;
    if (name.size() > FileEntry::kMaxPath) continue;
    std::error_code error;
    const u64 size = fs::file_size(fs::path(root_) / name, error);
    if (error) continue;
    FileEntry& entry = out[n++];
    entry = FileEntry{};
    std::memcpy(entry.path, name.data(), name.size());
    entry.path_size = static_cast<u32>(name.size());
    entry.size_bytes = size;
  }
  return n;
}

Result<ByteSource*> DirectoryVolume::open(u32 volume, Str path) {
  const std::string name(path.data(), path.size());
  if (volume != 0) return fail(ErrorCode::kNotFound, "no such volume").about(path).with(volume);
  // The folder first, its models/ next, then the name as it stands: /model NAME needs no path, and
  // a path works too.
  Result<std::unique_ptr<FileSource>> file = FileSource::open((fs::path(root_) / name).string());
  if (file.ok()) return keep(std::move(file.value()));
  Result<std::unique_ptr<FileSource>> below =
      FileSource::open((fs::path(root_) / "models" / name).string());
  if (below.ok()) return keep(std::move(below.value()));
  Result<std::unique_ptr<FileSource>> typed = FileSource::open(name);
  if (typed.ok()) return keep(std::move(typed.value()));
  return Error(file.error()).about(path);
}

ByteSource* DirectoryVolume::keep(std::unique_ptr<FileSource> file) {
  open_.push_back(std::move(file));
  return open_.back().get();
}

void DirectoryVolume::close(ByteSource* source) {
  std::erase_if(open_,
                [&](const std::unique_ptr<FileSource>& file) { return file.get() == source; });
}

}  // namespace cli
}  // namespace lbm
