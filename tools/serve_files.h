// The files of the web page, from one folder: GET and HEAD, nothing else, nothing outside of it.
#pragma once

#include <string>

#include "tools/serve_server.h"

namespace lbm::cli {

class WebFolder {
 public:
  // An empty path, or a folder that is not there: no file is found.
  explicit WebFolder(const std::string& path);
  ~WebFolder();
  WebFolder(const WebFolder&) = delete;
  WebFolder& operator=(const WebFolder&) = delete;

  [[nodiscard]] bool is_open() const { return folder_ >= 0; }
  // Sends the file that the path of the request names ("/" is index.html). Throws ApiError: 404 for
  // whatever is no plain file under the folder, symbolic links among it; 405 for other methods.
  void send(Exchange& exchange) const;

 private:
  int folder_ = -1;
};

}  // namespace lbm::cli
