// Escape sequences in a text.
#include "core/screen/escape_parser.h"

#include "tests/test.h"

namespace {

using namespace lbm;

// The text that a log would keep, into `out`; returns its size.
usize keep_text(EscapeParser& parser, Str text, char* out) {
  usize n = 0;
  for (const char c : text) {
    if (parser.feed(static_cast<u8>(c)) == EscapeParser::Kind::kText) out[n++] = c;
  }
  return n;
}

}  // namespace

TEST_CASE("sequences are hidden, text is kept", "[screen]") {
  EscapeParser parser;
  char out[64];
  CHECK(Str(out, keep_text(parser, "a\x1b[1;32mb\x1b[0mc\x1b[2Kd\x1b[?25le", out)) == "abcde");
}

TEST_CASE("a sequence may be split between two writes", "[screen]") {
  EscapeParser parser;
  char out[64];
  CHECK(keep_text(parser, "\x1b[9", out) == 0);
  CHECK(Str(out, keep_text(parser, "1mx", out)) == "x");
}

TEST_CASE("colour parameters", "[screen]") {
  EscapeParser parser;
  EscapeParser::Kind last = EscapeParser::Kind::kText;
  for (const char c : Str("\x1b[1;;97m")) last = parser.feed(static_cast<u8>(c));
  REQUIRE(last == EscapeParser::Kind::kSgr);
  REQUIRE(parser.parameters().size() == 3);
  CHECK(parser.parameters()[0] == 1);
  CHECK(parser.parameters()[1] == 0);
  CHECK(parser.parameters()[2] == 97);
}

TEST_CASE("absurd sequences stay in bounds", "[screen]") {
  EscapeParser parser;
  char out[64];
  CHECK(keep_text(parser, "\x1b[1;2;3;4;5;6;7;8;9;10;11;12;99999999999999999999", out) == 0);
  CHECK(parser.feed('m') == EscapeParser::Kind::kSgr);
  CHECK(parser.parameters().size() == 8);
}

TEST_CASE("other sequences tell their final byte, private ones are hidden", "[screen]") {
  EscapeParser parser;
  EscapeParser::Kind last = EscapeParser::Kind::kText;
  for (const char c : Str("\x1b[12;3H")) last = parser.feed(static_cast<u8>(c));
  CHECK(last == EscapeParser::Kind::kControl);
  CHECK(parser.final_byte() == 'H');
  CHECK(parser.parameters()[1] == 3);
  for (const char c : Str("\x1b[?7m")) last = parser.feed(static_cast<u8>(c));
  CHECK(last == EscapeParser::Kind::kHidden);
  CHECK(parser.feed('x') == EscapeParser::Kind::kText);
}
