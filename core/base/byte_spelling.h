// Byte tokens of SentencePiece vocabularies are spelled <0x00> to <0xFF>.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

// The value of a hexadecimal digit, or 16.
constexpr u32 hex_value(char c) {
  if (c >= '0' && c <= '9') return static_cast<u32>(c - '0');
  const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower >= 'a' && lower <= 'f' ? static_cast<u32>(lower - 'a') + 10 : 16;
}

// "<0x0A>" is byte 10. Returns 256 for any other spelling.
constexpr u32 byte_of_spelling(Str piece) {
  constexpr u32 kNotAByte = 256;
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return kNotAByte;
  const u32 high = hex_value(piece[3]);
  const u32 low = hex_value(piece[4]);
  return high < 16 && low < 16 ? high * 16 + low : kNotAByte;
}

}  // namespace lbm
