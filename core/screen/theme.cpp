// See theme.h. The palettes keep a contrast of 4.5 : 1 or more between text and background (WCAG
// 2.1, 1.4.3), all but dim text and the black of each.
#include "core/screen/theme.h"

namespace lbm {
namespace {

constexpr Theme kThemes[] = {
    {"dark",
     {0xD8DEE4, 0x11151A},
     0xFFFFFF,
     {0x3B4450, 0xF0716B, 0x7CC77C, 0xE0B85C, 0x6CAAF0, 0xCB8FE0, 0x5FC7C7,
      0xD8DEE4,  //
      0x7D8896, 0xFF918A, 0x9BE39B, 0xF7D57E, 0x93C5FF, 0xE0B0F2, 0x86E3E3, 0xFFFFFF},
     {0xC6CFD8, 0x252D37},
     {0xFFFFFF, 0x3A4654},
     {0x11151A, 0xE0B85C},
     {0xFFFFFF, 0xB83A36}},
    {"light",
     {0x1E2329, 0xFAFAF7},
     0x000000,
     {0x1E2329, 0xB3261E, 0x1B6E2B, 0x7A5200, 0x1553B7, 0x8A2BA8, 0x00666B,
      0x5A6270,  //
      0x4A525E, 0xC2352C, 0x237A35, 0x845A00, 0x2563C9, 0x9A3BB8, 0x00747A, 0x1E2329},
     {0x2B323A, 0xDFE3E0},
     {0xFFFFFF, 0x47525E},
     {0x1E2329, 0xF2C14E},
     {0xFFFFFF, 0xB3261E}},
    {"contrast",
     {0xFFFFFF, 0x000000},
     0xFFFFFF,
     {0x808080, 0xFF6060, 0x40FF40, 0xFFFF40, 0x80B0FF, 0xFF80FF, 0x40FFFF,
      0xFFFFFF,  //
      0xA0A0A0, 0xFF8080, 0x80FF80, 0xFFFF80, 0xA0C8FF, 0xFFA0FF, 0x80FFFF, 0xFFFFFF},
     {0x000000, 0xFFFFFF},
     {0xFFFFFF, 0x000000},
     {0x000000, 0xFFFF00},
     {0xFFFFFF, 0xC00000}},
};

// The part `numerator` / 16 of `a`, the rest of `b`.
constexpr u32 mix(u32 a, u32 b, u32 numerator) {
  u32 out = 0;
  for (u32 shift = 0; shift < 24; shift += 8) {
    const u32 x = (a >> shift) & 0xFF;
    const u32 y = (b >> shift) & 0xFF;
    out |= ((x * numerator + y * (16 - numerator)) / 16) << shift;
  }
  return out;
}

// The colours 16..255, as xterm has them.
constexpr u32 extended_colour(u32 number) {
  if (number >= 232) return (8 + (number - 232) * 10) * 0x010101;
  const auto level = [](u32 step) { return step == 0 ? 0 : 55 + step * 40; };
  const u32 at = number - 16;
  return level(at / 36) << 16 | level(at / 6 % 6) << 8 | level(at % 6);
}

u32 colour(u32 number, const Theme& theme) {
  return number < 16 ? theme.palette[number] : extended_colour(number);
}

ColourPair role_colours(Role role, const Theme& theme) {
  switch (role) {
    case Role::kBar: return theme.bar;
    case Role::kBarStrong: return theme.bar_strong;
    case Role::kBarWarning: return theme.bar_warning;
    case Role::kBarAlarm: return theme.bar_alarm;
    case Role::kText: break;
  }
  return theme.text;
}

}  // namespace

Span<const Theme> themes() { return kThemes; }

const Theme* find_theme(Str name) {
  for (const Theme& theme : kThemes) {
    if (theme.name == name) return &theme;
  }
  return nullptr;
}

ColourPair colours_of(const Cell& cell, const Theme& theme) {
  ColourPair pair = role_colours(cell.role, theme);
  const bool is_bold = (cell.style & style::kBold) != 0;
  if ((cell.style & style::kForeground) != 0) {
    const bool brightens = is_bold && cell.foreground < 8;
    pair.foreground = colour(brightens ? cell.foreground + 8u : cell.foreground, theme);
  } else if (is_bold && cell.role == Role::kText) {
    pair.foreground = theme.bold;
  }
  if ((cell.style & style::kBackground) != 0) pair.background = colour(cell.background, theme);
  if ((cell.style & style::kDim) != 0) pair.foreground = mix(pair.foreground, pair.background, 10);
  if ((cell.style & style::kReverse) != 0) return {pair.background, pair.foreground};
  return pair;
}

}  // namespace lbm
