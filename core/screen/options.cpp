// See options.h.
#include "core/screen/options.h"

namespace lbm {
namespace {

constexpr u32 kComfortableColumns = 140;
constexpr u32 kComfortableRows = 40;

constexpr Str kScaleNames[kFontScaleCount] = {"auto", "1", "1.5", "2", "3"};
constexpr Str kModeNames[] = {"auto", "gop", "text", "serial"};

}  // namespace

CellSize cell_size(FontScale scale) {
  switch (scale) {
    case FontScale::k1Half: return {12, 24};
    case FontScale::k2: return {16, 32};
    case FontScale::k3: return {24, 48};
    case FontScale::kAuto:
    case FontScale::k1: break;
  }
  return {8, 16};
}

FontScale choose_font_scale(u32 width, u32 height) {
  constexpr FontScale kLargeFirst[] = {FontScale::k3, FontScale::k2, FontScale::k1Half};
  for (const FontScale scale : kLargeFirst) {
    const CellSize cell = cell_size(scale);
    if (width / cell.width >= kComfortableColumns && height / cell.height >= kComfortableRows)
      return scale;
  }
  return FontScale::k1;
}

bool parse_screen_mode(Str text, ScreenMode& out) {
  for (u32 i = 0; i < sizeof(kModeNames) / sizeof(kModeNames[0]); ++i) {
    if (!(kModeNames[i] == text)) continue;
    out = static_cast<ScreenMode>(i);
    return true;
  }
  return false;
}

bool parse_font_scale(Str text, FontScale& out) {
  for (u32 i = 0; i < kFontScaleCount; ++i) {
    if (!(kScaleNames[i] == text)) continue;
    out = static_cast<FontScale>(i);
    return true;
  }
  return false;
}

Str font_scale_name(FontScale scale) { return kScaleNames[static_cast<u32>(scale)]; }

}  // namespace lbm
