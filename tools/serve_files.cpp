// See serve_files.h. A path is walked one name at a time from the open folder, each name checked
// and no link followed: there is no text to normalize, and so nothing to normalize wrongly.
#include "tools/serve_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/serve_error.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

constexpr off_t kMaxFileBytes = 64 * 1024 * 1024;

// Everything from ourselves, WebAssembly but no eval, models from where the user says.
constexpr const char* kContentPolicy =
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src 'self' "
    "data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'";

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void replace(int fd) {
    if (fd_ >= 0) close(fd_);
    fd_ = fd;
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void not_found() { throw ApiError(404, "there is no such path", "not_found"); }

const char* type_of(const std::string& name) {
  static constexpr struct {
    const char* ending;
    const char* type;
  } kTypes[] = {{".html", "text/html; charset=utf-8"},
                {".js", "text/javascript; charset=utf-8"},
                {".mjs", "text/javascript; charset=utf-8"},
                {".css", "text/css; charset=utf-8"},
                {".json", "application/json"},
                {".webmanifest", "application/manifest+json"},
                {".wasm", "application/wasm"},
                {".svg", "image/svg+xml"},
                {".png", "image/png"},
                {".ico", "image/x-icon"},
                {".txt", "text/plain; charset=utf-8"}};
  for (const auto& [ending, type] : kTypes) {
    const std::string_view text = ending;
    if (name.size() > text.size() &&
        name.compare(name.size() - text.size(), text.size(), text) == 0)
      return type;
  }
  return "application/octet-stream";
}

}  // namespace

WebFolder::WebFolder(const std::string& path) {
  if (!path.empty()) folder_ = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

WebFolder::~WebFolder() {
  if (folder_ >= 0) close(folder_);
}

void WebFolder::send(Exchange& exchange) const {
  const RequestHead& head = exchange.head();
  if (folder_ < 0) not_found();
  std::string path = head.path.substr(1);
  if (path.empty()) path = "index.html";
  if (head.method != "GET" && head.method != "HEAD")
    throw ApiError(405, "only GET and HEAD do something here", "method_not_allowed");
  Descriptor at(dup(folder_));
  std::string name;
  for (usize first = 0; first <= path.size(); first += name.size() + 1) {
    const usize end = std::min(path.find('/', first), path.size());
    name = path.substr(first, end - first);
    // Hidden files are nobody's business, and "." and ".." are no names.
    if (!is_plain_name(name) || name[0] == '.') not_found();
    const int folder_flag = end < path.size() ? O_DIRECTORY : O_NONBLOCK;
    at.replace(openat(at.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | folder_flag));
    if (at.get() < 0) not_found();
  }
  struct stat found = {};
  if (fstat(at.get(), &found) != 0 || !S_ISREG(found.st_mode) || found.st_size > kMaxFileBytes)
    not_found();
  std::string content(static_cast<usize>(found.st_size), '\0');
  usize n_read = 0;
  while (n_read < content.size()) {
    const ssize_t n = read(at.get(), content.data() + n_read, content.size() - n_read);
    if (n <= 0) throw ApiError(500, "the file can not be read");
    n_read += static_cast<usize>(n);
  }
  exchange.send(200, type_of(name), content, {{"Content-Security-Policy", kContentPolicy}});
}

}  // namespace lbm::cli
