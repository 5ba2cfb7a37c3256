// The line editor and its painter. What the painter leaves on a screen is compared with the text
// that was typed.
#include "core/chat/line_editor.h"

#include "core/base/pcg32.h"
#include "core/base/utf8.h"
#include "core/chat/line_painter.h"
#include "tests/chat/scripted_console.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::new_console;
using lbm::test::ScriptedConsole;
using Action = LineEditor::Action;

namespace {

constexpr usize kCapacity = 512;

struct Fixture {
  char text[kCapacity];
  char draft[kCapacity];
  char lines[1024];
  InputHistory history{lines};
  LineEditor editor{text, draft, history};

  Fixture() { editor.start(); }
  void type(Str typed) {
    while (!typed.empty()) {
      const Utf8Char c = decode_utf8(typed);
      typed = typed.from(c.n_byte);
      CHECK(editor.on_key({Key::kChar, c.codepoint}) == Action::kNone);
    }
  }
  Action press(Key key) { return editor.on_key({key, 0}); }
  Action control(char letter) { return editor.on_key({Key::kCtrl, static_cast<u32>(letter)}); }
  Str submitted() { return strip_input_marks(editor.mutable_text()); }
};

}  // namespace

TEST_CASE("editor: typing and moving by characters, not bytes", "[chat]") {
  Fixture f;
  f.type("h\xC3\xA9llo");
  CHECK(f.editor.text() == "h\xC3\xA9llo");
  f.press(Key::kHome);
  f.press(Key::kRight);
  f.press(Key::kRight);
  CHECK(f.editor.cursor() == 3);
  f.type("X");
  CHECK(f.editor.text() == "h\xC3\xA9Xllo");
  f.press(Key::kLeft);
  f.press(Key::kBackspace);
  CHECK(f.editor.text() == "hXllo");
  f.press(Key::kEnd);
  CHECK(f.editor.cursor() == 5);
  CHECK(f.press(Key::kEnter) == Action::kSubmit);
}

TEST_CASE("editor: a combining mark goes with its base", "[chat]") {
  Fixture f;
  f.type("ae\xCC\x81z");  // e + combining acute
  f.press(Key::kLeft);
  f.press(Key::kLeft);
  CHECK(f.editor.cursor() == 1);
  f.press(Key::kRight);
  CHECK(f.editor.cursor() == 4);
  f.press(Key::kBackspace);
  CHECK(f.editor.text() == "az");
}

TEST_CASE("editor: Delete deletes forward, and backward at the end", "[chat]") {
  Fixture f;
  f.type("abc");
  f.press(Key::kDelete);
  CHECK(f.editor.text() == "ab");
  f.press(Key::kHome);
  f.press(Key::kDelete);
  CHECK(f.editor.text() == "b");
  f.press(Key::kEnd);
  f.press(Key::kDelete);
  f.press(Key::kDelete);
  CHECK(f.editor.text().empty());
}

TEST_CASE("editor: Ctrl keys", "[chat]") {
  Fixture f;
  f.type("one two  three");
  f.control('w');
  CHECK(f.editor.text() == "one two  ");
  f.control('w');
  CHECK(f.editor.text() == "one ");
  f.control('a');
  f.control('f');
  f.control('k');
  CHECK(f.editor.text() == "o");
  f.control('e');
  f.type("xy");
  f.control('b');
  f.control('u');
  CHECK(f.editor.text() == "y");
  f.control('d');
  CHECK(f.editor.text().empty());
  CHECK(f.control('d') == Action::kEndOfInput);
  CHECK(f.control('c') == Action::kInterrupt);
  CHECK(f.control('l') == Action::kRedraw);
  CHECK(f.press(Key::kTab) == Action::kComplete);
  CHECK(f.press(Key::kEscape) == Action::kNone);
}

TEST_CASE("editor: control characters are never typed", "[chat]") {
  Fixture f;
  const u32 controls[] = {0x00, 0x07, 0x1B, 0x7F, 0x9B};
  for (const u32 c : controls) f.editor.on_key({Key::kChar, c});
  CHECK(f.editor.text().empty());
  f.editor.on_key({Key::kChar, 0xD800});  // a surrogate becomes U+FFFD
  CHECK(f.editor.text() == "\xEF\xBF\xBD");
}

TEST_CASE("editor: history keeps the draft", "[chat]") {
  Fixture f;
  f.history.add("first");
  f.history.add("second");
  f.history.add("second");
  CHECK(f.history.size() == 2);
  f.type("draft");
  f.press(Key::kUp);
  CHECK(f.editor.text() == "second");
  f.press(Key::kUp);
  CHECK(f.editor.text() == "first");
  f.press(Key::kUp);
  CHECK(f.editor.text() == "first");
  f.press(Key::kDown);
  f.press(Key::kDown);
  CHECK(f.editor.text() == "draft");
  f.press(Key::kDown);
  CHECK(f.editor.text() == "draft");
}

