// Templates that run out of memory, of steps, of depth or of source: whatever the amount, the
// answer is the whole text or the error that says what was missing, and never anything between.
//
// The samples use every construct of the language. Each is run with every amount from nothing to
// enough, so that every place that takes memory or spends a step is the first that fails once.
#include "tests/chat/template_probe.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

struct Sample {
  const char* source;  // '@' stands for a value: kGood or kBad
  const char* text;
};
constexpr Str kGood = "n";       // 5
constexpr Str kBad = "(1//0)";   // fails when it is evaluated
constexpr Str kWorse = "(1 $)";  // fails when it is parsed

constexpr Sample kSamples[] = {
    {"plain text\r\nwith two lines", "plain text\nwith two lines"},
    {"{{ @ }}", "5"},
    {"a{% if @ > 9 %}b{% elif @ %}c{% else %}{{ @ }}{% endif %}", "ac"},
    {"{% if fa %}b{% elif fa %}c{% else %}{{ @ }}{% endif %}", "5"},
    {"{% for a in [@, 2] if a > 2 %}{{ a }}{{ loop.index }}{% else %}none{% endfor %}", "51"},
    {"{% for a in l if a > @ %}{{ a }}{% else %}{{ @ }}{% endfor %}", "5"},
    {"{% for a, b in d.items() %}{{ a }}{% if loop.last %}{% break %}{% endif %}{% endfor %}",
     "xyitems"},
    {"{% for a in [1, [2, [3]]] recursive %}{{ loop(a) if a is iterable else a }}{% endfor %}",
     "123"},
    {"{% set a, (b, c) = @, (2, @) %}{{ a }}{{ b }}{{ c }}", "525"},
    {"{% set ns = namespace(a=@) %}{% set ns.a = ns.a + 1 %}{{ ns.a }}", "6"},
    {"{% set a | upper | replace('X', @|string) %}x{{ @ }}{% endset %}{{ a }}", "55"},
    {"{% filter upper | replace('A', @|string) %}a{{ @ }}{% endfilter %}", "55"},
    {"{% with a = @, b = 2 %}{{ a }}{{ b }}{{ @ }}{% endwith %}", "525"},
    {"{% generation %}g{{ @ }}{% endgeneration %}{% block b scoped %}x{% endblock b %}", "g5x"},
    {"{% block b %}x{{ @ }}{% endblock %}", "x5"},
    {"{% generation %}{% endgeneration %}{% set x %}{% endset %}{% if @ %}{% endif %}", ""},
    {"{% print 'a', @ %}", "a5"},
    {"{% macro m(a, b=@) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}"
     "{{ m(1) }}{{ m(@, 2, 3, k=4) }}{{ m(b=1, a=@) }}",
     "15(){}52(3,){'k': 4}51(){}"},
    {"{% macro m(a) %}<{{ caller(a) }}>{% endmacro %}{% call(x) m(@) %}{{ x }}{% endcall %}",
     "<5>"},
    {"{% macro m() %}{% macro k() %}{{ varargs }}{% endmacro %}{{ k(@) }}{% endmacro %}{{ m() }}",
     "(5,)"},
    {"{{ [@, 'b', (1, @), (), (2,), {'k': @, 3: none}] }}",
     "[5, 'b', (1, 5), (), (2,), {'k': 5, 3: None}]"},
    {"{{ @, 2 }}{{ 'aaaaaaaa' 'bbbbbbbb' \"cc\\tcccccccccc\" }}",
     "(5, 2)aaaaaaaabbbbbbbbcc\tcccccccccc"},
    {"{{ -@ + 2 * @ - 3 }}{{ +@ }}{{ -2.5|abs }}{{ - -f }}", "252.52.5"},
    {"{{ not @ or @ and 7 }}{{ not not @ }}{{ 'a' not in ls }}", "7TrueFalse"},
    {"{{ @ < 6 <= @ + 1 != 7 }}{{ 1 in [@] }}", "TrueFalse"},
    {"{{ 1 if @ > 6 else @ if fa else 'z' if @ }}{{ 1 if fa }}", "z"},
    {"{{ d.y }}{{ d['x'] }}{{ l[@ - 4] }}{{ l[@ - 5:@] }}{{ l[::@] }}{{ {(1, @): 'p'}[1, @] }}",
     "two11[3, 1, 2][3]p"},
    {"{{ people.0.name }}{{ d.get('x', @) }}{{ dict(d, *[], **{'k': @})|length }}", "Bob14"},
    {"{{ s|trim|replace('l', @|string) }}{{ n is divisibleby(@) }}{{ n is eq @ }}"
     "{{ n is in [@] }}{{ 'a' is string }}{{ n is gt 1.5 }}",
     "He55o Wor5dTrueTrueTrueTrueTrue"},
    {"{{ 'ab' ~ @ ~ evil ~ 'c' }}{{ 'a' + evil + ('<b>'|safe) }}",
     "ab5<|im_end|>ca&lt;|im_end|&gt;<b>"},
    {"{{ ('<a>' ~ evil ~ '<b>')[2:6] }}{{ ('ab' ~ evil)|replace('a', 'bc') }}",
     "><|ibcb<|im_end|>"},
    {"{# c #}{% raw %}{{ x }}{%- endraw -%} z{{ '%s' % @ }}{{ strftime_now('%Y') }}",
     "{{ x }}z52025"},
};

// `source` with every '@' as kGood, but the one of number `which` as `other`. Returns how many
// there are.
u32 fill(Str source, u32 which, Str other, TextBuffer<512>& out) {
  u32 n_place = 0;
  out.clear();
  for (const char& c : source) {
    if (c != '@') {
      out.append(Str(&c, 1));
    } else {
      out.append(n_place++ == which ? other : kGood);
    }
  }
  LBM_CHECK(!out.truncated());
  return n_place;
}

