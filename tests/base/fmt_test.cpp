// Text from values and back: widths, truncation, UTF-8 boundaries, and parsing that takes a whole
// number or nothing.
#include "core/base/fmt.h"

#include "core/base/error.h"
#include "tests/test.h"

using namespace lbm;

namespace {

template <class... Args>
bool prints(Str expected, Str pattern, const Args&... args) {
  TextBuffer<128> out;
  out.print(pattern, args...);
  return out.text() == expected && !out.truncated();
}

bool parses(Str text, f64 expected) {
  f64 value = 0;
  return parse_f64(text, value) && value == expected;
}

bool rejects_f64(Str text) {
  f64 value = 7;
  return !parse_f64(text, value) && value == 7.0;
}

}  // namespace

TEST_CASE("fmt prints integers of every kind", "[base]") {
  CHECK(prints("0 -1 18446744073709551615", "{} {} {}", 0, -1, ~u64{0}));
  CHECK(prints("-9223372036854775808", "{}", static_cast<i64>(u64{1} << 63)));
  CHECK(prints("ff", "{:x}", 255u));
  CHECK(prints("200 65535", "{} {}", static_cast<u8>(200), static_cast<u16>(65535)));
  CHECK(prints("   42|", "{:5}|", 42));
  CHECK(prints("123456", "{:3}", 123456));
}

TEST_CASE("fmt prints text, characters, bools and braces", "[base]") {
  CHECK(prints("ab   |", "{:5}|", "ab"));
  CHECK(prints("x yes no", "{} {} {}", 'x', true, false));
  CHECK(prints("{0}", "{{{}}", 0));
  CHECK(prints("plain", "plain"));
  CHECK(prints("", "{}", Str()));
}

TEST_CASE("fmt prints decimals", "[base]") {
  CHECK(prints("1.500", "{}", 1.5));
  CHECK(prints("3.1", "{:.1}", 3.14159));
  CHECK(prints("3", "{:.0}", 2.5000001));
  CHECK(prints("-0.25", "{:.2}", -0.25));
  CHECK(prints("   1.0", "{:6.1}", 1.0));
  CHECK(prints("0.000000001", "{:.9}", 1e-9));
  CHECK(prints("inf -inf nan", "{:.1} {:.1} {:.1}", __builtin_inf(), -__builtin_inf(),
               __builtin_nan("")));
  CHECK(prints("9.99", "{:.2}", 9.994f));
  CHECK(prints("10.00", "{:.2}", 9.999));
}

TEST_CASE("fmt never writes past its buffer and never ends inside a character", "[base]") {
  char storage[9];
  __builtin_memset(storage, '#', sizeof(storage));
  TextWriter out(Span<char>(storage, 8));
  out.print("12345{}", 67890);
  CHECK(out.truncated());
  CHECK(out.text() == Str("12345678"));
  CHECK(storage[8] == '#');
  out.clear();
  CHECK(out.text().empty());
  CHECK(!out.truncated());
  out.append("1234567\xc3\xa9");  // e with acute accent: its second byte has no room
  CHECK(out.truncated());
  CHECK(out.text() == Str("1234567"));
}

TEST_CASE("fmt parses unsigned integers", "[base]") {
  u64 value = 5;
  CHECK((parse_u64("18446744073709551615", value) && value == ~u64{0}));
  CHECK((parse_u64("0000", value) && value == 0));
  value = 5;
  const Str bad[] = {
      "", " 1", "1 ", "-1", "+1", "1e3", "0x10", "18446744073709551616", "99999999999999999999"};
  for (const Str text : bad) CHECK(!parse_u64(text, value));
  CHECK(value == 5);
}

TEST_CASE("fmt parses signed integers", "[base]") {
  i64 value = 5;
  CHECK((parse_i64("-9223372036854775808", value) && value == static_cast<i64>(u64{1} << 63)));
  CHECK((parse_i64("9223372036854775807", value) && value == static_cast<i64>(~u64{0} >> 1)));
  CHECK((parse_i64("+7", value) && value == 7));
  CHECK((parse_i64("-0", value) && value == 0));
  value = 5;
  const Str bad[] = {"", "-", "+", "--1", "+-1", "9223372036854775808", "-9223372036854775809"};
  for (const Str text : bad) CHECK(!parse_i64(text, value));
  CHECK(value == 5);
}

TEST_CASE("fmt parses decimal numbers", "[base]") {
  CHECK(parses("0", 0.0));
  CHECK(parses("-2.5", -2.5));
  CHECK(parses("1e-5", 1e-5));
  CHECK(parses("0.7", 0.7));
  CHECK(parses(".5", 0.5));
  CHECK(parses("5.", 5.0));
  CHECK(parses("1E+2", 100.0));
  CHECK(parses("10000000.0", 1e7));
  CHECK(parses("1000000000000000000000", 1e21));
  const Str bad[] = {"",    "-",     ".",     "e5",  "1e",
                     "1e+", "1.2.3", "nan",   "inf", "0x1",
                     "1 ",  " 1",    "1e401", "1,5", "1e99999999999999999999"};
  for (const Str text : bad) CHECK(rejects_f64(text));
}

TEST_CASE("errors become one line of text", "[base]") {
  char line[256];
  const Error error = fail(ErrorCode::kBadOffset, "offset beyond data")
                          .about("blk.3.ffn_up.weight")
                          .with(912, 900)
                          .at(77);
  CHECK(format_error(error, line) ==
        Str("blk.3.ffn_up.weight: offset beyond data 912 (limit 900) at byte 77 [bad_offset]"));
  CHECK(format_error(fail(ErrorCode::kIo, "the disk failed"), line) == Str("the disk failed [io]"));
  // A name from a hostile file: escapes, quotes of terminals and non-ASCII become question marks,
  // and it is cut.
  const Error odd = fail(ErrorCode::kBadName, "bad").about("a\x1b[31m\xff\n");
  CHECK(odd.subject_text() == Str("a?[31m??"));
  char name[200];
  __builtin_memset(name, 'n', sizeof(name));
  CHECK(fail(ErrorCode::kBadName, "bad").about(Str(name, 200)).subject_text().size() ==
        Error::kSubjectCapacity);
}

TEST_CASE("every error code has a name of its own", "[base]") {
  for (u32 a = 0; a < kErrorCodeCount; ++a) {
    CHECK(!error_code_name(static_cast<ErrorCode>(a)).empty());
    for (u32 b = 0; b < a; ++b) {
      CHECK(!(error_code_name(static_cast<ErrorCode>(a)) ==
              error_code_name(static_cast<ErrorCode>(b))));
    }
  }
  CHECK(error_code_name(static_cast<ErrorCode>(255)) == Str("unknown"));
}
