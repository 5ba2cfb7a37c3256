#include "core/base/utf8.h"

#include "core/base/pcg32.h"
#include "core/base/unicode_tables.h"
#include "tests/test.h"

namespace lbm {
namespace {

bool decodes_to(Str text, u32 codepoint, u32 n_byte) {
  const Utf8Char c = decode_utf8(text);
  return c.valid && c.codepoint == codepoint && c.n_byte == n_byte;
}

bool is_malformed(Str text) {
  const Utf8Char c = decode_utf8(text);
  return !c.valid && c.codepoint == kReplacementCodepoint && c.n_byte == 1;
}

// Feeds `text` to a gate in pieces of `step` bytes and compares everything that comes out.
bool gate_gives(Str text, usize step, Str expected) {
  char collected[256];
  usize n = 0;
  Utf8Gate gate;
  char out[Utf8Gate::output_capacity(64)];
  const auto collect = [&](Str part) {
    if (!is_valid_utf8(part) || n + part.size() > sizeof(collected)) return false;
    __builtin_memcpy(collected + n, part.data(), part.size());
    n += part.size();
    return true;
  };
  for (usize i = 0; i < text.size(); i += step) {
    const usize left = text.size() - i;
    if (!collect(gate.feed(text.slice(i, step < left ? step : left), out))) return false;
  }
  if (!collect(gate.flush(out))) return false;
  return Str(collected, n) == expected;
}

bool gate_gives(Str text, Str expected) {
  for (usize step = 1; step <= 5; ++step) {
    if (!gate_gives(text, step, expected)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("utf8: the first and the last character of each length", "[base]") {
  CHECK(decodes_to(Str("\0", 1), 0, 1));
  CHECK(decodes_to("\x7F", 0x7F, 1));
  CHECK(decodes_to("\xC2\x80", 0x80, 2));
  CHECK(decodes_to("\xDF\xBF", 0x7FF, 2));
  CHECK(decodes_to("\xE0\xA0\x80", 0x800, 3));
  CHECK(decodes_to("\xED\x9F\xBF", 0xD7FF, 3));
  CHECK(decodes_to("\xEE\x80\x80", 0xE000, 3));
  CHECK(decodes_to("\xEF\xBF\xBF", 0xFFFF, 3));
  CHECK(decodes_to("\xF0\x90\x80\x80", 0x10000, 4));
  CHECK(decodes_to("\xF4\x8F\xBF\xBFx", 0x10FFFF, 4));
}

TEST_CASE("utf8: what is malformed is one byte of U+FFFD", "[base]") {
  CHECK(is_malformed("\x80"));      // a continuation byte alone
  CHECK(is_malformed("\xC0\x80"));  // overlong, 2, 3 and 4 bytes
  CHECK(is_malformed("\xC1\xBF"));
  CHECK(is_malformed("\xE0\x9F\xBF"));
  CHECK(is_malformed("\xF0\x8F\xBF\xBF"));
  CHECK(is_malformed("\xED\xA0\x80"));  // surrogates
  CHECK(is_malformed("\xED\xBF\xBF"));
  CHECK(is_malformed("\xF4\x90\x80\x80"));  // beyond U+10FFFF
  CHECK(is_malformed("\xF5\x80\x80\x80"));
  CHECK(is_malformed("\xFF"));
  CHECK(is_malformed("\xC3"));  // truncated at every position
  CHECK(is_malformed("\xE2\x82"));
  CHECK(is_malformed("\xF0\x9F\x99"));
  CHECK(is_malformed("\xF0\x9F\x99x"));
  CHECK(!is_valid_utf8("ab\xFFz"));
  CHECK(is_valid_utf8("ab\xC3\xA9z"));
  CHECK(is_valid_utf8(""));
}

TEST_CASE("utf8: encoding and decoding are inverse", "[base]") {
  u32 n_wrong = 0;
  for (u32 codepoint = 0; codepoint <= 0x10FFFF; codepoint += codepoint < 0x11000 ? 1 : 257) {
    if (codepoint >= 0xD800 && codepoint <= 0xDFFF) continue;
    char bytes[4];
    const u32 n = encode_utf8(codepoint, bytes);
    n_wrong += decodes_to(Str(bytes, n), codepoint, n) &&
                       utf8_sequence_length(static_cast<u8>(bytes[0])) == n
                   ? 0u
                   : 1u;
  }
  CHECK(n_wrong == 0);
  char bytes[4];
  CHECK((encode_utf8(0xD800, bytes) == 3 && Str(bytes, 3) == "\xEF\xBF\xBD"));
  CHECK((encode_utf8(0x110000, bytes) == 3 && Str(bytes, 3) == "\xEF\xBF\xBD"));
  for (u32 lead = 0x80; lead < 0xC2; ++lead) {
    CHECK(utf8_sequence_length(static_cast<u8>(lead)) == 0);
  }
  for (u32 lead = 0xF5; lead < 0x100; ++lead) {
    CHECK(utf8_sequence_length(static_cast<u8>(lead)) == 0);
  }
}

TEST_CASE("utf8 gate: only whole characters come out, however the text is cut", "[base]") {
  CHECK(gate_gives("plain", "plain"));
  CHECK(gate_gives("na\xC3\xAFve \xE6\x9D\xB1\xE4\xBA\xAC \xF0\x9F\x99\x82!",
                   "na\xC3\xAFve \xE6\x9D\xB1\xE4\xBA\xAC \xF0\x9F\x99\x82!"));
  CHECK(gate_gives("", ""));
}

TEST_CASE("utf8 gate: every byte that belongs to no character is one U+FFFD", "[base]") {
  CHECK(
      gate_gives("a\xFF"
                 "b",
                 "a\xEF\xBF\xBD"
                 "b"));
  CHECK(gate_gives("\xE2\x82x", "\xEF\xBF\xBD\xEF\xBF\xBDx"));
  CHECK(gate_gives("\xF0\x9F\x99", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"));
  CHECK(gate_gives("\xE2\x82\xC3\xA9",
                   "\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA9"));  // a new character starts inside one
  CHECK(gate_gives("\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"));
  CHECK(gate_gives("\xF4\x90", "\xEF\xBF\xBD\xEF\xBF\xBD"));
  CHECK(gate_gives("\xC0\xAF", "\xEF\xBF\xBD\xEF\xBF\xBD"));
}

TEST_CASE("utf8 gate: random bytes always come out as UTF-8, and as decode_utf8 reads them",
          "[base]") {
  Pcg32 random(7, 1);
  constexpr u8 kFavourites[] = {0x20, 0x41, 0x80, 0xBF, 0xC2, 0xE0, 0xA0, 0xED,
                                0x9F, 0xF0, 0x90, 0xF4, 0x8F, 0xFF, 0xC0, 0xE2};
  u32 n_wrong = 0;
  for (u32 round = 0; round < 500; ++round) {
    char text[20];
    const usize n = random.next() % sizeof(text);
    for (usize i = 0; i < n; ++i) {
      text[i] = static_cast<char>(kFavourites[random.next() % sizeof(kFavourites)]);
    }
    char expected[64];
    usize n_expected = 0;
    for (usize i = 0; i < n;) {
      const Utf8Char c = decode_utf8(Str(text + i, n - i));
      char bytes[4];
      const u32 n_byte = encode_utf8(c.codepoint, bytes);
      __builtin_memcpy(expected + n_expected, bytes, n_byte);
      n_expected += n_byte;
      i += c.n_byte;
    }
    n_wrong += gate_gives(Str(text, n), Str(expected, n_expected)) ? 0u : 1u;
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("display width", "[base]") {
  CHECK(display_width('a') == 1);
  CHECK(display_width(0xE9) == 1);  // e with acute
  CHECK(display_width(0xAD) == 1);  // soft hyphen
  CHECK(display_width('\n') == 0);
  CHECK(display_width(0x7F) == 0);
  CHECK(display_width(0x301) == 0);   // combining acute
  CHECK(display_width(0x200D) == 0);  // zero width joiner
  CHECK(display_width(0x1175) == 0);  // Hangul vowel after its initial
  CHECK(display_width(0x1100) == 2);
  CHECK(display_width(0x4E2D) == 2);
  CHECK(display_width(0xAC00) == 2);
  CHECK(display_width(0xFF21) == 2);  // fullwidth A
  CHECK(display_width(0x1F642) == 2);
  CHECK(display_width(0x3FFFD) == 2);
  CHECK(display_width(0x10FFFF) == 1);
  CHECK(display_width(0x110000) == 1);
}

TEST_CASE("character classes", "[base]") {
  const auto is = [](u32 codepoint, CharClass expected) {
    return char_info(codepoint).char_class == expected;
  };
  CHECK(is('A', CharClass::kUppercase));
  CHECK(is('z', CharClass::kLowercase));
  CHECK(is(0x1C5, CharClass::kTitlecase));
  CHECK(is(0x2B0, CharClass::kModifierLetter));
  CHECK(is(0x4E2D, CharClass::kOtherLetter));
  CHECK(is(0x9FFF,
           CharClass::kOtherLetter));  // ends a range that the database gives by its first and last
  CHECK(is(0x3130, CharClass::kUnassigned));  // unassigned, between blocks of letters
  CHECK(is(0x301, CharClass::kMark));
  CHECK(is(0x93E, CharClass::kMark));
  CHECK(is('7', CharClass::kDecimalNumber));
  CHECK(is(0xB2, CharClass::kNumber));
  CHECK(is(0x2160, CharClass::kNumber));
  CHECK(is('!', CharClass::kPunctuation));
  CHECK(is('_', CharClass::kPunctuation));
  CHECK(is('$', CharClass::kSymbol));
  CHECK(is('~', CharClass::kSymbol));
  CHECK(is(0x1F642, CharClass::kSymbol));
  constexpr u32 kSpaces[] = {0x9u,    0xDu,    0x20u,   0x85u,   0xA0u,
                             0x1680u, 0x2003u, 0x2028u, 0x202Fu, 0x3000u};
  for (const u32 space : kSpaces) {
    CHECK(is(space, CharClass::kWhiteSpace));
  }
  constexpr u32 kOthers[] = {0x0u,    0x1Cu,   0x7Fu,     0x200Bu,   0xD800u,
                             0xE000u, 0xFEFFu, 0x10FFFDu, 0x110000u, ~0u};
  for (const u32 other : kOthers) {
    CHECK(is(other, CharClass::kOther));
  }
}

}  // namespace lbm
