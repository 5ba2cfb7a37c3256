// A web server on the loopback interface that answers as a test wants, byte for byte: right, wrong,
// short, endless or not at all. One connection for each request.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "core/base/types.h"

namespace lbm::test {

struct WebRequest {
  std::string path;   // "/folder/m.00000"
  std::string range;  // "bytes=0-9"; empty where all is asked for
};

class CannedServer {
 public:
  // `answer` gives all bytes of the answer, head and body; it runs in the server's thread.
  using Answer = std::function<std::string(const WebRequest&)>;

  explicit CannedServer(Answer answer) : answer_(std::move(answer)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in place = {};
    place.sin_family = AF_INET;
    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(place);
    auto* const address = reinterpret_cast<sockaddr*>(&place);
    if (bind(listener_, address, size) != 0 || listen(listener_, 8) != 0 ||
        getsockname(listener_, address, &size) != 0)
      std::abort();
    port_ = ntohs(place.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~CannedServer() {
    shutdown(listener_, SHUT_RDWR);  // ends accept()
    thread_.join();
    close(listener_);
  }
  CannedServer(const CannedServer&) = delete;
  CannedServer& operator=(const CannedServer&) = delete;

  [[nodiscard]] std::string origin() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  void serve() {
    for (;;) {
      const int client = accept(listener_, nullptr, nullptr);
      if (client < 0) return;
      std::string head;
      char buffer[2048];
      while (head.find("\r\n\r\n") == std::string::npos) {
        const ssize_t n = recv(client, buffer, sizeof(buffer), 0);
        if (n <= 0) break;
        head.append(buffer, static_cast<usize>(n));
      }
      const std::string answer = answer_(parse(head));
      for (usize at = 0; at < answer.size();) {
        const ssize_t n = send(client, answer.data() + at, answer.size() - at, MSG_NOSIGNAL);
        if (n <= 0) break;
        at += static_cast<usize>(n);
      }
      // What was not read is thrown away, so that the answer is not lost with a reset.
      shutdown(client, SHUT_WR);
      while (recv(client, buffer, sizeof(buffer), 0) > 0) continue;
      close(client);
    }
  }
  static WebRequest parse(const std::string& head) {
    WebRequest request;
    const usize begin = head.find(' ') + 1;
    request.path = head.substr(begin, head.find(' ', begin) - begin);
    const usize range = head.find("Range: ");
    if (range != std::string::npos)
      request.range = head.substr(range + 7, head.find('\r', range) - range - 7);
    return request;
  }

  Answer answer_;
  int listener_ = -1;
  u16 port_ = 0;
  std::thread thread_;
};

// An answer with the length of its body, and other lines of the head as they are given.
inline std::string web_answer(const std::string& status, const std::string& body,
                              const std::vector<std::string>& lines = {}) {
  std::string out = "HTTP/1.1 " + status + "\r\nConnection: close\r\n";
  for (const std::string& line : lines) out += line + "\r\n";
  return out + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace lbm::test
