// Colours of the screen.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/screen/cell.h"

namespace lbm {

// Foreground and background of a cell. A colour is 0x00RRGGBB.
struct ColourPair {
  u32 foreground = 0;
  u32 background = 0;
};

struct Theme {
  Str name;
  ColourPair text;
  u32 bold = 0;          // bold text that has no colour of its own
  u32 palette[16] = {};  // black red green yellow blue magenta cyan white, and the bright ones
  ColourPair bar;
  ColourPair bar_strong;   // names of keys, the running activity
  ColourPair bar_warning;  // a context that is 80 % full
  ColourPair bar_alarm;    // 95 %
};

// dark (the first, the default), light, contrast.
[[nodiscard]] Span<const Theme> themes();
// Null where there is none of this name.
[[nodiscard]] const Theme* find_theme(Str name);

// The colours that `cell` has on the screen, with bold, dim and reverse done.
[[nodiscard]] ColourPair colours_of(const Cell& cell, const Theme& theme);

}  // namespace lbm
