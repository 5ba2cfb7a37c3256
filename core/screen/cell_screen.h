// The screen: a status bar, the text, a key bar, drawn as pixels.
//
// It remembers the cells that it has drawn, and draws only those that became others: one rectangle
// for each run of them in a row. Nothing is ever read back from the display.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/platform.h"
#include "core/screen/glyph_painter.h"
#include "core/screen/status_bar.h"
#include "core/screen/text_grid.h"

namespace lbm {

// Where pixels go.
class PixelSink {
 public:
  // Shows a rectangle at (x, y); its rows lie `pitch` pixels apart.
  virtual void show(u32 x, u32 y, u32 width, u32 height, const u32* pixels, u32 pitch) = 0;

 protected:
  ~PixelSink() = default;
};

class CellScreen {
 public:
  struct Setup {
    u32 width = 0;  // of the display, in pixels
    u32 height = 0;
    GlyphPainter painter;
    u32 n_line = 2000;  // of text that can be scrolled back to
  };
  static constexpr u32 kMinColumns = 20;
  static constexpr u32 kMinRows = 5;

  // Bytes of the memory that start() takes; 0 where the display has no room for so large cells.
  [[nodiscard]] static u64 bytes_needed(const Setup& setup);

  CellScreen() = default;
  CellScreen(const CellScreen&) = delete;
  CellScreen& operator=(const CellScreen&) = delete;

  // Begins with an empty screen. `memory` is aligned to 8, and outlives the screen as the fonts do.
  void start(Span<u8> memory, const Setup& setup);
  // Shows what `other` shows, in this screen's layout.
  void take_text_of(const CellScreen& other);

  void write(Str utf8) { grid_.write(utf8); }
  void show_status(const ConsoleStatus& status);
  // The clock of the status bar alone. True when that has to be painted.
  bool show_clock(Str clock);
  // In place of the key bar, until the next key.
  void show_notice(Str text);
  // Page Up and Page Down scroll and are used up (true); any other key returns to the end.
  bool on_key(Key key);

  // Draws what has changed; returns how many cells.
  u32 paint(PixelSink& sink);
  // Everything will be drawn again.
  void forget_drawn();
  void set_theme(const Theme& theme);
  void set_scroll_step(u32 n_line) { grid_.set_scroll_step(n_line); }

  // Of the text, without the bars.
  [[nodiscard]] u32 n_column() const { return n_column_; }
  [[nodiscard]] u32 n_row() const { return n_row_ - 2; }
  [[nodiscard]] const TextGrid& text() const { return grid_; }

  // ---- the whole picture, for a screenshot
  [[nodiscard]] u32 picture_width() const { return n_column_ * setup_.painter.cell_width; }
  [[nodiscard]] u32 picture_height() const { return n_row_ * setup_.painter.cell_height; }
  [[nodiscard]] u32 n_cell_row() const { return n_row_; }
  [[nodiscard]] u32 cell_height() const { return setup_.painter.cell_height; }
  // The pixels of a row of cells: cell_height() rows of picture_width(). Valid until the next call
  // of anything.
  [[nodiscard]] Span<const u32> render_row(u32 row);

 private:
  struct Parts;
  [[nodiscard]] static Parts parts_of(const Setup& setup);
  void compose_row(u32 row, Span<Cell> out) const;
  u32 paint_row(u32 row, PixelSink& sink);

  Setup setup_;
  u32 n_column_ = 0;
  u32 n_row_ = 0;  // with the bars
  u32 left_ = 0;   // pixels beside the cells
  u32 above_ = 0;
  TextGrid grid_;
  StatusBar status_bar_;
  KeyBar key_bar_;
  bool bars_changed_ = true;
  u32 drawn_cursor_row_ = 0;
  u32 drawn_cursor_column_ = 0;
  Span<Cell> drawn_;   // [n_row_][n_column_]
  Span<Cell> wanted_;  // one row
  Span<u32> pixels_;   // of one row of cells
};

}  // namespace lbm
