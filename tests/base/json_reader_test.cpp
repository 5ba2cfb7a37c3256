// JSON of strangers: what is one, what is none and at which byte, and what its values are.
#include "core/base/json_reader.h"

#include "core/base/fmt.h"
#include "tests/test.h"

using namespace lbm;

namespace {

alignas(64) u8 g_memory[32768];
char g_text[4096];

// A document of a copy of `text`.
struct Parsed {
  explicit Parsed(Str text) : arena(Span<u8>(g_memory)) {
    LBM_CHECK(text.size() <= sizeof(g_text));
    for (usize i = 0; i < text.size(); ++i) g_text[i] = text[i];
    status = document.parse({g_text, text.size()}, arena);
    root = document.root();
  }
  [[nodiscard]] ErrorCode code() const { return document.status().error().code; }
  [[nodiscard]] u64 place() const { return document.status().error().offset; }
  [[nodiscard]] Str subject() const { return document.status().error().subject_text(); }

  Arena arena;
  JsonDocument document;
  Status status;
  JsonValue root;
};

// `n` times `open`, then `middle`, then `n` times `close`.
Str nested(u32 n, char open, Str middle, char close, Span<char> out) {
  TextWriter text(out);
  for (u32 i = 0; i < n; ++i) text.append({&open, 1});
  text.append(middle);
  for (u32 i = 0; i < n; ++i) text.append({&close, 1});
  return text.text();
}

}  // namespace

TEST_CASE("json: values of every kind", "[base]") {
  Parsed p(
      " {\"a\": [1, -2.5e1, true, false, null], \"b\": {}, \"c\": \"text\", \"d\" : []} \r\n\t");
  REQUIRE(p.status.ok());
  CHECK(p.root.is_object());
  CHECK(p.root.size() == 4);
  JsonCursor item = JsonCursor::items(p.root.at("a"));
  REQUIRE(item.next());
  CHECK(item.value().integer(2) == 1);
  REQUIRE(item.next());
  CHECK(item.value().number() == -25.0f);
  REQUIRE(item.next());
  REQUIRE(item.next());
  REQUIRE(item.next());
  CHECK(item.value().is_null());
  CHECK(!item.next());
  CHECK(p.root.at("b").is_object());
  CHECK(p.root.at("b").size() == 0);
  CHECK(p.root.at("d").is_array());
  CHECK(p.root.at("c").text() == "text");
  CHECK(p.root.text_or("c", "x") == "text");
  CHECK(p.root.text_or("none", "x") == "x");
  CHECK(!p.root.has("none"));
  CHECK(p.root.find("none").is_null());
  CHECK(p.root.find("none").find("deeper").is_null());
  JsonCursor member = JsonCursor::members(p.root);
  REQUIRE(member.next());
  REQUIRE(member.next());
  CHECK(member.key() == "b");
  CHECK(p.document.ok());
}

TEST_CASE("json: strings are decoded in place", "[base]") {
  Parsed p(
      "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"\\u0041\\u00e4\\u2581\\uD83D\\ude00x\", \"\\u0000\", "
      "\"\xC3\xA4\xF0\x9F\x98\x80\", \"\"]");
  REQUIRE(p.status.ok());
  const Str expected[] = {"\"\\/\b\f\n\r\t", "A\xC3\xA4\xE2\x96\x81\xF0\x9F\x98\x80x", Str("\0", 1),
                          "\xC3\xA4\xF0\x9F\x98\x80", ""};
  JsonCursor item = JsonCursor::items(p.root);
  for (const Str text : expected) {
    REQUIRE(item.next());
    CHECK(item.value().text() == text);
  }
}

TEST_CASE("json: what is none, and the byte that shows it", "[base]") {
  struct Case {
    Str text;
    u64 at;
  };
  const Case cases[] = {{"", 0},
                        {"  ", 2},
                        {"x", 0},
                        {"{", 1},
                        {"{\"a\"", 4},
                        {"{\"a\":", 5},
                        {"{\"a\":1", 6},
                        {"{\"a\":1,}", 7},
                        {"{,}", 1},
                        {"{a:1}", 1},
                        {"[1,]", 3},
                        {"[1 2]", 3},
                        {"[1}", 2},
                        {"{\"a\":1]", 6},
                        {"[] []", 3},
                        {"nul", 3},
                        {"nulL", 3},
                        {"True", 0},
                        {"01", 1},
                        {"-", 1},
                        {"+1", 0},
                        {".5", 0},
                        {"1.", 2},
                        {"1.e5", 2},
                        {"1e", 2},
                        {"1e+", 3},
                        {"\"", 1},
                        {"\"\n\"", 1},
                        {"\"\\x\"", 2},
                        {"\"\\", 2},
                        {"\"\\u12g4\"", 5},
                        {"\"\\ud800\"", 7},
                        {"\"\\ud800\\n\"", 8},
                        {"\"\\udc00\"", 6},
                        {"\"\\ud800\\u0041\"", 12},
                        {"\"\x80\"", 1},
                        {"\"\xC0\x80\"", 1},
                        {"\"\xED\xA0\x80\"", 1},
                        {"\"\xC3\"", 1},
                        {"\xEF\xBB\xBF{}", 0},
                        {Str("{}\0", 3), 2},
                        {Str("[\0]", 3), 1},
                        {"// no\n1", 0},
                        {"'a'", 0}};
  for (const Case& c : cases) {
    Parsed p(c.text);
    CHECK(p.code() == ErrorCode::kBadSyntax);
    CHECK(p.place() == c.at);
    CHECK(p.root.is_null());
  }
}

