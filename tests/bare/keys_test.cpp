// Key decoding: strokes of the firmware, bytes of a serial port.
#include "efi/keys.h"

#include "tests/test.h"

namespace {

using namespace lbm;
using efi::KeyDecoder;

void type_strokes(KeyDecoder& keys, Str units) {
  for (const char c : units) keys.feed_stroke(0, static_cast<u8>(c), 0);
}
void type_bytes(KeyDecoder& keys, Str bytes) {
  for (const char c : bytes) keys.feed_byte(static_cast<u8>(c), 0);
}
bool next_is(KeyDecoder& keys, Key key, u32 codepoint = 0) {
  const KeyEvent event = keys.pop();
  return event.key == key && event.codepoint == codepoint;
}
bool next_is_char(KeyDecoder& keys, u32 codepoint) { return next_is(keys, Key::kChar, codepoint); }
bool is_empty(KeyDecoder& keys) { return keys.pop().key == Key::kNone; }

// 32 KiB of queue: not for a stack. Emptied by every user.
constinit KeyDecoder g_keys;

KeyDecoder& fresh_keys() {
  g_keys.settle(~u64{0});
  while (g_keys.pop().key != Key::kNone) {
  }
  g_keys.feed_stroke(0, 'x', 0);  // forgets a carriage return
  (void)g_keys.pop();
  return g_keys;
}

}  // namespace

TEST_CASE("plain characters and controls", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  type_strokes(keys, "a\r\b\t\x03");
  CHECK(next_is_char(keys, 'a'));
  CHECK(next_is(keys, Key::kEnter));
  CHECK(next_is(keys, Key::kBackspace));
  CHECK(next_is(keys, Key::kTab));
  CHECK(next_is(keys, Key::kCtrl, 'c'));
  CHECK(is_empty(keys));
}

TEST_CASE("CR LF is one Enter, LF alone is Ctrl-J", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  type_strokes(keys, "\r\n\n");
  CHECK(next_is(keys, Key::kEnter));
  CHECK(next_is(keys, Key::kCtrl, 'j'));
  CHECK(is_empty(keys));
}

TEST_CASE("scan codes", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  const u16 codes[] = {1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 20, 23};
  const Key expected[] = {Key::kUp,       Key::kDown, Key::kRight,  Key::kLeft,
                          Key::kHome,     Key::kEnd,  Key::kDelete, Key::kPageUp,
                          Key::kPageDown, Key::kF1,   Key::kF10,    Key::kEscape};
  for (const u16 code : codes) keys.feed_stroke(code, 0, 0);
  for (const Key key : expected) CHECK(next_is(keys, key));
  keys.feed_stroke(7, 0, 0);       // insert: no use for it
  keys.feed_stroke(0x8000, 0, 0);  // a vendor's own key
  CHECK(is_empty(keys));
}

