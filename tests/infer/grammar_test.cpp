// Grammars: what a program lets pass, byte by byte, and what is refused before it becomes one.
#include "core/infer/grammar.h"

#include "core/base/fmt.h"
#include "core/base/utf8.h"
#include "core/infer/grammar_matcher.h"
#include "tests/chat/scripted_host.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr GrammarMatcherLimits kSmall = {
    .n_set = 128, .n_place = 2048, .n_call = 512, .n_reach = 1024};

struct Machine {
  Arena arena{Span<u8>(memory())};
  Arena scratch{Span<u8>(work())};
  GrammarMatcher* matcher = nullptr;

  explicit Machine(Str text, const GrammarMatcherLimits& limits = kSmall) {
    Result<Grammar*> grammar = Grammar::parse(arena, text, scratch);
    REQUIRE(grammar.ok());
    CHECK(scratch.bytes_used() == 0);
    Result<GrammarMatcher*> made = GrammarMatcher::create(arena, *grammar.value(), limits);
    REQUIRE(made.ok());
    matcher = made.value();
  }
  static Span<u8> memory() { return test::test_memory().first(kMiB); }
  static Span<u8> work() { return test::test_memory().slice(kMiB, Grammar::kScratchBytes); }

  // The set after `text`.
  u32 after(Str text) {
    u32 set = matcher->start();
    REQUIRE(set != GrammarMatcher::kFull);
    for (const char c : text) {
      u32 next = matcher->step(set, static_cast<u8>(c));
      if (next == GrammarMatcher::kFull) {
        static_cast<void>(matcher->collect({&set, 1}));
        next = matcher->step(set, static_cast<u8>(c));
        REQUIRE(next != GrammarMatcher::kFull);
      }
      set = next;
    }
    return set;
  }
  bool matches(Str text) { return matcher->can_end(after(text)); }
  bool begins(Str text) { return after(text) != GrammarMatcher::kDead; }
};

Error refusal(Str text) {
  Arena arena{Machine::memory()};
  Arena scratch{Machine::work()};
  const Result<Grammar*> grammar = Grammar::parse(arena, text, scratch);
  REQUIRE(!grammar.ok());
  CHECK(arena.bytes_used() == 0);
  CHECK(scratch.bytes_used() == 0);
  return grammar.error();
}

bool refused(Str text, ErrorCode code, Str subject) {
  const Error error = refusal(text);
  return error.code == code && error.subject_text() == subject;
}

}  // namespace

TEST_CASE("grammar: literals, alternatives and sequences", "[infer]") {
  Machine m("root ::= \"yes\" | \"no\" \" \" (\"never\" | \"\")\n");
  CHECK(m.matches("yes"));
  CHECK(m.matches("no never"));
  CHECK(m.matches("no "));
  CHECK(!m.matches("no"));
  CHECK(m.begins("no n"));
  CHECK(!m.begins("y\x65x"));
  CHECK(!m.begins("yess"));
  CHECK(!m.matches(""));
}

TEST_CASE("grammar: every repetition takes as many as it says", "[infer]") {
  const struct {
    Str suffix;
    u32 low, high;
  } cases[] = {{"*", 0, 99},    {"+", 1, 99},    {"?", 0, 1},         {"{3}", 3, 3},
               {"{2,}", 2, 99}, {"{2,5}", 2, 5}, {"{0,3}", 0, 3},     {"{0}", 0, 0},
               {"{1}", 1, 1},   {"{0,}", 0, 99}, {"{ 1 , 2 }", 1, 2}, {"{1,}", 1, 99},
               {"{0,1}", 0, 1}, {"{1,1}", 1, 1}};
  const Str units[] = {"\"x\"", "[xy]",       "(\"x\")", "\"xx\"", "(\"x\" | \"xz\")",
                       "one",   "(one | two)"};
  for (const auto& c : cases) {
    for (const Str unit : units) {
      TextBuffer<200> text;
      text.print("root ::= {}{} \"!\"\none ::= \"x\"\ntwo ::= \"yy\"\n", unit, c.suffix);
      Machine m(text.text());
      const u32 per_unit = unit == "\"xx\"" ? 2 : 1;
      for (u32 n = 0; n <= 7; ++n) {
        TextBuffer<20> input;
        for (u32 i = 0; i < n * per_unit; ++i) input.append("x");
        input.append("!");
        CHECK(m.matches(input.text()) == (n >= c.low && n <= c.high));
      }
    }
  }
}

