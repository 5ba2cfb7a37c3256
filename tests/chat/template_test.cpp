// The template language: what Python's Jinja2, set up as Hugging Face's apply_chat_template does,
// gives for the same source. Every expectation was taken from that implementation, unless its test
// says that the two differ. Where a value comes from, and what hostile templates can do, is in
// template_origin_test.cpp and template_limit_test.cpp.
#include "tests/chat/template_probe.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

// The output of `source` is `expected`.
bool gives(Str source, Str expected) { return probe().text(source) == expected; }

// `source` is refused, for a reason that starts with `what`.
bool refuses(Str source, ErrorCode code, Str what) {
  const Error error = probe().error(source);
  return error.code == code && Str(error.what).starts_with(what);
}

bool type_error(Str source) { return refuses(source, ErrorCode::kBadValue, "TypeError"); }

bool undefined_error(Str source) { return refuses(source, ErrorCode::kBadValue, "UndefinedError"); }

bool bad_syntax(Str source) { return refuses(source, ErrorCode::kBadSyntax, ""); }

}  // namespace

TEST_CASE("template literals", "[chat]") {
  CHECK(gives("{{ 'a' \"b\" 'c' }}", "abc"));
  CHECK(gives("{{ '\\u00e9\\x41\\101\\n\\q\\\\' }}",
              "\xC3\xA9"
              "AA\n\\q\\"));
  CHECK(gives("{{ 'a\\\nb' }}", "ab"));
  CHECK(gives("{{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 00 }}", "1000 31 5 15 0"));
  CHECK(gives("{{ 1e3 }} {{ 1.5e-7 }} {{ 1E5 }} {{ 2.0 }}", "1000.0 1.5e-07 100000.0 2.0"));
  CHECK(gives("{{ true }} {{ True }} {{ none }} {{ None }} {{ false }}",
              "True True None None False"));
  CHECK(gives("{{ [1, 'a', none, true, 2.0, (1,), (1, 2), {'a': 1}, ()] }}",
              "[1, 'a', None, True, 2.0, (1,), (1, 2), {'a': 1}, ()]"));
  CHECK(gives("{{ 1, 2 }} {{ (1) }} {{ [1, 2,] }} {{ {'a': 1,} }}", "(1, 2) 1 [1, 2] {'a': 1}"));
  CHECK(gives("{{ {'a': 1, 'a': 2, 'b': 3} }} {{ {1: 'x'}[1.0] }} {{ {1: 'x'}[true] }}",
              "{'a': 2, 'b': 3} x x"));
  CHECK(gives("{{ 9223372036854775807 }} {{ -9223372036854775807 }}",
              "9223372036854775807 -9223372036854775807"));
  // Python's integers have no end, ours do, and say so.
  CHECK(refuses("{{ 9223372036854775808 }}", ErrorCode::kLimit, "integer beyond 64 bits"));
}

TEST_CASE("template values print as Python's", "[chat]") {
  CHECK(gives(
      "{{ [\"it's\", 'say \"hi\"', 'b\\\\s', 'n\\nl', '\\t', '\\x01', '\\'\"', '\\u00ad', "
      "'\\u2028'] }}",
      "[\"it's\", 'say \"hi\"', 'b\\\\s', 'n\\nl', '\\t', '\\x01', '\\'\"', '\\xad', '\\u2028']"));
  CHECK(gives("{{ [0.1, 1e16, 1e15, 1e-5, 0.0001, 123456789.123, 1e22, 5e-324, -0.0, 0.1 + 0.2] }}",
              "[0.1, 1e+16, 1000000000000000.0, 1e-05, 0.0001, 123456789.123, 1e+22, 5e-324, -0.0, "
              "0.30000000000000004]"));
  CHECK(gives("{{ 1e999 }} {{ -1e999 }} {{ 123456789012345678.0 }} {{ 1.7976931348623157e308 }}",
              "inf -inf 1.2345678901234568e+17 1.7976931348623157e+308"));
  CHECK(gives("{{ d }} {{ d.items() }} {{ d.keys() }} {{ d.values() }}",
              "{'x': 1, 'y': 'two', 'items': [1, 2]} dict_items([('x', 1), ('y', 'two'), ('items', "
              "[1, 2])]) "
              "dict_keys(['x', 'y', 'items']) dict_values([1, 'two', [1, 2]])"));
  CHECK(gives("{{ range(3) }} {{ range(0, 10, 2) }} {{ range(10)[2:8:3] }} {{ range(3)[::2] }}",
              "range(0, 3) range(0, 10, 2) range(2, 8, 3) range(0, 3, 2)"));
  CHECK(gives("{{ namespace(a=1) }} {{ [nothing] }}", "<Namespace {'a': 1}> [Undefined]"));
}

