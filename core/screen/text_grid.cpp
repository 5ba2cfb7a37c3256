// See text_grid.h.
#include "core/screen/text_grid.h"

#include "core/base/unicode_normalize.h"
#include "core/base/utf8.h"
#include "core/screen/sgr.h"

namespace lbm {
namespace {

constexpr u32 kTabColumns = 4;

constexpr u64 smaller(u64 a, u64 b) { return a < b ? a : b; }

}  // namespace

u64 TextGrid::bytes_needed(const Size& size) {
  return u64{size.n_line} * (u64{size.n_column} * sizeof(Cell) + sizeof(Line));
}

void TextGrid::start(Span<u8> memory, const Size& size) {
  LBM_CHECK(size.n_column > 1 && size.n_row > 0 && size.n_line >= 2 * size.n_row);
  LBM_CHECK(memory.size() >= bytes_needed(size));
  size_ = size;
  cells_ = reinterpret_cast<Cell*>(memory.data());
  lines_ = reinterpret_cast<Line*>(cells_ + usize{size.n_line} * size.n_column);
  parser_ = {};
  pen_ = {};
  first_ = 0;
  end_ = 0;
  top_ = 0;
  view_ = 0;
  cursor_ = 0;
  column_ = 0;
  view_changed_ = true;
  move_to_line(0);
}

TextGrid::Line& TextGrid::line(u64 number) const { return lines_[number % size_.n_line]; }

Cell* TextGrid::cells(u64 number) const {
  return cells_ + static_cast<usize>(number % size_.n_line) * size_.n_column;
}

// What erased cells become: blanks in the colours of the pen.
Cell TextGrid::blank() const {
  Cell cell;
  cell.background = pen_.background;
  cell.style = pen_.style & style::kBackground;
  return cell;
}

Span<const Cell> TextGrid::row(u32 row) const {
  const u64 number = view_ + row;
  if (number >= end_) return {};
  return {cells(number), size_.n_column};
}

bool TextGrid::row_changed(u32 row) const {
  const u64 number = view_ + row;
  return view_changed_ || (number < end_ && line(number).changed);
}

void TextGrid::clear_changed() {
  view_changed_ = false;
  for (u64 number = view_; number < end_ && number < view_ + size_.n_row; ++number)
    line(number).changed = false;
}

u32 TextGrid::cursor_row() const {
  return cursor_ >= view_ && cursor_ < view_ + size_.n_row ? static_cast<u32>(cursor_ - view_)
                                                           : size_.n_row;
}

void TextGrid::scroll_view(i32 n_line) {
  const u64 before = view_;
  if (n_line < 0) {
    const u64 n_back = static_cast<u64>(-i64{n_line});
    view_ = view_ - first_ > n_back ? view_ - n_back : first_;
  } else {
    view_ = smaller(view_ + static_cast<u64>(n_line), top_);
  }
  view_changed_ = view_changed_ || view_ != before;
}

// The cursor's line becomes `number`; lines up to it come into being, and the screen follows.
void TextGrid::move_to_line(u64 number) {
  const bool follows = view_ == top_;
  while (end_ <= number) {
    lines_[end_ % size_.n_line] = Line{};
    for (Cell& cell : Span<Cell>(cells(end_), size_.n_column)) cell = Cell{};
    ++end_;
    if (end_ - first_ > size_.n_line) ++first_;
  }
  cursor_ = number;
  if (number >= top_ + size_.n_row) {
    const u64 needed = number - top_ - size_.n_row + 1;
    const u64 wanted = smaller(scroll_step_, size_.n_row);
    top_ += needed > wanted ? needed : wanted;
    view_changed_ = true;
  }
  if (follows) view_ = top_;
  if (view_ < first_) {  // the oldest lines went while they were looked at
    view_ = first_;
    view_changed_ = true;
  }
}

void TextGrid::next_line() {
  column_ = 0;
  move_to_line(cursor_ + 1);
}

// Makes room for a character that does not fit behind the cursor: moves to the next line, and takes
// the word there that the character belongs to.
void TextGrid::wrap_before(u32 width, u32 codepoint) {
  Cell* from = cells(cursor_);
  const u64 number = cursor_;
  u32 word = column_;
  if (width == 1) {
    while (word > 0 && from[word - 1].codepoint != ' ' &&
           (from[word - 1].style & (style::kWide | style::kTail)) == 0)
      --word;
  }
  if (codepoint == ' ' || word < size_.n_column / 2) word = column_;
  const u32 n_moved = column_ - word;
  line(number).n_cell = word;
  line(number).wrap = codepoint == ' ' ? Wrap::kBreaksAtSpace : Wrap::kBreaks;
  touch(number);
  next_line();
  // The line that is left stays in the ring: n_line is at least two screens.
  Cell* to = cells(cursor_);
  for (u32 i = 0; i < n_moved; ++i) {
    to[i] = from[word + i];
    from[word + i] = Cell{};
  }
  column_ = n_moved;
  line(cursor_).n_cell = n_moved;
  touch(cursor_);
}

// Writing over one half of a wide character leaves a blank where the other half was.
void TextGrid::split_wide(u32 column) {
  Cell* row = cells(cursor_);
  if (column > 0 && (row[column].style & style::kTail) != 0) row[column - 1] = Cell{};
  if (column + 1 < size_.n_column && (row[column].style & style::kWide) != 0)
    row[column + 1] = Cell{};
}

void TextGrid::put_cell(Cell cell, u32 width) {
  const bool breaks = column_ + width > size_.n_column;
  if (breaks) wrap_before(width, cell.codepoint);
  if (breaks && cell.codepoint == ' ') return;  // the break stands for it
  Cell* row = cells(cursor_);
  for (u32 i = 0; i < width; ++i) split_wide(column_ + i);
  cell.style = static_cast<u8>(cell.style & ~(style::kWide | style::kTail));
  row[column_] = cell;
  if (width == 2) {
    row[column_].style |= style::kWide;
    cell.codepoint = ' ';
    row[column_ + 1] = cell;
    row[column_ + 1].style |= style::kTail;
  }
  column_ += width;
  Line& here = line(cursor_);
  if (here.n_cell < column_) here.n_cell = column_;
  here.changed = true;
}

void TextGrid::put_mark(u32 codepoint) {
  if (column_ == 0) return;
  Cell* row = cells(cursor_);
  const u32 at = column_ - ((row[column_ - 1].style & style::kTail) != 0 ? 2 : 1);
  const u32 both = compose(row[at].codepoint, codepoint);
  if (both == 0 || display_width(both) != display_width(row[at].codepoint)) return;
  row[at].codepoint = both;
  touch(cursor_);
}

void TextGrid::put(u32 codepoint) {
  switch (codepoint) {
    case '\n': return next_line();
    case '\r': column_ = 0; return;
    case '\b':
      if (column_ > 0) --column_;
      return;
    case '\t':
      for (u32 i = 0; i < kTabColumns; ++i) put(' ');
      return;
    default: break;
  }
  if (codepoint < 0x20 || codepoint == 0x7F) return;
  const u32 width = display_width(codepoint);
  if (width == 0) return put_mark(codepoint);
  Cell cell = pen_;
  cell.codepoint = codepoint;
  put_cell(cell, width);
}

void TextGrid::erase(u64 number, u32 first, u32 last) {
  Cell* row = cells(number);
  for (u32 column = first; column < last; ++column) row[column] = blank();
  Line& erased = line(number);
  if (last >= erased.n_cell && first < erased.n_cell) erased.n_cell = first;
  erased.wrap = Wrap::kEnds;
  erased.changed = true;
}

void TextGrid::control(u32 final_byte, Span<const u32> parameters) {
  const u32 first = parameters[0];
  const u32 n = first == 0 ? 1 : first;
  const u32 last_column = size_.n_column - 1;
  switch (final_byte) {
    case 'A': return move_to_line(cursor_ - top_ > n ? cursor_ - n : top_);
    case 'B': return move_to_line(smaller(cursor_ + n, top_ + size_.n_row - 1));
    case 'C': column_ = static_cast<u32>(smaller(u64{column_} + n, last_column)); return;
    case 'D': column_ = column_ > n ? column_ - n : 0; return;
    case 'G': column_ = static_cast<u32>(smaller(n - 1, last_column)); return;
    case 'H': {
      const u32 column = parameters.size() > 1 && parameters[1] > 0 ? parameters[1] - 1 : 0;
      column_ = static_cast<u32>(smaller(column, last_column));
      return move_to_line(top_ + smaller(n, size_.n_row) - 1);
    }
    case 'K':
      if (first > 2) return;
      return erase(cursor_, first == 0 ? cursor_column() : 0,
                   first == 1 ? cursor_column() + 1 : size_.n_column);
    case 'J': {
      const u32 row = static_cast<u32>(cursor_ - top_);
      if (first == 0) {
        erase(cursor_, cursor_column(), size_.n_column);
        for (u64 number = cursor_ + 1; number < end_; ++number) erase(number, 0, size_.n_column);
      } else if (first == 2) {
        // What was there scrolls away, so that it can be looked at again.
        move_to_line(end_ - 1 + size_.n_row);
        top_ = cursor_;
        view_ = top_;
        view_changed_ = true;
        move_to_line(top_ + row);
      }
      return;
    }
    default: return;
  }
}

void TextGrid::write(Str utf8) {
  while (!utf8.empty()) {
    const Utf8Char character = decode_utf8(utf8);
    utf8 = utf8.from(character.n_byte);
    switch (parser_.feed(character.codepoint)) {
      case EscapeParser::Kind::kText: put(character.codepoint); break;
      case EscapeParser::Kind::kHidden: break;
      case EscapeParser::Kind::kSgr: apply_sgr(parser_.parameters(), pen_); break;
      case EscapeParser::Kind::kControl: control(parser_.final_byte(), parser_.parameters()); break;
    }
  }
}

void TextGrid::take_text_of(const TextGrid& other) {
  u64 cursor = 0;
  u32 column = 0;
  for (u64 number = other.first_; number < other.end_; ++number) {
    const Line& from = other.line(number);
    const Cell* row = other.cells(number);
    for (u32 i = 0; i < from.n_cell; ++i) {
      if (number == other.cursor_ && i == other.column_) {
        cursor = cursor_;
        column = column_;
      }
      if ((row[i].style & style::kTail) != 0) continue;
      put_cell(row[i], (row[i].style & style::kWide) != 0 ? 2 : 1);
    }
    if (number == other.cursor_ && other.column_ >= from.n_cell) {
      cursor = cursor_;
      column = column_;
    }
    if (number + 1 == other.end_) break;
    if (from.wrap == Wrap::kEnds) next_line();
    if (from.wrap == Wrap::kBreaksAtSpace) put(' ');
  }
  pen_ = other.pen_;
  parser_ = other.parser_;
  // A cursor is on the screen, also where what followed it takes more rows now than there are.
  cursor_ = cursor < top_ ? top_ : cursor;
  column_ = cursor < top_ ? 0 : column;
  view_changed_ = true;
}

}  // namespace lbm
