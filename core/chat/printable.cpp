// See printable.h.
#include "core/chat/printable.h"

#include "core/base/utf8.h"

namespace lbm {
namespace {

constexpr bool is_harmless(u32 codepoint) {
  if (codepoint == '\n' || codepoint == '\t') return true;
  const bool is_control = codepoint < 0x20 || (codepoint >= 0x7F && codepoint <= 0x9F);
  return !is_control;
}

}  // namespace

Str make_printable(Str text, Span<char> out) {
  LBM_CHECK(out.size() >= printable_capacity(text.size()));
  usize n = 0;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (c.valid && is_harmless(c.codepoint)) {
      __builtin_memcpy(out.data() + n, text.data(), c.n_byte);
      n += c.n_byte;
    } else {
      char replacement[4];
      const u32 n_byte = encode_utf8(kReplacementCodepoint, replacement);
      __builtin_memcpy(out.data() + n, replacement, n_byte);
      n += n_byte;
    }
    text = text.from(c.n_byte);
  }
  return {out.data(), n};
}

u32 printable_width(u32 codepoint) {
  return display_width(is_harmless(codepoint) ? codepoint : kReplacementCodepoint);
}

void write_printable(Console& console, Str text) {
  constexpr usize kChunk = 256;
  char out[printable_capacity(kChunk)];
  while (!text.empty()) {
    usize n = text.size();
    if (n > kChunk) {
      // Chunks end before the first byte of a character, so that none is torn.
      n = kChunk;
      while (n > kChunk - 4 && (static_cast<u8>(text[n]) & 0xC0) == 0x80) --n;
    }
    console.write(make_printable(text.first(n), out));
    text = text.from(n);
  }
}

}  // namespace lbm
