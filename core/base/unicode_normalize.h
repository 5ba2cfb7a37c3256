// Canonical normalization and lower case. Source: Unicode Standard Annex 15; tables:
// unicode_maps.h.
//
// Vocabularies of some models were trained on text in normalization form C: e + U+0301 and U+00E9
// are the same text and must become the same tokens. Texts are hostile: a base with a million marks
// is sorted in linear time, and no step recurses.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

// The simple lower case (one code point for one).
[[nodiscard]] u32 to_lower(u32 codepoint);

// The canonical combining class: 0 for all that starts a character.
[[nodiscard]] u32 combining_class(u32 codepoint);

// The whole canonical decomposition; returns how many code points it has, 1 where it is the code
// point itself.
inline constexpr u32 kMaxDecomposition = 4;
u32 decompose(u32 codepoint, u32 (&out)[kMaxDecomposition]);

// The character that `first` followed by `second` is, or 0.
[[nodiscard]] u32 compose(u32 first, u32 second);

// Bytes that normalization may turn n bytes into, and bytes of scratch that it takes beside them.
constexpr u64 nfc_bytes(u64 n_byte) { return 3 * n_byte; }
constexpr u64 nfc_scratch_bytes(u64 n_byte) { return 16 * n_byte + Arena::kDefaultAlignment * 2; }

// `text` in normalization form C: either `text` itself, where it is plain ASCII, or a copy at the
// front of what was taken from `arena`, which the caller rewinds. Malformed bytes stay as they are
// and combine with nothing. Errors: kOutOfMemory.
[[nodiscard]] Result<Str> normalize_nfc(Str text, Arena& arena);

}  // namespace lbm
