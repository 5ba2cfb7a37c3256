// A cell of the screen: one character, its colours and its style, in eight bytes.
//
// A wide character (East Asian, emoji) takes two cells: the first has it, the second is its tail.
#pragma once

#include "core/base/types.h"

namespace lbm {

// Bits of Cell::style.
namespace style {
inline constexpr u8 kBold = 1;
inline constexpr u8 kDim = 2;
inline constexpr u8 kUnderline = 4;
inline constexpr u8 kReverse = 8;
inline constexpr u8 kForeground = 16;  // Cell::foreground counts; otherwise it is the theme's
inline constexpr u8 kBackground = 32;
inline constexpr u8 kWide = 64;
inline constexpr u8 kTail = 128;
}  // namespace style

// Which of the theme's pairs of colours a cell has where it names none of its own.
enum class Role : u8 { kText, kBar, kBarStrong, kBarWarning, kBarAlarm };

struct Cell {
  u32 codepoint = ' ';
  // Numbers of the 256 colours of terminals: 0..15 are the theme's, 16..231 a cube, 232..255 greys.
  u8 foreground = 0;
  u8 background = 0;
  u8 style = 0;
  Role role = Role::kText;

  friend bool operator==(const Cell& a, const Cell& b) {
    return __builtin_bit_cast(u64, a) == __builtin_bit_cast(u64, b);
  }
};
static_assert(sizeof(Cell) == 8);

}  // namespace lbm
