// The colours and styles of terminals: what "ESC [ numbers m" does to a cell.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/screen/cell.h"

namespace lbm {

// Changes `pen` as the numbers say: 0 everything back; 1 2 4 7 bold, dim, underline, reverse, 22 24
// 27 off; 30..37 90..97 colour, 39 the theme's; 40..47 100..107 49 the background's; 38;5;N 48;5;N
// one of 256; 38;2;R;G;B the nearest of the cube. Unknown numbers are passed over.
void apply_sgr(Span<const u32> parameters, Cell& pen);

}  // namespace lbm
