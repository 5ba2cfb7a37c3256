// The parts of the template engine by themselves: the budget, the lexer, text and its places. What
// they do together is in template_test.cpp.
#include "core/chat/template_lexer.h"
#include "core/chat/template_text.h"
#include "tests/chat/template_probe.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

alignas(Arena::kDefaultAlignment) u8 memory[4096];

// A budget of its own, with room for `n_byte` bytes.
class OwnBudget {
 public:
  explicit OwnBudget(u64 fuel, usize n_byte = sizeof(memory), u64 text_bytes = 1000)
      : arena_(Span<u8>(memory).first(n_byte)), budget_(arena_, fuel, 8, text_bytes) {}
  TemplateBudget& operator*() { return budget_; }
  TemplateBudget* operator->() { return &budget_; }

 private:
  Arena arena_;
  TemplateBudget budget_;
};

// `source` is refused with exactly this.
bool refuses(Str source, ErrorCode code, Str what, Str subject, u64 offset) {
  const Error error = probe().error(source);
  return error.code == code && Str(error.what) == what && error.subject_text() == subject &&
         error.offset == offset;
}

bool gives(Str source, Str expected) { return probe().text(source) == expected; }

// A text of two runs: "<a>" from markup, "bc" from content.
TemplateValue two_runs(TemplateBudget& budget) {
  TextBuilder text(budget);
  text.append("<a>", true);
  text.append("bc", false);
  TemplateValue made;
  LBM_CHECK(text.finish(&made));
  return made;
}

}  // namespace

TEST_CASE("template budget: the first error is the one that counts", "[chat]") {
  OwnBudget budget(2);
  budget->set_offset(7);
  CHECK(budget->spend(2));
  CHECK(budget->ok());
  CHECK(!budget->spend(1));
  CHECK(!budget->ok());
  CHECK(!budget->fail(ErrorCode::kBadSyntax, "later", "x"));
  CHECK(!budget->fail(Error(fail(ErrorCode::kBadValue, "later still"))));
  CHECK(budget->error().code == ErrorCode::kLimit);
  CHECK(budget->error().offset == 7);
  CHECK(budget->error().subject_size == 0);
  OwnBudget other(9);
  other->set_offset(5);
  Error placed = fail(ErrorCode::kBadValue, "with a place of its own");
  placed.at(3);
  CHECK(!other->fail(placed));
  CHECK(other->error().offset == 3);
  OwnBudget third(9);
  third->set_offset(5);
  CHECK(!third->fail(Error(fail(ErrorCode::kBadValue, "without"))));
  CHECK(third->error().offset == 5);
}

TEST_CASE("template budget: a depth of n has n levels", "[chat]") {
  OwnBudget budget(9);
  const auto descend = [&](const auto& self, u32 n) -> u32 {
    TemplateNesting level(*budget);
    return level.ok() ? self(self, n + 1) : n;
  };
  CHECK(descend(descend, 0) == 8);
  CHECK(budget->error().code == ErrorCode::kLimit);
}

TEST_CASE("template lexer: every token has its price, and without it none comes out", "[chat]") {
  struct Case {
    const char* source;
    u64 fuel;
  };
  constexpr Case kCases[] = {
      {"", 1},
      {"some text that is longer than what one step pays for, by far", 4},
      {"{% raw %}{% x %}{% endraw %}", 6},
      {"a {# comment #} b", 7},
      {"{{ some.name + 'a string' ~ 1_000 * 2.5 }}", 18},
  };
  for (const Case& c : kCases) {
    u64 fuel = 0;
    for (;; ++fuel) {
      OwnBudget budget(fuel);
      TemplateLexer lexer(*budget, c.source);
      TemplateToken token;
      bool ok = true;
      do {
        ok = lexer.next(&token);
        REQUIRE(ok == budget->ok());
      } while (ok && token.kind != TokenKind::kEnd);
      if (ok) break;
      CHECK(budget->error().code == ErrorCode::kLimit);
      REQUIRE(fuel < 100);
    }
    CHECK(fuel == c.fuel);
  }
}

