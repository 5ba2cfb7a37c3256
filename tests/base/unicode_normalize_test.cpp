#include "core/base/unicode_normalize.h"

#include "core/base/pcg32.h"
#include "core/base/utf8.h"
#include "tests/test.h"

namespace lbm {
namespace {

u8 g_memory[65536];

Str nfc(Str text, Arena& arena) {
  const Result<Str> result = normalize_nfc(text, arena);
  return result.ok() ? result.value() : Str("failed");
}

bool becomes(Str text, Str expected) {
  Arena arena(g_memory);
  return nfc(text, arena) == expected;
}

u32 add(u32 hash, Str text) {
  for (const char c : text) hash = (hash ^ static_cast<u8>(c)) * 0x01000193u;
  return (hash ^ 0xFF) * 0x01000193u;
}

}  // namespace

TEST_CASE("nfc: letters and marks are composed", "[unicode]") {
  CHECK(becomes("plain", "plain"));
  CHECK(becomes("e\xCC\x81", "\xC3\xA9"));
  CHECK(becomes("\xC3\xA9", "\xC3\xA9"));
  CHECK(becomes("\xE2\x84\xAB", "\xC3\x85"));                // the Angstrom sign is the letter
  CHECK(becomes("q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87"));  // marks in the order of their classes
  CHECK(
      becomes("d\xCC\x87\xCC\xA3", "\xE1\xB8\x8D\xCC\x87"));  // and composed across one of another
  CHECK(becomes("\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81"));  // Hangul
  CHECK(becomes("\xEA\xB0\x80\xE1\x86\xA7", "\xEA\xB0\x80\xE1\x86\xA7"));  // U+11A7 is no final
  CHECK(becomes("\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC"));  // excluded from composition
  CHECK(becomes("\xCC\x81", "\xCC\x81"));
  CHECK(becomes("e\xFF\xCC\x81\xC3", "e\xFF\xCC\x81\xC3"));  // malformed bytes stay and separate
}

TEST_CASE("lower case: one code point for one", "[unicode]") {
  CHECK(to_lower('A') == 'a');
  CHECK(to_lower('a') == 'a');
  CHECK(to_lower(0xC9) == 0xE9);
  CHECK(to_lower(0x100) == 0x101);
  CHECK(to_lower(0x101) == 0x101);
  CHECK(to_lower(0x130) == 'i');
  CHECK(to_lower(0x1E9E) == 0xDF);
  CHECK(to_lower(0x10400) == 0x10428);
  CHECK(to_lower(0x4E2D) == 0x4E2D);
}

// No character beyond U+30000 has a decomposition. scripts/nfc_expectation.py computes the same
// numbers with Python's unicodedata.
TEST_CASE("nfc: every code point and random strings, against unicodedata", "[unicode]") {
  u32 hash = 0x811C9DC5u;
  u32 n_changed = 0;
  for (u32 codepoint = 0; codepoint < 0x30000; ++codepoint) {
    if (codepoint >= 0xD800 && codepoint < 0xE000) continue;
    char bytes[4];
    const Str text(bytes, encode_utf8(codepoint, bytes));
    Arena arena(g_memory);
    const Str result = nfc(text, arena);
    if (result == text) continue;
    ++n_changed;
    hash = add(hash, result);
  }
  CHECK(n_changed == 1120);
  CHECK(hash == 0xB7CA629Du);

  struct Range {
    u32 first;
    u32 n;
  };
  constexpr Range kRanges[] = {{0x300, 0x70},  {0xC0, 0x180},  {0x1E00, 0x200}, {0xAC00, 11172},
                               {0x1100, 0x13}, {0x1161, 0x15}, {0x11A7, 0x1C},  {'a', 26},
                               {0x5B0, 0x10},  {0x915, 0x25},  {0x93C, 1},      {0x1D15E, 7}};
  Pcg32 random(7, 11);
  hash = 0x811C9DC5u;
  for (u32 round = 0; round < 20000; ++round) {
    char text[64];
    usize n = 0;
    for (u32 left = random.next() % 12; left > 0; --left) {
      const Range range = kRanges[random.next() % (sizeof(kRanges) / sizeof(kRanges[0]))];
      char bytes[4];
      const u32 n_byte = encode_utf8(range.first + random.next() % range.n, bytes);
      __builtin_memcpy(text + n, bytes, n_byte);
      n += n_byte;
    }
    Arena arena(g_memory);
    hash = add(hash, nfc(Str(text, n), arena));
  }
  CHECK(hash == 0x0A0D74B6u);
}

TEST_CASE("nfc: a letter with very many marks", "[unicode]") {
  constexpr usize kPairs = 1000;
  static char text[1 + 4 * kPairs];
  text[0] = 'q';
  for (usize i = 0; i < kPairs; ++i) {
    __builtin_memcpy(text + 1 + 4 * i, i % 2 == 0 ? "\xCC\x87\xCC\xA3" : "\xCC\xA3\xCC\x87", 4);
  }
  static u8 memory[nfc_bytes(sizeof(text)) + nfc_scratch_bytes(sizeof(text))];
  Arena arena(memory);
  const Str result = nfc(Str(text, sizeof(text)), arena);
  REQUIRE(result.size() == sizeof(text));
  CHECK(result.first(3) == Str("q\xCC\xA3"));
  CHECK(result.slice(1 + 2 * (kPairs - 1), 4) == Str("\xCC\xA3\xCC\x87"));
  CHECK(result.ends_with("\xCC\x87"));
}

}  // namespace lbm
