// The text of a terminal: lines of cells, a cursor, and the lines that have scrolled away.
//
// Lines are numbered from the first that was ever written, and kept in a ring: the newest n_line of
// them are there. The screen shows n_row lines from `top` on. A line that was longer than the
// screen is wide knows that it continues in the next, so that the text can be laid out anew for
// another width (take_text_of).
//
// What write() understands is a small VT: text, '\n' (to the start of the next line), '\r', '\b',
// '\t' (four spaces), SGR (colours, bold, dim, underline, reverse), CSI A B C D G H J K. A line
// breaks before a word where that leaves more than half of it, and the cursor waits behind a full
// line until the next character comes. Combining marks are composed with what they follow where
// Unicode has a character for both, and left out otherwise.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/screen/cell.h"
#include "core/screen/escape_parser.h"

namespace lbm {

class TextGrid {
 public:
  struct Size {
    u32 n_column = 80;
    u32 n_row = 25;
    u32 n_line = 25;  // that are kept, at least 2 * n_row
  };

  // Bytes of the memory that start() takes.
  [[nodiscard]] static u64 bytes_needed(const Size& size);

  TextGrid() = default;
  TextGrid(const TextGrid&) = delete;
  TextGrid& operator=(const TextGrid&) = delete;

  // Begins with an empty screen. `memory` is aligned to 8, has bytes_needed(size) bytes and
  // outlives the grid.
  void start(Span<u8> memory, const Size& size);
  // Becomes the text of `other`, with its cursor, in lines of this grid's width.
  void take_text_of(const TextGrid& other);

  void write(Str utf8);

  // By how many lines the text moves up when it reaches the bottom; 1 unless drawing is slow.
  void set_scroll_step(u32 n_line) { scroll_step_ = n_line; }

  [[nodiscard]] const Size& size() const { return size_; }

  // ---- what is shown
  // The cells of row 0..n_row-1; empty where there is no line.
  [[nodiscard]] Span<const Cell> row(u32 row) const;
  [[nodiscard]] bool row_changed(u32 row) const;
  void clear_changed();
  // The row of the cursor, or n_row where it is not on the screen.
  [[nodiscard]] u32 cursor_row() const;
  [[nodiscard]] u32 cursor_column() const {
    return column_ < size_.n_column ? column_ : column_ - 1;
  }
  // Cells of the cursor's line.
  [[nodiscard]] u32 cursor_line_size() const { return line(cursor_).n_cell; }

  // ---- scrolling back
  // Moves what is shown by so many lines, back where negative; stops at both ends.
  void scroll_view(i32 n_line);
  void show_end() { scroll_view(0x7FFFFFFF); }
  // Lines below what is shown; 0 at the end.
  [[nodiscard]] u64 n_line_below() const { return top_ - view_; }

 private:
  enum class Wrap : u8 { kEnds, kBreaks, kBreaksAtSpace };  // how a line goes on in the next
  struct Line {
    u32 n_cell = 0;
    Wrap wrap = Wrap::kEnds;
    bool changed = true;
  };

  [[nodiscard]] Line& line(u64 number) const;
  [[nodiscard]] Cell* cells(u64 number) const;
  [[nodiscard]] Cell blank() const;
  void touch(u64 number) { line(number).changed = true; }
  void move_to_line(u64 number);
  void next_line();
  void wrap_before(u32 width, u32 codepoint);
  void put(u32 codepoint);
  void put_cell(Cell cell, u32 width);
  void put_mark(u32 codepoint);
  void split_wide(u32 column);
  void erase(u64 number, u32 first, u32 last);
  void control(u32 final_byte, Span<const u32> parameters);

  Size size_;
  Cell* cells_ = nullptr;
  Line* lines_ = nullptr;
  EscapeParser parser_;
  Cell pen_;        // the style of what is written next
  u64 first_ = 0;   // the oldest line that is kept
  u64 end_ = 1;     // the line after the newest
  u64 top_ = 0;     // the first line of the screen, at the end of the text
  u64 view_ = 0;    // the first line that is shown
  u64 cursor_ = 0;  // its line
  u32 column_ = 0;  // n_column: behind a full line
  u32 scroll_step_ = 1;
  bool view_changed_ = true;
};

}  // namespace lbm