TEST_CASE("template arithmetic", "[chat]") {
  CHECK(gives("{{ 1 + 2 * 3 - 4 / 2 }} {{ 10 / 2 }} {{ 1 / 3 }}", "5.0 5.0 0.3333333333333333"));
  CHECK(
      gives("{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 // -2 }} {{ -7 % 3 }} {{ 7 % -3 }}", "3 -4 -4 2 -2"));
  CHECK(gives("{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }}", "3.0 0.5 -0.5"));
  CHECK(gives(
      "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2.5 ** 2 }} {{ (-2) ** 3 }} {{ -2 ** 2 }} {{ 2 ** 3 ** 2 }}",
      "1024 0.5 6.25 -8 4 64"));
  CHECK(gives("{{ true + 1 }} {{ -true }} {{ - - 3 }} {{ +3 }}", "2 -1 3 3"));
  CHECK(
      gives("{{ [1] + [2] }} {{ (1,) + (2,) }} {{ [1] * 3 }} {{ 'ab' * 2 }} {{ 2 * 'ab' }} {{ 'a' "
            "* -1 }}|",
            "[1, 2] (1, 2) [1, 1, 1] abab abab |"));
  CHECK(gives("{{ 'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1] ~ nothing }}", "a1NoneTrue1.5[1]"));
  CHECK(
      gives("{{ 1 - 2 - 3 }} {{ 2 * 3 % 4 }} {{ 'a' ~ 1 * 2 }} {{ 'x' + 1 ~ 2 }}", "-4 2 a2 x12"));
  CHECK(type_error("{{ 'a' + 1 }}"));
  CHECK(type_error("{{ 1 + 'a' }}"));
  CHECK(type_error("{{ [1] + (2,) }}"));
  CHECK(type_error("{{ -'a' }}"));
  CHECK(refuses("{{ 1 // 0 }}", ErrorCode::kBadValue, "ZeroDivisionError"));
  CHECK(refuses("{{ 1.0 / 0 }}", ErrorCode::kBadValue, "ZeroDivisionError"));
  CHECK(refuses("{{ 9223372036854775807 + 1 }}", ErrorCode::kOverflow, "OverflowError"));
  CHECK(refuses("{{ (-9223372036854775807 - 1) // -1 }}", ErrorCode::kOverflow, "OverflowError"));
  CHECK(refuses("{{ 10 ** 19 }}", ErrorCode::kOverflow, "OverflowError"));
  CHECK(
      gives("{{ (-9223372036854775807 - 1) % -1 }} {{ (-1) ** 1000001 }} {{ 0 ** 0 }}", "0 -1 1"));
}

TEST_CASE("template comparison and logic", "[chat]") {
  CHECK(gives(
      "{{ 1 == 1.0 }} {{ true == 1 }} {{ [1, 2] == [1, 2] }} {{ [1] == (1,) }} {{ none == false }}",
      "True True True False False"));
  CHECK(
      gives("{{ d == {'items': [1, 2], 'y': 'two', 'x': 1.0} }} {{ nothing == nix }} {{ nothing == "
            "none }}",
            "True True False"));
  CHECK(gives("{{ big == 9007199254740992.0 }} {{ big > 9007199254740992.0 }}", "False True"));
  CHECK(
      gives("{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 2 >= 2.0 }} "
            "{{ (1,) < (1, 0) }}",
            "True False True True True True"));
  CHECK(
      gives("{{ 1 and 2 }} {{ 0 or 'x' }} {{ '' or none }} {{ not not 1 }} {{ not not not '' }} {{ "
            "none and 1 }}",
            "2 x None True True None"));
  CHECK(
      gives("{{ 'a' in 'abc' }} {{ 1 in [1.0] }} {{ 'x' in d }} {{ 'x' not in d }} {{ 1 in nothing "
            "}} {{ not 'a' in 'b' }}",
            "True True True False False True"));
  CHECK(
      gives("{{ 'y' if tr else 'n' }}{{ 'y' if fa }} {{ 1 if fa else 2 if fa else 3 }} {{ 'a' if "
            "tr if fa else 'z' }}",
            "y 3 z"));
  CHECK(gives("{% if fa %}a{% elif no %}b{% elif n %}c{% else %}d{% endif %}", "c"));
  CHECK(type_error("{{ 1 < 'a' }}"));
  CHECK(type_error("{{ none < 1 }}"));
  CHECK(type_error("{{ 1 in 'abc' }}"));
  CHECK(type_error("{{ 'a' in none }}"));
  CHECK(type_error("{{ {[1]: 2} }}"));
}

TEST_CASE("template undefined values", "[chat]") {
  CHECK(gives("{{ nothing }}|{{ d.nix }}|{{ l[9] }}|{{ no.x }}|{{ no['x'] }}|{{ n.x }}", "|||||"));
  CHECK(
      gives("{{ nothing|length }} {{ nothing|list }} {{ nothing|join(',') }}|{{ nothing|upper "
            "}}|{{ nothing|d('D') }}",
            "0 [] ||D"));
  CHECK(gives("{% for x in nothing %}a{% else %}empty{% endfor %}", "empty"));
  CHECK(gives(
      "{{ not nothing }} {{ nothing or 'x' }} {{ nothing is defined }} {{ d.nix is undefined }}",
      "True x False True"));
  CHECK(undefined_error("{{ nothing.foo }}"));
  CHECK(undefined_error("{{ nothing['foo'] }}"));
  CHECK(undefined_error("{{ d.nix.r }}"));
  CHECK(undefined_error("{{ nothing + 1 }}"));
  CHECK(undefined_error("{{ 'a' + nothing }}"));
  CHECK(undefined_error("{{ 1 < nothing }}"));
  CHECK(undefined_error("{{ nothing() }}"));
  CHECK(undefined_error("{{ nothing|int }}"));
  CHECK(undefined_error("{{ nothing[1:] }}"));
  CHECK(type_error("{{ nothing|tojson }}"));
  CHECK(probe().error("{{ missing.foo }}").subject_text() == "missing");
}

