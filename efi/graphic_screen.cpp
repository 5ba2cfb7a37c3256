// See graphic_screen.h.
#include "efi/graphic_screen.h"

#include "core/base/fmt.h"
#include "core/screen/picture.h"
#include "efi/builtin_font.h"

namespace lbm::efi {
namespace {

// Drawing that costs no more is never put off.
constexpr u64 kCheapUs = 2'000;
// Of the time, drawing takes one part in this.
constexpr u64 kShare = 4;
// A whole screen in this time scrolls by single lines.
constexpr u64 kSmoothUs = 30'000;
// A smaller layout is no chat any more.
constexpr u32 kLeastColumns = 40;
constexpr u32 kLeastRows = 12;

// The font of a scale: 24x48 is 12x24, doubled.
u32 font_index(FontScale scale) {
  switch (scale) {
    case FontScale::k1Half:
    case FontScale::k3: return 1;
    case FontScale::k2: return 2;
    case FontScale::kAuto:
    case FontScale::k1: break;
  }
  return 0;
}

}  // namespace

bool GraphicScreen::open_fonts() {
  for (u32 i = 0; i < kBuiltinFonts && !fonts_open_; ++i) {
    const Result<Font> font = Font::open(builtin_font(i));
    if (!font.ok()) return false;
    fonts_[i] = font.value();
  }
  fonts_open_ = true;
  return true;
}

Status GraphicScreen::add_font(Span<const u8> file) {
  const Result<Font> font = Font::open(file);
  if (!font.ok()) return font.error();
  more_ = font.value();
  has_more_ = true;
  if (active()) (void)lay_out(scale_);
  return {};
}

CellScreen::Setup GraphicScreen::setup_for(FontScale scale) const {
  CellScreen::Setup setup;
  setup.width = display_.width();
  setup.height = display_.height();
  const CellSize cell = cell_size(scale);
  setup.painter = {&fonts_[font_index(scale)], has_more_ ? &more_ : nullptr,
                   options_.theme != nullptr ? options_.theme : &themes()[0], cell.width,
                   cell.height};
  setup.n_line = options_.n_scrollback;
  return setup;
}

bool GraphicScreen::fits(FontScale scale) const {
  const CellSize cell = cell_size(scale);
  return display_.width() / cell.width >= kLeastColumns &&
         display_.height() / cell.height >= kLeastRows;
}

bool GraphicScreen::start(const ScreenOptions& options) {
  if (!active() && (!display_.find() || !open_fonts())) return false;
  FontScale scale = options.font_scale;
  if (scale == FontScale::kAuto || !fits(scale))
    scale = choose_font_scale(display_.width(), display_.height());
  // What F4 chose stays, as long as the setting is not another.
  if (active() && options.font_scale == options_.font_scale) scale = scale_;
  options_ = options;
  return lay_out(scale);
}

// Memory for a screen; on a small machine for one without text to scroll back to.
Result<Span<u8>> GraphicScreen::take_memory(CellScreen::Setup& setup) {
  const u64 n_byte = CellScreen::bytes_needed(setup);
  if (n_byte == 0) return fail(ErrorCode::kLimit, "the display is too small");
  Result<Span<u8>> memory = pages_.take(n_byte, "screen");
  if (memory.ok() || setup.n_line == 0) return memory;
  setup.n_line = 0;
  return pages_.take(CellScreen::bytes_needed(setup), "screen");
}

bool GraphicScreen::lay_out(FontScale scale) {
  CellScreen::Setup setup = setup_for(scale);
  const Result<Span<u8>> memory = take_memory(setup);
  if (!memory.ok()) return false;
  const u32 next = shown_ == &screens_[0] ? 1 : 0;
  memory_[next] = memory.value();
  screens_[next].start(memory_[next], setup);
  if (shown_ != nullptr) {
    screens_[next].take_text_of(*shown_);
    pages_.give_back(memory_[1 - next]);
  }
  shown_ = &screens_[next];
  scale_ = scale;
  display_.clear(setup.painter.theme->text.background);
  paint();
  return true;
}

void GraphicScreen::stop() {
  if (!active()) return;
  display_.clear(0);
  pages_.give_back(memory_[shown_ == &screens_[0] ? 0 : 1]);
  shown_ = nullptr;
}

void GraphicScreen::paint() {
  const u64 begin = clock_.now_us();
  const u32 n_cell = shown_->paint(display_);
  const u64 cost = clock_.now_us() - begin;
  waiting_ = false;
  next_paint_us_ = cost > kCheapUs ? begin + kShare * cost : 0;
  // What a large part costs tells what the whole would.
  const u64 n_all = u64{shown_->n_column()} * shown_->n_row();
  if (n_cell < n_all / 4) return;
  const u64 whole = cost * n_all / n_cell;
  const u64 n_line = 1 + whole / kSmoothUs;
  const u64 most = shown_->n_row() / 3;
  shown_->set_scroll_step(static_cast<u32>(n_line < most ? n_line : most));
}

void GraphicScreen::flush() {
  if (waiting_) paint();
}

void GraphicScreen::flush_if_due() {
  if (waiting_ && (next_paint_us_ == 0 || clock_.now_us() >= next_paint_us_)) paint();
}

// A display that is plugged in may make the firmware choose another mode.
void GraphicScreen::follow_display() {
  if (!display_.was_resized()) return;
  const bool keeps_scale = options_.font_scale != FontScale::kAuto && fits(scale_);
  (void)lay_out(keeps_scale ? scale_ : choose_font_scale(display_.width(), display_.height()));
}

void GraphicScreen::write(Str utf8) {
  follow_display();
  shown_->write(utf8);
  waiting_ = true;
  flush_if_due();
}

void GraphicScreen::show_status(const ConsoleStatus& status) {
  shown_->show_status(status);
  waiting_ = true;
  flush_if_due();
}

void GraphicScreen::show_clock(Str clock) {
  if (!shown_->show_clock(clock)) return;
  waiting_ = true;
  flush_if_due();
}

bool GraphicScreen::take_broken_line() {
  const bool broken = broken_line_;
  broken_line_ = false;
  return broken;
}

bool GraphicScreen::is_screen_key(const KeyEvent& event) {
  return event.key == Key::kPageUp || event.key == Key::kPageDown || event.key == Key::kF4 ||
         event.key == Key::kF10;
}

bool GraphicScreen::on_key(const KeyEvent& event) {
  bool used = shown_->on_key(event.key);
  if (event.key == Key::kF4) {
    next_font_scale();
    used = true;
  }
  if (event.key == Key::kF10) {
    save_picture();
    used = true;
  }
  waiting_ = true;
  flush_if_due();
  return used;
}

void GraphicScreen::next_font_scale() {
  u32 scale = static_cast<u32>(scale_);
  for (u32 i = 1; i < kFontScaleCount; ++i) {
    scale = scale + 1 < kFontScaleCount ? scale + 1 : 1;  // 0 is kAuto
    if (fits(static_cast<FontScale>(scale))) break;
  }
  const u32 line_size = shown_->text().cursor_line_size();
  TextBuffer<64> notice;
  if (lay_out(static_cast<FontScale>(scale))) {
    broken_line_ = line_size >= n_column();
    notice.print("font {}: {} x {}", font_scale_name(scale_), n_column(), n_row());
  } else {
    notice.print("no memory for another size of the font");
  }
  shown_->show_notice(notice.text());
}

void GraphicScreen::save_picture() {
  shown_->show_notice("saving the picture ...");
  flush();
  shown_->show_notice({});
  const Result<Str> place = write_picture();
  TextBuffer<160> notice;
  if (place.ok()) {
    notice.print("picture: {}", place.value());
  } else {
    char reason[140];
    notice.print("no picture: {}", format_error(place.error(), reason));
  }
  shown_->show_notice(notice.text());
}

Result<Str> GraphicScreen::write_picture() {
  if (export_.write == nullptr)
    return fail(ErrorCode::kReadOnly, "there is no place for files").about("F10");
  Result<Span<u8>> scratch = pages_.take(png_scratch_bytes(*shown_), "rows of a picture");
  if (!scratch.ok()) return scratch.error();
  const u64 n_byte = write_png(*shown_, scratch.value(), {});
  Result<Span<u8>> png = pages_.take(n_byte, "picture");
  if (!png.ok()) {
    pages_.give_back(scratch.value());
    return png.error();
  }
  const Span<u8> file = png.value().first(static_cast<usize>(n_byte));
  (void)write_png(*shown_, scratch.value(), file);
  TextBuffer<24> name;
  name.print("screen{}.png", ++n_picture_);
  Result<Str> place = export_.write(export_.host, name.text(), file);
  pages_.give_back(png.value());
  pages_.give_back(scratch.value());
  return place;
}

}  // namespace lbm::efi
