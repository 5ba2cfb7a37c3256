// The terminal: what text becomes which cells.
#include "core/screen/text_grid.h"

#include "core/base/fmt.h"
#include "core/base/utf8.h"
#include "tests/test.h"

namespace {

using namespace lbm;

constexpr TextGrid::Size kSize = {20, 4, 12};
constinit u64 g_memory[2][2048];

Span<u8> memory_of(u32 which) {
  return {reinterpret_cast<u8*>(g_memory[which]), sizeof(g_memory[which])};
}

struct Grid : TextGrid {
  explicit Grid(const Size& size = kSize, u32 which = 0) { start(memory_of(which), size); }

  // A row as text, without the blanks at its end.
  Str text_of(u32 row_number) {
    const Span<const Cell> cells = row(row_number);
    usize n = 0;
    usize n_kept = 0;
    for (const Cell& cell : cells) {
      if ((cell.style & style::kTail) != 0) continue;
      char bytes[4];
      const u32 n_byte = encode_utf8(cell.codepoint, bytes);
      __builtin_memcpy(text_ + n, bytes, n_byte);
      n += n_byte;
      if (cell.codepoint != ' ') n_kept = n;
    }
    return {text_, n_kept};
  }
  bool shows(Str a, Str b = {}, Str c = {}, Str d = {}) {
    return text_of(0) == a && text_of(1) == b && text_of(2) == c && text_of(3) == d;
  }

 private:
  char text_[400] = {};
};

}  // namespace

TEST_CASE("text, ends of lines, carriage returns", "[screen]") {
  Grid grid;
  grid.write("one\ntwo\r\nthree\rT\n\bx\by");
  CHECK(grid.shows("one", "two", "Three", "y"));
  CHECK(grid.cursor_row() == 3);
  CHECK(grid.cursor_column() == 1);
}

TEST_CASE("the cursor waits behind a full line", "[screen]") {
  Grid grid;
  grid.write("====================");
  CHECK(grid.cursor_row() == 0);
  CHECK(grid.cursor_column() == 19);
  grid.write("\nx");
  CHECK(grid.shows("====================", "x"));
}

TEST_CASE("a line breaks before a word", "[screen]") {
  Grid grid;
  grid.write("the quick brown foxes jump");
  CHECK(grid.shows("the quick brown", "foxes jump"));
  grid.write("\nthe quick brown foxe s");  // a space at the break is the break
  CHECK(grid.text_of(2) == "the quick brown foxe");
  CHECK(grid.text_of(3) == "s");
}

TEST_CASE("a word that is too long is cut", "[screen]") {
  Grid grid;
  grid.write("see abcdefghijklmnopqrstuvw");
  CHECK(grid.shows("see abcdefghijklmnop", "qrstuvw"));
}

TEST_CASE("wide characters take two cells and break anywhere", "[screen]") {
  Grid grid;
  grid.write("0123456789012345678\xe4\xbd\xa0\xe5\xa5\xbd");
  CHECK(grid.shows("0123456789012345678", "\xe4\xbd\xa0\xe5\xa5\xbd"));
  CHECK((grid.row(1)[0].style & style::kWide) != 0);
  CHECK((grid.row(1)[1].style & style::kTail) != 0);
  CHECK(grid.cursor_column() == 4);
}

TEST_CASE("half of a wide character is none", "[screen]") {
  Grid grid;
  grid.write("\xe4\xbd\xa0\xe5\xa5\xbd\rx");
  CHECK(grid.text_of(0) == "x \xe5\xa5\xbd");
  CHECK((grid.row(0)[1].style & style::kTail) == 0);
  grid.write("\r  \xe4\xbd\xa0\r yz");
  CHECK(grid.text_of(0) == " yz");
  for (const Cell& cell : grid.row(0)) CHECK((cell.style & (style::kWide | style::kTail)) == 0);
}

TEST_CASE("marks are composed or left out", "[screen]") {
  Grid grid;
  grid.write("u\xcc\x88\xcc\x80|x\xcc\x88|\xcc\x81");  // u diaeresis grave; x has none
  CHECK(grid.text_of(0) == "\xc7\x9c|\xe1\xba\x8d|");
  Grid other;
  other.write("\xcc\x88\xe4\xbd\xa0\xcc\x88q\xcc\x88");
  CHECK(other.text_of(0) == "\xe4\xbd\xa0q");
}