TEST_CASE("UTF-8 typed over serial is put together", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  type_strokes(keys, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
  CHECK(next_is_char(keys, 0xE9));
  CHECK(next_is_char(keys, 0x20AC));
  CHECK(next_is_char(keys, 0x1F600));
  CHECK(next_is_char(keys, 'z'));
  CHECK(is_empty(keys));
}

TEST_CASE("a Latin-1 key of a keyboard stays itself", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  keys.feed_stroke(0, 0xE9, 1000);
  CHECK(is_empty(keys));
  CHECK(keys.unfinished());
  keys.settle(1000 + KeyDecoder::kSplitUs - 1);
  CHECK(is_empty(keys));
  keys.settle(1000 + KeyDecoder::kSplitUs);
  CHECK(next_is_char(keys, 0xE9));
  CHECK(!keys.unfinished());

  keys.feed_stroke(0, 0xE9, 2000);
  keys.feed_stroke(0, 't', 2001);
  CHECK(next_is_char(keys, 0xE9));
  CHECK(next_is_char(keys, 't'));

  keys.feed_stroke(0, 0xDF, 3000);  // sharp s: would begin a sequence of two
  keys.feed_stroke(0, 0xE4, 3001);  // a umlaut: no continuation
  keys.settle(3001 + KeyDecoder::kSplitUs);
  CHECK(next_is_char(keys, 0xDF));
  CHECK(next_is_char(keys, 0xE4));
  CHECK(is_empty(keys));
}

TEST_CASE("overlong and surrogate sequences do not become characters", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  type_strokes(keys, "\xed\xa0\x80!");
  CHECK(next_is_char(keys, 0xED));
  CHECK(next_is_char(keys, 0xA0));
  CHECK(next_is_char(keys, '!'));
  CHECK(is_empty(keys));
}

TEST_CASE("UTF-16 pairs", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  keys.feed_stroke(0, 0xD83D, 0);
  keys.feed_stroke(0, 0xDE00, 0);
  keys.feed_stroke(0, 0xDE00, 0);  // a low half alone is nothing
  keys.feed_stroke(0, 0x20AC, 0);
  CHECK(next_is_char(keys, 0x1F600));
  CHECK(next_is_char(keys, 0x20AC));
  CHECK(is_empty(keys));
}

TEST_CASE("escape sequences of a serial terminal", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  type_bytes(keys, "\x1b[A\x1b[1;5C\x1bOH\x1b[3~\x1b[5~\x1b[21~\x1b[200~\x7f");
  CHECK(next_is(keys, Key::kUp));
  CHECK(next_is(keys, Key::kRight));
  CHECK(next_is(keys, Key::kHome));
  CHECK(next_is(keys, Key::kDelete));
  CHECK(next_is(keys, Key::kPageUp));
  CHECK(next_is(keys, Key::kF10));
  CHECK(next_is(keys, Key::kBackspace));
  CHECK(is_empty(keys));
}

TEST_CASE("a lone Esc over serial is known after a pause", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  keys.feed_byte(0x1B, 100);
  CHECK(is_empty(keys));
  keys.settle(100 + KeyDecoder::kSplitUs);
  CHECK(next_is(keys, Key::kEscape));
  type_bytes(keys, "\x1b\x1b[B\x1bq");
  CHECK(next_is(keys, Key::kEscape));
  CHECK(next_is(keys, Key::kDown));
  CHECK(next_is(keys, Key::kEscape));
  CHECK(next_is_char(keys, 'q'));
  CHECK(is_empty(keys));
}

TEST_CASE("an interrupt is taken out of the middle, the rest stays", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  type_strokes(keys, "ab");
  CHECK(!keys.pop_interrupt());
  keys.feed_stroke(23, 0, 0);
  type_strokes(keys, "c\x03");
  CHECK(keys.pop_interrupt());
  CHECK(keys.pop_interrupt());
  CHECK(!keys.pop_interrupt());
  CHECK(next_is_char(keys, 'a'));
  CHECK(next_is_char(keys, 'b'));
  CHECK(next_is_char(keys, 'c'));
  CHECK(is_empty(keys));
}

TEST_CASE("a flood of keys is cut, not wrapped", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  keys.feed_stroke(0, '1', 0);
  for (u32 i = 0; i < 10'000; ++i) keys.feed_stroke(0, 'f', 0);
  CHECK(next_is_char(keys, '1'));
  u32 n = 1;
  while (keys.pop().key != Key::kNone) ++n;
  CHECK(n == 4096);
}

TEST_CASE("a character of a keymap is never taken for UTF-8", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  keys.feed_character(0xC3);
  keys.feed_character(0xA9);
  CHECK(next_is_char(keys, 0xC3));
  CHECK(next_is_char(keys, 0xA9));
  keys.feed_stroke(0, 0xE4, 0);
  keys.feed_character(0x20AC);
  CHECK(next_is_char(keys, 0xE4));
  CHECK(next_is_char(keys, 0x20AC));
  CHECK(is_empty(keys));
}

TEST_CASE("keys of one kind are taken out of the middle", "[efi][keys]") {
  KeyDecoder& keys = fresh_keys();
  const auto is_page = [](const KeyEvent& event) { return event.key == Key::kPageUp; };
  type_strokes(keys, "a");
  CHECK(keys.pop_first(is_page).key == Key::kNone);
  keys.feed_stroke(9, 0, 0);
  type_strokes(keys, "b");
  CHECK(keys.pop_first(is_page).key == Key::kPageUp);
  CHECK(keys.pop_first(is_page).key == Key::kNone);
  CHECK(next_is_char(keys, 'a'));
  CHECK(next_is_char(keys, 'b'));
  CHECK(is_empty(keys));
}
