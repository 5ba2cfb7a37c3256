// A bitmap font in the packed form of docs/formats/font.md: what scripts/pack_font.py writes, and
// what the build makes the built-in fonts of.
//
// All numbers little-endian:
//   0   8  magic "LBMFONT" 0
//   8   2  version, 1
//   10  1  width of a cell in pixels, 1..32
//   11  1  height, 1..64
//   12  4  number of ranges, 1..65536
//   16  4  bytes of the bitmaps
//   20  4  0
//   24 32  SHA-256 of everything behind it
//   56     ranges, 16 bytes each, ascending, without overlap:
//            4 first code point   4 how many   4 cells that each takes, 1 or 2
//            4 where in the bitmaps the glyph of the first begins; the others follow
//          bitmaps: a glyph is its rows from top to bottom, a row ceil(cells * width / 8) bytes,
//          the leftmost pixel in the highest bit
#pragma once

#include "core/base/result.h"
#include "core/base/sha256.h"
#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

// The pixels of one character.
struct Glyph {
  const u8* rows = nullptr;  // null: the font has none
  u32 width = 0;             // in pixels, for all cells together
  u32 height = 0;

  [[nodiscard]] u32 row_bytes() const { return (width + 7) / 8; }
  [[nodiscard]] bool pixel(u32 x, u32 y) const {
    return (rows[y * row_bytes() + x / 8] >> (7 - x % 8) & 1) != 0;
  }
};

class Font {
 public:
  static constexpr usize kHeaderBytes = 56;
  static constexpr u32 kMaxRanges = 65536;

  Font() = default;
  // Every byte of `file` is hostile; it outlives the font. `sha256` computes blocks of the hash.
  // Errors: kTruncated, kBadMagic, kBadVersion, kLimit, kBadHash, kBadValue (a range), kOverlap
  //         (ranges out of order), kBadOffset (a glyph beyond the bitmaps).
  [[nodiscard]] static Result<Font> open(Span<const u8> file,
                                         Sha256BlockFn sha256 = sha256_blocks_portable);

  // The glyph of a character; Glyph::rows is null where there is none.
  [[nodiscard]] Glyph find(u32 codepoint) const;

  [[nodiscard]] u32 cell_width() const { return cell_width_; }
  [[nodiscard]] u32 cell_height() const { return cell_height_; }
  [[nodiscard]] u32 n_glyph() const;

 private:
  struct Range {
    u32 first = 0;
    u32 n = 0;
    u32 n_cell = 0;
    u32 offset = 0;
  };
  static constexpr usize kRangeBytes = 16;

  [[nodiscard]] Range range(u32 index) const;
  [[nodiscard]] Status check_ranges() const;
  [[nodiscard]] u32 glyph_bytes(u32 n_cell) const {
    return (n_cell * cell_width_ + 7) / 8 * cell_height_;
  }

  Span<const u8> ranges_;
  Span<const u8> bitmaps_;
  u32 n_range_ = 0;
  u32 cell_width_ = 0;
  u32 cell_height_ = 0;
};

}  // namespace lbm