TEST_CASE("grammar: repetitions of repetitions, and of nothing", "[infer]") {
  Machine nested("root ::= ((\"a\"{2}){3} \"b\"?){1,2}");
  CHECK(nested.matches("aaaaaa"));
  CHECK(nested.matches("aaaaaab"));
  CHECK(nested.matches("aaaaaabaaaaaab"));
  CHECK(!nested.matches("aaaaa"));
  CHECK(!nested.begins("aaaaaabb"));
  Machine empty("root ::= ((\"a\"*)* (\"\" | \"b\"?)+){0,4} (\"\"){5} (|){2,}");
  CHECK(empty.matches(""));
  CHECK(empty.matches("aaabab"));
  CHECK(empty.matches("aaabbabbbaaaaabaaaa"));
  CHECK(!empty.begins("c"));
}

TEST_CASE("grammar: classes, ranges, negation and escapes", "[infer]") {
  Machine m(
      "root ::= [a-c\\]\\\\x-]+ \" \" [^a-z\\n] \" \" [\\x41\\u00e9\\U0001F600] \"\\t\\\"\\x21\"");
  CHECK(m.matches("abc]\\x-b A A\t\"!"));
  CHECK(m.matches("a \xE2\x82\xAC \xC3\xA9\t\"!"));
  CHECK(m.matches("a 0 \xF0\x9F\x98\x80\t\"!"));
  CHECK(!m.begins("d"));
  CHECK(!m.begins("a b"));
  CHECK(!m.begins("a \n"));
  CHECK(!m.begins("a 0 B"));
  CHECK(!m.begins("a 0 \xC3\xA8"));
}

