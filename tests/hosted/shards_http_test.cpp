// Pieces from a web server: what is asked, and every way in which the answer may be wrong.
#include "tools/shard_http.h"

#include "tests/hosted/canned_server.h"
#include "tests/hosted/refusal.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::CannedServer;
using lbm::test::Refusal;
using lbm::test::refusal_of;
using lbm::test::web_answer;
using lbm::test::WebRequest;

namespace {

constexpr u64 kWhole = 10;

// What came of reading the bytes 2 to 5 of a file of ten, in one answer.
struct Reading {
  std::string bytes;
  Refusal refusal;
  bool may_retry = false;
};

template <class Work>
Reading reading_of(const Work& work) {
  Reading reading;
  reading.refusal = refusal_of([&] {
    try {
      reading.bytes = work();
    } catch (const cli::FetchError& error) {
      reading.may_retry = error.may_retry();
      throw;
    }
  });
  return reading;
}

Reading read_part(const CannedServer::Answer& answer, const cli::HttpOptions& options = {}) {
  const CannedServer server(answer);
  return reading_of([&] {
    return cli::open_http_source(server.origin() + "/f/", options)->read_part("m", 2, 4, kWhole);
  });
}
Reading read_part(const std::string& answer) {
  return read_part([&](const WebRequest&) { return answer; });
}

Reading read_all(const std::string& answer, u64 limit = 100) {
  const CannedServer server([&](const WebRequest&) { return answer; });
  return reading_of(
      [&] { return cli::open_http_source(server.origin(), {})->read_all("m", limit); });
}

std::string part_answer(const std::string& body = "cdef", const std::string& range = "2-5/10") {
  return web_answer("206 Partial Content", body, {"Content-Range: bytes " + range});
}

}  // namespace

TEST_CASE("shards over http: addresses", "[tools]") {
  for (const char* bad : {"http://", "https://", "http:///a", "ftp://host/a", "http://a@b/c",
                          "http://h/a?b", "http://h/a#b", "http://h/a b", "http://h\\a", "http:/h",
                          "http://h\n/", "http://h\t/", "http://h\r/"}) {
    INFO(bad);
    const Refusal refusal = refusal_of([&] { (void)cli::open_http_source(bad, {}); });
    CHECK(refusal.exit == cli::ExitCode::kUsage);
    CHECK(refusal.says("is no address of a folder"));
  }
  for (const char* good : {"http://h", "https://h/", "http://h:80/a/b/", "http://h"})
    CHECK(!refusal_of([&] { (void)cli::open_http_source(good, {}); }).refused);
}

TEST_CASE("shards over http: a part is asked for by its bytes", "[tools]") {
  WebRequest asked;
  const Reading reading = read_part([&](const WebRequest& request) {
    asked = request;
    return part_answer();
  });
  CHECK(reading.bytes == "cdef");
  CHECK(asked.path == "/f/m");
  CHECK(asked.range == "bytes=2-5");
}

TEST_CASE("shards over http: a whole file needs no range", "[tools]") {
  std::string range = "none yet";
  const CannedServer server([&](const WebRequest& request) {
    range = request.range;
    return web_answer("200 OK", "0123456789");
  });
  const std::unique_ptr<cli::ShardSource> source = cli::open_http_source(server.origin(), {});
  CHECK(source->read_part("m", 0, kWhole, kWhole) == "0123456789");
  CHECK(range.empty());
  CHECK(source->read_all("m", 10) == "0123456789");
  CHECK(reading_of([&] { return source->read_all("m", 9); }).refusal.code() == "limit");
  CHECK(reading_of([&] { return source->read_part("m", 0, 11, 11); }).refusal.code() ==
        "truncated");
}

TEST_CASE("shards over http: the answer is not the part that was asked for", "[tools]") {
  const Reading whole = read_part(web_answer("200 OK", "0123456789"));
  CHECK(whole.refusal.code() == "unsupported");
  CHECK(whole.refusal.says("it knows no ranges"));
  CHECK(!whole.may_retry);
  for (const char* range : {"3-6/10", "2-5/11", "2-5/*", "2-6/10"}) {
    INFO(range);
    const Reading reading = read_part(part_answer("cdef", range));
    CHECK(reading.refusal.code() == "mismatch");
    CHECK(reading.refusal.says("not 'bytes 2-5/10'"));
  }
  CHECK(read_part(web_answer("206 Partial Content", "cdef")).refusal.code() == "mismatch");
  const Reading brief = read_part(part_answer("cde"));
  CHECK(brief.refusal.says("ends after 3 of 4 bytes [truncated]"));
  CHECK(brief.may_retry);
  const Reading endless = read_part(part_answer("cdefg"));
  CHECK(endless.refusal.says("more than the 4 bytes there may be [limit]"));
  CHECK(!endless.may_retry);
}

TEST_CASE("shards over http: an answer that breaks off", "[tools]") {
  std::string cut = part_answer();
  cut.pop_back();
  const Reading reading = read_part(cut);
  CHECK(reading.refusal.says("the answer ends after 3 bytes [truncated]"));
  CHECK(reading.may_retry);
  const Reading none = read_part(std::string());
  CHECK(none.refusal.code() == "io");
  CHECK(none.refusal.says("no answer: "));
  CHECK(none.may_retry);
  std::string empty = part_answer();
  empty.resize(empty.size() - 4);
  CHECK(read_part(empty).refusal.code() == "io");
}

