// Packed fonts: what is in them, and what is refused.
#include "core/screen/font.h"

#include "tests/screen/tiny_font.h"
#include "tests/test.h"

namespace {

using namespace lbm;

ErrorCode error_of(const tiny_font::File& file) {
  const Result<Font> font = file.open();
  return font.ok() ? ErrorCode::kOk : font.error().code;
}
// The error after a word was changed, with a hash that fits.
ErrorCode error_with(usize at, u32 value) {
  tiny_font::File file;
  file.put(at, value);
  file.seal();
  return error_of(file);
}

}  // namespace

TEST_CASE("glyphs are found, narrow and wide", "[screen]") {
  const tiny_font::File file;
  const Result<Font> opened = file.open();
  REQUIRE(opened.ok());
  const Font& font = opened.value();
  CHECK(font.cell_width() == 8);
  CHECK(font.cell_height() == 16);
  CHECK(font.n_glyph() == tiny_font::kCount + tiny_font::kWideCount);
  const Glyph a = font.find('A');
  REQUIRE(a.rows != nullptr);
  CHECK(a.width == 8);
  for (u32 y = 0; y < 16; ++y) CHECK(a.rows[y] == tiny_font::row_bits('A', y));
  CHECK(a.pixel(0, 0) == ((tiny_font::row_bits('A', 0) & 0x80) != 0));
  CHECK(a.pixel(7, 3) == ((tiny_font::row_bits('A', 3) & 1) != 0));
  const Glyph wide = font.find(0x4E03);
  REQUIRE(wide.rows != nullptr);
  CHECK(wide.width == 16);
  CHECK(wide.rows[0] == 0x81 + 96);
  CHECK(font.find(0x1F).rows == nullptr);
  CHECK(font.find(0x7F).rows == nullptr);
  CHECK(font.find(0x4E04).rows == nullptr);
  CHECK(font.find(0x10FFFF).rows == nullptr);
}

TEST_CASE("a damaged or hostile font is refused", "[screen]") {
  CHECK(error_of(tiny_font::File()) == ErrorCode::kOk);
  tiny_font::File file;
  file.bytes[100] ^= 1;
  CHECK(error_of(file) == ErrorCode::kBadHash);
  file.bytes[0] ^= 1;
  CHECK(error_of(file) == ErrorCode::kBadMagic);
  CHECK(error_with(8, 2 | 8 << 16 | 16 << 24) == ErrorCode::kBadVersion);
  CHECK(error_with(8, 1 | 0 << 16 | 16 << 24) == ErrorCode::kLimit);
  CHECK(error_with(8, 1 | 33 << 16 | 16 << 24) == ErrorCode::kLimit);
  CHECK(error_with(8, 1 | 8 << 16 | 65 << 24) == ErrorCode::kLimit);
  CHECK(error_with(8, 1 | 8 << 16) == ErrorCode::kLimit);
  CHECK(error_with(12, 0) == ErrorCode::kLimit);
  CHECK(error_with(12, 65537) == ErrorCode::kLimit);
  CHECK(error_with(12, 3) == ErrorCode::kTruncated);
  CHECK(error_with(16, 0xFFFFFFFF) == ErrorCode::kTruncated);
  CHECK(error_with(20, 1) == ErrorCode::kBadValue);
  CHECK(error_with(60, 0) == ErrorCode::kBadValue);
  CHECK(error_with(64, 0) == ErrorCode::kBadValue);
  CHECK(error_with(64, 3) == ErrorCode::kBadValue);
  CHECK(error_with(72, 0x21) == ErrorCode::kOverlap);
  CHECK(error_with(72, 0x10FFFE) == ErrorCode::kBadValue);
  CHECK(error_with(76, 0xFFFFFFFF) == ErrorCode::kBadValue);
  CHECK(error_with(84, tiny_font::kCount * 16 + 1) == ErrorCode::kBadOffset);
  CHECK(error_with(84, 0xFFFFFFFF) == ErrorCode::kBadOffset);
}

TEST_CASE("a font that ends anywhere is refused", "[screen]") {
  const tiny_font::File file;
  for (usize n = 0; n < tiny_font::kBytes; n += n < 100 ? 1 : 97) {
    const Result<Font> font = Font::open(Span<const u8>(file.bytes).first(n));
    CHECK(!font.ok());
  }
}
