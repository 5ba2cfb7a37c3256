// Hostile templates: every one ends, with an error of a kind that says why (J01 to J06 of the
// reliability catalogue).
#include "core/chat/template_number.h"
#include "tests/chat/template_probe.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

ErrorCode code_of(Str source) { return probe().error(source).code; }

bool is_bound(ErrorCode code) {
  return code == ErrorCode::kLimit || code == ErrorCode::kOutOfMemory;
}

// `n` times `unit`, then `middle`.
Str repeated(Span<char> buffer, Str unit, u32 n, Str middle) {
  usize at = 0;
  for (u32 i = 0; i < n; ++i) {
    __builtin_memcpy(buffer.data() + at, unit.data(), unit.size());
    at += unit.size();
  }
  __builtin_memcpy(buffer.data() + at, middle.data(), middle.size());
  return {buffer.data(), at + middle.size()};
}

char large[256 * 1024];

}  // namespace

TEST_CASE("J01: nested loops run out of fuel", "[chat][hostile]") {
  CHECK(code_of("{% for a in range(25000) %}{% for b in range(25000) %}{% endfor %}{% endfor %}") ==
        ErrorCode::kLimit);
  CHECK(
      code_of("{% for a in range(25000) %}{% for b in range(25000) %}x{% endfor %}{% endfor %}") ==
      ErrorCode::kLimit);
  CHECK(code_of("{% for a in 'x' * 100000 %}{{ a in 'x' * 100000 }}{% endfor %}") !=
        ErrorCode::kOk);
  // Work that hides in one operation is paid for, too.
  CHECK(is_bound(code_of(
      "{% set s = 'a' * 60000 %}{{ (s ~ 'b') in s ~ s }}{{ s.count('a' * 30000 ~ 'b') }}")));
  CHECK(is_bound(code_of("{% set l = range(60000)|list %}{{ l|unique|list|length }}")));
}

TEST_CASE("J02: text that doubles runs out of room", "[chat][hostile]") {
  CHECK(
      is_bound(code_of("{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s "
                       "+ ns.s %}{% endfor %}")));
  CHECK(
      is_bound(code_of("{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = ns.s "
                       "* 2 %}{% endfor %}")));
  CHECK(
      is_bound(code_of("{% set ns = namespace(s='x') %}{% for i in range(64) %}{% set ns.s = "
                       "ns.s.replace('x', 'xx') %}{% endfor %}")));
  CHECK(is_bound(code_of("{{ 'x' * 9223372036854775807 }}")));
  CHECK(is_bound(code_of("{{ [1] * 9223372036854775807 }}")));
  CHECK(is_bound(code_of("{{ 'x'.center(9223372036854775807) }}")));
  CHECK(is_bound(code_of("{{ 'x'|indent(9223372036854775807, true) }}")));
  CHECK(is_bound(code_of("{{ 'x'.zfill(9223372036854775807) }}")));
  CHECK(is_bound(code_of("{{ '%9999999999d' % 1 }}")));
  CHECK(is_bound(code_of("{{ [[1]]|tojson(indent=9223372036854775807) }}")));
  // The output has a limit of its own.
  TemplateProbe& p = probe();
  p.limits.output_bytes = 100;
  CHECK(p.error("{% for i in range(100) %}x{% endfor %}").code == ErrorCode::kOk);
  CHECK(p.error("{% for i in range(101) %}x{% endfor %}").code == ErrorCode::kLimit);
  p.limits = TemplateLimits();
  p.limits.fuel = TemplateProbe::kFuel;
}

TEST_CASE("J03: recursion and inclusion end", "[chat][hostile]") {
  CHECK(code_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}") == ErrorCode::kLimit);
  CHECK(code_of("{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ "
                "a() }}") == ErrorCode::kLimit);
  CHECK(
      code_of("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}") ==
      ErrorCode::kLimit);
  CHECK(code_of("{% for x in [1] recursive %}{{ loop([x]) }}{% endfor %}") == ErrorCode::kLimit);
  CHECK(code_of("{% include 'self' %}") == ErrorCode::kUnsupported);
  // Values that nest deeper than the stack allows: printing, comparing and writing them is bounded.
  const char* const kNest =
      "{% set ns = namespace(a=[], b=[]) %}{% for i in range(2000) %}{% set ns.a = [ns.a] %}{% set "
      "ns.b = [ns.b] %}{% endfor %}";
  const char* const uses[] = {"{{ ns.a }}", "{{ ns.a|tojson }}", "{{ ns.a == ns.b }}",
                              "{{ ns.a < ns.b }}"};
  for (const char* use : uses) CHECK(code_of(repeated(large, kNest, 1, use)) == ErrorCode::kLimit);
  CHECK(code_of("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}") == ErrorCode::kLimit);
}

