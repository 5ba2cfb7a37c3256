// See serve_server.h. cpp-httplib, which fetches shards, is not used here: it has time limits for
// single reads only and no strict mode, so the bounds of docs/serve.md could not be kept with it.
#include "tools/serve_server.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "tools/output.h"
#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

constexpr int kPollMs = 100;
constexpr int kBacklog = 64;

const char* reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 503: return "Service Unavailable";
    default: return status < 500 ? "Refused" : "Server Error";
  }
}

const char* type_of(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 429: return "rate_limit_error";
    case 503: return "unavailable_error";
    default: return status < 500 ? "invalid_request_error" : "server_error";
  }
}

Json null_or(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

// What every answer says: nothing is kept, guessed, framed or shared, and a page of ours is
// isolated, which is what threads in the browser need.
HttpHeaders standing_headers(const AccessPolicy& policy, const RequestHead& head) {
  HttpHeaders out = {{"Cache-Control", "no-store"},
                     {"X-Content-Type-Options", "nosniff"},
                     {"Referrer-Policy", "no-referrer"},
                     {"Cross-Origin-Opener-Policy", "same-origin"},
                     {"Cross-Origin-Embedder-Policy", "require-corp"}};
  if (policy.is_foreign_origin(head)) {
    out.emplace_back("Access-Control-Allow-Origin", head.origin);
    out.emplace_back("Vary", "Origin");
    out.emplace_back("Cross-Origin-Resource-Policy", "cross-origin");
  } else {
    out.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
  }
  return out;
}

// Gives bytes of bodies back when a request ends.
class BodyBudget {
 public:
  BodyBudget(std::atomic<u64>& used, u64 n) : used_(used), n_(n) {
    if (used_.fetch_add(n_) + n_ <= HttpServer::kMaxBodiesBytes) return;
    used_.fetch_sub(n_);
    throw ApiError(503, "too many large requests at once; try again");
  }
  ~BodyBudget() { used_.fetch_sub(n_); }
  BodyBudget(const BodyBudget&) = delete;
  BodyBudget& operator=(const BodyBudget&) = delete;

 private:
  std::atomic<u64>& used_;
  u64 n_;
};

}  // namespace

// ---- an answer ----------------------------------------------------------------------------------

std::string Exchange::head_lines(int status, const std::string& type,
                                 const HttpHeaders& more) const {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + reason_of(status) + "\r\n";
  if (!type.empty()) out += "Content-Type: " + type + "\r\n";
  for (const HttpHeaders* const headers : {&headers_, &more}) {
    for (const auto& [name, value] : *headers) out.append(name + ": " + value + "\r\n");
  }
  out += head_.keep_alive ? "Connection: keep-alive\r\n" : "Connection: close\r\n";
  return out;
}

void Exchange::send(int status, const std::string& type, std::string_view body,
                    const HttpHeaders& more) {
  is_begun_ = true;
  std::string out = head_lines(status, type, more);
  if (status != 204) out += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  out += "\r\n";
  if (head_.method != "HEAD") out.append(body);
  is_complete_ = connection_.write(out);
}

bool Exchange::begin_body(int status, const std::string& type, u64 n, const HttpHeaders& more) {
  is_begun_ = true;
  return connection_.write(head_lines(status, type, more) + "Content-Length: " + std::to_string(n) +
                           "\r\n\r\n");
}

bool Exchange::begin_stream(const std::string& type) {
  is_begun_ = true;
  return connection_.write(head_lines(200, type, {}) + "Transfer-Encoding: chunked\r\n\r\n");
}

bool Exchange::write(std::string_view piece) {
  if (piece.empty()) return true;  // a chunk of no bytes would end the stream
  return connection_.write(format("%zx\r\n", piece.size()).append(piece).append("\r\n"));
}

void Exchange::end_stream() { is_complete_ = connection_.write("0\r\n\r\n"); }

void send_error(Exchange& exchange, const ApiError& error) {
  Json out;
  out["error"]["message"] = error.what();
  out["error"]["type"] = type_of(error.status());
  out["error"]["param"] = null_or(error.param());
  out["error"]["code"] = null_or(error.code());
  HttpHeaders more;
  if (error.status() == 429 || error.status() == 503) more.emplace_back("Retry-After", "1");
  if (error.status() == 401) more.emplace_back("WWW-Authenticate", "Bearer");
  exchange.send(error.status(), "application/json", json_line(out), more);
}

// ---- the server ---------------------------------------------------------------------------------

HttpServer::HttpServer(const std::string& host, u16 port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int problem = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (problem != 0) {
    throw CommandError(ExitCode::kUsage,
                       "--host " + printable(to_str(host)) + ": " + gai_strerror(problem));
  }
  int error = 0;
  for (const addrinfo* at = found; at != nullptr && listener_ < 0; at = at->ai_next) {
    const int listener = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;
    sockaddr_storage place = {};
    socklen_t size = sizeof(place);
    // Not SO_REUSEPORT: another program could then listen on the same port and take requests.
    if (listener >= 0) setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (listener >= 0 && bind(listener, at->ai_addr, at->ai_addrlen) == 0 &&
        listen(listener, kBacklog) == 0 &&
        getsockname(listener, reinterpret_cast<sockaddr*>(&place), &size) == 0) {
      listener_ = listener;
      take_place(place);
    } else {
      error = errno;
      if (listener >= 0) close(listener);
    }
  }
  freeaddrinfo(found);
  if (listener_ < 0) {
    throw CommandError(ExitCode::kRuntime, "can not listen on " + printable(to_str(host)) +
                                               " port " + std::to_string(port) + ": " +
                                               std::strerror(error) + " (choose with --port)");
  }
}