TEST_CASE("template subscripts and slices", "[chat]") {
  CHECK(
      gives("{{ u[0] }}{{ u[-1] }} {{ u[1:3] }} {{ u[::-1] }} {{ u[::2] }} {{ u[-3:] }}|{{ u[100] "
            "}}|{{ u[5:2] }}|",
            "\xC3\x84\xE6\x97\xA5 \xC3\x96\xC3\xBC \xE6\x97\xA5\xC3\xA9 \xC3\x9F "
            "\xC3\xBC\xC3\x96\xC3\x84 "
            "\xC3\x84\xC3\xBC\xC3\x9F\xC3\xA9  \xC3\xA9\xE6\x97\xA5|||"));
  CHECK(
      gives("{{ l[0] }} {{ l[-1] }} {{ l[1:] }} {{ l[::-1] }} {{ l[::2] }} {{ l[:-1] }} {{ l[10:] "
            "}} {{ l[-100:2] }}",
            "3 2 [1, 2] [2, 1, 3] [3, 2] [3, 1] [] [3, 1]"));
  CHECK(
      gives("{{ (1, 2, 3)[1:] }} {{ range(10)[-3:1:-2]|list }} {{ 'abcdef'[4:0:-2] }} {{ "
            "'abc'[::-9223372036854775807] }}",
            "(2, 3) [7, 5, 3] ec c"));
  CHECK(
      gives("{{ d.x }} {{ d['items'] }} {{ people[0].name }} {{ people.0.name }} {{ "
            "d['keys']()|list }} {{ l[true] }}",
            "1 [1, 2] Bob Bob ['x', 'y', 'items'] 1"));
  CHECK(refuses("{{ l[::0] }}", ErrorCode::kBadValue, "ValueError"));
  CHECK(type_error("{{ d[1:] }}"));
  CHECK(type_error("{{ no[1:] }}"));
  CHECK(type_error("{{ l['a':] }}"));
}

TEST_CASE("template string methods", "[chat]") {
  CHECK(
      gives("{{ s.strip() }}|{{ s.lstrip() }}|{{ s.rstrip() }}|{{ s.strip(' Hd') }}|{{ "
            "'\\u2003x\\u00a0'.strip() }}|",
            "Hello World|Hello World  |  Hello World|ello Worl|x|"));
  CHECK(
      gives("{{ 'a,b,,c'.split(',') }} {{ 'a,b,,c'.split(',', 1) }} {{ 'a,b'.rsplit(',', 1) }} {{ "
            "s.split() }}",
            "['a', 'b', '', 'c'] ['a', 'b,,c'] ['a', 'b'] ['Hello', 'World']"));
  CHECK(gives("{{ s.split(none, 1) }} {{ ' a b c '.rsplit(none, 1) }} {{ 'aXbXc'.split('X')[-1] }}",
              "['Hello', 'World  '] [' a b', 'c'] c"));
  CHECK(
      gives("{{ u.upper() }} {{ u.lower() }} {{ u.title() }} {{ \"it's a b2b\".title() }} {{ "
            "'aBc'.swapcase() }}",
            "\xC3\x84\xC3\x96\xC3\x9C SS \xC3\x89\xE6\x97\xA5 \xC3\xA4\xC3\xB6\xC3\xBC \xC3\x9F "
            "\xC3\xA9\xE6\x97\xA5 "
            "\xC3\x84\xC3\xB6\xC3\xBC Ss \xC3\x89\xE6\x97\xA5 It'S A B2B AbC"));
  CHECK(
      gives("{{ 'aaa'.replace('a', 'b', 2) }} {{ ''.replace('', 'x') }} {{ 'ab'.replace('', '-', "
            "2) }} {{ 'ab'.replace('', '.') }}",
            "bba x -a-b .a.b."));
  CHECK(
      gives("{{ 'abc'.startswith('b', 1) }} {{ s.endswith(('x', '  ')) }} {{ 'abc'.startswith('', "
            "4) }} {{ 'abc'.endswith('b', 0, 2) }}",
            "True True False True"));
  CHECK(
      gives("{{ '\\u00e9\\u65e5x'.find('x') }} {{ 'abcabc'.rfind('b') }} {{ 'abc'.find('x') }} {{ "
            "'abc'.find('', 5) }} "
            "{{ 'aXbXc'.count('X') }} {{ 'aaa'.count('aa') }} {{ 'abc'.count('') }}",
            "2 4 -1 -1 2 1 4"));
  CHECK(
      gives("{{ ','.join(ls) }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ "
            "'abc'.rpartition('x') }}",
            "b,A,c,a ('a', '=', 'b=c') ('a=b', '=', 'c') ('', '', 'abc')"));
  CHECK(
      gives("{{ '-5'.zfill(4) }} {{ 'a'.center(4) }} {{ 'ab'.center(5, '*') }} {{ 'a'.ljust(3) }}| "
            "{{ 'a'.rjust(3, '.') }} "
            "{{ 'pre-x'.removeprefix('pre-') }} {{ 'x.txt'.removesuffix('.txt') }}",
            "-005  a   **ab* a  | ..a x x"));
  CHECK(
      gives("{{ '12'.isdigit() }} {{ ''.isdigit() }} {{ '\\u00e9'.isalpha() }} {{ 'AB'.isupper() "
            "}} {{ '1'.islower() }}",
            "True False True True False"));
  CHECK(gives(
      "{{ 'a\\nb\\r\\nc\\n'.splitlines() }} {{ 'a\\nb'.splitlines(true) }} {{ ''.splitlines() }}",
      "['a', 'b', 'c'] ['a\\n', 'b'] []"));
  CHECK(refuses("{{ 'abc'.split('') }}", ErrorCode::kBadValue, "ValueError"));
  CHECK(refuses("{{ 'abc'.index('z') }}", ErrorCode::kBadValue, "ValueError"));
  CHECK(type_error("{{ ','.join([1]) }}"));
  CHECK(type_error("{{ 'abc'.startswith(5) }}"));
  CHECK(refuses("{{ s.encode('utf8') }}", ErrorCode::kUnsupported, "this build lacks it"));
}

