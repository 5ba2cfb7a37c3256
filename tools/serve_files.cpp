// See serve_files.h. A path is walked one name at a time from the open folder, each name checked
// and no link followed: there is no text to normalize, and so nothing to normalize wrongly.
#include "tools/serve_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "tools/serve_error.h"
#include "tools/serve_range.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

constexpr usize kPieceBytes = 64 * 1024;

// The content security policy of a file of the page (docs/page.md says why each line is there, and
// a test compares them with web/page/build/policy.mjs): everything from ourselves, WebAssembly but
// no eval, no HTML made of strings. Scripts that run as workers fetch the models that a person asks
// for, from any server; documents ask nobody else.
std::string content_policy(const std::string& name) {
  const std::string common =
      "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src "
      "'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'none'; ";
  constexpr std::string_view kDocument = ".html";
  const bool is_document =
      name.size() > kDocument.size() &&
      name.compare(name.size() - kDocument.size(), kDocument.size(), kDocument) == 0;
  if (!is_document) return common + "connect-src 'self' https:";
  return common +
         "connect-src 'self'; require-trusted-types-for 'script'; trusted-types default lbm-worker "
         "lbm-store; frame-ancestors 'none'";
}

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
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

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
                {".map", "application/json"},
                {".webmanifest", "application/manifest+json"},
                {".wasm", "application/wasm"},
                {".wgsl", "text/plain; charset=utf-8"},
                {".svg", "image/svg+xml"},
                {".png", "image/png"},
                {".ico", "image/x-icon"},
                {".woff2", "font/woff2"},
                {".txt", "text/plain; charset=utf-8"}};
  for (const auto& [ending, type] : kTypes) {
    const std::string_view text = ending;
    if (name.size() > text.size() &&
        name.compare(name.size() - text.size(), text.size(), text) == 0)
      return type;
  }
  return "application/octet-stream";
}

void check_method(const RequestHead& head) {
  if (head.method != "GET" && head.method != "HEAD")
    throw ApiError(405, "only GET and HEAD do something here", "method_not_allowed");
}

}  // namespace

// ---- one file -----------------------------------------------------------------------------------

SharedFile::SharedFile(const std::string& path)
    : SharedFile(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK), path) {}

SharedFile::SharedFile(int descriptor, const std::string& name)
    : descriptor_(descriptor), type_(type_of(name)) {
  struct stat found = {};
  if (descriptor_ < 0) return;
  if (fstat(descriptor_, &found) != 0 || !S_ISREG(found.st_mode)) {
    close(std::exchange(descriptor_, -1));
    return;
  }
  size_ = static_cast<u64>(found.st_size);
  tag_ = format("\"%llx-%llx%09lx\"", static_cast<unsigned long long>(size_),
                static_cast<unsigned long long>(found.st_mtim.tv_sec),
                static_cast<unsigned long>(found.st_mtim.tv_nsec));
}

SharedFile::~SharedFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void SharedFile::send(Exchange& exchange, const HttpHeaders& more) const {
  const RequestHead& head = exchange.head();
  if (!is_open()) not_found();
  check_method(head);
  // Ranges are for GET (RFC 9110, 14.2).
  const std::string asked = head.method == "GET" ? head.range : std::string();
  const ByteRange range = parse_range(asked, head.if_range, size_, tag_);
  HttpHeaders headers = more;
  headers.emplace_back("Accept-Ranges", "bytes");
  headers.emplace_back("ETag", tag_);
  if (range.kind == ByteRange::Kind::kNotThere) {
    headers.emplace_back("Content-Range", "bytes */" + std::to_string(size_));
    exchange.send(416, "text/plain; charset=utf-8", "the range begins behind the end\n", headers);
    return;
  }
  const bool is_part = range.kind == ByteRange::Kind::kPart;
  if (is_part) {
    headers.emplace_back("Content-Range", "bytes " + std::to_string(range.first) + "-" +
                                              std::to_string(range.first + range.n - 1) + "/" +
                                              std::to_string(size_));
  }
  bool is_there = exchange.begin_body(is_part ? 206 : 200, type_, range.n, headers);
  if (head.method == "GET") is_there = is_there && send_bytes(exchange, range.first, range.n);
  if (is_there) exchange.end_body();
}

// False: the client is gone, or the file became shorter.
bool SharedFile::send_bytes(Exchange& exchange, u64 first, u64 n) const {
  std::vector<char> piece(std::min<u64>(n, kPieceBytes));
  while (n != 0) {
    const usize wanted = static_cast<usize>(std::min<u64>(n, piece.size()));
    const ssize_t got = pread(descriptor_, piece.data(), wanted, static_cast<off_t>(first));
    if (got <= 0) return false;
    if (!exchange.write_body({piece.data(), static_cast<usize>(got)})) return false;
    first += static_cast<u64>(got);
    n -= static_cast<u64>(got);
  }
  return true;
}

// ---- the folder ---------------------------------------------------------------------------------

WebFolder::WebFolder(const std::string& path) {
  if (!path.empty()) folder_ = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

WebFolder::~WebFolder() {
  if (folder_ >= 0) close(folder_);
}

void WebFolder::send(Exchange& exchange) const {
  const RequestHead& head = exchange.head();
  if (folder_ < 0) not_found();
  check_method(head);
  std::string path = head.path.substr(1);
  if (path.empty()) path = "index.html";
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
  if (fstat(at.get(), &found) != 0 || !S_ISREG(found.st_mode) || found.st_nlink != 1) not_found();
  const SharedFile file(at.release(), name);
  file.send(exchange, {{"Content-Security-Policy", content_policy(name)}});
}

}  // namespace lbm::cli