void HttpServer::take_place(const sockaddr_storage& place) {
  if (place.ss_family == AF_INET6) {
    const auto* const six = reinterpret_cast<const sockaddr_in6*>(&place);
    port_ = ntohs(six->sin6_port);
    is_loopback_ = IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
  } else {
    const auto* const four = reinterpret_cast<const sockaddr_in*>(&place);
    port_ = ntohs(four->sin_port);
    is_loopback_ = ntohl(four->sin_addr.s_addr) >> 24 == 127;
  }
}

HttpServer::~HttpServer() { close(listener_); }

void HttpServer::run(const AccessPolicy& policy, const Handler& handler,
                     const std::function<bool()>& stopped) {
  while (!stopped()) {
    {
      std::unique_lock lock(mutex_);
      const auto has_room = [this] { return n_thread_ < kMaxConnections; };
      if (!ended_.wait_for(lock, std::chrono::milliseconds(kPollMs), has_room)) continue;
    }
    pollfd wanted = {listener_, POLLIN, 0};
    if (poll(&wanted, 1, kPollMs) <= 0) continue;
    const int socket = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    {
      const std::lock_guard lock(mutex_);
      ++n_thread_;
    }
    try {
      std::thread([this, socket, &policy, &handler] { serve(socket, policy, handler); }).detach();
    } catch (const std::system_error&) {  // no thread is to be had: this client is turned away
      close(socket);
      const std::lock_guard lock(mutex_);
      --n_thread_;
    }
  }
  end_connections();
}

void HttpServer::end_connections() {
  is_ending_ = true;
  std::unique_lock lock(mutex_);
  for (Connection* const connection : connections_) connection->shut_down();
  ended_.wait(lock, [this] { return n_thread_ == 0; });
}

void HttpServer::serve(int socket, const AccessPolicy& policy, const Handler& handler) {
  {
    Connection connection(socket);
    {
      const std::lock_guard lock(mutex_);
      connections_.insert(&connection);
    }
    while (!is_ending_ && serve_one(connection, policy, handler)) {
    }
    {
      const std::lock_guard lock(mutex_);
      connections_.erase(&connection);
    }
    if (!is_ending_) connection.linger();
  }
  const std::lock_guard lock(mutex_);
  --n_thread_;
  ended_.notify_all();
}

// False: the connection ends.
bool HttpServer::serve_one(Connection& connection, const AccessPolicy& policy,
                           const Handler& handler) {
  RequestHead head;
  head.keep_alive = false;
  std::string body;
  std::string bytes;
  const Connection::Read got =
      connection.read_head(bytes, RequestHead::kMaxBytes, kIdleMs, kHeadMs);
  if (got == Connection::Read::kClosed) return false;
  try {
    if (got == Connection::Read::kTimedOut)
      throw ApiError(408, "the head of the request took too long");
    if (got == Connection::Read::kTooLong) throw ApiError(431, "the head is too long");
    head = parse_request_head(bytes);
    policy.check_sender(head);
    // Whoever has no key takes none of the room for bodies.
    if (head.n_body != 0) policy.check_key(head);
    if (head.n_body > kMaxBodyBytes) {
      throw ApiError(413, "the body has more than the " + std::to_string(kMaxBodyBytes) +
                              " bytes there may be");
    }
    const BodyBudget budget(n_body_bytes_, head.n_body);
    if (head.expects_continue && !connection.write("HTTP/1.1 100 Continue\r\n\r\n")) return false;
    const Connection::Read read = connection.read_body(body, head.n_body, kBodyMs);
    if (read == Connection::Read::kTimedOut) throw ApiError(408, "the body took too long");
    if (read != Connection::Read::kDone) return false;
    Exchange exchange(head, body, connection, standing_headers(policy, head));
    answer(exchange, handler);
    return exchange.is_complete() && head.keep_alive;
  } catch (const ApiError& error) {
    // Where a request ends is not known for sure any more: nothing may follow it.
    head.keep_alive = false;
    Exchange exchange(head, body, connection, standing_headers(policy, head));
    send_error(exchange, error);
    return false;
  }
}

void HttpServer::answer(Exchange& exchange, const Handler& handler) const {
  try {
    handler(exchange);
  } catch (const ApiError& error) {
    if (!exchange.is_begun()) send_error(exchange, error);
  } catch (const std::bad_alloc&) {
    if (!exchange.is_begun()) send_error(exchange, ApiError(503, "out of memory"));
  } catch (const std::exception& error) {
    notice(std::string("a request failed: ") + printable(to_str(error.what())));
    if (!exchange.is_begun()) send_error(exchange, ApiError(500, "internal error"));
  }
}

}  // namespace lbm::cli
