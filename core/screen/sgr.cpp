// See sgr.h. Source: ECMA-48, 8.3.117; the extended colours are xterm's.
#include "core/screen/sgr.h"

namespace lbm {
namespace {

void set(Cell& pen, u8 bits) { pen.style = static_cast<u8>(pen.style | bits); }
void reset(Cell& pen, u8 bits) { pen.style = static_cast<u8>(pen.style & ~bits); }

void set_foreground(Cell& pen, u32 number) {
  pen.foreground = static_cast<u8>(number);
  set(pen, style::kForeground);
}
void set_background(Cell& pen, u32 number) {
  pen.background = static_cast<u8>(number);
  set(pen, style::kBackground);
}

// The nearest of the 6 levels of the cube: 0, 95, 135, 175, 215, 255.
u32 cube_level(u32 value) {
  if (value < 48) return 0;
  if (value < 115) return 1;
  return value >= 255 ? 5 : (value - 35) / 40;
}

// The colour behind 38 or 48 at parameters[0]. Returns how many numbers it took, 0 where there is
// none.
u32 extended(Span<const u32> parameters, u32& number) {
  if (parameters.size() >= 2 && parameters[0] == 5) {
    number = parameters[1] & 0xFF;
    return 2;
  }
  if (parameters.size() >= 4 && parameters[0] == 2) {
    number = 16 + 36 * cube_level(parameters[1]) + 6 * cube_level(parameters[2]) +
             cube_level(parameters[3]);
    return 4;
  }
  return 0;
}

}  // namespace

void apply_sgr(Span<const u32> parameters, Cell& pen) {
  for (usize i = 0; i < parameters.size(); ++i) {
    const u32 value = parameters[i];
    if (value == 0) {
      pen = Cell{};
    } else if (value == 1) {
      set(pen, style::kBold);
    } else if (value == 2) {
      set(pen, style::kDim);
    } else if (value == 4) {
      set(pen, style::kUnderline);
    } else if (value == 7) {
      set(pen, style::kReverse);
    } else if (value == 22) {
      reset(pen, style::kBold | style::kDim);
    } else if (value == 24) {
      reset(pen, style::kUnderline);
    } else if (value == 27) {
      reset(pen, style::kReverse);
    } else if (value >= 30 && value <= 37) {
      set_foreground(pen, value - 30);
    } else if (value >= 40 && value <= 47) {
      set_background(pen, value - 40);
    } else if (value >= 90 && value <= 97) {
      set_foreground(pen, value - 90 + 8);
    } else if (value >= 100 && value <= 107) {
      set_background(pen, value - 100 + 8);
    } else if (value == 39) {
      reset(pen, style::kForeground);
    } else if (value == 49) {
      reset(pen, style::kBackground);
    } else if (value == 38 || value == 48) {
      u32 number = 0;
      const u32 n_taken = extended(parameters.from(i + 1), number);
      if (n_taken == 0) return;  // what follows can not be told apart
      value == 38 ? set_foreground(pen, number) : set_background(pen, number);
      i += n_taken;
    }
  }
}

}  // namespace lbm
