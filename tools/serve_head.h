// The head of an HTTP request, read strictly, and who may send one.
//
// A server on the loopback interface is reached by every page that a browser has open, so the rules
// are narrow: one way to write each thing, and everything else refused. What a request smuggler or
// a rebound name needs (two lengths, folded lines, bare line feeds, a foreign Host) is an error
// before anything is routed. Pure functions of bytes: no sockets here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/types.h"

namespace lbm::cli {

struct RequestHead {
  static constexpr usize kMaxBytes = 16 * 1024;
  static constexpr usize kMaxLineBytes = 8 * 1024;
  static constexpr usize kMaxHeaders = 100;

  std::string method;
  std::string path;  // without the query, percent-decoded once; printable ASCII
  std::string host;
  std::string origin;
  std::string fetch_site;
  std::string authorization;
  std::string content_type;
  std::string cookie;
  std::string range;
  std::string if_range;
  bool has_origin = false;
  bool has_length = false;
  bool keep_alive = true;
  bool expects_continue = false;
  u64 n_body = 0;
};

// Parses `bytes`, the head with the empty line that ends it. Throws ApiError: 400 malformed, 411
// Transfer-Encoding, 414 and 431 too long, 505 not HTTP/1.1.
[[nodiscard]] RequestHead parse_request_head(std::string_view bytes);

// Who may talk to the server, and from which pages.
struct AccessPolicy {
  std::vector<std::string> hosts;    // names a client may call us by, lower case, without the port
  std::vector<std::string> origins;  // of pages that are not ours: "https://example.org"
  u16 port = 0;
  std::string api_key;  // empty: none is asked for
  // Random, of this run: what a page of ours has as a cookie. It is sent to pages of this very site
  // only (SameSite=Strict), and a page that was not served by this run has none.
  std::string run_token;

  // Names are compared without regard to case.
  void allow_host(const std::string& name);
  // Throws ApiError: 403 a Host or Origin that is not ours.
  void check_sender(const RequestHead& head) const;
  // Throws ApiError: 401.
  void check_key(const RequestHead& head) const;
  // A browser that wants something done must show that a page of this run asks. (Programs that are
  // no browsers say neither Origin nor Sec-Fetch-Site; pages of --allow-origin are trusted by
  // whoever named them.) Throws ApiError: 403.
  void check_page(const RequestHead& head) const;
  // True for a browser's request without the cookie; ticket() is the Set-Cookie that gives it.
  // Browsers say Sec-Fetch-Site to this machine only, so by another name everybody gets it.
  [[nodiscard]] bool needs_ticket(const RequestHead& head) const;
  [[nodiscard]] std::string ticket() const;
  // True: the page is of an origin that --allow-origin names, and the answer must say so.
  [[nodiscard]] bool is_foreign_origin(const RequestHead& head) const;

 private:
  // Cookies do not tell ports apart; their names can.
  [[nodiscard]] std::string cookie() const {
    return "lbm-" + std::to_string(port) + "=" + run_token;
  }
};

}  // namespace lbm::cli
