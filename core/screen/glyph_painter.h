// From cells to pixels. A pixel is 0x00RRGGBB, which is also how UEFI's Blt() wants it.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"
#include "core/screen/cell.h"
#include "core/screen/font.h"
#include "core/screen/theme.h"

namespace lbm {

struct GlyphPainter {
  const Font* font = nullptr;
  const Font* more = nullptr;  // for what `font` lacks; null: there is none
  const Theme* theme = nullptr;
  u32 cell_width = 8;  // pixels; glyphs of another size are scaled
  u32 cell_height = 16;

  // Draws `cells` side by side into `pixels`, rows of `pitch` pixels. A wide character without its
  // tail is cut.
  void paint(Span<const Cell> cells, u32* pixels, u32 pitch) const;

 private:
  [[nodiscard]] Glyph find(u32 codepoint) const;
  void paint_cell(const Cell& cell, u32 n_cell, u32* pixels, u32 pitch) const;
  void paint_glyph(const Glyph& glyph, ColourPair pair, u32 width, u32* pixels, u32 pitch) const;
  void paint_missing(u32 colour, u32 width, u32* pixels, u32 pitch) const;
};

}  // namespace lbm