TEST_CASE("template formatting", "[chat]") {
  CHECK(
      gives("{{ '%s and %d%%' % ('a', 1) }} {{ '%05.2f' % 3.14159 }} {{ '%5s|%-5s|' % ('a', 'b') "
            "}} {{ '%x %X %o' % (255, 255, 8) }}",
            "a and 1% 03.14     a|b    | ff FF 10"));
  CHECK(
      gives("{{ '%(a)s' % {'a': 1} }} {{ '%s' % [1] }} {{ '%+d % d' % (1, 2) }} {{ '%05d' % -3 }} "
            "{{ '%.3s' % 'abcdef' }} {{ '%.0f' % 2.5 }}",
            "1 [1] +1  2 -0003 abc 2"));
  CHECK(gives("{{ '%s-%s'|format('a', 2) }} {{ '%(x)s'|format(x=3) }}", "a-2 3"));
  CHECK(
      gives("{{ '{} {}'.format('a', 1) }} {{ '{0}{1}{0}'.format('a', 'b') }} {{ '{x}'.format(x=5) "
            "}} {{ '{{}}'.format() }}",
            "a 1 aba 5 {}"));
  CHECK(
      gives("{{ '{:>5}|{:<5}|{:^5}|{:*^5}'.format('a', 'b', 'c', 'd') }} {{ '{:05d} {:,} {:.2f} "
            "{:x} {:+d} {:%}'.format(42, 1234567, 3.14159, 255, 3, 0.5) }}",
            "    a|b    |  c  |**d** 00042 1,234,567 3.14 ff +3 50.000000%"));
  CHECK(
      gives("{{ '{!r} {0.x} {0[y]}'.format(d) }}", "{'x': 1, 'y': 'two', 'items': [1, 2]} 1 two"));
  CHECK(type_error("{{ '%s %s' % 'a' }}"));
  CHECK(type_error("{{ '%s' % ('a', 'b') }}"));
  CHECK(type_error("{{ '%d' % 'a' }}"));
  CHECK(refuses("{{ '{} {}'.format('a') }}", ErrorCode::kBadValue, "IndexError"));
  CHECK(refuses("{{ '{x}'.format() }}", ErrorCode::kBadValue, "KeyError"));
  CHECK(refuses("{{ '%e' % 1.0 }}", ErrorCode::kUnsupported, "this build lacks the conversion"));
}

TEST_CASE("template filters on text and numbers", "[chat]") {
  CHECK(
      gives("{{ s|trim }}|{{ 5|trim }}|{{ 'xxabxx'|trim('x') }}|{{ u|capitalize }}|{{ 'foo bar-baz "
            "(qux) it\\'s'|title }}",
            "Hello World|5|ab|\xC3\x84\xC3\xB6\xC3\xBC \xC3\x9F \xC3\xA9\xE6\x97\xA5|Foo Bar-Baz "
            "(Qux) It's"));
  CHECK(
      gives("{{ 'aaa'|replace('a', 'b', 2) }} {{ 123|replace(2, 'x') }} {{ 'abc'|reverse }} {{ "
            "u|length }} {{ 'a b, c_d'|wordcount }}",
            "bba 1x3 cba 8 3"));
  CHECK(
      gives("{{ 'a\\n\\nb\\n'|indent }}|{{ 'a\\nb'|indent(2, true) }}|{{ 'a\\n\\nb'|indent('>', "
            "blank=true) }}|{{ ''|indent }}|",
            "a\n\n    b\n|  a\n  b|a\n>\n>b||"));
  CHECK(
      gives("{{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, True) }} {{ "
            "'x'|center(5) }}|",
            "foo... foo ba...   x  |"));
  CHECK(
      gives("{{ '42.7'|int }} {{ 'x'|int(-1) }} {{ '0x1f'|int(0, 16) }} {{ -3.9|int }} {{ none|int "
            "}} {{ ' 1_0 '|int }} {{ '1e3'|int }}",
            "42 -1 31 -3 0 10 1000"));
  CHECK(
      gives("{{ '4.5'|float }} {{ 'x'|float(1.5) }} {{ 3|float }} {{ '-inf'|float }} {{ '.5'|float "
            "}} {{ '1__0'|float }}",
            "4.5 1.5 3.0 -inf 0.5 0.0"));
  CHECK(
      gives("{{ 42.55|round }} {{ 42.55|round(1) }} {{ 42.55|round(1, 'floor') }} {{ "
            "42.51|round(1, 'ceil') }} {{ 2.5|round }} {{ 5|round }} {{ 2.675|round(2) }}",
            "43.0 42.5 42.5 42.6 2.0 5 2.67"));
  CHECK(gives("{{ -5|abs }} {{ -5.5|abs }} {{ '<a href=\"x\">\\'&'|e }} {{ 5|string ~ 1 }}",
              "5 5.5 &lt;a href=&#34;x&#34;&gt;&#39;&amp; 51"));
  // What Jinja calls Markup: safe text escapes what is added to it.
  CHECK(
      gives("{{ '<a>'|safe + '<b>' }} {{ '<b>' + '<a>'|safe }} {{ '<a>'|safe ~ '<b>' }} {{ "
            "('<a>'|safe)|e }} {{ 'a'|safe is escaped }}",
            "<a>&lt;b&gt; &lt;b&gt;<a> <a><b> <a> True"));
}

