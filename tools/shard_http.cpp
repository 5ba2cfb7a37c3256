// See shard_http.h. Nothing that a server says is believed: status, range, length, encoding and
// entity tag are compared with what was asked, the body is cut off where it passes that, and the
// hashes of the index have the last word in any case.
#include "tools/shard_http.h"

// What Debian's library is built with: its classes have members behind these.
#define CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_ZLIB_SUPPORT
#define CPPHTTPLIB_BROTLI_SUPPORT
#include <httplib.h>

#include <map>

namespace lbm::cli {
namespace {

constexpr int kMaxRedirects = 5;

// "http://host:80" and "/a/b"; false for anything else.
bool split_address(const std::string& address, std::string& origin, std::string& path) {
  if (!is_web_address(address)) return false;
  const usize scheme = address.find("://");
  const usize slash = address.find('/', scheme + 3);
  origin = address.substr(0, slash);
  path = slash == std::string::npos ? "" : address.substr(slash);
  // No user and password, no query: a folder is meant.
  const bool is_plain = address.find_first_of("@?#\\ \t\r\n") == std::string::npos;
  return is_plain && origin.size() > scheme + 3;
}

class HttpSource final : public ShardSource {
 public:
  HttpSource(std::string origin, std::string folder, const HttpOptions& options)
      : origin_(std::move(origin)), folder_(std::move(folder)), options_(options) {}

  std::string read_all(const std::string& name, u64 limit) override {
    return get({name, false, 0, limit, 0});
  }
  std::string read_part(const std::string& name, u64 offset, u64 size, u64 whole_size) override {
    // A file that is the part needs no range, so that any server will do.
    return get({name, offset != 0 || size != whole_size, offset, size, whole_size});
  }

 private:
  struct Request {
    const std::string& name;
    bool is_range;
    u64 offset;
    u64 size;        // of the part; without a range: the most
    u64 whole_size;  // 0: not known
  };

  std::string get(const Request& request) {
    std::string origin = origin_;
    std::string path = folder_ + "/" + request.name;
    for (int i = 0; i <= kMaxRedirects; ++i) {
      std::string body;
      std::string location;
      if (!get_once(request, origin, path, body, location)) return body;
      follow(request, location, origin, path);
    }
    fail(request, "too many redirects", ErrorCode::kLimit, false);
  }

  // True: redirected to `location`.
  bool get_once(const Request& request, const std::string& origin, const std::string& path,
                std::string& body, std::string& location) {
    httplib::Client& client = client_for(origin);
    httplib::Headers headers = {{"Accept-Encoding", "identity"}, {"User-Agent", "lbm"}};
    if (request.is_range) {
      headers.emplace("Range", "bytes=" + std::to_string(request.offset) + "-" +
                                   std::to_string(request.offset + request.size - 1));
    }
    bool is_endless = false;
    bool is_redirect = false;
    std::string problem;
    ErrorCode code = ErrorCode::kIo;
    bool may_retry = false;
    const httplib::Result result = client.Get(
        path, headers,
        [&](const httplib::Response& response) {
          is_redirect = response.status >= 300 && response.status < 400 && response.status != 304;
          if (is_redirect) {
            location = response.get_header_value("Location");
            return true;
          }
          problem = check_head(request, response, code, may_retry);
          return problem.empty();
        },
        [&](const char* data, usize size) {
          if (is_redirect) return true;  // its page is of no interest
          if (size > request.size - body.size()) {
            is_endless = true;
            return false;
          }
          body.append(data, size);
          return true;
        });
    if (!problem.empty()) fail(request, problem, code, may_retry);
    if (is_endless) {
      fail(request,
           "the server sends more than the " + std::to_string(request.size) + " bytes there may be",
           ErrorCode::kLimit, false);
    }
    if (!result) {
      // A body that ends before its Content-Length is an error of reading, too.
      const bool is_short = result.error() == httplib::Error::Read && !body.empty();
      fail(request,
           is_short ? "the answer ends after " + std::to_string(body.size()) + " bytes"
                    : "no answer: " + httplib::to_string(result.error()),
           is_short ? ErrorCode::kTruncated : ErrorCode::kIo, true);
    }
    if (is_redirect) return true;
    const bool is_exact = request.is_range || request.whole_size != 0;
    if (is_exact && body.size() != request.size) {
      fail(request,
           "the answer ends after " + std::to_string(body.size()) + " of " +
               std::to_string(request.size) + " bytes",
           ErrorCode::kTruncated, true);
    }
    return false;
  }

