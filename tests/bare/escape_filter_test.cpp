// Escape sequences in our own output.
#include "efi/escape_filter.h"

#include "tests/test.h"

namespace {

using namespace lbm;
using efi::EscapeFilter;

// The text that a log would keep, into `out`; returns its size.
usize keep_text(EscapeFilter& filter, Str text, char* out) {
  usize n = 0;
  for (const char c : text) {
    if (filter.feed(static_cast<u8>(c)) == EscapeFilter::Kind::kText) out[n++] = c;
  }
  return n;
}

}  // namespace

TEST_CASE("sequences are hidden, text is kept", "[efi]") {
  EscapeFilter filter;
  char out[64];
  CHECK(Str(out, keep_text(filter, "a\x1b[1;32mb\x1b[0mc\x1b[2Kd\x1b[?25le", out)) == "abcde");
}

TEST_CASE("a sequence may be split between two writes", "[efi]") {
  EscapeFilter filter;
  char out[64];
  CHECK(keep_text(filter, "\x1b[9", out) == 0);
  CHECK(Str(out, keep_text(filter, "1mx", out)) == "x");
}

TEST_CASE("colour parameters", "[efi]") {
  EscapeFilter filter;
  EscapeFilter::Kind last = EscapeFilter::Kind::kText;
  for (const char c : Str("\x1b[1;;97m")) last = filter.feed(static_cast<u8>(c));
  REQUIRE(last == EscapeFilter::Kind::kSgr);
  REQUIRE(filter.parameters().size() == 3);
  CHECK(filter.parameters()[0] == 1);
  CHECK(filter.parameters()[1] == 0);
  CHECK(filter.parameters()[2] == 97);
}

TEST_CASE("absurd sequences stay in bounds", "[efi]") {
  EscapeFilter filter;
  char out[64];
  CHECK(keep_text(filter, "\x1b[1;2;3;4;5;6;7;8;9;10;11;12;99999999999999999999", out) == 0);
  CHECK(filter.feed('m') == EscapeFilter::Kind::kSgr);
  CHECK(filter.parameters().size() == 8);
}