TEST_CASE("malformed text becomes replacement characters", "[screen]") {
  Grid grid;
  grid.write("a\xff\xc3(\x01\x7f)");
  CHECK(grid.text_of(0) == "a\xef\xbf\xbd\xef\xbf\xbd()");
}

TEST_CASE("colours go with the text", "[screen]") {
  Grid grid;
  grid.write(
      "a\x1b[1;91mb\x1b[22;39mc\x1b[48;5;200md\x1b[0;38;2;255;0;0me\x1b["
      "7;2;4mf\x1b[m ");
  const Span<const Cell> row = grid.row(0);
  CHECK(row[0] == Cell{'a', 0, 0, 0, Role::kText});
  CHECK(row[1] == Cell{'b', 9, 0, style::kBold | style::kForeground, Role::kText});
  CHECK(row[2].style == 0);
  CHECK(row[3].background == 200);
  CHECK(row[3].style == style::kBackground);
  CHECK(row[4].foreground == 196);
  CHECK(row[5].style == (style::kForeground | style::kReverse | style::kDim | style::kUnderline));
  CHECK(row[6] == Cell{});
}

TEST_CASE("the cursor can be moved and lines erased", "[screen]") {
  Grid grid;
  grid.write(
      "aaaa\nbbbb\ncccc\x1b[2;3HX\x1b[K\x1b[Ay\x1b[10Dz\x1b[Bw\x1b["
      "3Cv\x1b[1Gu");
  CHECK(grid.shows("zaay", "uwX  v", "cccc"));
  grid.write("\x1b[2;2H\x1b[J");
  CHECK(grid.shows("zaay", "u"));
  grid.write("\x1b[2J-");
  CHECK(grid.shows("", " -"));
  grid.scroll_view(-2);
  CHECK(grid.text_of(0) == "");
  grid.scroll_view(-100);
  CHECK(grid.shows("zaay", "u"));
}

TEST_CASE("absurd sequences do nothing", "[screen]") {
  Grid grid;
  grid.write(
      "\x1b[999;999H\x1b[999A\x1b[999B\x1b[999C\x1b[999D\x1b[?25l\x1b["
      "5n\x1b[38;9m\x1b[38m");
  CHECK(grid.cursor_row() == 3);
  CHECK(grid.cursor_column() == 0);
  grid.write("\x1b[1;2;3;4;5;6;7;8;9;10;11m\x1b(x\x1b[0m");
  grid.write("\x1b[999999999999999999999K\x1b[9J\x1b[3\n");
  CHECK(grid.text_of(3) == "x");
}

TEST_CASE("old lines scroll back and are kept as long as there is room", "[screen]") {
  Grid grid;
  for (u32 i = 0; i < 30; ++i) {
    TextBuffer<16> line;
    line.print("{}line {}", i > 0 ? "\n" : "", i);
    grid.write(line.text());
  }
  CHECK(grid.shows("line 26", "line 27", "line 28", "line 29"));
  grid.scroll_view(-3);
  CHECK(grid.text_of(0) == "line 23");
  CHECK(grid.n_line_below() == 3);
  CHECK(grid.cursor_row() == kSize.n_row);
  grid.write("\nmore");  // what is looked at stays
  CHECK(grid.text_of(0) == "line 23");
  CHECK(grid.n_line_below() == 4);
  grid.scroll_view(-100);
  CHECK(grid.text_of(0) == "line 19");
  grid.write("\nmore\nmore");  // until it is gone
  CHECK(grid.text_of(0) == "line 21");
  grid.show_end();
  CHECK(grid.n_line_below() == 0);
  CHECK(grid.shows("line 29", "more", "more", "more"));
}

TEST_CASE("a slow screen scrolls by more than a line", "[screen]") {
  Grid grid;
  grid.set_scroll_step(3);
  grid.write("1\n2\n3\n4\n5");
  CHECK(grid.shows("4", "5"));
  grid.write("\n6\n7");
  CHECK(grid.shows("4", "5", "6", "7"));
  grid.set_scroll_step(100);
  grid.write("\n8");
  CHECK(grid.shows("8"));
}