TEST_CASE("grammar: a class is the characters it names, each by its own bytes", "[infer]") {
  // Ranges whose ends are at, before and behind every border of the encoding.
  const u32 ends[] = {0x00,   0x41,    0x7E,    0x7F,    0x80,    0x81,    0xBF,     0xC0,
                      0x7FF,  0x800,   0x801,   0xFFF,   0x1000,  0xD7FF,  0xE000,   0xFFFD,
                      0xFFFF, 0x10000, 0x103FF, 0x3FFFF, 0x40000, 0xFFFFF, 0x100000, 0x10FFFF};
  u32 n_wrong = 0;
  for (const u32 low : ends) {
    for (const u32 high : ends) {
      if (high < low) continue;
      for (const bool is_negated : {false, true}) {
        if (is_negated && low == 0 && high == 0x10FFFF) continue;
        const char hex[] = "0123456789abcdef";
        char text[] = "root ::= [^\\U00000000-\\U00000000]";
        char plain[] = "root ::= [\\U00000000-\\U00000000]";
        char* at = is_negated ? text + 13 : plain + 12;
        for (u32 i = 0; i < 8; ++i) {
          at[7 - i] = hex[(low >> (4 * i)) & 15];
          at[18 - i] = hex[(high >> (4 * i)) & 15];
        }
        Machine m(is_negated ? text : plain);
        for (const u32 c : ends) {
          char bytes[4];
          const u32 n = encode_utf8(c, bytes);
          const bool expected = (c >= low && c <= high) != is_negated;
          if (m.matches({bytes, n}) != expected) ++n_wrong;
        }
        // What is no UTF-8 never passes: a lone continuation, an overlong form, a surrogate.
        for (const Str bad : {Str("\x80"), Str("\xC0\x80"), Str("\xC1\xBF"), Str("\xE0\x9F\xBF"),
                              Str("\xED\xA0\x80"), Str("\xF0\x8F\xBF\xBF"), Str("\xF4\x90\x80\x80"),
                              Str("\xF5"), Str("\xFF")}) {
          if (m.begins(bad)) ++n_wrong;
        }
      }
    }
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("grammar: '.' is any character, and half of one is not the end", "[infer]") {
  Machine m("root ::= . \"|\"");
  CHECK(m.matches("\n|"));
  CHECK(m.matches("\xE4\xB8\xAD|"));
  CHECK(m.begins("\xE4\xB8"));
  CHECK(!m.begins("\xE4\xB8|"));
  CHECK(!m.begins("\xE4\xB8\xAD\xE4"));
}

TEST_CASE("grammar: comments, line feeds and spaces where they may stand", "[infer]") {
  Machine m(
      "# a comment\n\n  root ::=\n   a |  # the first\n   b   \n# between\nb ::= (\n  \"b\"\n  "
      "\"c\" "
      "# in parentheses\n)\r\na::=\"a\"");
  CHECK(m.matches("a"));
  CHECK(m.matches("bc"));
  CHECK(!m.begins("c"));
}

TEST_CASE("grammar: rules call each other, however deep", "[infer]") {
  Machine m("root ::= list\nlist ::= \"[\" (list (\",\" list)*)? \"]\"");
  CHECK(m.matches("[]"));
  CHECK(m.matches("[[],[[],[]],[]]"));
  CHECK(!m.matches("[[]"));
  CHECK(!m.begins("[]]"));
  CHECK(!m.begins("[,"));
  // Forgetting in between changes nothing.
  u32 set = m.matcher->start();
  for (const char c : Str("[[[[],[[],[]],[]],[")) {
    set = m.matcher->step(set, static_cast<u8>(c));
    REQUIRE(set != GrammarMatcher::kFull);
    CHECK(m.matcher->collect({&set, 1}));
  }
  for (const char c : Str("]]]")) set = m.matcher->step(set, static_cast<u8>(c));
  CHECK(m.matcher->can_end(set));
  CHECK(!m.matcher->can_go_on(set));
}

TEST_CASE("grammar: recursion at the end of a rule takes no memory", "[infer]") {
  Machine m("root ::= item tail\ntail ::= \"\" | \",\" root\nitem ::= [a-z]+",
            {.n_set = 16, .n_place = 64, .n_call = 8, .n_reach = 64});
  u32 set = m.matcher->start();
  for (u32 i = 0; i < 10000; ++i) set = m.matcher->step(set, i % 3 == 2 ? ',' : 'x');
  CHECK(set != GrammarMatcher::kFull);
  CHECK(m.matcher->can_end(set));
}

TEST_CASE("grammar: what nests without end fills the memory, and says so", "[infer]") {
  Machine m("root ::= \"(\" root \")\" | \"\"",
            {.n_set = 64, .n_place = 256, .n_call = 64, .n_reach = 64});
  u32 set = m.matcher->start();
  u32 depth = 0;
  for (; depth < 1000; ++depth) {
    u32 next = m.matcher->step(set, '(');
    if (next == GrammarMatcher::kFull) {
      static_cast<void>(m.matcher->collect({&set, 1}));
      next = m.matcher->step(set, '(');
    }
    if (next == GrammarMatcher::kFull) break;
    set = next;
  }
  CHECK(depth > 50);
  CHECK(depth < 64);
}

TEST_CASE("grammar: ambiguity is bounded by the memory", "[infer]") {
  // Twice as many stacks with every byte.
  Machine m("root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"\"");
  u32 set = m.matcher->start();
  u32 n = 0;
  for (; n < 64; ++n) {
    const u32 next = m.matcher->step(set, 'a');
    if (next == GrammarMatcher::kFull) break;
    set = next;
  }
  CHECK(n < 16);
  CHECK(n > 4);
}

TEST_CASE("grammar: errors name line and column", "[infer]") {
  CHECK(refused("root ::= \"a\" b\n", ErrorCode::kMissing, "grammar line 1, column 14, 'b'"));
  CHECK(refused("root ::= \"a\"\nroot ::= \"b\"", ErrorCode::kDuplicate,
                "grammar line 2, column 1, 'root'"));
  CHECK(refused("root = \"a\"", ErrorCode::kBadSyntax, "grammar line 1, column 6"));
  CHECK(refused("root ::= \"a\n\"", ErrorCode::kBadSyntax, "grammar line 1, column 10"));
  CHECK(refused("root ::= \"\xC3\xA9\" [a", ErrorCode::kBadSyntax, "grammar line 1, column 15"));
  CHECK(refused("root ::= (\"a\"\n  (\"b\" ", ErrorCode::kBadSyntax, "grammar line 2, column 3"));
  CHECK(refused("root ::= \"a\"\n)", ErrorCode::kBadSyntax, "grammar line 2, column 1"));
  CHECK(refused("root ::= \"a\" )", ErrorCode::kBadSyntax, "grammar line 1, column 14"));
  CHECK(refused("root ::= * \"a\"", ErrorCode::kBadSyntax, "grammar line 1, column 10"));
  CHECK(refused("root ::= []", ErrorCode::kBadSyntax, "grammar line 1, column 11"));
  CHECK(refused("root ::= [z-a]", ErrorCode::kBadValue, "grammar line 1, column 11"));
  CHECK(refused("root ::= [^\\U00000000-\\U0010FFFF]", ErrorCode::kBadValue,
                "grammar line 1, column 10"));
  CHECK(refused("root ::= \"\\q\"", ErrorCode::kBadSyntax, "grammar line 1, column 11"));
  CHECK(refused("root ::= \"\\x4\"", ErrorCode::kBadSyntax, "grammar line 1, column 14"));
  CHECK(refused("root ::= \"\\ud800\"", ErrorCode::kBadValue, "grammar line 1, column 11"));
  CHECK(refused("root ::= \"\\U00110000\"", ErrorCode::kBadValue, "grammar line 1, column 11"));
  CHECK(refused("root ::= \"\x80\"", ErrorCode::kBadValue, "grammar line 1, column 11"));
  CHECK(refused("root ::= \"a\"{2,1}", ErrorCode::kBadValue, "grammar line 1, column 14"));
  CHECK(refused("root ::= \"a\"{,2}", ErrorCode::kBadSyntax, "grammar line 1, column 14"));
  CHECK(refused("root ::= \"a\"{2", ErrorCode::kBadSyntax, "grammar line 1, column 15"));
  CHECK(refused("root ::= <think>", ErrorCode::kUnsupported, "grammar line 1, column 10"));
  CHECK(refused("", ErrorCode::kMissing, ""));
  CHECK(refused("a ::= \"a\"", ErrorCode::kMissing, ""));
}

TEST_CASE("grammar: left recursion is refused, whatever hides it", "[infer]") {
  const Str hidden[] = {
      "root ::= root \"a\" | \"b\"",
      "root ::= x\nx ::= y \"a\"\ny ::= x | \"b\"",
      "root ::= \"\" root",
      "root ::= \"a\"? root",
      "root ::= (\"a\"*)* root \"b\"",
      "root ::= e e root\ne ::= f?\nf ::= \"f\"",
      "root ::= (root){2}",
      "root ::= (\"a\" | root){0,3} \"b\"",
      "root ::= \"b\"{0} root",
      "root ::= \"x\" a\na ::= a",
  };
  for (const Str text : hidden) CHECK(refusal(text).code == ErrorCode::kUnsupported);
  const Error error = refusal("root ::= \"x\" list\nlist ::= list \",\" \"x\" | \"x\"\n");
  CHECK(error.subject_text() == "grammar line 1, column 14, 'list'");
  // Recursion behind a character is none, and what may be empty may be repeated.
  Machine m("root ::= (\"a\" root)? \"b\" (\"c\"? \"d\"*)*");
  CHECK(m.matches("aabcbdb"));
}

TEST_CASE("grammar: what is too large is refused, in bounded time and memory", "[infer]") {
  static char text[Grammar::kMaxTextBytes + 1];
  for (char& c : text) c = '(';
  __builtin_memcpy(text, "root ::= ", 9);
  CHECK(refusal(Str(text, 1000)).code == ErrorCode::kLimit);
  CHECK(refusal(Str(text, sizeof(text))).code == ErrorCode::kLimit);
  for (usize i = 9; i + 1 < sizeof(text); i += 2) {
    text[i] = '"';
    text[i + 1] = '"';
  }
  CHECK(refusal("root ::= \"ab\"{200000}").code == ErrorCode::kLimit);
  CHECK(refusal("root ::= \"ab\"{99999999999999999999}").code == ErrorCode::kLimit);
  CHECK(refusal("root ::= ((((\"ab\"{60000})){0,60000}){0,60000})").code == ErrorCode::kLimit);
  // A repetition of repetitions adds up instead of multiplying.
  Machine m("root ::= (((\"ab\"{1000}){1000}){1000})");
  CHECK(m.begins("abababab"));
  // Rules without end: each is named, none is there.
  TextWriter out(text);
  out.append("root ::= ");
  for (u32 i = 0; i <= Grammar::kMaxRules; ++i) out.print("r{} ", u32{i});
  CHECK(refusal(out.text()).code == ErrorCode::kLimit);
  // More sets than there may be.
  out.clear();
  out.append("root ::= ");
  for (u32 i = 0; i < 95; ++i) {
    for (u32 k = 0; k < 12; ++k) {
      const char low = static_cast<char>(' ' + i);
      out.print("[\\x{}{}\\x0{}]", u32{static_cast<u32>(low) / 16}, "0123456789abcdef"[low % 16],
                "0123456789ab"[k]);
    }
  }
  CHECK(refusal(out.text()).code == ErrorCode::kLimit);
}