TEST_CASE("template filters on sequences", "[chat]") {
  CHECK(
      gives("{{ ls|sort }} {{ ls|sort(reverse=true) }} {{ ls|sort(case_sensitive=true) }} {{ "
            "ls|unique|list }}",
            "['A', 'a', 'b', 'c'] ['c', 'b', 'A', 'a'] ['A', 'a', 'b', 'c'] ['b', 'A', 'c']"));
  CHECK(
      gives("{{ people|sort(attribute='age')|map(attribute='name')|join(',') }} {{ "
            "people|sort(attribute='age,name')|map(attribute='name')|list }} "
            "{{ people|sort(attribute='age', reverse=true)|map(attribute='name')|list }}",
            "alice,Bob,Carl ['alice', 'Bob', 'Carl'] ['Bob', 'Carl', 'alice']"));
  CHECK(
      gives("{{ {'b': 1, 'A': 2, 'c': 0}|dictsort }} {{ {'b': 1, 'A': 2, 'c': 0}|dictsort(false, "
            "'value') }}",
            "[('A', 2), ('b', 1), ('c', 0)] [('c', 0), ('b', 1), ('A', 2)]"));
  CHECK(
      gives("{{ ls|min }} {{ ls|max }} {{ l|sum }} {{ people|sum(attribute='age') }} {{ [[1], "
            "[2]]|sum(start=[]) }} {{ []|min }}|",
            "A c 6 85 [1, 2] |"));
  CHECK(
      gives("{{ l|first }} {{ l|last }} {{ []|first }}| {{ 'abc'|last }} {{ l|reverse|list }} {{ "
            "d|first }} {{ 'ab'|list }}",
            "3 2 | c [2, 1, 3] x ['a', 'b']"));
  CHECK(
      gives("{{ ls|map('upper')|join('-') }} {{ ls|map('replace', 'a', 'z')|list }} {{ "
            "people|map(attribute='zip', default='?')|join }}",
            "B-A-C-A ['b', 'A', 'c', 'z'] ???"));
  CHECK(
      gives("{{ people|selectattr('age', 'equalto', 30)|map(attribute='name')|list }} {{ "
            "people|rejectattr('age', 'eq', 30)|list|length }} "
            "{{ l|select('odd')|list }} {{ l|reject('odd')|list }} {{ [0, 1, '']|select|list }} {{ "
            "l|select('>', 1)|list }}",
            "['Bob', 'Carl'] 1 [3, 1] [2] [1] [3, 2]"));
  CHECK(
      gives("{{ l|join }} {{ people|join(', ', attribute='name') }} {{ [none, true, 1.0]|join(' ') "
            "}} {{ d|join(',') }}",
            "312 Bob, alice, Carl None True 1.0 x,y,items"));
  CHECK(
      gives("{{ ''|default('x') }}|{{ ''|default('x', true) }} {{ none|default('x') }} {{ "
            "d.nix|d('zz') }} {{ fa|default('q', boolean=true) }}",
            "|x None zz q"));
  CHECK(
      gives("{{ l|batch(2)|list }} {{ l|batch(2, 'x')|list }} {{ range(7)|slice(3)|list }} {{ "
            "range(6)|slice(3, 'f')|list }}",
            "[[3, 1], [2]] [[3, 1], [2, 'x']] [[0, 1, 2], [3, 4], [5, 6]] [[0, 1, 'f'], [2, 3, "
            "'f'], [4, 5, 'f']]"));
  CHECK(gives(
      "{{ d|items|list }} {{ d.get('nix') }} {{ d.get('nix', 7) }} {{ dict(a=1, b=2) }} {{ "
      "dict({'x': 1}, y=2) }} {{ dict(d, **{'k': 'v'})|length }}",
      "[('x', 1), ('y', 'two'), ('items', [1, 2])] None 7 {'a': 1, 'b': 2} {'x': 1, 'y': 2} 4"));
  // A generator can be walked once, has no length and no subscripts, and is true.
  CHECK(
      gives("{% set g = l|map('string') %}{{ g|first }}{{ g|list }}{{ g|list }}{{ 'T' if "
            "l|select('none') }}{{ (l|select)[0] }}",
            "3['1', '2'][]T"));
  CHECK(type_error("{{ people|selectattr('age')|length }}"));
  CHECK(type_error("{{ people|selectattr('age')|last }}"));
  CHECK(type_error("{{ [1, 'a']|sort }}"));
  CHECK(type_error("{{ 'abc'|upper(1) }}"));
}

