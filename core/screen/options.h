// How the screen is to be: the values of the settings font_scale, theme, keymap, screen and
// scrollback.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/screen/keymap.h"
#include "core/screen/theme.h"

namespace lbm {

// Which outputs are used. The serial ports always are.
enum class ScreenMode : u8 {
  kAuto,    // the pixels of the display; the firmware's text console where there are none
  kGop,     // the same
  kText,    // the firmware's text console
  kSerial,  // nothing but the serial ports
};

// Sizes of a cell: 8x16, 12x24, 16x32 and 24x48 pixels.
enum class FontScale : u8 { kAuto, k1, k1Half, k2, k3 };
inline constexpr u32 kFontScaleCount = 5;

struct CellSize {
  u32 width = 0;
  u32 height = 0;
};
// Of a scale that is not kAuto.
[[nodiscard]] CellSize cell_size(FontScale scale);
// The largest that leaves about 140 x 40 cells, so that text is of one size to the eye from a
// laptop's screen to 4K; never one that leaves fewer than 80 x 25
// where a smaller one does not.
[[nodiscard]] FontScale choose_font_scale(u32 width, u32 height);

struct ScreenOptions {
  ScreenMode mode = ScreenMode::kAuto;
  FontScale font_scale = FontScale::kAuto;
  const Theme* theme = nullptr;    // null: the first
  const Keymap* keymap = nullptr;  // null: as the firmware decides
  u32 n_scrollback = 2000;

  friend bool operator==(const ScreenOptions& a, const ScreenOptions& b) {
    return a.mode == b.mode && a.font_scale == b.font_scale && a.theme == b.theme &&
           a.keymap == b.keymap && a.n_scrollback == b.n_scrollback;
  }
};

// The words of the settings; false, with `out` untouched, for any other.
[[nodiscard]] bool parse_screen_mode(Str text,
                                     ScreenMode& out);          // auto gop text serial
[[nodiscard]] bool parse_font_scale(Str text, FontScale& out);  // auto 1 1.5 2 3
[[nodiscard]] Str font_scale_name(FontScale scale);

}  // namespace lbm
