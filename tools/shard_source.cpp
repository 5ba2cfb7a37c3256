// See shard_source.h.
#include "tools/shard_source.h"

#include <filesystem>

#include "tools/platform_posix.h"
#include "tools/shard_http.h"

namespace lbm::cli {
namespace {

class FolderSource final : public ShardSource {
 public:
  explicit FolderSource(std::string folder) : folder_(std::move(folder)) {}

  std::string read_all(const std::string& name, u64 limit) override {
    const std::unique_ptr<FileSource> file = open(name);
    if (file->size() > limit) {
      throw FetchError(path_of(name) + ": " + std::to_string(file->size()) + " bytes, more than " +
                           std::to_string(limit),
                       ErrorCode::kLimit, false);
    }
    return read(*file, name, 0, file->size());
  }

  std::string read_part(const std::string& name, u64 offset, u64 size, u64 whole_size) override {
    const std::unique_ptr<FileSource> file = open(name);
    if (whole_size != 0 && file->size() != whole_size) {
      throw FetchError(path_of(name) + ": " + std::to_string(file->size()) + " bytes, not " +
                           std::to_string(whole_size),
                       ErrorCode::kMismatch, false);
    }
    return read(*file, name, offset, size);
  }

 private:
  [[nodiscard]] std::string path_of(const std::string& name) const {
    return (std::filesystem::path(folder_) / name).string();
  }
  std::unique_ptr<FileSource> open(const std::string& name) {
    Result<std::unique_ptr<FileSource>> file = FileSource::open(path_of(name));
    if (!file.ok())
      throw FetchError(path_of(name) + ": can not be opened", file.error().code, false);
    return std::move(file.value());
  }
  std::string read(FileSource& file, const std::string& name, u64 offset, u64 size) {
    std::string bytes(static_cast<usize>(size), '\0');
    const Status status = file.read(offset, {reinterpret_cast<u8*>(bytes.data()), bytes.size()});
    if (!status.ok()) {
      throw FetchError(path_of(name) + ": " + std::to_string(size) + " bytes at " +
                           std::to_string(offset) + " can not be read",
                       status.error().code, false);
    }
    return bytes;
  }

  std::string folder_;
};

}  // namespace

bool is_web_address(const std::string& place) {
  return place.rfind("http://", 0) == 0 || place.rfind("https://", 0) == 0;
}

void split_place(const std::string& place, std::string& folder, std::string& name) {
  const usize slash = place.rfind('/');
  if (slash == std::string::npos) {
    folder = ".";
    name = place;
    return;
  }
  folder = slash == 0 ? "/" : place.substr(0, slash);
  name = place.substr(slash + 1);
}

std::unique_ptr<ShardSource> open_shard_source(const std::string& place,
                                               const HttpOptions& options) {
  if (is_web_address(place)) return open_http_source(place, options);
  return std::make_unique<FolderSource>(place);
}

}  // namespace lbm::cli
