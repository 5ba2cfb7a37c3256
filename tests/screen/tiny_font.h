// A font for tests: every character has a pattern of its own.
#pragma once

#include "core/base/sha256.h"
#include "core/screen/font.h"

namespace lbm::tiny_font {

inline constexpr u32 kCellWidth = 8;
inline constexpr u32 kCellHeight = 16;
inline constexpr u32 kFirst = 0x20;
inline constexpr u32 kCount = 0x7F - 0x20;  // ASCII, narrow
inline constexpr u32 kWideFirst = 0x4E00;
inline constexpr u32 kWideCount = 4;
inline constexpr u32 kRangeCount = 2;
inline constexpr usize kBitmapBytes = kCount * 16 + kWideCount * 32;
inline constexpr usize kBytes = Font::kHeaderBytes + kRangeCount * 16 + kBitmapBytes;

// Row y of the glyph of an ASCII character.
constexpr u8 row_bits(u32 codepoint, u32 y) {
  return codepoint == ' ' ? u8{0} : static_cast<u8>(codepoint * 5 + y * 17);
}

struct File {
  u8 bytes[kBytes] = {};

  File() {
    __builtin_memcpy(bytes, "LBMFONT", 8);
    bytes[8] = 1;
    bytes[10] = kCellWidth;
    bytes[11] = kCellHeight;
    put(12, kRangeCount);
    put(16, static_cast<u32>(kBitmapBytes));
    put(56, kFirst);
    put(60, kCount);
    put(64, 1);
    put(68, 0);
    put(72, kWideFirst);
    put(76, kWideCount);
    put(80, 2);
    put(84, kCount * 16);
    u8* bitmap = bytes + 88;
    for (u32 i = 0; i < kCount; ++i) {
      for (u32 y = 0; y < 16; ++y) *bitmap++ = row_bits(kFirst + i, y);
    }
    for (u32 i = 0; i < kWideCount * 32; ++i) *bitmap++ = static_cast<u8>(0x81 + i);
    seal();
  }

  void put(usize at, u32 value) {
    for (u32 i = 0; i < 4; ++i) bytes[at + i] = static_cast<u8>(value >> (8 * i));
  }
  // Makes the hash right again, as who attacks us would.
  void seal() {
    Sha256 hash;
    hash.update(Span<const u8>(bytes).from(Font::kHeaderBytes));
    const Sha256Digest digest = hash.finish();
    __builtin_memcpy(bytes + 24, digest.bytes, 32);
  }
  [[nodiscard]] Result<Font> open() const { return Font::open(bytes); }
};

}  // namespace lbm::tiny_font