TEST_CASE("template tests", "[chat]") {
  CHECK(
      gives("{{ n is number }} {{ tr is number }} {{ tr is integer }} {{ f is float }} {{ 's' is "
            "string }} {{ d is mapping }}",
            "True True False True True True"));
  CHECK(
      gives("{{ l is iterable }} {{ n is iterable }} {{ d is sequence }} {{ 's' is sequence }} {{ "
            "d.items() is sequence }} {{ nothing is iterable }}",
            "True False True True False True"));
  CHECK(
      gives("{{ no is none }} {{ tr is true }} {{ 1 is true }} {{ fa is false }} {{ n is odd }} {{ "
            "n is divisibleby 5 }} {{ n is not none }}",
            "True True False True True True True"));
  CHECK(
      gives("{{ n is eq 5 }} {{ n is gt 3 }} {{ n is in [5] }} {{ n is not in [5] }} {{ 'ABC' is "
            "upper }} {{ range is callable }} {{ no is sameas none }}",
            "True True True False True True True"));
  CHECK(gives(
      "{{ 'a' is string and 'b' is string or false }} {{ 'upper' is filter }} {{ 'zz' is filter }}",
      "True True False"));
  CHECK(refuses("{{ n is startingwith 'a' }}", ErrorCode::kUnsupported, "no such test"));
  CHECK(bad_syntax("{{ n is odd is even }}"));
}

TEST_CASE("template loops", "[chat]") {
  CHECK(
      gives("{% for x in l %}{{ loop.index }}/{{ loop.length }}:{{ x }}{{ ',' if not loop.last "
            "}}{% endfor %}",
            "1/3:3,2/3:1,3/3:2"));
  CHECK(
      gives("{% for x in l %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first "
            "}}{{ loop.previtem }}{{ loop.nextitem }}"
            "{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 1) }};{% endfor %}",
            "032True1aTrue;121False32bTrue;210False1aTrue;"));
  CHECK(gives("{% for x in l if x > 1 %}{{ loop.index }}:{{ x }} {% else %}none{% endfor %}",
              "1:3 2:2 "));
  CHECK(gives("{% for x in l if x > 10 %}{{ x }}{% else %}none{% endfor %}", "none"));
  CHECK(gives(
      "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}",
      "x=1;y=two;items=[1, 2];xyitems"));
  CHECK(
      gives("{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% for a, b in "
            "['xy'] %}{{ a }}-{{ b }}{% endfor %}",
            "123x-y"));
  CHECK(
      gives("{% for x in range(5) %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% "
            "break %}{% endif %}{{ x }}{% endfor %}",
            "013"));
  CHECK(
      gives("{% for x in [[1, [2]], [3]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else "
            "%}{{ x }}@{{ loop.depth }}{% endif %}{% endfor %}",
            "(1@2(2@3))(3@2)"));
  CHECK(
      gives("{% for x in l %}{% set outer = loop %}{% for y in 'ab' %}{{ outer.index }}{{ "
            "loop.index }} {% endfor %}{% endfor %}",
            "11 12 21 22 31 32 "));
  // `else` runs where no iteration came to its end.
  CHECK(gives("{% for x in l %}{% break %}{% else %}e{% endfor %}", "e"));
  CHECK(gives(
      "{% for x in l %}{% if x == 3 %}{% continue %}{% endif %}{{ x }}{% else %}e{% endfor %}",
      "12"));
  CHECK(type_error("{% for x in none %}a{% endfor %}"));
  CHECK(type_error("{% for a, b in [1] %}{{ a }}{% endfor %}"));
  CHECK(refuses("{% for a, b in [(1, 2, 3)] %}{% endfor %}", ErrorCode::kBadValue, "ValueError"));
  CHECK(type_error("{% for x in l %}{{ loop(l) }}{% endfor %}"));
  CHECK(bad_syntax("{% break %}"));
  CHECK(bad_syntax("{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}"));
}

TEST_CASE("template variables and scopes", "[chat]") {
  CHECK(gives("{% set x = 1 %}{% for i in range(3) %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}",
              "2221"));
  CHECK(gives("{% for i in range(2) %}{{ y }}{% set y = i %}{{ y }}{% endfor %}{{ y }}|", "01|"));
  CHECK(gives("{% if true %}{% set y = 5 %}{% endif %}{{ y }}", "5"));
  CHECK(
      gives("{% set ns = namespace({'a': 1}, x=1) %}{% for i in l %}{% set ns.x = ns.x + i %}{% "
            "endfor %}{{ ns.x }}{{ ns.a }}{{ ns.nix }}",
            "71"));
  CHECK(gives("{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}{% set q = () %}{{ q }}",
              "12(1, 2)()"));
  CHECK(
      gives("{% set x %}block {{ n }}{% endset %}[{{ x }}]{% set y | upper | trim %} hi {% endset "
            "%}[{{ y }}]",
            "[block 5][HI]"));
  CHECK(gives("{% with a = n, n = 9 %}{{ a }}{{ n }}{% endwith %}{{ n }}{{ a }}|", "595|"));
  CHECK(gives("{% for message in messages %}{% set messages = [] %}{{ message.role }},{% endfor %}",
              "user,assistant,"));
  CHECK(
      gives("{% generation %}gen {{ n }}{% set g = 1 %}{% endgeneration %}{{ g }}|{% block b %}x{{ "
            "n }}{% endblock b %}",
            "gen 5|x5"));
  CHECK(gives("{% filter upper %}abc {{ d.y }}{% endfilter %}{% print 1, 2 %}", "ABC TWO12"));
  CHECK(refuses("{% set d.x = 1 %}", ErrorCode::kBadValue, "TemplateRuntimeError"));
  CHECK(bad_syntax("{% set true = 3 %}"));
  CHECK(bad_syntax("{% set 5 = 3 %}"));
}

