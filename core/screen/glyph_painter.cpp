// See glyph_painter.h.
#include "core/screen/glyph_painter.h"

#include "core/base/utf8.h"
#include "core/screen/ascii_like.h"

namespace lbm {
namespace {

void fill(u32* to, u32 n, u32 colour) {
  for (u32 i = 0; i < n; ++i) to[i] = colour;
}

// One row of a glyph, each of its pixels `scale` pixels wide.
void paint_bits(const u8* bits, u32 n_bit, u32 scale, ColourPair pair, u32* to) {
  for (u32 x = 0; x < n_bit; x += 8) {
    const u32 byte = bits[x / 8];
    const u32 n = n_bit - x < 8 ? n_bit - x : 8;
    if (byte == 0) {
      fill(to, n * scale, pair.background);
      to += n * scale;
      continue;
    }
    for (u32 i = 0; i < n; ++i) {
      const u32 colour = (byte >> (7 - i) & 1) != 0 ? pair.foreground : pair.background;
      for (u32 k = 0; k < scale; ++k) *to++ = colour;
    }
  }
}

}  // namespace

Glyph GlyphPainter::find(u32 codepoint) const {
  Glyph glyph = font->find(codepoint);
  if (glyph.rows == nullptr && more != nullptr) glyph = more->find(codepoint);
  return glyph;
}

void GlyphPainter::paint_glyph(const Glyph& glyph, ColourPair pair, u32 width, u32* pixels,
                               u32 pitch) const {
  const bool whole = width % glyph.width == 0;
  u32 drawn = ~0u;  // the row of the glyph that stands above
  for (u32 y = 0; y < cell_height; ++y) {
    u32* to = pixels + usize{y} * pitch;
    const u32 from_y = y * glyph.height / cell_height;
    if (from_y == drawn) {
      __builtin_memcpy(to, to - pitch, usize{width} * sizeof(u32));
      continue;
    }
    drawn = from_y;
    if (whole) {
      paint_bits(glyph.rows + from_y * glyph.row_bytes(), glyph.width, width / glyph.width, pair,
                 to);
      continue;
    }
    for (u32 x = 0; x < width; ++x) {
      // Where it shrinks, a pixel is lit if any of those that it stands for is.
      const u32 first = x * glyph.width / width;
      bool lit = glyph.pixel(first, from_y);
      for (u32 i = first + 1; i < (x + 1) * glyph.width / width; ++i)
        lit = lit || glyph.pixel(i, from_y);
      to[x] = lit ? pair.foreground : pair.background;
    }
  }
}

// A frame, as wide as the character would be.
void GlyphPainter::paint_missing(u32 colour, u32 width, u32* pixels, u32 pitch) const {
  const u32 thick = cell_width / 8 > 0 ? cell_width / 8 : 1;
  const u32 left = thick;
  const u32 right = width - thick;
  const u32 top = cell_height / 8;
  const u32 bottom = cell_height - cell_height / 8;
  for (u32 y = top; y < bottom; ++y) {
    u32* row = pixels + usize{y} * pitch;
    const bool bar = y < top + thick || y + thick >= bottom;
    for (u32 x = left; x < right; ++x) {
      if (bar || x < left + thick || x + thick >= right) row[x] = colour;
    }
  }
}

void GlyphPainter::paint_cell(const Cell& cell, u32 n_cell, u32* pixels, u32 pitch) const {
  const ColourPair pair = colours_of(cell, *theme);
  const u32 width = n_cell * cell_width;
  Glyph glyph;
  if (cell.codepoint != ' ') glyph = find(cell.codepoint);
  const char like = ascii_like(cell.codepoint);
  if (glyph.rows == nullptr && n_cell == 1 && like > ' ') glyph = find(static_cast<u32>(like));
  if (glyph.rows != nullptr) {
    paint_glyph(glyph, pair, width, pixels, pitch);
  } else {
    for (u32 y = 0; y < cell_height; ++y) fill(pixels + usize{y} * pitch, width, pair.background);
    if (cell.codepoint != ' ' && like != ' ') paint_missing(pair.foreground, width, pixels, pitch);
  }
  if ((cell.style & style::kUnderline) != 0) {
    const u32 thick = cell_height / 16 > 0 ? cell_height / 16 : 1;
    for (u32 y = cell_height - 2 * thick; y < cell_height - thick; ++y)
      fill(pixels + usize{y} * pitch, width, pair.foreground);
  }
}

void GlyphPainter::paint(Span<const Cell> cells, u32* pixels, u32 pitch) const {
  const usize n = cells.size();
  for (usize i = 0; i < n; ++i) {
    u32* at = pixels + i * cell_width;
    const bool is_wide = (cells[i].style & style::kWide) != 0;
    if (!is_wide) {
      Cell cell = cells[i];
      if ((cell.style & style::kTail) != 0) cell.codepoint = ' ';
      paint_cell(cell, 1, at, pitch);
    } else if (i + 1 < n) {
      paint_cell(cells[i], 2, at, pitch);
      ++i;
    } else {
      Cell cut = cells[i];
      cut.codepoint = ' ';
      paint_cell(cut, 1, at, pitch);
    }
  }
}

}  // namespace lbm