  // What is wrong with status and headers, or an empty text.
  std::string check_head(const Request& request, const httplib::Response& response, ErrorCode& code,
                         bool& may_retry) {
    if (response.status == 404 || response.status == 410) {
      code = ErrorCode::kNotFound;
      return "there is no such file (" + std::to_string(response.status) + ")";
    }
    if (request.is_range && response.status == 200) {
      code = ErrorCode::kUnsupported;
      return "the server sends the whole file (200) where a part was asked for (206): it knows no "
             "ranges; files of their own for the chunks need none";
    }
    if (response.status != (request.is_range ? 206 : 200)) {
      may_retry = response.status >= 500 || response.status == 429;
      return "status " + std::to_string(response.status);
    }
    const std::string encoding = response.get_header_value("Content-Encoding");
    if (!encoding.empty() && encoding != "identity") {
      code = ErrorCode::kUnsupported;
      return "the answer is encoded (" + printable(to_str(encoding)) + "), which was not asked for";
    }
    code = ErrorCode::kMismatch;
    if (request.is_range) {
      const std::string expected = "bytes " + std::to_string(request.offset) + "-" +
                                   std::to_string(request.offset + request.size - 1) + "/" +
                                   std::to_string(request.whole_size);
      const std::string range = response.get_header_value("Content-Range");
      if (range != expected)
        return "Content-Range is '" + printable(to_str(range)) + "', not '" + expected + "'";
    }
    return check_tag(request, response);
  }

  // Parts of two versions of a file must not be put together.
  std::string check_tag(const Request& request, const httplib::Response& response) {
    const std::string tag = response.get_header_value("ETag");
    const auto known = tags_.emplace(request.name, tag).first;
    if (known->second == tag) return {};
    return "the file changed on the server while it was fetched (ETag " +
           printable(to_str(known->second)) + ", then " + printable(to_str(tag)) + ")";
  }

  void follow(const Request& request, const std::string& location, std::string& origin,
              std::string& path) {
    if (location.empty()) fail(request, "a redirect to nowhere", ErrorCode::kMissing, false);
    if (location[0] == '/' && location.rfind("//", 0) != 0) {
      path = location;
      return;
    }
    const usize scheme = location.find("://");
    const usize slash = scheme == std::string::npos ? scheme : location.find('/', scheme + 3);
    if (!is_web_address(location) || slash == std::string::npos)
      fail(request, "a redirect to something that is no address", ErrorCode::kBadValue, false);
    const std::string next = location.substr(0, slash);
    const std::string problem = redirect_problem(origin, next, options_.follow_elsewhere);
    if (!problem.empty()) {
      fail(request, "is redirected to another place, " + printable(to_str(next)) + problem,
           ErrorCode::kUnsupported, false);
    }
    origin = next;
    path = location.substr(slash);
  }

  httplib::Client& client_for(const std::string& origin) {
    std::unique_ptr<httplib::Client>& client = clients_[origin];
    if (!client) {
      client = std::make_unique<httplib::Client>(origin);
      client->set_follow_location(false);
      client->set_decompress(false);
      client->set_keep_alive(true);
      client->set_connection_timeout(options_.timeout_s);
      client->set_read_timeout(options_.timeout_s);
    }
    return *client;
  }

  [[noreturn]] void fail(const Request& request, const std::string& what, ErrorCode code,
                         bool may_retry) const {
    throw FetchError(origin_ + folder_ + "/" + request.name + ": " + what, code, may_retry);
  }

  std::string origin_;
  std::string folder_;
  HttpOptions options_;
  std::map<std::string, std::unique_ptr<httplib::Client>> clients_;  // by origin
  std::map<std::string, std::string> tags_;                          // ETag by name
};

}  // namespace

std::string redirect_problem(const std::string& from, const std::string& to,
                             bool follow_elsewhere) {
  const bool is_downgrade = from.rfind("https://", 0) == 0 && to.rfind("http://", 0) == 0;
  if (is_downgrade) return ", without encryption";
  return to == from || follow_elsewhere ? "" : " (--follow allows that)";
}

std::unique_ptr<ShardSource> open_http_source(const std::string& address,
                                              const HttpOptions& options) {
  std::string origin;
  std::string folder;
  if (!split_address(address, origin, folder)) {
    throw CommandError(ExitCode::kUsage, "'" + printable(to_str(address)) +
                                             "' is no address of a folder (http://host/folder)");
  }
  while (!folder.empty() && folder.back() == '/') folder.pop_back();
  return std::make_unique<HttpSource>(origin, folder, options);
}

}  // namespace lbm::cli
