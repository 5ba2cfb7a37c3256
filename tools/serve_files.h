// Files for GET and HEAD: those of the web page, from one folder and nothing outside of it, and the
// model itself. They are sent in pieces, whatever their size, and in part where that is asked for.
#pragma once

#include <string>

#include "tools/serve_server.h"

namespace lbm::cli {

// An open file that is read by position, by several threads at once.
class SharedFile {
 public:
  // What can not be opened, or is no plain file, is not open: send() finds nothing.
  explicit SharedFile(const std::string& path);
  // Takes over an open file.
  SharedFile(int descriptor, const std::string& name);
  ~SharedFile();
  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] u64 size() const { return size_; }
  // Throws ApiError: 404 not open; 405 for other methods; 416.
  void send(Exchange& exchange, const HttpHeaders& more = {}) const;

 private:
  [[nodiscard]] bool send_bytes(Exchange& exchange, u64 first, u64 n) const;

  int descriptor_;
  u64 size_ = 0;
  std::string type_;
  std::string tag_;  // changes with the content: size and time
};

class WebFolder {
 public:
  // An empty path, or a folder that is not there: no file is found.
  explicit WebFolder(const std::string& path);
  ~WebFolder();
  WebFolder(const WebFolder&) = delete;
  WebFolder& operator=(const WebFolder&) = delete;

  [[nodiscard]] bool is_open() const { return folder_ >= 0; }
  // Sends the file that the path of the request names ("/" is index.html). Throws ApiError: 404 for
  // whatever is no plain file under the folder, symbolic links and files with a second name (a hard
  // link may come from anywhere) among it; 405 for other methods.
  void send(Exchange& exchange) const;

 private:
  int folder_ = -1;
};

}  // namespace lbm::cli