constexpr u32 kNowhere = ~0u;

// Runs every sample with `amount` = 0, step, 2 step ... until it comes out whole; until then every
// answer has to be `expected`. Returns how many answers were something else.
u32 count_wrong(u64& amount, u64 step, ErrorCode expected, Str what) {
  const u64 before = amount;
  u32 n_wrong = 0;
  for (const Sample& sample : kSamples) {
    TextBuffer<512> source;
    fill(sample.source, kNowhere, {}, source);
    for (amount = 0;; amount += step) {
      const Error error = probe().error(source.text());
      if (error.code == ErrorCode::kOk) break;
      n_wrong += error.code == expected && Str(error.what).starts_with(what) ? 0u : 1u;
    }
    n_wrong += probe().text(source.text()) == sample.text ? 0u : 1u;
  }
  amount = before;
  return n_wrong;
}

}  // namespace

TEST_CASE("template samples give what they should", "[chat]") {
  for (const Sample& sample : kSamples) {
    TextBuffer<512> source;
    fill(sample.source, kNowhere, {}, source);
    CHECK(probe().text(source.text()) == sample.text);
  }
}

TEST_CASE("templates without enough memory are refused, wherever it ends", "[chat]") {
  CHECK(count_wrong(probe().syntax_bytes, 8, ErrorCode::kOutOfMemory, "not enough memory") == 0);
  CHECK(count_wrong(probe().scratch_bytes, 8, ErrorCode::kOutOfMemory, "not enough memory") == 0);
}

TEST_CASE("templates without enough fuel are refused, wherever it ends", "[chat]") {
  CHECK(count_wrong(probe().limits.fuel, 1, ErrorCode::kLimit, "template runs too long") == 0);
}

// A template that runs with fewer steps than before is a loop that somebody no longer pays for.
TEST_CASE("templates pay for what they do", "[chat]") {
  struct Case {
    const char* source;
    u64 fuel;
  };
  constexpr Case kCases[] = {
      {"", 0},
      {"text", 2},
      {"{{ 1 }}", 4},
      {"{{ n }}", 10},
      {"{{ nothing }}", 8},
      {"{{ d.x }}", 14},
      {"{{ n|abs }}", 13},
      {"{{ [1, 2, 3] }}", 19},
      {"{{ range(3)|list }}", 29},
      {"{{ dict(a=1, b=2, c=3, d=4, e=5, f=6, g=7, h=8, i=9)|length }}", 124},
      {"{% for x in l if x > 1 %}{{ x }}{% endfor %}", 58},
      {"{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1) }}", 18},
  };
  for (const Case& c : kCases) {
    u64 fuel = 0;
    for (;; ++fuel) {
      probe().limits.fuel = fuel;
      if (probe().error(c.source).code == ErrorCode::kOk) break;
    }
    CHECK(fuel == c.fuel);
  }
  probe().limits.fuel = TemplateProbe::kFuel;
}

TEST_CASE("templates that nest too deep are refused, at every depth", "[chat]") {
  u64 depth = 0;
  u32 n_wrong = 0;
  for (const Sample& sample : kSamples) {
    TextBuffer<512> source;
    fill(sample.source, kNowhere, {}, source);
    for (depth = 0;; ++depth) {
      probe().limits.depth = static_cast<u32>(depth);
      const Error error = probe().error(source.text());
      if (error.code == ErrorCode::kOk) break;
      n_wrong +=
          error.code == ErrorCode::kLimit && Str(error.what).starts_with("template nests too deep")
              ? 0u
              : 1u;
    }
    CHECK(depth > 0);
    CHECK(probe().text(source.text()) == sample.text);
    probe().limits.depth = TemplateLimits().depth;
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("an error in any part of a template is the error of the whole", "[chat]") {
  for (const Sample& sample : kSamples) {
    TextBuffer<512> source;
    const u32 n_place = fill(sample.source, kNowhere, {}, source);
    u32 n_refused = 0;
    for (u32 i = 0; i < n_place; ++i) {
      fill(sample.source, i, kBad, source);
      const Error error = probe().error(source.text());
      // What the sample does not evaluate is no error.
      if (error.code == ErrorCode::kOk) continue;
      CHECK(Str(error.what) == "ZeroDivisionError: division by zero, line");
      ++n_refused;
    }
    CHECK((n_place == 0 || n_refused > 0));
    for (u32 i = 0; i < n_place; ++i) {
      fill(sample.source, i, kWorse, source);
      const Error error = probe().error(source.text());
      CHECK(error.code == ErrorCode::kBadSyntax);
      CHECK(Str(error.what) == "unexpected character, line");
      CHECK(error.offset < source.text().size());
      CHECK((error.offset < source.text().size() &&
             source.text()[static_cast<usize>(error.offset)] == '$'));
    }
  }
}

TEST_CASE("a template that is cut anywhere parses or says why", "[chat]") {
  u32 n_wrong = 0;
  for (const Sample& sample : kSamples) {
    TextBuffer<512> source;
    fill(sample.source, kNowhere, {}, source);
    for (usize n = 0; n < source.text().size(); ++n) {
      const Error error = probe().error(source.text().first(n));
      n_wrong += error.code == ErrorCode::kOk || error.code == ErrorCode::kBadSyntax ||
                         error.code == ErrorCode::kUnsupported
                     ? 0u
                     : 1u;
    }
  }
  CHECK(n_wrong == 0);
}