TEST_CASE("only rows that changed say so", "[screen]") {
  Grid grid;
  grid.write("1\n2\n3");
  grid.clear_changed();
  for (u32 row = 0; row < 4; ++row) CHECK(!grid.row_changed(row));
  grid.write("x");
  CHECK(!grid.row_changed(1));
  CHECK(grid.row_changed(2));
  grid.clear_changed();
  grid.write("\n\n");
  for (u32 row = 0; row < 4; ++row) CHECK(grid.row_changed(row));
}

TEST_CASE("text is laid out anew for another width", "[screen]") {
  Grid narrow;
  narrow.write(
      "the quick brown foxes jump over the lazy dog\nand "
      "sleep\nabcdefghijklmnopqrstuvwxyz> ");
  CHECK(narrow.shows("lazy dog", "and sleep", "abcdefghijklmnopqrst", "uvwxyz>"));
  Grid wide({40, 4, 12}, 1);
  wide.take_text_of(narrow);
  CHECK(wide.shows("the quick brown foxes jump over the lazy", "dog", "and sleep",
                   "abcdefghijklmnopqrstuvwxyz>"));
  CHECK(wide.cursor_row() == 3);
  CHECK(wide.cursor_column() == 28);
  wide.write("x\x1b[92m");
  Grid back;
  back.take_text_of(wide);
  back.write("y");
  CHECK(back.shows("lazy dog", "and sleep", "abcdefghijklmnopqrst", "uvwxyz> xy"));
  CHECK(back.row(3)[9].foreground == 10);
  CHECK(back.row(3)[8].style == 0);
}

TEST_CASE("a cursor inside a line stays at its character", "[screen]") {
  Grid grid;
  grid.write("> 0123456789abcdef\r> 0123");
  Grid small({10, 4, 12}, 1);
  small.take_text_of(grid);
  CHECK(small.text_of(0) == "> 01234567");
  CHECK(small.cursor_row() == 0);
  CHECK(small.cursor_column() == 6);
}

TEST_CASE("a cursor above what fits the new screen comes to its first row", "[screen]") {
  Grid wide({40, 4, 12}, 1);
  wide.write(
      "aaaa bbbb cccc dddd eeee ffff gggg hhhh\naaaa bbbb cccc dddd eeee ffff gggg hhhh\x1b[A\r");
  Grid narrow({10, 2, 40}, 0);
  narrow.take_text_of(wide);
  CHECK(narrow.cursor_row() == 0);
  CHECK(narrow.cursor_column() == 0);
  narrow.write("\x1b[9A");
  CHECK(narrow.cursor_row() == 0);
  narrow.write("x\x1b[2J");
  CHECK(narrow.cursor_row() == 0);
}

TEST_CASE("any bytes can be written to any size", "[screen]") {
  u32 state = 12345;
  const auto random = [&state] {
    state = state * 1664525 + 1013904223;
    return state >> 16;
  };
  const TextGrid::Size sizes[] = {{2, 1, 2}, {3, 2, 4}, {20, 4, 12}, {7, 5, 10}};
  for (u32 round = 0; round < 40; ++round) {
    Grid grid(sizes[round % 4]);
    for (u32 part = 0; part < 20; ++part) {
      char text[64];
      for (char& byte : text) {
        const u32 kind = random() % 8;
        const char* const kPieces = "\x1b[;0123456789ABCDGHJKm \n\r\b\t\xe4\xbd\xa0\xcc\x88";
        byte = kind == 0 ? static_cast<char>(random()) : kPieces[random() % 32];
      }
      grid.write(Str(text, sizeof(text)));
      grid.scroll_view(static_cast<i32>(random() % 7) - 3);
      CHECK(grid.cursor_column() < grid.size().n_column);
    }
    Grid other(sizes[(round + 1) % 4], 1);
    other.take_text_of(grid);
    CHECK(other.cursor_column() < other.size().n_column);
    for (u32 row = 0; row < other.size().n_row; ++row) (void)other.text_of(row);
  }
}
