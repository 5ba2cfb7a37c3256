// Draws a LineEditor on a console that can only print: one live row.
//
// The firmware's text console understands no escape sequence of a terminal, and a serial terminal
// knows nothing of the firmware's cursor calls. What both do alike is: print a character, '\n', and
// '\r' back to column 0. Even '\b' is no common ground (over a wide character it means one column
// here and one character there, and it never leaves a row). So only the row that has the cursor is
// alive: it is drawn over by '\r', its text, spaces where the old one was longer, and '\r' with its
// text up to the cursor. Rows above it are paper, as on a teletype: a text that grows prints row
// after row and looks wrapped; when the cursor climbs to an earlier row, that row is drawn in the
// place of the live one; and when the text is finished and what the paper shows last is not the
// whole of it, it is printed once more. Typing at the end, the common case, prints the typed
// character and nothing else.
//
// The last column is never used: after it, firmware moves to the next row at once and a VT only at
// the next character.
#pragma once

#include "core/base/span.h"
#include "core/chat/line_editor.h"
#include "core/platform.h"

namespace lbm {

class LinePainter {
 public:
  explicit LinePainter(Console& console) : console_(console) {}

  // Prints `prompt` (which outlives the input; no '\n') at the start of a row and begins.
  void start(Str prompt);
  // Brings the screen up to date after a key: once for each.
  void update(const LineEditor& editor);
  // After noise on the line: the live row once more, on a row of its own.
  void redraw(const LineEditor& editor);
  // Shows all of the text and ends the row.
  void finish(const LineEditor& editor);

 private:
  // A row of the screen: bytes [first, last) of the text, behind a prompt.
  struct Row {
    usize index = 0;
    usize first = 0;
    usize last = 0;
    bool ends_hard = false;  // by a '\n' of the text, which no row contains
    bool is_hard = true;     // begins after one, or is the first
  };
  [[nodiscard]] Row row_after(Str text, const Row& row) const;
  [[nodiscard]] Row fill(Str text, Row row) const;
  [[nodiscard]] Row row_of(Str text, usize position) const;
  [[nodiscard]] Str row_prompt(const Row& row) const;
  [[nodiscard]] u32 n_text_column() const { return console_.n_column() - 1; }
  void paint_row(Str text, const Row& row);
  void paint_down(Str text, Row from, usize to_index);
  void place_cursor(Str text, const Row& row, usize cursor);

  Console& console_;
  Str prompt_;
  usize live_ = 0;        // index of the row that is shown
  usize live_first_ = 0;  // its Row::first, and the last that was drawn of it
  usize live_last_ = 0;
  usize intact_from_ = 0;  // rows intact_from_..live_ stand on the screen as they are in the text
  u32 n_column_ = 0;       // that the live row takes on the screen
  bool at_end_ = true;     // the cursor stands behind the live row's text
};

}  // namespace lbm