TEST_CASE("template lexer: names of 255 bytes, in any script", "[chat]") {
  char source[300] = "{{ ";
  __builtin_memset(source + 3, 'n', 256);
  __builtin_memcpy(source + 3 + 255, " }}", 3);
  CHECK(gives(Str(source, 3 + 255 + 3), ""));
  __builtin_memcpy(source + 3 + 255, "n }}", 4);
  const Str longer(source, 3 + 256 + 3);
  CHECK(refuses(longer, ErrorCode::kLimit, "name too long, line", longer.slice(3, 32), 3));
  CHECK(gives("{% set \xC3\xA9_Z9 = 4 %}{{ \xC3\xA9_Z9 }}", "4"));
}

TEST_CASE("template lexer: numbers", "[chat]") {
  CHECK(gives("{{ 1_0 }} {{ 0x_fF }} {{ 0o1_7 }} {{ 0b_1 }} {{ 0_0 }} {{ 000 }} {{ 1e+2 }}",
              "10 255 15 1 0 0 100.0"));
  CHECK(gives("{{ 1E-2 }} {{ 2.5e1 }} {{ 1_0.5 }} {{ [[7, [8]]].0.1.0 }}", "0.01 25.0 10.5 8"));
  constexpr Str kMalformed[] = {"{{ 1__0 }}", "{{ 1_ }}",  "{{ 0x }}",  "{{ 0xg }}",
                                "{{ 0b2 }}",  "{{ 0o8 }}", "{{ 0_ }}",  "{{ 07 }}",
                                "{{ 1e }}",   "{{ 1e+ }}", "{{ 0_1 }}", "{{ 0b1g }}"};
  for (const Str source : kMalformed) {
    CHECK(probe().error(source).code == ErrorCode::kBadSyntax);
  }
  CHECK(refuses("{{ 99999999999999999999 }}", ErrorCode::kLimit, "integer beyond 64 bits, line",
                "99999999999999999999", 3));
}

TEST_CASE("template lexer: escapes", "[chat]") {
  CHECK(gives("{{ '\\a\\b\\f\\v\\r\\t\\7\\18\\1234\\x4A\\u004a\\U0001F600' }}",
              "\a\b\f\v\r\t\a\x01"
              "8S4JJ\xF0\x9F\x98\x80"));
  CHECK(gives("{{ '\\U0010FFFF' }}{{ '\\8\\9' }}{{ '\\/' }}", "\xF4\x8F\xBF\xBF\\8\\9\\/"));
  constexpr Str kMalformed[] = {"\\x4",        "\\x4g",       "\\u12",
                                "\\u123G",     "\\U0011000",  "\\U00110000",
                                "\\U1234567Z", "\\U99999999", "\\x"};
  for (const Str escape : kMalformed) {
    TextBuffer<64> source;
    source.append("{{ 'a' '").append(escape).append("' }}");
    CHECK(refuses(source.text(), ErrorCode::kBadSyntax, "malformed escape in a string, line",
                  escape, 7));
  }
  CHECK(refuses("{{ '\\N{BULLET}' }}", ErrorCode::kUnsupported, "\\N{...} in a string, line",
                "\\N{BULLET}", 3));
  // What the parser never hands over: a backslash at the very end stands for itself.
  OwnBudget budget(9);
  Str text;
  CHECK(unescape_literal(*budget, "a\\", &text));
  CHECK(text == "a\\");
  CHECK(unescape_literal(*budget, "\\12", &text));
  CHECK(text == "\n");
  OwnBudget none(9, 4);
  CHECK(!unescape_literal(*none, "\\x41\\x42", &text));
  CHECK(none->error().code == ErrorCode::kOutOfMemory);
  CHECK(text == "\n");
}