TEST_CASE("json: depth is bounded", "[base]") {
  char text[400];
  CHECK(Parsed(nested(JsonDocument::kMaxDepth, '[', "", ']', text)).status.ok());
  Parsed deeper(nested(JsonDocument::kMaxDepth + 1, '[', "", ']', text));
  CHECK(deeper.code() == ErrorCode::kLimit);
  CHECK(deeper.place() == JsonDocument::kMaxDepth);
}

TEST_CASE("json: a key that is there twice", "[base]") {
  CHECK(Parsed("{\"a\": 1, \"b\": {\"a\": 1}}").status.ok());
  Parsed few("{\"a\": 1, \"\\u0061\": 2}");
  CHECK(few.code() == ErrorCode::kDuplicate);
  CHECK(few.place() == 9);
  CHECK(few.subject() == "a");
  // More keys than are compared with each other; the first of two pairs counts.
  TextBuffer<400> many;
  many.append("{");
  for (u32 i = 0; i < 20; ++i) many.print("\"k{}\": {}, ", i % 18, i);
  const usize second = many.text().find("\"k0\"", 5);
  many.append("\"z\": 0}");
  Parsed p(many.text());
  CHECK(p.code() == ErrorCode::kDuplicate);
  CHECK(p.place() == second);
  CHECK(p.subject() == "k0");
  TextBuffer<400> apart;
  apart.append("{");
  for (u32 i = 0; i < 20; ++i) apart.print("\"k{}\": {}, ", i, i);
  apart.append("\"z\": 0}");
  CHECK(Parsed(apart.text()).status.ok());
}

TEST_CASE("json: numbers", "[base]") {
  Parsed p("[0, -0, 7, 18446744073709551616, -1, 1.0, 1e-500, 3.4028235e38, 1e39]");
  REQUIRE(p.status.ok());
  JsonValue items[9];
  JsonCursor item = JsonCursor::items(p.root);
  for (JsonValue& value : items) {
    REQUIRE(item.next());
    value = item.value();
  }
  CHECK(items[0].integer(1) == 0);
  CHECK(items[1].integer(1) == 0);
  CHECK(items[2].integer(8) == 7);
  CHECK(items[6].number() == 0.0f);
  CHECK(items[7].number() == 3.4028235e38f);
  CHECK(p.document.ok());
  CHECK(items[8].number() == 0.0f);
  CHECK(p.code() == ErrorCode::kNumeric);
  struct Case {
    u32 item;
    ErrorCode code;
    Str subject;
  };
  for (const Case& c : {Case{2, ErrorCode::kBadValue, "/2 '7'"},
                        {3, ErrorCode::kBadType, "/3"},
                        {4, ErrorCode::kBadValue, "/4 '-1'"},
                        {5, ErrorCode::kBadType, "/5"}}) {
    Parsed again("[0, -0, 7, 18446744073709551616, -1, 1.0]");
    JsonCursor walk = JsonCursor::items(again.root);
    for (u32 i = 0; i <= c.item; ++i) REQUIRE(walk.next());
    CHECK(walk.value().integer(7) == 0);
    CHECK(again.code() == c.code);
    CHECK(again.subject() == c.subject);
  }
  Parsed beyond("[1e400]");
  CHECK(beyond.code() == ErrorCode::kOverflow);
  CHECK(beyond.place() == 1);
}

TEST_CASE("json: errors name the place, and the first one stays", "[base]") {
  Parsed p("{\"a\": [{\"b\": 1}, {\"c\": \"x\"}], \"\": 2}");
  REQUIRE(p.status.ok());
  JsonCursor item = JsonCursor::items(p.root.at("a"));
  REQUIRE(item.next());
  REQUIRE(item.next());
  const JsonValue second = item.value();
  CHECK(p.root.find("").integer(3) == 2);
  CHECK(second.at("c").number() == 0.0f);
  CHECK(p.code() == ErrorCode::kBadType);
  CHECK(p.subject() == "/a/1/c");
  CHECK(p.place() == 23);
  // After it all is null and nothing is reported.
  CHECK(second.is_null());
  CHECK(second.at("none").is_null());
  CHECK(!item.next());
  CHECK(p.root.text_or("a", "x") == "x");
  CHECK(p.subject() == "/a/1/c");
  const auto subject_of = [](Str text, auto read) {
    Parsed fresh(text);
    read(fresh.root);
    TextBuffer<128> out;
    out.print("{} {}", fresh.subject(), error_code_name(fresh.code()));
    return out.text() == "/m/k missing" || out.text() == "/m bad_type" ||
           out.text() == " bad_type" || out.text() == "/m/ missing";
  };
  CHECK(subject_of("{\"m\": {}}", [](JsonValue v) { (void)v.at("m").at("k"); }));
  CHECK(subject_of("{\"m\": {}}", [](JsonValue v) { (void)v.at("m").at("").at("k"); }));
  CHECK(subject_of("{\"m\": 1}", [](JsonValue v) { (void)v.at("m").at("k"); }));
  CHECK(subject_of("{\"m\": 1}", [](JsonValue v) { (void)v.at("m").text(); }));
  CHECK(subject_of("{\"m\": 1}", [](JsonValue v) { (void)v.flag_or("m", true); }));
  CHECK(subject_of("{\"m\": {}}", [](JsonValue v) { (void)JsonCursor::items(v.at("m")).next(); }));
  CHECK(subject_of("[]", [](JsonValue v) { (void)JsonCursor::members(v).next(); }));
  CHECK(subject_of("[]", [](JsonValue v) { (void)v.find("m"); }));
}

TEST_CASE("json: memory that is too short", "[base]") {
  const Str text = "[1, 2, 3, 4]";
  for (usize i = 0; i < text.size(); ++i) g_text[i] = text[i];
  Arena arena{Span<u8>(g_memory, 64)};
  JsonDocument document;
  CHECK(document.parse({g_text, text.size()}, arena).error().code == ErrorCode::kOutOfMemory);
}
