// See serve_head.h.
#include "tools/serve_head.h"

#include <algorithm>

#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

using std::string_view;

constexpr string_view kTokenMarks = "!#$%&'*+-.^_`|~";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_visible(char c) { return c > 0x20 && c < 0x7f; }

std::string lower(string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

[[noreturn]] void malformed(const std::string& what) { throw ApiError(400, what); }

// The next line without its CR LF. Both only ever stand together.
string_view take_line(string_view& rest) {
  const usize end = rest.find_first_of(string_view("\r\n\0", 3));
  if (end == string_view::npos || rest.substr(end, 2) != "\r\n")
    malformed("a line of the head has a bare CR, LF or NUL in it");
  const string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 2);
  return line;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string decode_path(string_view target) {
  const string_view path = target.substr(0, target.find('?'));
  std::string out;
  for (usize i = 0; i < path.size(); ++i) {
    char c = path[i];
    if (c == '%') {
      const int high = i + 2 < path.size() ? hex_value(path[i + 1]) : -1;
      const int low = i + 2 < path.size() ? hex_value(path[i + 2]) : -1;
      if (high < 0 || low < 0) malformed("a '%' of the path is not followed by two hex digits");
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (!is_visible(c) || c == '\\') malformed("a character of the path is not allowed");
    out += c;
  }
  return out;
}

void parse_request_line(string_view line, RequestHead& head) {
  if (line.size() > RequestHead::kMaxLineBytes) throw ApiError(414, "the request line is too long");
  const usize first = line.find(' ');
  const usize last = line.rfind(' ');
  if (first == string_view::npos || first == last) malformed("no request line");
  const string_view method = line.substr(0, first);
  const string_view target = line.substr(first + 1, last - first - 1);
  const string_view version = line.substr(last + 1);
  if (method.empty() || method.size() > 16 || !std::all_of(method.begin(), method.end(), is_letter))
    malformed("the method is no word");
  if (version != "HTTP/1.1") throw ApiError(505, "HTTP/1.1 is spoken here");
  if (target.empty() || target[0] != '/' || !std::all_of(target.begin(), target.end(), is_visible))
    malformed("the target is no path");
  head.method = method;
  head.path = decode_path(target);
}

u64 parse_length(string_view value) {
  if (value.empty() || value.size() > 12 || !std::all_of(value.begin(), value.end(), is_digit))
    malformed("Content-Length is no number");
  u64 n = 0;
  for (const char c : value) n = n * 10 + static_cast<u64>(c - '0');
  return n;
}

void set_once(std::string& field, bool& is_set, string_view value, const char* name) {
  if (is_set) malformed(std::string(name) + " is given twice");
  is_set = true;
  field = value;
}

// Which of the headers that may come once were seen.
struct Seen {
  bool host = false;
  bool type = false;
  bool key = false;
  bool site = false;
  bool cookie = false;
  bool range = false;
  bool if_range = false;
};

void take_header(const std::string& name, string_view value, RequestHead& head, Seen& seen) {
  if (name == "host") {
    set_once(head.host, seen.host, value, "Host");
  } else if (name == "origin") {
    set_once(head.origin, head.has_origin, value, "Origin");
  } else if (name == "sec-fetch-site") {
    set_once(head.fetch_site, seen.site, value, "Sec-Fetch-Site");
  } else if (name == "authorization") {
    set_once(head.authorization, seen.key, value, "Authorization");
  } else if (name == "content-type") {
    set_once(head.content_type, seen.type, value, "Content-Type");
  } else if (name == "cookie") {
    set_once(head.cookie, seen.cookie, value, "Cookie");
  } else if (name == "range") {
    set_once(head.range, seen.range, value, "Range");
  } else if (name == "if-range") {
    set_once(head.if_range, seen.if_range, value, "If-Range");
  } else if (name == "content-length") {
    if (head.has_length) malformed("Content-Length is given twice");
    head.has_length = true;
    head.n_body = parse_length(value);
  } else if (name == "transfer-encoding") {
    // Chunk sizes are where parsers disagree; no client of this interface needs them.
    throw ApiError(411, "Transfer-Encoding is not taken; send Content-Length");
  } else if (name == "expect") {
    if (lower(value) != "100-continue") throw ApiError(417, "Expect is not known");
    head.expects_continue = true;
  } else if (name == "connection") {
    if (lower(value).find("close") != std::string::npos) head.keep_alive = false;
  }
}

void parse_header(string_view line, RequestHead& head, Seen& seen) {
  if (line.size() > RequestHead::kMaxLineBytes) throw ApiError(431, "a header is too long");
  const usize colon = line.find(':');
  const string_view name = line.substr(0, colon);
  // A name that begins with a space would be a folded line, one that ends with it a smuggled
  // header.
  const auto is_token = [](char c) {
    return is_digit(c) || is_letter(c) || kTokenMarks.find(c) != string_view::npos;
  };
  if (colon == string_view::npos || name.empty() ||
      !std::all_of(name.begin(), name.end(), is_token))
    malformed("a header has no proper name");
  string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  for (const char c : value) {
    if (!is_visible(c) && c != ' ' && c != '\t') malformed("a header has a control character");
  }
  take_header(lower(name), value, head, seen);
}

// Takes as long whatever is wrong, so that its time does not tell how much of a key was right.
bool same_secret(const std::string& a, const std::string& b) {
  unsigned difference = a.size() == b.size() ? 0u : 1u;
  for (usize i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |= static_cast<unsigned char>(a[i] ^ other);
  }
  return difference == 0;
}

}  // namespace

RequestHead parse_request_head(string_view bytes) {
  if (bytes.size() > RequestHead::kMaxBytes) throw ApiError(431, "the head is too long");
  RequestHead head;
  Seen seen;
  parse_request_line(take_line(bytes), head);
  for (usize n = 0;; ++n) {
    const string_view line = take_line(bytes);
    if (line.empty()) break;
    if (n == RequestHead::kMaxHeaders) throw ApiError(431, "too many headers");
    parse_header(line, head, seen);
  }
  if (!bytes.empty()) malformed("the head goes on behind its end");
  if (!seen.host) malformed("Host is missing");
  return head;
}

void AccessPolicy::allow_host(const std::string& name) { hosts.push_back(lower(name)); }

void AccessPolicy::check_sender(const RequestHead& head) const {
  const std::string host = lower(head.host);
  const std::string suffix = ":" + std::to_string(port);
  const auto is_host = [&](const std::string& name) {
    return host == name + suffix || (port == 80 && host == name);
  };
  if (std::none_of(hosts.begin(), hosts.end(), is_host))
    throw ApiError(403, "Host is not a name of this server", "forbidden_host");
  if (is_foreign_origin(head)) return;
  // A page of ours says the host it called us by; pages of others, and "null", may not.
  if (head.has_origin && lower(head.origin) != "http://" + host)
    throw ApiError(403, "Origin is not a page of this server (see --allow-origin)",
                   "forbidden_origin");
  if (!head.fetch_site.empty() && head.fetch_site != "same-origin" && head.fetch_site != "none")
    throw ApiError(403, "the request comes from a page of another site", "forbidden_origin");
}

bool AccessPolicy::is_foreign_origin(const RequestHead& head) const {
  return head.has_origin && std::find(origins.begin(), origins.end(), head.origin) != origins.end();
}

namespace {

// Whether one of the cookies "a=b; c=d" is `wanted`.
bool has_cookie(std::string_view cookies, const std::string& wanted) {
  while (!cookies.empty()) {
    const usize end = std::min(cookies.find(';'), cookies.size());
    std::string_view one = cookies.substr(0, end);
    cookies.remove_prefix(std::min(end + 1, cookies.size()));
    while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
    if (same_secret(std::string(one), wanted)) return true;
  }
  return false;
}

// By a name of the loopback interface.
bool is_called_locally(const RequestHead& head) {
  const std::string name = lower(head.host).substr(0, head.host.rfind(':'));
  return name == "127.0.0.1" || name == "localhost" || name == "[::1]";
}

bool is_browser(const RequestHead& head) { return head.has_origin || !head.fetch_site.empty(); }

}  // namespace

void AccessPolicy::check_page(const RequestHead& head) const {
  if (!is_browser(head) || is_foreign_origin(head) || has_cookie(head.cookie, cookie())) return;
  throw ApiError(403, "the page was not served by this run of the server: load it again",
                 "stale_page");
}

bool AccessPolicy::needs_ticket(const RequestHead& head) const {
  const bool is_reading = head.method == "GET" || head.method == "HEAD";
  return is_reading && (is_browser(head) || !is_called_locally(head)) && !is_foreign_origin(head) &&
         !has_cookie(head.cookie, cookie());
}

std::string AccessPolicy::ticket() const {
  return cookie() + "; Path=/; HttpOnly; SameSite=Strict";
}

void AccessPolicy::check_key(const RequestHead& head) const {
  if (api_key.empty() || same_secret(head.authorization, "Bearer " + api_key)) return;
  throw ApiError(401, "the API key is missing or wrong (Authorization: Bearer KEY)",
                 "invalid_api_key");
}

}  // namespace lbm::cli