TEST_CASE("template lexer: signs of raw blocks and comments", "[chat]") {
  CHECK(gives("a  {%+ raw %} b {%+ endraw +%} \nc", "a   b  \nc"));
  CHECK(gives("a  {%- raw -%} b {%- endraw -%} \nc", "abc"));
  CHECK(gives("{% raw %}{% endrawx %}{% endraw %}\nc", "{% endrawx %}c"));
  CHECK(gives("{% raw %}{% endraw x %}{% endraw %}c", "{% endraw x %}c"));
  CHECK(gives("{##}a{#-#}b{#+#}\nc", "abc"));
  CHECK(refuses("ab{# c", ErrorCode::kBadSyntax, "unclosed comment, line", "", 2));
  CHECK(refuses("ab{% raw %} c {% endraw", ErrorCode::kBadSyntax, "unclosed raw block, line", "",
                11));
  CHECK(refuses("{{ 'ab", ErrorCode::kBadSyntax, "unclosed string, line", "", 3));
  CHECK(refuses("{{ ab", ErrorCode::kBadSyntax, "unclosed tag, line", "", 5));
  CHECK(refuses("{{ a $ }}", ErrorCode::kBadSyntax, "unexpected character, line", "$", 5));
}

TEST_CASE("template text: slices keep to the text and cost fuel", "[chat]") {
  OwnBudget budget(100);
  const TemplateValue mixed = two_runs(*budget);
  TemplateValue part;
  REQUIRE(slice_text(*budget, mixed, 1, 99, &part));
  CHECK(part.text() == "a>bc");
  CHECK(part.origin() == TemplateOrigin::kMixed);
  REQUIRE(slice_text(*budget, mixed, 9, 4, &part));
  CHECK(part.text().empty());
  CHECK(part.is_markup());
  REQUIRE(slice_text(*budget, mixed, 3, 5, &part));
  CHECK(part.origin() == TemplateOrigin::kContent);
  REQUIRE(slice_text(*budget, mixed, 0, 3, &part));
  CHECK(part.is_markup());
  while (budget->spend(1)) {
  }
  CHECK(!slice_text(*budget, mixed, 1, 4, &part));
  CHECK(part.text() == "<a>");
}

TEST_CASE("template text: a builder that failed gives nothing", "[chat]") {
  OwnBudget budget(100, sizeof(memory), 10);
  TextBuilder text(*budget);
  text.append("12345", true);
  text.append("67890", true);
  CHECK(budget->ok());
  TemplateValue whole;
  CHECK(text.finish(&whole));
  text.append("1", true);
  CHECK(budget->error().code == ErrorCode::kLimit);
  CHECK(Str(budget->error().what) == "template makes too much text, line");
  text.append("2", true);
  CHECK(text.size() == 10);
  TemplateValue value = TemplateValue::integer(3);
  CHECK(!text.finish(&value));
  CHECK(value.is(TemplateKind::kInt));
  Span<const TextSegment> segments;
  CHECK(!text.finish(&segments));
  CHECK(segments.empty());
  text.append_slice(whole, 0, 3);
  text.append_escaped(whole);
  text.repeat('x', 3, true);
  CHECK(text.size() == 10);
}

TEST_CASE("template text: no text is longer than a value can say", "[chat]") {
  if constexpr (sizeof(usize) > 4) {
    // Only the size of these is looked at.
    OwnBudget most(~u64{0}, sizeof(memory), ~u64{0});
    TextBuilder longest(*most);
    longest.append(Str("x", static_cast<usize>(TemplateValue::kMaxTextBytes)), true);
    CHECK(most->error().code == ErrorCode::kOutOfMemory);
    OwnBudget beyond(~u64{0}, sizeof(memory), ~u64{0});
    TextBuilder longer(*beyond);
    longer.append(Str("x", static_cast<usize>(TemplateValue::kMaxTextBytes + 1)), true);
    CHECK(beyond->error().code == ErrorCode::kLimit);
  }
}