TEST_CASE("template macros and calls", "[chat]") {
  CHECK(
      gives("{% macro m(a, b=2, c='x' ~ a) %}{{ a }}-{{ b }}-{{ c }}{% endmacro %}{{ m(1) }} {{ "
            "m(1, 3) }} {{ m(a=5, c=9) }} {{ m() }}",
            "1-2-x1 1-3-x1 5-2-9 -2-x"));
  CHECK(gives("{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, k=4) }}",
              "(2, 3){'k': 4}"));
  CHECK(gives(
      "{% macro m(a) %}<{{ caller(a) }}>{% endmacro %}{% call(x) m(7) %}c{{ x }}{% endcall %}",
      "<c7>"));
  CHECK(gives("{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}", "False"));
  CHECK(
      gives("{% macro fact(n) %}{% if n <= 1 %}1{% else %}{{ n * (fact(n - 1)|int) }}{% endif %}{% "
            "endmacro %}{{ fact(5) }}",
            "120"));
  CHECK(
      gives("{% set v = 'out' %}{% macro m() %}{{ v }}{% endmacro %}{% set v = 'changed' %}{{ m() "
            "}} {{ m.name }}",
            "changed m"));
  CHECK(gives(
      "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}",
      "1234"));
  CHECK(type_error("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}"));
  CHECK(type_error("{% macro m(a) %}{% endmacro %}{{ m(b=2) }}"));
  CHECK(type_error("{% macro m() %}x{% endmacro %}{% call m() %}body{% endcall %}"));
  CHECK(type_error("{{ n() }}"));
  CHECK(bad_syntax("{% macro m(a=1, b) %}{% endmacro %}"));
  CHECK(bad_syntax("{% call foo %}{% endcall %}"));
  CHECK(bad_syntax("{{ f(1, a=2, 3) }}"));
}

TEST_CASE("template white space", "[chat]") {
  CHECK(gives("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc"));
  CHECK(gives("a  {% if true %}  b  {% endif %}  c", "a    b    c"));
  CHECK(gives("a \n {%- if true -%} \n b \n {%- endif -%} \n c", "abc"));
  CHECK(gives("a\n  {%+ if true +%}\nb{% endif %}", "a\n  \nb"));
  CHECK(gives("a\n  {{ 1 }}\n  {{- 2 -}}\n b", "a\n  12b"));
  CHECK(gives("  {# c #}\n a{#- x -#} \n b{#+ y +#}\nc", " ab\nc"));
  CHECK(gives("{# {{ x }} #}a\r\nb\rc\r\n", "a\nb\nc"));
  CHECK(gives("x\n{% raw %}\n{{ not }} {% if %}\n {% endraw %}\ny", "x\n\n{{ not }} {% if %}\ny"));
  CHECK(gives("a {%- raw -%} b {%- endraw -%} c", "abc"));
  CHECK(gives("{{ {'a': {'b': 1}}.a.b }}{{ [1,[2]][1][0] }}{{-1}}{{- 1 }}", "1211"));
  CHECK(
      gives("a\xC2\xA0{%- set q = 1 -%}\xE3\x80\x80"
            "b",
            "ab"));
  CHECK(gives("", ""));
  CHECK(gives("\n", ""));
  CHECK(gives("\n\n", "\n"));
}

TEST_CASE("template JSON", "[chat]") {
  CHECK(gives("{{ d|tojson }}", "{\"x\": 1, \"y\": \"two\", \"items\": [1, 2]}"));
  CHECK(gives("{{ {'a': [1, {}], 'b': []}|tojson(indent=2) }}",
              "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"));
  CHECK(
      gives("{{ '\\u65e5\\x7f\\x00\"\\\\\\n/<' |tojson }} {{ "
            "'\\U0001f600\\u00e9\\x7f'|tojson(ensure_ascii=true) }}",
            "\"\xE6\x97\xA5\x7F\\u0000\\\"\\\\\\n/<\" \"\\ud83d\\ude00\\u00e9\\u007f\""));
  CHECK(gives("{{ {1: 2, none: 3, true: 4, 1.5: 6}|tojson }} {{ [1e400, 0.1, true, none]|tojson }}",
              "{\"1\": 4, \"null\": 3, \"1.5\": 6} [Infinity, 0.1, true, null]"));
  CHECK(
      gives("{{ {'b': 1, 'a': 2}|tojson(sort_keys=true) }} {{ [1, 2]|tojson(separators=(',', ':')) "
            "}} {{ (1, 2)|tojson }}",
            "{\"a\": 2, \"b\": 1} [1,2] [1, 2]"));
  CHECK(type_error("{{ range(3)|tojson }}"));
  CHECK(type_error("{{ {(1,): 2}|tojson }}"));
}

