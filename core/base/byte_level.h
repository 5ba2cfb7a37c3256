// The alphabet of byte-level BPE: every byte as a printable character, so that pieces can be kept
// as text.
//
// Bytes that are printable in Latin-1 stand for themselves; the other 68 become U+0100 and up, in
// order. A space is U+0120, a newline U+010A.   Source: bytes_to_unicode() of GPT-2's encoder.py.
#pragma once

#include "core/base/types.h"

namespace lbm {

struct ByteLevelAlphabet {
  static constexpr u32 kFirstMoved = 256;
  static constexpr u32 kEnd = 256 + 68;
  static constexpr u16 kNone = 256;

  u16 codepoint_of[256] = {};
  u16 byte_of[kEnd] = {};  // kNone where the code point stands for no byte

  constexpr ByteLevelAlphabet() {
    for (u16& byte : byte_of) byte = kNone;
    u32 next_moved = kFirstMoved;
    for (u32 byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      const u32 codepoint = printable ? byte : next_moved++;
      codepoint_of[byte] = static_cast<u16>(codepoint);
      byte_of[codepoint] = static_cast<u16>(byte);
    }
  }
};

inline constexpr ByteLevelAlphabet kByteLevel;
static_assert(kByteLevel.codepoint_of[0x20] == 0x120 && kByteLevel.byte_of[0x143] == 0xAD,
              "68 bytes are moved");

}  // namespace lbm