TEST_CASE("template text: searches stop at their bounds and out of fuel", "[chat]") {
  OwnBudget budget(1000);
  CHECK(find_text(*budget, "abcabc", "c", 3, 99) == 5);
  CHECK(find_text(*budget, "abcabc", "c", 3, 5) == Str::kNone);
  CHECK(find_text(*budget, "abc", "", 4, 99) == Str::kNone);
  CHECK(find_text(*budget, "abc", "", 3, 99) == 3);
  CHECK(find_text_last(*budget, "abcabc", "b", 0, 99) == 4);
  CHECK(find_text_last(*budget, "abcabc", "b", 2, 4) == Str::kNone);
  CHECK(find_text_last(*budget, "abc", "a", 4, 99) == Str::kNone);
  CHECK(find_text_last(*budget, "abc", "abcd", 0, 3) == Str::kNone);
  CHECK(budget->ok());
  while (budget->spend(1)) {
  }
  CHECK(find_text(*budget, "abc", "a", 0, 3) == Str::kNone);
  CHECK(find_text_last(*budget, "abc", "a", 0, 3) == Str::kNone);
}

TEST_CASE("template text: white space and line ends are those of Python", "[chat]") {
  constexpr u32 kSpaces[] = {0x09,   0x0D,   0x1C,   0x1F,   0x20,   0x85,   0xA0,  0x1680,
                             0x2000, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  for (const u32 c : kSpaces) CHECK(is_unicode_space(c));
  constexpr u32 kOthers[] = {0x00,   0x08,   0x0E,   0x1B,   0x21,   'a',    0x84,   0x86,
                             0x9F,   0xA1,   0x167F, 0x1681, 0x1FFF, 0x200B, 0x2027, 0x202A,
                             0x202E, 0x2030, 0x205E, 0x2060, 0x2FFF, 0x3001};
  for (const u32 c : kOthers) CHECK(!is_unicode_space(c));
  constexpr u32 kBreaks[] = {0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029};
  for (const u32 c : kBreaks) CHECK(is_line_break(c));
  constexpr u32 kNone[] = {0x09, 0x0E, 0x1B, 0x1F, 0x20, 0x84, 0x86, 0x2027, 0x202A};
  for (const u32 c : kNone) CHECK(!is_line_break(c));
}

TEST_CASE("template places count lines and bytes, however a line ends", "[chat]") {
  constexpr Str kSource = "ab\r\nc\rd\ne\r";
  struct Case {
    u64 offset;
    u64 line;
    u64 column;
  };
  constexpr Case kCases[] = {{0, 1, 1}, {1, 1, 2}, {2, 1, 3}, {3, 2, 1}, {4, 2, 2},
                             {5, 3, 1}, {7, 4, 1}, {9, 5, 1}, {99, 5, 1}};
  for (const Case& c : kCases) {
    const TemplatePlace place = template_place(kSource, c.offset);
    CHECK(place.line == c.line);
    CHECK(place.column == c.column);
  }
  static u8 tree[2048];
  Arena arena{Span<u8>(tree)};
  const Result<ChatTemplate*> parsed = ChatTemplate::parse(arena, kSource);
  REQUIRE(parsed.ok());
  CHECK(parsed.value()->source() == "ab\nc\nd\ne");
}

TEST_CASE("template errors are written with line and column", "[chat]") {
  const auto written = [](Str source, const Error& error, Str expected) {
    TextBuffer<200> out;
    write_template_error(out, error, source);
    return out.text() == expected;
  };
  constexpr Str kFilter = "a\r\n{{ x|nofilter }}";
  CHECK(written(kFilter, probe().error(kFilter),
                "nofilter: no such filter, line 2, column 6 [unsupported]"));
  constexpr Str kShort = "{{ 'aaaaaaaaaaaaaaaa' ~ n }}";
  probe().scratch_bytes = 64;
  const Error no_memory = probe().error(kShort);
  probe().scratch_bytes = TemplateProbe::kScratchBytes;
  TextBuffer<200> out;
  write_template_error(out, no_memory, kShort);
  CHECK(out.text().ends_with(", line 1, column 4 [out_of_memory]"));
  // An error without a place, and without a subject.
  CHECK(written("x", fail(ErrorCode::kLimit, "too long"), "too long [limit]"));
}
