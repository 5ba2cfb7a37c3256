// A screenshot: the cells of the screen, drawn once more, as a PNG file.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/screen/cell_screen.h"

namespace lbm {

// Bytes of scratch that write_png() takes.
[[nodiscard]] u64 png_scratch_bytes(const CellScreen& screen);

// Writes the file into `out`, as far as that goes, and returns how many bytes it has. So a first
// call with an empty `out` tells how much memory the second needs.
u64 write_png(CellScreen& screen, Span<u8> scratch, Span<u8> out);

}  // namespace lbm
