// See line_painter.h.
#include "core/chat/line_painter.h"

#include "core/base/utf8.h"
#include "core/chat/printable.h"

namespace lbm {
namespace {

constexpr Str kContinuation = "... ";

u32 text_width(Str text) {
  u32 width = 0;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    width += printable_width(c.codepoint);
    text = text.from(c.n_byte);
  }
  return width;
}

void write_spaces(Console& console, u32 n) {
  constexpr Str kSpaces = "                                ";
  while (n > 0) {
    const u32 n_now = n < kSpaces.size() ? n : static_cast<u32>(kSpaces.size());
    console.write(kSpaces.first(n_now));
    n -= n_now;
  }
}

}  // namespace

Str LinePainter::row_prompt(const Row& row) const {
  if (row.index == 0) return prompt_;
  return row.is_hard ? kContinuation : Str();
}

// Sets the end of a row of which the start is known.
LinePainter::Row LinePainter::fill(Str text, Row row) const {
  u32 column = text_width(row_prompt(row));
  row.last = row.first;
  row.ends_hard = false;
  while (row.last < text.size()) {
    if (text[row.last] == '\n') {
      row.ends_hard = true;
      break;
    }
    const Utf8Char c = decode_utf8(text.from(row.last));
    const u32 width = printable_width(c.codepoint);
    // A row takes at least one character, however narrow the screen.
    if (column + width > n_text_column() && row.last > row.first) break;
    column += width;
    row.last += c.n_byte;
  }
  return row;
}

LinePainter::Row LinePainter::row_after(Str text, const Row& row) const {
  Row next;
  next.index = row.index + 1;
  next.is_hard = row.ends_hard;
  next.first = row.last + (row.ends_hard ? 1 : 0);
  return fill(text, next);
}

LinePainter::Row LinePainter::row_of(Str text, usize position) const {
  Row row = fill(text, Row());
  // A position between two rows belongs to the second, but the end of the text belongs to the last
  // row.
  while (row.last < text.size() && (row.ends_hard ? position > row.last : position >= row.last))
    row = row_after(text, row);
  return row;
}

// Draws `row` over the live row; the cursor ends up behind its text.
void LinePainter::paint_row(Str text, const Row& row) {
  const Str prompt = row_prompt(row);
  const Str part = text.slice(row.first, row.last - row.first);
  if (n_column_ > 0) console_.write("\r");
  console_.write(prompt);
  write_printable(console_, part);
  const u32 width = text_width(prompt) + text_width(part);
  if (width < n_column_) {
    write_spaces(console_, n_column_ - width);
    console_.write("\r");
    console_.write(prompt);
    write_printable(console_, part);
  }
  n_column_ = width;
  live_ = row.index;
  live_first_ = row.first;
  live_last_ = row.last;
  at_end_ = true;
}

// Prints the rows behind `from`, which is live, up to `to_index` or to the last.
void LinePainter::paint_down(Str text, Row from, usize to_index) {
  while (from.index < to_index && (from.last < text.size() || from.ends_hard)) {
    from = row_after(text, from);
    console_.write("\n");
    n_column_ = 0;
    paint_row(text, from);
  }
}

void LinePainter::place_cursor(Str text, const Row& row, usize cursor) {
  if (at_end_ && cursor == row.last) return;
  console_.write("\r");
  console_.write(row_prompt(row));
  write_printable(console_, text.slice(row.first, cursor - row.first));
  at_end_ = cursor == row.last;
}

void LinePainter::start(Str prompt) {
  prompt_ = prompt;
  live_ = 0;
  live_first_ = 0;
  live_last_ = 0;
  intact_from_ = 0;
  at_end_ = true;
  n_column_ = text_width(prompt);
  console_.write(prompt);
}

void LinePainter::update(const LineEditor& editor) {
  if (editor.last_change() == LineEditor::Change::kNone) return;
  const Str text = editor.text();
  if (editor.last_change() == LineEditor::Change::kAppend) {
    const Str added = text.from(text.size() - editor.n_appended());
    const u32 width = text_width(added);
    if (!added.contains("\n") && n_column_ + width <= n_text_column()) {
      write_printable(console_, added);
      n_column_ += width;
      live_last_ = text.size();
      return;
    }
  }
  if (editor.changed_from() < live_first_) intact_from_ = live_;
  const Row target = row_of(text, editor.cursor());
  if (target.index > live_) {
    // The rows on the way are printed too, the live one anew where an edit changed it or where it
    // ends.
    Row row = fill(text, Row());
    while (row.index < live_) row = row_after(text, row);
    if (row.first != live_first_) intact_from_ = live_;
    const bool is_shown =
        row.first == live_first_ && row.last == live_last_ && editor.changed_from() >= live_last_;
    if (!is_shown) paint_row(text, row);
    paint_down(text, row, target.index);
  } else {
    if (target.index < live_ || target.first != live_first_) intact_from_ = target.index;
    const bool is_shown =
        target.index == live_ && editor.last_change() == LineEditor::Change::kMove;
    if (!is_shown) paint_row(text, target);
  }
  place_cursor(text, target, editor.cursor());
}

void LinePainter::redraw(const LineEditor& editor) {
  const Row row = row_of(editor.text(), editor.cursor());
  console_.write("\n");
  n_column_ = 0;
  intact_from_ = row.index;
  paint_row(editor.text(), row);
  place_cursor(editor.text(), row, editor.cursor());
}

void LinePainter::finish(const LineEditor& editor) {
  const Str text = editor.text();
  Row row = fill(text, Row());
  if (intact_from_ > 0) {
    console_.write("\n");
    n_column_ = 0;
    paint_row(text, row);
  } else {
    while (row.index < live_) row = row_after(text, row);
    place_cursor(text, row, row.last);
  }
  paint_down(text, row, ~usize{0});
  console_.write("\n");
}

}  // namespace lbm
