// The fonts that are part of the program: the build makes them (scripts/gen_font.py).
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm::efi {

// The packed fonts, smallest first: cells of 8x16, 12x24 and 16x32 pixels. Empty behind the last.
[[nodiscard]] Span<const u8> builtin_font(u32 index);

}  // namespace lbm::efi
