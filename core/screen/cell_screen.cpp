// See cell_screen.h.
#include "core/screen/cell_screen.h"

namespace lbm {
namespace {

// A gap of so many unchanged cells is drawn rather than a second rectangle begun.
constexpr u32 kMaxGap = 3;
// No character: a drawn cell that has it differs from every wanted one.
constexpr u32 kNothing = ~0u;

}  // namespace

// How a piece of memory is divided.
struct CellScreen::Parts {
  u32 n_column = 0;
  u32 n_row = 0;
  TextGrid::Size grid;
  u64 drawn_bytes = 0;
  u64 wanted_bytes = 0;
  u64 pixel_bytes = 0;
  u64 grid_bytes = 0;
};

CellScreen::Parts CellScreen::parts_of(const Setup& setup) {
  Parts parts;
  parts.n_column = setup.width / setup.painter.cell_width;
  parts.n_row = setup.height / setup.painter.cell_height;
  if (parts.n_column < kMinColumns || parts.n_row < kMinRows) return {};
  const u32 n_text_row = parts.n_row - 2;
  const u32 n_line = setup.n_line < 1'000'000 ? setup.n_line : 1'000'000;
  parts.grid = {parts.n_column, n_text_row,
                n_line > n_text_row ? n_line + n_text_row : 2 * n_text_row};
  parts.drawn_bytes = u64{parts.n_column} * parts.n_row * sizeof(Cell);
  parts.wanted_bytes = u64{parts.n_column} * sizeof(Cell);
  parts.grid_bytes = (TextGrid::bytes_needed(parts.grid) + 7) / 8 * 8;
  parts.pixel_bytes =
      u64{parts.n_column} * setup.painter.cell_width * setup.painter.cell_height * sizeof(u32);
  return parts;
}

u64 CellScreen::bytes_needed(const Setup& setup) {
  const Parts parts = parts_of(setup);
  return parts.drawn_bytes + parts.wanted_bytes + parts.grid_bytes + parts.pixel_bytes;
}

void CellScreen::start(Span<u8> memory, const Setup& setup) {
  const Parts parts = parts_of(setup);
  LBM_CHECK(parts.n_column > 0 && memory.size() >= bytes_needed(setup));
  setup_ = setup;
  n_column_ = parts.n_column;
  n_row_ = parts.n_row;
  left_ = (setup.width - n_column_ * setup.painter.cell_width) / 2;
  above_ = (setup.height - n_row_ * setup.painter.cell_height) / 2;
  usize at = 0;
  const auto take = [&](u64 bytes) {
    const Span<u8> part = memory.slice(at, static_cast<usize>(bytes));
    at += part.size();
    return part;
  };
  const Span<u8> drawn = take(parts.drawn_bytes);
  drawn_ = {reinterpret_cast<Cell*>(drawn.data()), drawn.size() / sizeof(Cell)};
  const Span<u8> wanted = take(parts.wanted_bytes);
  wanted_ = {reinterpret_cast<Cell*>(wanted.data()), wanted.size() / sizeof(Cell)};
  grid_.start(take(parts.grid_bytes), parts.grid);
  const Span<u8> pixels = take(parts.pixel_bytes);
  pixels_ = {reinterpret_cast<u32*>(pixels.data()), pixels.size() / sizeof(u32)};
  key_bar_.clear_notice();
  forget_drawn();
}

void CellScreen::take_text_of(const CellScreen& other) {
  grid_.take_text_of(other.grid_);
  status_bar_ = other.status_bar_;
  key_bar_ = other.key_bar_;
}

void CellScreen::show_status(const ConsoleStatus& status) {
  if (status_bar_.set(status)) bars_changed_ = true;
}

bool CellScreen::show_clock(Str clock) {
  const bool changed = status_bar_.set_clock(clock);
  if (changed) bars_changed_ = true;
  return changed;
}

void CellScreen::show_notice(Str text) {
  key_bar_.set_notice(text);
  bars_changed_ = true;
}

bool CellScreen::on_key(Key key) {
  const i32 page = static_cast<i32>(n_row() > 2 ? n_row() - 2 : 1);
  if (key_bar_.has_notice()) {
    key_bar_.clear_notice();
    bars_changed_ = true;
  }
  if (key == Key::kPageUp || key == Key::kPageDown) {
    grid_.scroll_view(key == Key::kPageUp ? -page : page);
    bars_changed_ = true;
    return true;
  }
  if (grid_.n_line_below() > 0) {
    grid_.show_end();
    bars_changed_ = true;
  }
  return false;
}

void CellScreen::forget_drawn() {
  for (Cell& cell : drawn_) cell = {kNothing, 0, 0, 0, Role::kText};
  bars_changed_ = true;
}

void CellScreen::set_theme(const Theme& theme) {
  setup_.painter.theme = &theme;
  forget_drawn();
}

void CellScreen::compose_row(u32 row, Span<Cell> out) const {
  if (row == 0) return status_bar_.compose(out);
  if (row == n_row_ - 1) return key_bar_.compose(out, grid_.n_line_below());
  const Span<const Cell> line = grid_.row(row - 1);
  for (Cell& cell : out.from(line.size())) cell = Cell{};
  if (!line.empty()) __builtin_memcpy(out.data(), line.data(), line.size_bytes());
  if (row - 1 != grid_.cursor_row()) return;
  u32 column = grid_.cursor_column();
  if ((out[column].style & style::kTail) != 0 && column > 0) --column;
  out[column].style = static_cast<u8>(out[column].style ^ style::kReverse);
}

u32 CellScreen::paint_row(u32 row, PixelSink& sink) {
  compose_row(row, wanted_);
  const Span<Cell> drawn = drawn_.slice(usize{row} * n_column_, n_column_);
  const u32 width = setup_.painter.cell_width;
  const u32 height = setup_.painter.cell_height;
  u32 n_drawn = 0;
  u32 column = 0;
  while (column < n_column_) {
    if (wanted_[column] == drawn[column]) {
      ++column;
      continue;
    }
    u32 first = column;
    u32 last = column + 1;
    for (u32 i = last; i < n_column_ && i <= last + kMaxGap; ++i) {
      if (!(wanted_[i] == drawn[i])) last = i + 1;
    }
    if (first > 0 && (wanted_[first].style & style::kTail) != 0) --first;
    if (last < n_column_ && (wanted_[last - 1].style & style::kWide) != 0) ++last;
    const u32 pitch = (last - first) * width;
    setup_.painter.paint(wanted_.slice(first, last - first), pixels_.data(), pitch);
    sink.show(left_ + first * width, above_ + row * height, pitch, height, pixels_.data(), pitch);
    n_drawn += last - first;
    column = last;
  }
  __builtin_memcpy(drawn.data(), wanted_.data(), drawn.size_bytes());
  return n_drawn;
}

u32 CellScreen::paint(PixelSink& sink) {
  u32 n_drawn = 0;
  const u32 cursor_row = grid_.cursor_row();
  const bool cursor_moved =
      cursor_row != drawn_cursor_row_ || grid_.cursor_column() != drawn_cursor_column_;
  const bool all = drawn_[0].codepoint == kNothing;
  for (u32 row = 0; row < n_row_; ++row) {
    const bool is_bar = row == 0 || row == n_row_ - 1;
    const bool has_cursor =
        cursor_moved && !is_bar && (row - 1 == cursor_row || row - 1 == drawn_cursor_row_);
    if (all || (is_bar ? bars_changed_ : has_cursor || grid_.row_changed(row - 1)))
      n_drawn += paint_row(row, sink);
  }
  grid_.clear_changed();
  bars_changed_ = false;
  drawn_cursor_row_ = cursor_row;
  drawn_cursor_column_ = grid_.cursor_column();
  return n_drawn;
}

Span<const u32> CellScreen::render_row(u32 row) {
  compose_row(row, wanted_);
  setup_.painter.paint(wanted_, pixels_.data(), picture_width());
  return pixels_;
}

}  // namespace lbm
