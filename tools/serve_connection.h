// One connection of a client: bytes in with deadlines, bytes out, and whether the client is still
// there. Nothing here throws: a client that goes away is an everyday event.
#pragma once

#include <string>
#include <string_view>

#include "core/base/types.h"

namespace lbm::cli {

class Connection {
 public:
  enum class Read : u8 { kDone, kClosed, kTimedOut, kTooLong };

  // Takes over `socket`.
  explicit Connection(int socket);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // The next request's head up to the empty line, `limit` bytes at most. The client has `idle_ms`
  // to begin it and `head_ms` for all of it, however slowly the bytes come.
  [[nodiscard]] Read read_head(std::string& head, usize limit, int idle_ms, int head_ms);
  // The n bytes behind it.
  [[nodiscard]] Read read_body(std::string& body, usize n, int body_ms);

  // False: the client is gone, or did not read for kWriteTimeoutS.
  [[nodiscard]] bool write(std::string_view bytes);
  // Whether the client closed its side. (Who only closes the half it writes to counts as gone: no
  // HTTP client does that and waits.)
  [[nodiscard]] bool is_gone() const;
  // Ends it for a thread that is waiting in one of the calls above.
  void shut_down();
  // Closes the side we write to and reads what still comes for a moment, so that the client gets
  // our last answer and not a reset.
  void linger();

 private:
  static constexpr int kWriteTimeoutS = 10;

  [[nodiscard]] Read read_more(u64 deadline_ms);

  int socket_;
  bool failed_ = false;
  std::string input_;  // read and not yet asked for
};

}  // namespace lbm::cli