TEST_CASE("template dates", "[chat]") {
  CHECK(gives("{{ strftime_now('%d %b %Y') }}", "15 Jun 2025"));
  CHECK(
      gives("{{ strftime_now('%Y-%m-%d %H:%M:%S %A %a %B %p %I %j %y %e %-d %-m %% %F %T %D %w %u "
            "%Z|') }}",
            "2025-06-15 12:34:56 Sunday Sun June PM 12 166 25 15 15 6 % 2025-06-15 12:34:56 "
            "06/15/25 0 7 |"));
  CHECK(gives("{{ strftime_now is defined }} {{ strftime_now('%c') }}",
              "True Sun Jun 15 12:34:56 2025"));
  CHECK(refuses("{{ strftime_now('%Q') }}", ErrorCode::kUnsupported,
                "this build lacks the date directive"));
}

TEST_CASE("template exceptions carry their message", "[chat]") {
  CHECK(
      refuses("{{ raise_exception('boom ' ~ n) }}", ErrorCode::kTemplate, "the template refused"));
  CHECK(probe().exception() == "boom 5");
  CHECK(type_error("{{ raise_exception() }}"));
}

TEST_CASE("template sandbox", "[chat]") {
  // Nothing but a namespace can change. The attribute is there, and undefined; using it is a
  // SecurityError.
  CHECK(refuses("{{ l.append(4) }}", ErrorCode::kBadValue, "SecurityError"));
  CHECK(refuses("{{ d.update({'a': 1}) }}", ErrorCode::kBadValue, "SecurityError"));
  CHECK(refuses("{{ d.pop('x') }}", ErrorCode::kBadValue, "SecurityError"));
  CHECK(gives("{{ l.append }}|{{ l.append is defined }}", "|False"));
  CHECK(undefined_error("{{ 'abc'.append('x') }}"));
  CHECK(
      gives("{{ ''.__class__ }}|{{ range.__globals__ }}|{{ l.__class__ is defined }}", "||False"));
  CHECK(refuses("{{ ''.__class__.__mro__ }}", ErrorCode::kBadValue, ""));
  CHECK(refuses("{{ raise_exception.__globals__['os'] }}", ErrorCode::kBadValue, ""));
  CHECK(refuses("{{ range(100001) }}", ErrorCode::kLimit, "OverflowError"));
  CHECK(gives("{{ range(100000)|length }}", "100000"));
}

TEST_CASE("template errors name the thing and the place", "[chat]") {
  const Error unknown = probe().error("a\nb{{ x|nofilter }}");
  CHECK(unknown.code == ErrorCode::kUnsupported);
  CHECK(unknown.subject_text() == "nofilter");
  CHECK(unknown.offset == 8);
  CHECK(unknown.value == 2);  // the line
  const Error run_time = probe().error("\n\n{{ 1 + none }}");
  CHECK(run_time.code == ErrorCode::kBadValue);
  CHECK(run_time.value == 3);
  CHECK(gives("{{ 1 + none }}",
              "error: int: TypeError: unsupported operand of +, line 1 at byte 7 [bad_value]"));
  CHECK(refuses("{% include 'x' %}", ErrorCode::kUnsupported, "this build lacks the tag"));
  CHECK(refuses("{% import 'x' as y %}", ErrorCode::kUnsupported, "this build lacks the tag"));
  CHECK(refuses("{{ cycler('a') }}", ErrorCode::kUnsupported, "this build lacks it"));
  // What an `if` guards is refused only when it runs.
  CHECK(gives("{% if false %}{{ x|nofilter }}{% endif %}{{ 'ok' if true else x|nofilter }}", "ok"));
  CHECK(refuses("{% if true %}{{ x|nofilter }}{% endif %}", ErrorCode::kUnsupported,
                "no such filter"));
  CHECK(refuses("{% for x in [] %}{{ x|nofilter }}{% endfor %}", ErrorCode::kUnsupported,
                "no such filter"));
  const char* const malformed[] = {
      "{% foo %}",
      "{% endif %}",
      "{% if %}",
      "{% if x %}",
      "{% for %}",
      "{{ 1 + }}",
      "{{ (1 }}",
      "{{ 1) }}",
      "{{ [1, 2 }}",
      "{{ {'a' 1} }}",
      "{{ 'abc }}",
      "{{ a b }}",
      "{{ }}",
      "{% set x %}",
      "{# unclosed",
      "{% raw %}abc",
      "{{ x.5a }}",
      "{{ $ }}",
      "{{ 007 }}",
      "{{ x..y }}",
      "{{ f(**d, 1) }}",
      "{% if a if b else c %}x{% endif %}",
      "{{ '\\xg' }}",
      "{{ '\\u12' }}",
      "{{ 'a",
      "{{ \"\\",
      "{% for x in y %}{% else %}",
  };
  for (const char* source : malformed) CHECK(bad_syntax(source));
}
