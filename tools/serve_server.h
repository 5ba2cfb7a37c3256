// The HTTP/1.1 server under `lbm serve`: listens, reads requests within bounds, lets a handler
// answer them.
//
// Bounds: kMaxConnections threads, one each for a connection; further clients wait in the queue of
// the kernel. A body has at most kMaxBodyBytes, all bodies together kMaxBodiesBytes. A head must be
// complete within kHeadMs. Who may ask at all (serve_head.h) is decided before a body is read.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tools/serve_connection.h"
#include "tools/serve_head.h"

namespace lbm::cli {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// A request and its one answer: send(); or begin_stream(), write() ..., end_stream(); or
// begin_body(), write_body() ..., end_body().
class Exchange {
 public:
  Exchange(const RequestHead& head, const std::string& body, Connection& connection,
           HttpHeaders headers)
      : head_(head), body_(body), connection_(connection), headers_(std::move(headers)) {}

  [[nodiscard]] const RequestHead& head() const { return head_; }
  [[nodiscard]] const std::string& body() const { return body_; }

  // The answer to a HEAD request is sent without its body.
  void send(int status, const std::string& type, std::string_view body,
            const HttpHeaders& more = {});
  // In every answer from here on.
  void add_header(const std::string& name, const std::string& value) {
    headers_.emplace_back(name, value);
  }
  // A body of n bytes that is written in pieces. False: the client is gone.
  bool begin_body(int status, const std::string& type, u64 n, const HttpHeaders& more);
  bool write_body(std::string_view piece) { return connection_.write(piece); }
  void end_body() { is_complete_ = true; }
  // A body of unknown length. False: the client is gone.
  bool begin_stream(const std::string& type);
  bool write(std::string_view piece);
  void end_stream();

  [[nodiscard]] bool is_begun() const { return is_begun_; }
  // True after send(), or a stream that was ended: the connection may carry another request.
  [[nodiscard]] bool is_complete() const { return is_complete_; }
  [[nodiscard]] bool is_gone() const { return connection_.is_gone(); }

 private:
  [[nodiscard]] std::string head_lines(int status, const std::string& type,
                                       const HttpHeaders& more) const;

  const RequestHead& head_;
  const std::string& body_;
  Connection& connection_;
  HttpHeaders headers_;  // of every answer
  bool is_begun_ = false;
  bool is_complete_ = false;
};

// The error object of the OpenAI interface as an answer.
class ApiError;
void send_error(Exchange& exchange, const ApiError& error);

class HttpServer {
 public:
  static constexpr u32 kMaxConnections = 64;
  static constexpr u64 kMaxBodyBytes = 8 * 1024 * 1024;
  static constexpr u64 kMaxBodiesBytes = 16 * 1024 * 1024;
  static constexpr int kHeadMs = 10'000;
  static constexpr int kIdleMs = 5'000;
  static constexpr int kBodyMs = 30'000;

  // Runs in the thread of the connection; ApiError and other exceptions become error answers.
  using Handler = std::function<void(Exchange&)>;

  // Binds and listens; port 0: any. Throws CommandError (kRuntime) naming address and reason.
  HttpServer(const std::string& host, u16 port);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // As the socket has it.
  [[nodiscard]] u16 port() const { return port_; }
  // Only programs of this machine get here, whatever a name resolved to.
  [[nodiscard]] bool is_loopback() const { return is_loopback_; }

  // Serves until `stopped` says so, asked every 100 ms; then ends what is under way and returns.
  void run(const AccessPolicy& policy, const Handler& handler,
           const std::function<bool()>& stopped);

 private:
  void take_place(const sockaddr_storage& place);
  void serve(int socket, const AccessPolicy& policy, const Handler& handler);
  bool serve_one(Connection& connection, const AccessPolicy& policy, const Handler& handler);
  void answer(Exchange& exchange, const Handler& handler) const;
  void end_connections();

  int listener_ = -1;
  u16 port_ = 0;
  bool is_loopback_ = false;
  std::atomic<u64> n_body_bytes_{0};
  std::atomic<bool> is_ending_{false};
  std::mutex mutex_;
  std::condition_variable ended_;
  std::set<Connection*> connections_;  // under mutex_
  u32 n_thread_ = 0;                   // under mutex_
};

}  // namespace lbm::cli
