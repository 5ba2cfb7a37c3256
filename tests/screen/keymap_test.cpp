// National keyboards.
#include "core/screen/keymap.h"

#include "tests/test.h"

namespace {

using namespace lbm;

constexpr KeyMapper::Modifiers kPlain = {};
constexpr KeyMapper::Modifiers kAltGr = {true, false};
constexpr KeyMapper::Modifiers kCaps = {false, true};

struct Keyboard : KeyMapper {
  explicit Keyboard(Str name) { set_keymap(find_keymap(name)); }
  // The one character of a stroke, or 0.
  u32 type(u32 us_character, Modifiers modifiers = kPlain) {
    const Characters typed = on_stroke(us_character, modifiers);
    return typed.n == 1 ? typed.codepoints[0] : 0;
  }
};

}  // namespace

TEST_CASE("every keymap has a name and only characters", "[screen]") {
  CHECK(find_keymap("auto") == nullptr);
  CHECK(find_keymap("") == nullptr);
  for (const Keymap& keymap : keymaps()) {
    CHECK(find_keymap(keymap.name) == &keymap);
    for (u32 key = 0; key < Keymap::kKeyCount; ++key) {
      CHECK(keymap.plain[key] > ' ');
      CHECK(keymap.shift[key] > ' ');
      CHECK(keymap.alt_gr[key] >= ' ');
    }
  }
}

TEST_CASE("without a keymap, and with us, everything stays", "[screen]") {
  Keyboard none("auto");
  Keyboard us("us");
  for (u32 c = ' '; c < 0x7F; ++c) {
    CHECK(none.type(c) == c);
    CHECK(us.type(c) == c);
  }
}

TEST_CASE("a German keyboard", "[screen]") {
  Keyboard de("de");
  CHECK(de.type('y') == 'z');
  CHECK(de.type('Y') == 'Z');
  CHECK(de.type('z') == 'y');
  CHECK(de.type('[') == 0xFC);
  CHECK(de.type('{') == 0xDC);
  CHECK(de.type(';') == 0xF6);
  CHECK(de.type('\'') == 0xE4);
  CHECK(de.type('-') == 0xDF);
  CHECK(de.type('_') == '?');
  CHECK(de.type('&') == '/');
  CHECK(de.type('/') == '-');
  CHECK(de.type('a') == 'a');
  CHECK(de.type(' ') == ' ');
  CHECK(de.type('q', kAltGr) == '@');
  CHECK(de.type('e', kAltGr) == 0x20AC);
  CHECK(de.type('7', kAltGr) == '{');
  CHECK(de.type('-', kAltGr) == '\\');
  CHECK(de.type('a', kAltGr) == 'a');
}

TEST_CASE("Caps Lock for letters that a US keyboard does not have", "[screen]") {
  Keyboard de("de");
  CHECK(de.type('Y', kCaps) == 'Z');  // the firmware has made it a capital
  CHECK(de.type(';', kCaps) == 0xD6);
  CHECK(de.type(':', kCaps) == 0xF6);
  CHECK(de.type('1', kCaps) == '1');
  CHECK(de.type('/', kCaps) == '-');
  Keyboard fr("fr");
  CHECK(fr.type('M', kCaps) == ',');  // the key of a letter there, of a comma here
  CHECK(fr.type(';', kCaps) == 'M');
}

TEST_CASE("dead accents", "[screen]") {
  Keyboard de("de");
  CHECK(de.on_stroke('=', kPlain).n == 0);
  CHECK(de.type('e') == 0xE9);
  CHECK(de.on_stroke('`', kPlain).n == 0);
  CHECK(de.type(' ') == '^');
  CHECK(de.on_stroke('+', kPlain).n == 0);
  CHECK(de.type('A') == 0xC0);
  CHECK(de.on_stroke('`', kPlain).n == 0);
  CHECK(de.type('`') == '^');
  CHECK(de.on_stroke('=', kPlain).n == 0);
  const KeyMapper::Characters both = de.on_stroke('x', kPlain);
  CHECK(both.n == 2);
  CHECK(both.codepoints[0] == 0xB4);
  CHECK(both.codepoints[1] == 'x');
  Keyboard br("pt-br");
  CHECK(br.on_stroke('\'', kPlain).n == 0);
  CHECK(br.type('a') == 0xE3);
  CHECK(br.type(';') == 0xE7);
}

TEST_CASE("keys of other layouts that are easily wrong", "[screen]") {
  Keyboard fr("fr");
  CHECK(fr.type('q') == 'a');
  CHECK(fr.type('1') == '&');
  CHECK(fr.type('!') == '1');
  CHECK(fr.type('0', kAltGr) == '@');
  CHECK(fr.type('m') == ',');
  Keyboard uk("uk");
  CHECK(uk.type('@') == '"');
  CHECK(uk.type('#') == 0xA3);
  CHECK(uk.type('\\') == '#');
  CHECK(uk.type('"') == '@');
  Keyboard es("es");
  CHECK(es.type(';') == 0xF1);
  CHECK(es.type('2', kAltGr) == '@');
  CHECK(es.type('\'', kAltGr) == '{');
  Keyboard it("it");
  CHECK(it.type('[') == 0xE8);
  CHECK(it.type(';', kAltGr) == '@');
  Keyboard dvorak("dvorak");
  CHECK(dvorak.type('s') == 'o');
  CHECK(dvorak.type('Q') == '"');
  CHECK(dvorak.type('-') == '[');
}

TEST_CASE("every keymap can type all of ASCII", "[screen]") {
  for (const Keymap& keymap : keymaps()) {
    for (u32 wanted = ' ' + 1; wanted < 0x7F; ++wanted) {
      bool found = false;
      for (u32 key = 0; key < Keymap::kKeyCount; ++key) {
        found = found || keymap.plain[key] == wanted || keymap.shift[key] == wanted ||
                keymap.alt_gr[key] == wanted;
      }
      for (const char16_t* dead = keymap.dead; *dead != 0; ++dead) found = found || *dead == wanted;
      CHECK(found);
    }
  }
}