TEST_CASE("history: the oldest make room, too long a line is left out", "[chat]") {
  char storage[32];
  InputHistory history(storage);
  history.add("0123456789");
  history.add("abcdefghij");
  history.add("ABCDEFGHIJ");
  CHECK(history.size() == 3);
  history.add("xyz");
  CHECK(history.size() == 3);
  CHECK(history.at(0) == "xyz");
  CHECK(history.at(2) == "abcdefghij");
  history.add("a line that is longer than all of the storage");
  CHECK(history.at(0) == "xyz");
}

TEST_CASE("editor: multi-line by backslash, Ctrl-J and blocks", "[chat]") {
  Fixture f;
  f.type("one\\");
  CHECK(f.press(Key::kEnter) == Action::kNone);
  f.type("two");
  f.control('j');
  f.type("three");
  CHECK(f.press(Key::kEnter) == Action::kSubmit);
  CHECK(f.submitted() == "one\ntwo\nthree");

  f.editor.start();
  f.type("\"\"\"");
  CHECK(f.press(Key::kEnter) == Action::kNone);
  f.type("a");
  CHECK(f.press(Key::kEnter) == Action::kNone);
  f.type("b\"\"\"");
  CHECK(f.press(Key::kEnter) == Action::kSubmit);
  CHECK(f.submitted() == "a\nb");

  f.editor.start();
  f.type("C:\\\\");  // two backslashes are one, and no continuation
  CHECK(f.press(Key::kEnter) == Action::kSubmit);
  CHECK(f.submitted() == "C:\\");

  f.editor.start();
  f.type("what is \"\"\" in Python?");
  CHECK(f.press(Key::kEnter) == Action::kSubmit);

  f.editor.start();
  f.type("/system \"\"\"x");
  CHECK(f.press(Key::kEnter) == Action::kNone);
}

TEST_CASE("editor: Up and Down move between the lines of a text before the history", "[chat]") {
  Fixture f;
  f.history.add("old");
  f.type("abcd");
  f.control('j');
  f.type("xy");
  f.press(Key::kUp);
  CHECK(f.editor.cursor() == 2);
  f.press(Key::kDown);
  CHECK(f.editor.cursor() == 7);
  f.press(Key::kUp);
  f.press(Key::kUp);
  CHECK(f.editor.text() == "old");
  f.press(Key::kDown);
  CHECK(f.editor.text() == "abcd\nxy");
}

TEST_CASE("editor: what does not fit is refused and said", "[chat]") {
  Fixture f;
  for (usize i = 0; i < kCapacity; ++i) f.type("x");
  CHECK(!f.editor.was_cut());
  f.type("y");
  CHECK(f.editor.was_cut());
  CHECK(f.editor.text().size() == kCapacity);
  f.editor.start();
  CHECK(!f.editor.was_cut());
}

// --- The painter -----------------------------------------------------------------------------

namespace {

constexpr Str kPrompt = "You: ";

// How the whole text should stand on the screen: rows of cells, by plain arithmetic and with no
// regard for cost.
struct Expected {
  static constexpr u32 kMaxRows = 64;
  u32 cells[kMaxRows][ScriptedConsole::kMaxColumns];
  u32 n_row = 0;
  u32 cursor_row = 0;
  u32 cursor_column = 0;

