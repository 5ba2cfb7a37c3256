// See serve_connection.h.
#include "tools/serve_connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace lbm::cli {
namespace {

constexpr usize kPieceBytes = 16 * 1024;
constexpr int kLingerMs = 500;
constexpr usize kLingerBytes = 16 * 1024 * 1024;

u64 now_ms() {
  using namespace std::chrono;
  return static_cast<u64>(
      duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

}  // namespace

Connection::Connection(int socket) : socket_(socket) {
  const int on = 1;
  const timeval timeout = {kWriteTimeoutS, 0};
  // Tokens are small and must not wait for each other.
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

Connection::~Connection() { close(socket_); }

Connection::Read Connection::read_more(u64 deadline_ms) {
  for (;;) {
    const u64 now = now_ms();
    if (now >= deadline_ms) return Read::kTimedOut;
    pollfd wanted = {socket_, POLLIN, 0};
    const int n_ready = poll(&wanted, 1, static_cast<int>(deadline_ms - now));
    if (n_ready < 0 && errno == EINTR) continue;
    if (n_ready <= 0) return n_ready == 0 ? Read::kTimedOut : Read::kClosed;
    char piece[kPieceBytes];
    const ssize_t n = recv(socket_, piece, sizeof(piece), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Read::kClosed;
    input_.append(piece, static_cast<usize>(n));
    return Read::kDone;
  }
}

Connection::Read Connection::read_head(std::string& head, usize limit, int idle_ms, int head_ms) {
  u64 deadline_ms = now_ms() + static_cast<u64>(input_.empty() ? idle_ms : head_ms);
  for (;;) {
    const usize end = input_.find("\r\n\r\n");
    if (end != std::string::npos && end + 4 <= limit) {
      head = input_.substr(0, end + 4);
      input_.erase(0, end + 4);
      return Read::kDone;
    }
    if (input_.size() >= limit) return Read::kTooLong;
    const bool was_idle = input_.empty();
    const Read got = read_more(deadline_ms);
    if (got == Read::kTimedOut && was_idle) return Read::kClosed;
    if (got != Read::kDone) return got;
    if (was_idle) deadline_ms = now_ms() + static_cast<u64>(head_ms);
  }
}

Connection::Read Connection::read_body(std::string& body, usize n, int body_ms) {
  const u64 deadline_ms = now_ms() + static_cast<u64>(body_ms);
  body.clear();
  for (;;) {
    const usize n_taken = std::min(n - body.size(), input_.size());
    body.append(input_, 0, n_taken);
    input_.erase(0, n_taken);
    if (body.size() == n) return Read::kDone;
    const Read got = read_more(deadline_ms);
    if (got != Read::kDone) return got;
  }
}

bool Connection::write(std::string_view bytes) {
  while (!bytes.empty() && !failed_) {
    const ssize_t n = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      failed_ = true;
    } else {
      bytes.remove_prefix(static_cast<usize>(n));
    }
  }
  return !failed_;
}

bool Connection::is_gone() const {
  if (failed_) return true;
  pollfd wanted = {socket_, POLLRDHUP, 0};
  return poll(&wanted, 1, 0) > 0 && (wanted.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

void Connection::shut_down() { shutdown(socket_, SHUT_RDWR); }

void Connection::linger() {
  if (failed_) return;
  shutdown(socket_, SHUT_WR);
  const u64 deadline_ms = now_ms() + kLingerMs;
  usize n_total = 0;
  do {
    n_total += input_.size();
    input_.clear();
  } while (n_total < kLingerBytes && read_more(deadline_ms) == Read::kDone);
}

}  // namespace lbm::cli
