// UTF-8 at the borders: decoding that never trusts its input, and the gate that lets only whole
// characters out.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

constexpr u32 kReplacementCodepoint = 0xFFFD;

struct Utf8Char {
  u32 codepoint = 0;
  u8 n_byte = 0;      // bytes consumed, at least 1 for a non-empty input
  bool valid = true;  // false: malformed, overlong, surrogate or beyond U+10FFFF; codepoint is
                      // U+FFFD and n_byte 1
};

// Decodes the character at the front of a non-empty `text`.
[[nodiscard]] Utf8Char decode_utf8(Str text);

// Writes 1..4 bytes; returns how many. Surrogates and values beyond U+10FFFF become U+FFFD.
u32 encode_utf8(u32 codepoint, char (&out)[4]);

[[nodiscard]] bool is_valid_utf8(Str text);

// Bytes that the sequence starting with `lead` should have: 1..4, or 0 for a byte that can not
// start one.
[[nodiscard]] u32 utf8_sequence_length(u8 lead);

// Columns a terminal gives the character: 0 for combining marks and controls, 2 for wide East Asian
// and emoji, else 1.
[[nodiscard]] u32 display_width(u32 codepoint);

// The output gate. Tokens end in the middle of characters; a terminal must never see half of one.
// Bytes that can not belong to a character come out as U+FFFD, once per bad byte.
class Utf8Gate {
 public:
  // Room that feed() may need for `n` bytes of input.
  static constexpr usize output_capacity(usize n) { return (n + 3) * 3; }

  // Takes `bytes`, writes every character that is complete into `out`
  // (output_capacity(bytes.size()) long), returns it.
  [[nodiscard]] Str feed(Str bytes, Span<char> out);
  // At the end of a text: an unfinished tail becomes U+FFFD.
  [[nodiscard]] Str flush(Span<char> out);

 private:
  char pending_[4] = {};
  u32 n_pending_ = 0;
};

}  // namespace lbm