  void lay_out(Str text, usize cursor, u32 n_column) {
    for (auto& row : cells) {
      for (u32& cell : row) cell = ' ';
    }
    u32 row = 0;
    u32 column = write(0, 0, kPrompt);
    bool is_row_empty = true;
    usize i = 0;
    for (;;) {
      // A cursor at the end of a full row waits on the next one, unless the text ends here.
      const bool at_end = i == text.size();
      const Utf8Char c = at_end ? Utf8Char() : decode_utf8(text.from(i));
      const u32 width = at_end ? 0 : display_width(c.codepoint);
      const bool is_newline = !at_end && c.codepoint == '\n';
      if (!at_end && !is_newline && column + width > n_column - 1 && !is_row_empty) {
        ++row;
        column = 0;
      }
      if (i == cursor) {
        cursor_row = row;
        cursor_column = column;
      }
      if (at_end) break;
      if (is_newline) {
        ++row;
        column = write(row, 0, "... ");
        is_row_empty = true;
      } else {
        if (width > 0) cells[row][column] = c.codepoint;
        if (width == 2) cells[row][column + 1] = 0;
        column += width;
        is_row_empty = false;
      }
      i += c.n_byte;
    }
    n_row = row + 1;
  }
  u32 write(u32 row, u32 column, Str text) {
    for (const char c : text) cells[row][column++] = static_cast<u32>(c);
    return column;
  }
  [[nodiscard]] bool row_is(u32 row, const ScriptedConsole& screen, u32 screen_row,
                            u32 n_column) const {
    for (u32 column = 0; column < n_column; ++column) {
      if (cells[row][column] != screen.cell(screen_row, column)) return false;
    }
    return true;
  }
};

void random_key(Pcg32& random, Fixture& f) {
  const u32 codepoints[] = {'a', 'b', ' ', 0xE9, 0x4E2D, 0x1F600, 'z', 0x0301};
  const Key moves[] = {Key::kLeft, Key::kRight, Key::kHome, Key::kEnd,
                       Key::kUp,   Key::kDown,  Key::kLeft};
  const u32 kind = random.next() % 16;
  if (kind < 10) {
    f.editor.on_key({Key::kChar, codepoints[random.next() % 8]});
  } else if (kind < 13) {
    f.press(moves[random.next() % 7]);
  } else if (kind == 13) {
    f.press(random.next() % 2 == 0 ? Key::kBackspace : Key::kDelete);
  } else if (kind == 14) {
    const char letters[] = {'u', 'k', 'w', 'w'};
    f.control(letters[random.next() % 4]);
  } else {
    f.control(random.next() % 4 == 0 ? 'j' : 'g');  // Ctrl-G means nothing
  }
}

void check_random_editing(u32 n_column, bool wraps_at_once, u64 seed) {
  static Expected expected;
  Pcg32 random(seed, 5);
  for (u32 round = 0; round < 12; ++round) {
    ScriptedConsole& screen = new_console(n_column, wraps_at_once);
    static Fixture f;
    f.history.add(
        "a line of the history that is longer than the screen is wide, by far and by far");
    f.editor.start();
    LinePainter painter(screen);
    painter.start(kPrompt);
    for (u32 key = 0; key < 60; ++key) {
      random_key(random, f);
      painter.update(f.editor);
      expected.lay_out(f.editor.text(), f.editor.cursor(), n_column);
      // The live row and the cursor are right after every key.
      REQUIRE(expected.row_is(expected.cursor_row, screen, screen.cursor_row(), n_column));
      REQUIRE(screen.cursor_column() == expected.cursor_column);
    }
    painter.finish(f.editor);
    // And the finished text stands on the screen as a whole.
    REQUIRE(screen.cursor_column() == 0);
    REQUIRE(screen.cursor_row() >= expected.n_row);
    for (u32 row = 0; row < expected.n_row; ++row) {
      REQUIRE(expected.row_is(row, screen, screen.cursor_row() - expected.n_row + row, n_column));
    }
    REQUIRE(!screen.used_last_column());
  }
}

}  // namespace

TEST_CASE("painter: the screen shows the text, on firmware consoles and VTs, wide and narrow",
          "[chat]") {
  check_random_editing(80, true, 1);
  check_random_editing(80, false, 2);
  check_random_editing(20, true, 3);
  check_random_editing(20, false, 4);
  check_random_editing(33, true, 5);
}

TEST_CASE("painter: typing at the end prints what was typed and nothing else", "[chat]") {
  Fixture f;
  ScriptedConsole& screen = new_console();
  LinePainter painter(screen);
  painter.start(kPrompt);
  for (const char c : Str("hello")) {
    f.editor.on_key({Key::kChar, static_cast<u32>(c)});
    painter.update(f.editor);
  }
  f.press(Key::kEnter);
  painter.finish(f.editor);
  CHECK(screen.output() == "You: hello\n");
}

TEST_CASE("painter: writes nothing that a firmware console or a VT would not understand",
          "[chat]") {
  Fixture f;
  ScriptedConsole& screen = new_console(20);
  LinePainter painter(screen);
  painter.start(kPrompt);
  Pcg32 random(11, 3);
  for (u32 i = 0; i < 500; ++i) {
    random_key(random, f);
    painter.update(f.editor);
  }
  painter.redraw(f.editor);
  painter.finish(f.editor);
  bool is_plain = true;
  for (const char c : screen.output()) {
    const u8 byte = static_cast<u8>(c);
    if (byte < 0x20 && c != '\r' && c != '\n') is_plain = false;
  }
  CHECK(is_plain);
}

TEST_CASE("painter: what comes from a medium reaches the terminal without its escapes", "[chat]") {
  Fixture f;
  f.history.add("one\x1b[2Jtwo\x07\xC2\x9Bthree");
  ScriptedConsole& screen = new_console();
  LinePainter painter(screen);
  painter.start(kPrompt);
  f.press(Key::kUp);
  painter.update(f.editor);
  f.editor.insert("\x1b]0;x");
  painter.update(f.editor);
  f.press(Key::kHome);
  painter.update(f.editor);
  f.press(Key::kEnd);
  painter.update(f.editor);
  painter.finish(f.editor);
  CHECK(!screen.output().contains("\x1b"));
  CHECK(!screen.output().contains("\x07"));
  CHECK(!screen.output().contains("\xC2\x9B"));
  CHECK(screen.shows("one\xEF\xBF\xBD[2Jtwo"));
}

TEST_CASE("painter: a long text that is typed stands in the log once", "[chat]") {
  Fixture f;
  ScriptedConsole& screen = new_console(20);
  LinePainter painter(screen);
  painter.start(kPrompt);
  for (const char c : Str("0123456789abcdefghijklmnopqrstuvwxyz")) {
    f.editor.on_key({Key::kChar, static_cast<u32>(c)});
    painter.update(f.editor);
  }
  f.press(Key::kEnter);
  painter.finish(f.editor);
  CHECK(screen.output() == "You: 0123456789abcd\nefghijklmnopqrstuvw\nxyz\n");
}