TEST_CASE("J04: nesting in the source is bounded", "[chat][hostile]") {
  const char* const units[] = {"(",      "[",       "{1:",          "-", "x[",  "x(",
                               "1+(",    "'a' if ", "1 if 1 else ", "~", "x.y", "x|f(",
                               "a is b("};
  for (const char* unit : units) {
    large[0] = '{';
    large[1] = '{';
    const Str row = repeated(Span<char>(large + 2, sizeof large - 2), unit, 10'000, "1 }}");
    CHECK(code_of(Str(large, row.size() + 2)) != ErrorCode::kOk);
  }
  CHECK(code_of(repeated(large, "{% if 1 %}", 10'000, "")) == ErrorCode::kLimit);
  CHECK(code_of(repeated(large, "{% for x in y %}", 10'000, "")) == ErrorCode::kLimit);
  CHECK(code_of(repeated(large, "{{(", 60'000, "")) == ErrorCode::kLimit);
  // Long is not deep: rows of operators and of elifs are flat.
  large[0] = '{';
  large[1] = '{';
  Str row = repeated(Span<char>(large + 2, sizeof large - 2), "1+", 1'000, "1 }}");
  CHECK(probe().text(Str(large, row.size() + 2)) == "1001");
  row = repeated(Span<char>(large + 2, sizeof large - 2), "0 or ", 1'000, "7 }}");
  CHECK(probe().text(Str(large, row.size() + 2)) == "7");
  row = repeated(Span<char>(large + 2, sizeof large - 2), "not ", 1'000, "1 }}");
  CHECK(probe().text(Str(large, row.size() + 2)) == "True");
  row = repeated(Span<char>(large + 2, sizeof large - 2), "1 if 0 else ", 200, "8 }}");
  CHECK(probe().text(Str(large, row.size() + 2)) == "8");
}

TEST_CASE("J05: there is no way out through attributes", "[chat][hostile]") {
  const char* const walks[] = {
      "{{ ''.__class__.__mro__[1].__subclasses__() }}",
      "{{ messages.__class__.__base__ }}",
      "{{ range.__globals__.os }}",
      "{{ raise_exception.__globals__['sys'] }}",
      "{{ loop.__init__.__globals__ }}",
      "{{ self.__init__.x }}",
      "{{ ''.format.__self__.x }}",
      "{{ '{0.__class__.x}'.format(l) }}",
      "{{ namespace.__init__.x }}",
  };
  for (const char* walk : walks) CHECK(code_of(walk) == ErrorCode::kBadValue);
}

TEST_CASE("J06: a template cut anywhere parses or says why", "[chat][hostile]") {
  constexpr Str kWhole =
      "{%- set ns = namespace(a=1) -%}{# c #}{% raw %}{{ x }}{% endraw %}\n"
      "{% for m in messages if m.role != 'x' %}{{ '<|' ~ m.content|trim|replace('a', \"b\\n\") ~ "
      "'|>' }}"
      "{% if loop.last and not tools is none %}{{ {'a': [1, 2.5e3, (3,)]}['a'][-1:] }}{% elif n "
      "%}{% else %}{% endif %}"
      "{% endfor %}{% macro f(a, b=2) %}{{ a if b else none }}{% endmacro %}{{ f(1, b=n) }}{% set "
      "q %}{{ d.x }}{% endset %}";
  REQUIRE(probe().error(kWhole).code == ErrorCode::kOk);
  for (usize n = 0; n < kWhole.size(); ++n) {
    const ErrorCode code = code_of(kWhole.first(n));
    CHECK((code == ErrorCode::kOk || code == ErrorCode::kBadSyntax ||
           code == ErrorCode::kUnsupported));
  }
  CHECK(code_of("{{ x|nofilter }}") == ErrorCode::kUnsupported);
}

TEST_CASE("a template that is too long, or memory that is too short, is refused",
          "[chat][hostile]") {
  __builtin_memset(large, 'x', sizeof large);
  static u8 memory[1024 * 1024];
  Arena arena{Span<u8>(memory)};
  CHECK(ChatTemplate::parse(arena, Str(large, ChatTemplate::kMaxSourceBytes)).ok());
  const u64 used = arena.bytes_used();
  static char longer[ChatTemplate::kMaxSourceBytes + 1];
  const Result<ChatTemplate*> refused = ChatTemplate::parse(arena, Str(longer, sizeof longer));
  CHECK(!refused.ok());
  CHECK(refused.error().code == ErrorCode::kLimit);
  // A failed parse leaves the arena as it was.
  CHECK(!ChatTemplate::parse(arena, "{% if x %}{{ [1, 2, 3] }}").ok());
  CHECK(arena.bytes_used() == used);
  // Every size of arena, from nothing to enough: an error or the whole output.
  constexpr Str kSource =
      "{% for x in 'abc' %}{{ x|upper ~ loop.index }}{% endfor %}{{ [1, 2]|join('-') }}";
  bool was_enough = false;
  for (usize n = 64; n < 16 * 1024; n += 97) {
    Arena small{Span<u8>(memory, n)};
    Result<ChatTemplate*> parsed = ChatTemplate::parse(small, kSource);
    if (!parsed.ok()) {
      CHECK(parsed.error().code == ErrorCode::kOutOfMemory);
      continue;
    }
    const Result<Span<const TextSegment>> result =
        parsed.value()->render(TemplateMap(), TemplateLimits(), small, nullptr);
    CHECK((result.ok() || result.error().code == ErrorCode::kOutOfMemory));
    CHECK((result.ok() || !was_enough));
    was_enough = result.ok();
  }
  CHECK(was_enough);
}

TEST_CASE("text that is not UTF-8 passes through unchanged", "[chat]") {
  CHECK(probe().text("\xFF{{ 'a\xC3' ~ '\xE6\x97' }}{{ '\xFF\xFE'|length }}{{ '\xFFx'[1] }}{{ "
                     "'\xC3'|upper }}{{ ' \xFF '|trim }}") ==
        "\xFF"
        "a\xC3\xE6\x97"
        "2x\xC3\xFF");
}

TEST_CASE("numbers of templates are exact", "[chat]") {
  struct Case {
    f64 value;
    const char* shown;
  };
  const Case cases[] = {{0.1, "0.1"},
                        {1.0 / 3, "0.3333333333333333"},
                        {1e16, "1e+16"},
                        {9999999999999998.0, "9999999999999998.0"},
                        {5e-324, "5e-324"},
                        {2.2250738585072014e-308, "2.2250738585072014e-308"},
                        {1e23, "1e+23"},
                        {123456.789, "123456.789"},
                        {-0.0, "-0.0"},
                        {9007199254740993.0, "9007199254740992.0"},
                        {0.00012345, "0.00012345"}};
  char buffer[kNumberTextBytes];
  for (const Case& c : cases) {
    CHECK(format_float(c.value, buffer) == c.shown);
    f64 back = 0;
    CHECK(parse_float_text(c.shown, back));
    CHECK(__builtin_memcmp(&back, &c.value, sizeof back) == 0);
  }
  CHECK(format_fixed(2.675, 2, buffer) ==
        "2.67");  // 2.67499999999999982236431605997495353221893310546875
  CHECK(format_fixed(0.5, 0, buffer) == "0");
  CHECK(format_fixed(1.5, 0, buffer) == "2");
  CHECK(format_fixed(999.995, 2, buffer) == "1000.00");
  CHECK(format_fixed(-0.004, 2, buffer) == "-0.00");
  i64 whole = 0;
  CHECK(parse_integer_text("-9223372036854775808", 10, whole) == IntegerParse::kOk);
  CHECK(whole == -9223372036854775807 - 1);
  CHECK(parse_integer_text("9223372036854775808", 10, whole) == IntegerParse::kTooLarge);
  CHECK(parse_integer_text("1__0", 10, whole) == IntegerParse::kMalformed);
}