TEST_CASE("shards over http: what a status means", "[tools]") {
  struct Case {
    const char* status;
    const char* code;
    bool may_retry;
  };
  for (const Case& c : {Case{"404 Not Found", "not_found", false},
                        {"410 Gone", "not_found", false},
                        {"403 Forbidden", "io", false},
                        {"429 Too Many Requests", "io", true},
                        {"499 Other", "io", false},
                        {"500 Oops", "io", true},
                        {"503 Busy", "io", true},
                        {"304 Not Modified", "io", false},

                        {"299 Other", "io", false}}) {
    INFO(c.status);
    const Reading reading = read_part(web_answer(c.status, "x"));
    CHECK(reading.refusal.code() == c.code);
    CHECK(reading.may_retry == c.may_retry);
  }
  CHECK(read_all(web_answer("206 Partial Content", "x")).refusal.says("status 206 [io]"));
}

TEST_CASE("shards over http: encodings that were not asked for", "[tools]") {
  const Reading packed = read_all(web_answer("200 OK", "x", {"Content-Encoding: gzip"}));
  CHECK(packed.refusal.says("is encoded (gzip), which was not asked for [unsupported]"));
  CHECK(read_all(web_answer("200 OK", "x", {"Content-Encoding: identity"})).bytes == "x");
}

TEST_CASE("shards over http: a file that changes on the server", "[tools]") {
  u32 n_asked = 0;
  const CannedServer server([&](const WebRequest& request) {
    n_asked += request.path == "/m" ? 1u : 0u;
    return web_answer("200 OK", "x", {"ETag: \"v" + std::to_string(n_asked / 3) + "\""});
  });
  const std::unique_ptr<cli::ShardSource> source = cli::open_http_source(server.origin(), {});
  CHECK(source->read_all("m", 1) == "x");
  CHECK(source->read_all("m", 1) == "x");
  const Reading reading = reading_of([&] { return source->read_all("m", 1); });
  CHECK(reading.refusal.code() == "mismatch");
  CHECK(reading.refusal.says("ETag \"v0\", then \"v1\""));
  CHECK(source->read_all("other", 1) == "x");  // each file has its own
}

TEST_CASE("shards over http: redirects on the same server", "[tools]") {
  const auto redirect = [](const std::string& location) {
    return web_answer("302 Found", "<html>elsewhere</html>", {"Location: " + location});
  };
  CHECK(read_part([&](const WebRequest& request) {
          return request.path == "/f/m" ? redirect("/other/m") : part_answer();
        }).bytes == "cdef");
  // Five are followed, six are not.
  for (const u32 n_redirect : {5u, 6u}) {
    u32 n = 0;
    const Reading reading = read_part(
        [&](const WebRequest&) { return n++ < n_redirect ? redirect("/again") : part_answer(); });
    CHECK(reading.bytes == (n_redirect == 5 ? "cdef" : ""));
    CHECK(reading.refusal.code() == (n_redirect == 5 ? "" : "limit"));
  }
  CHECK(read_part(web_answer("302 Found", "")).refusal.code() == "missing");
  for (const char* location : {"file:///etc/passwd", "m", "//host/m", "http://host", "x://h/m"}) {
    INFO(location);
    CHECK(read_part(redirect(location)).refusal.code() == "bad_value");
  }
  // 399 is the last of them.
  CHECK(read_part([&](const WebRequest& request) {
          return request.path == "/f/m" ? web_answer("399 Odd", "", {"Location: /x"})
                                        : part_answer();
        }).bytes == "cdef");
  CHECK(read_part([&](const WebRequest& request) {
          return request.path == "/f/m" ? web_answer("300 Choices", "", {"Location: /x"})
                                        : part_answer();
        }).bytes == "cdef");
}

TEST_CASE("shards over http: redirects to another server", "[tools]") {
  const CannedServer other([](const WebRequest&) { return part_answer(); });
  const CannedServer::Answer away = [&](const WebRequest&) {
    return web_answer("302 Found", "", {"Location: " + other.origin() + "/x/m"});
  };
  const Reading refused = read_part(away);
  CHECK(refused.refusal.code() == "unsupported");
  CHECK(refused.refusal.says("(--follow allows that)"));
  cli::HttpOptions options;
  options.follow_elsewhere = true;
  CHECK(read_part(away, options).bytes == "cdef");
  // The same server by its whole address.
  std::string origin;
  const CannedServer self([&](const WebRequest& request) {
    return request.path == "/m" ? web_answer("302 Found", "", {"Location: " + origin + "/y/m"})
                                : part_answer();
  });
  origin = self.origin();
  CHECK(cli::open_http_source(origin, {})->read_part("m", 2, 4, kWhole) == "cdef");
}

TEST_CASE("shards over http: no redirect gives up encryption", "[tools]") {
  const auto problem = [](const char* from, const char* to, bool follow) {
    return cli::redirect_problem(from, to, follow);
  };
  CHECK(problem("https://h", "http://h", true) == ", without encryption");
  CHECK(problem("https://h", "http://h", false) == ", without encryption");
  CHECK(problem("https://h", "https://i", true).empty());
  CHECK(problem("https://h", "https://i", false) == " (--follow allows that)");
  CHECK(problem("https://h", "https://h", false).empty());
  CHECK(problem("http://h", "https://h", true).empty());
  CHECK(problem("http://h", "http://h", false).empty());
}

TEST_CASE("shards over http: no server at all", "[tools]") {
  std::string origin;
  {
    const CannedServer gone([](const WebRequest&) { return std::string(); });
    origin = gone.origin();
  }
  const Reading reading =
      reading_of([&] { return cli::open_http_source(origin, {})->read_all("m", 1); });
  CHECK(reading.refusal.code() == "io");
  CHECK(reading.may_retry);
}
