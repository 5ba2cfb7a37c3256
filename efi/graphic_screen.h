// The cell screen on the display of the machine: layout, memory, when to draw.
//
// Drawing is cheap for a few characters and expensive for a whole screen, most of all on a large
// display whose memory is not cached. So a write is drawn at once while drawing is cheap; after an
// expensive one the next waits until three times its cost has passed, or until somebody looks for
// keys. A screen that takes long to draw scrolls by several lines at a time.
#pragma once

#include "core/screen/cell_screen.h"
#include "core/screen/options.h"
#include "efi/clock.h"
#include "efi/gop.h"
#include "efi/memory.h"

namespace lbm::efi {

// Writes a file for the user to take away; says where it is.
struct FileExport {
  Result<Str> (*write)(void* host, Str name, Span<const u8> bytes) = nullptr;
  void* host = nullptr;
};

class GraphicScreen {
 public:
  static constexpr u32 kBuiltinFonts = 3;

  explicit GraphicScreen(TscClock& clock) : clock_(clock) {}
  GraphicScreen(const GraphicScreen&) = delete;
  GraphicScreen& operator=(const GraphicScreen&) = delete;

  // Takes the display, and shows what was shown before where this is not the first time. False,
  // with nothing changed, where there is no display or no memory.
  bool start(const ScreenOptions& options);
  // Leaves the display, black.
  void stop();
  [[nodiscard]] bool active() const { return shown_ != nullptr; }

  // A further font, for what the built-in ones lack; `file` outlives the screen. Errors: those of
  // Font::open().
  [[nodiscard]] Status add_font(Span<const u8> file);
  void set_export(const FileExport& file_export) { export_ = file_export; }

  // The rest only while active().
  void write(Str utf8);
  void show_status(const ConsoleStatus& status);
  // The clock of the status bar; nothing is drawn before its minute changes.
  void show_clock(Str clock);
  // Draws what waits: now, or where it is due.
  void flush();
  void flush_if_due();
  // Page Up and Page Down, F4 (size of the font) and F10 (picture) are used up: true.
  bool on_key(const KeyEvent& event);
  // True once after F4 has broken the line being typed into two: it has to be drawn again.
  [[nodiscard]] bool take_broken_line();
  [[nodiscard]] static bool is_screen_key(const KeyEvent& event);

  [[nodiscard]] u32 n_column() const { return shown_->n_column(); }
  [[nodiscard]] u32 n_row() const { return shown_->n_row(); }

 private:
  [[nodiscard]] bool open_fonts();
  [[nodiscard]] CellScreen::Setup setup_for(FontScale scale) const;
  [[nodiscard]] bool fits(FontScale scale) const;
  [[nodiscard]] Result<Span<u8>> take_memory(CellScreen::Setup& setup);
  [[nodiscard]] bool lay_out(FontScale scale);
  void follow_display();
  void paint();
  void next_font_scale();
  void save_picture();
  [[nodiscard]] Result<Str> write_picture();

  TscClock& clock_;
  FirmwarePages pages_;
  GopDisplay display_;
  ScreenOptions options_;
  FontScale scale_ = FontScale::kAuto;
  Font fonts_[kBuiltinFonts];
  Font more_;
  bool fonts_open_ = false;
  bool has_more_ = false;
  // The screen that is shown, and the one that takes its place when the layout changes.
  CellScreen screens_[2];
  Span<u8> memory_[2];
  CellScreen* shown_ = nullptr;
  FileExport export_;
  u32 n_picture_ = 0;
  bool broken_line_ = false;
  bool waiting_ = false;  // something is not drawn yet
  u64 next_paint_us_ = 0;
};

}  // namespace lbm::efi
