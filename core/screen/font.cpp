// See font.h.
#include "core/screen/font.h"

#include "core/base/byte_reader.h"

namespace lbm {
namespace {

constexpr u32 kVersion = 1;
constexpr u32 kMaxCellWidth = 32;
constexpr u32 kMaxCellHeight = 64;
constexpr u32 kMaxCodepoint = 0x10FFFF;
constexpr Str kMagic = Str("LBMFONT\0", 8);

}  // namespace

Result<Font> Font::open(Span<const u8> file, Sha256BlockFn sha256) {
  ByteReader in(file);
  const Str magic = in.read_text(kMagic.size());
  if (in.ok() && !(magic == kMagic)) return fail(ErrorCode::kBadMagic, "not a packed font");
  Font font;
  const u32 version = in.read_u16();
  font.cell_width_ = in.read_u8();
  font.cell_height_ = in.read_u8();
  font.n_range_ = in.read_u32();
  const u32 n_bitmap_byte = in.read_u32();
  const u32 reserved = in.read_u32();
  Sha256Digest promised;
  const Span<const u8> digest = in.read_bytes(sizeof(promised.bytes));
  if (!in.ok()) return fail(ErrorCode::kTruncated, "font header").with(file.size(), kHeaderBytes);
  if (version != kVersion)
    return fail(ErrorCode::kBadVersion, "font").with(version, kVersion).at(8);
  if (font.cell_width_ == 0 || font.cell_width_ > kMaxCellWidth)
    return fail(ErrorCode::kLimit, "width of a cell").with(font.cell_width_, kMaxCellWidth).at(10);
  if (font.cell_height_ == 0 || font.cell_height_ > kMaxCellHeight)
    return fail(ErrorCode::kLimit, "height of a cell")
        .with(font.cell_height_, kMaxCellHeight)
        .at(11);
  if (font.n_range_ == 0 || font.n_range_ > kMaxRanges)
    return fail(ErrorCode::kLimit, "ranges of a font").with(font.n_range_, kMaxRanges).at(12);
  if (reserved != 0) return fail(ErrorCode::kBadValue, "reserved word").with(reserved, 0).at(20);
  const u64 n_expected = kHeaderBytes + u64{font.n_range_} * kRangeBytes + n_bitmap_byte;
  if (file.size() != n_expected)
    return fail(ErrorCode::kTruncated, "size of the font").with(file.size(), n_expected);
  font.ranges_ = in.read_bytes(u64{font.n_range_} * kRangeBytes);
  font.bitmaps_ = in.read_bytes(n_bitmap_byte);

  __builtin_memcpy(promised.bytes, digest.data(), sizeof(promised.bytes));
  Sha256 hash(sha256);
  hash.update(file.from(kHeaderBytes));
  if (!(hash.finish() == promised)) return fail(ErrorCode::kBadHash, "the font is damaged").at(24);
  if (Status checked = font.check_ranges(); !checked.ok()) return checked.error();
  return font;
}

Font::Range Font::range(u32 index) const {
  ByteReader in(ranges_.slice(usize{index} * kRangeBytes, kRangeBytes));
  Range range;
  range.first = in.read_u32();
  range.n = in.read_u32();
  range.n_cell = in.read_u32();
  range.offset = in.read_u32();
  return range;
}

Status Font::check_ranges() const {
  u64 next = 0;
  for (u32 i = 0; i < n_range_; ++i) {
    const Range here = range(i);
    const u64 at = kHeaderBytes + u64{i} * kRangeBytes;
    if (here.n == 0 || here.n_cell == 0 || here.n_cell > 2)
      return fail(ErrorCode::kBadValue, "range of a font").with(here.n_cell, 2).at(at);
    if (here.first < next)
      return fail(ErrorCode::kOverlap, "ranges of a font ascend").with(here.first, next).at(at);
    next = u64{here.first} + here.n;
    if (next > kMaxCodepoint + 1u)
      return fail(ErrorCode::kBadValue, "code point").with(next - 1, kMaxCodepoint).at(at);
    const u64 end = here.offset + u64{here.n} * glyph_bytes(here.n_cell);
    if (end > bitmaps_.size())
      return fail(ErrorCode::kBadOffset, "glyph beyond the bitmaps")
          .with(end, bitmaps_.size())
          .at(at);
  }
  return {};
}

u32 Font::n_glyph() const {
  u32 n = 0;
  for (u32 i = 0; i < n_range_; ++i) n += range(i).n;
  return n;
}

Glyph Font::find(u32 codepoint) const {
  // The last range that begins at or before the code point.
  u32 low = 0;
  u32 high = n_range_;
  while (low < high) {
    const u32 middle = low + (high - low) / 2;
    if (range(middle).first <= codepoint) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) return {};
  const Range found = range(low - 1);
  if (codepoint - found.first >= found.n) return {};
  const usize at = found.offset + usize{codepoint - found.first} * glyph_bytes(found.n_cell);
  return {bitmaps_.data() + at, found.n_cell * cell_width_, cell_height_};
}

}  // namespace lbm
