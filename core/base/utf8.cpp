#include "core/base/utf8.h"

#include "core/base/unicode_tables.h"

namespace lbm {
namespace {

constexpr u32 kMaxCodepoint = 0x10FFFF;

constexpr bool is_surrogate(u32 codepoint) { return codepoint >= 0xD800 && codepoint <= 0xDFFF; }
constexpr bool is_continuation(u8 byte) { return (byte & 0xC0) == 0x80; }

// The smallest code point that needs n bytes: what is below it is overlong.
constexpr u32 kSmallest[5] = {0, 0, 0x80, 0x800, 0x10000};

// Whether `byte` may follow the first `n` bytes of a sequence. The second byte decides over
// overlong forms, surrogates and what is beyond U+10FFFF, so that a sequence which can not become
// valid is given up at the first byte that shows it.
bool may_follow(const char* sequence, u32 n, u8 byte) {
  if (!is_continuation(byte)) return false;
  if (n != 1) return true;
  switch (static_cast<u8>(sequence[0])) {
    case 0xE0: return byte >= 0xA0;
    case 0xED: return byte <= 0x9F;
    case 0xF0: return byte >= 0x90;
    case 0xF4: return byte <= 0x8F;
    default: return true;
  }
}

}  // namespace

u32 utf8_sequence_length(u8 lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xC2) return 0;  // continuation bytes, and leads that could only start overlong forms
  if (lead < 0xE0) return 2;
  if (lead < 0xF0) return 3;
  return lead < 0xF5 ? 4 : 0;
}

Utf8Char decode_utf8(Str text) {
  LBM_CHECK(!text.empty());
  constexpr Utf8Char kInvalid = {kReplacementCodepoint, 1, false};
  const char* bytes = text.data();
  const u8 lead = static_cast<u8>(bytes[0]);
  if (lead < 0x80) return {lead, 1, true};
  const u32 n = utf8_sequence_length(lead);
  if (n == 0 || text.size() < n) return kInvalid;
  u32 codepoint = lead & (0x7Fu >> n);
  for (u32 i = 1; i < n; ++i) {
    const u8 byte = static_cast<u8>(bytes[i]);
    if (!is_continuation(byte)) return kInvalid;
    codepoint = (codepoint << 6) | (byte & 0x3Fu);
  }
  if (codepoint < kSmallest[n] || codepoint > kMaxCodepoint || is_surrogate(codepoint)) {
    return kInvalid;
  }
  return {codepoint, static_cast<u8>(n), true};
}

u32 encode_utf8(u32 codepoint, char (&out)[4]) {
  if (codepoint > kMaxCodepoint || is_surrogate(codepoint)) codepoint = kReplacementCodepoint;
  if (codepoint < 0x80) {
    out[0] = static_cast<char>(codepoint);
    return 1;
  }
  const u32 n = codepoint < kSmallest[3] ? 2 : codepoint < kSmallest[4] ? 3 : 4;
  for (u32 i = n - 1; i > 0; --i) {
    out[i] = static_cast<char>(0x80u | (codepoint & 0x3Fu));
    codepoint >>= 6;
  }
  const u32 lead_mark = 0xF00u >> n;  // 110, 1110 or 11110 in front, in the low byte
  out[0] = static_cast<char>((lead_mark & 0xFFu) | codepoint);
  return n;
}

bool is_valid_utf8(Str text) {
  for (usize i = 0; i < text.size();) {
    const Utf8Char c = decode_utf8(text.from(i));
    if (!c.valid) return false;
    i += c.n_byte;
  }
  return true;
}

u32 display_width(u32 codepoint) { return char_info(codepoint).width; }

Str Utf8Gate::feed(Str bytes, Span<char> out) {
  LBM_CHECK(out.size() >= output_capacity(bytes.size()));
  usize n_out = 0;
  const auto put = [&](const char* from, u32 n) {
    __builtin_memcpy(out.data() + n_out, from, n);
    n_out += n;
  };
  const auto put_replacement = [&](u32 n) {
    char replacement[4];
    const u32 size = encode_utf8(kReplacementCodepoint, replacement);
    for (u32 i = 0; i < n; ++i) put(replacement, size);
  };
  for (const char c : bytes) {
    if (n_pending_ != 0 && !may_follow(pending_, n_pending_, static_cast<u8>(c))) {
      put_replacement(n_pending_);
      n_pending_ = 0;
    }
    const u32 needed = utf8_sequence_length(static_cast<u8>(n_pending_ != 0 ? pending_[0] : c));
    if (needed == 0) {
      put_replacement(1);
      continue;
    }
    pending_[n_pending_++] = c;
    if (n_pending_ == needed) {
      put(pending_, needed);
      n_pending_ = 0;
    }
  }
  return {out.data(), n_out};
}

Str Utf8Gate::flush(Span<char> out) {
  LBM_CHECK(out.size() >= output_capacity(0));
  usize n_out = 0;
  for (u32 i = 0; i < n_pending_; ++i) {
    char replacement[4];
    const u32 size = encode_utf8(kReplacementCodepoint, replacement);
    __builtin_memcpy(out.data() + n_out, replacement, size);
    n_out += size;
  }
  n_pending_ = 0;
  return {out.data(), n_out};
}

}  // namespace lbm
