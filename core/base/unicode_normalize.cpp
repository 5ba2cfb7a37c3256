#include "core/base/unicode_normalize.h"

#include "core/base/unicode_maps.h"
#include "core/base/utf8.h"

namespace lbm {
namespace {

// Hangul syllables are arithmetic: initial, vowel and final (Unicode Standard, section 3.12).
constexpr u32 kSyllable = 0xAC00, kInitial = 0x1100, kVowel = 0x1161, kFinal = 0x11A7;
constexpr u32 kInitialCount = 19, kVowelCount = 21, kFinalCount = 28;
constexpr u32 kSyllableCount = kInitialCount * kVowelCount * kFinalCount;

// In the work array: the code point, and its combining class above it. A malformed byte is a code
// point beyond Unicode, which has no class and no composition.
constexpr u32 kClassShift = 24;
constexpr u32 kCodepointMask = (1u << kClassShift) - 1;
constexpr u32 kMalformed = 0x110000;

// The record of `ranges` that holds `key`, or null.
template <class Range, class First, class Last>
const Range* find_range(Span<const Range> ranges, u32 key, const First& first, const Last& last) {
  usize low = 0;
  usize high = ranges.size();
  while (low < high) {
    const usize middle = (low + high) / 2;
    if (last(ranges[middle]) < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < ranges.size() && first(ranges[low]) <= key ? &ranges[low] : nullptr;
}

// Sorts a run of marks by class; marks of one class stay in order. Counting, because a hostile run
// may be as long as the text.
void sort_marks(Span<u32> run, Span<u32> spare) {
  bool sorted = true;
  for (usize i = 1; i < run.size(); ++i) {
    sorted &= run[i - 1] >> kClassShift <= run[i] >> kClassShift;
  }
  if (sorted) return;
  u32 starts[257] = {};
  for (const u32 mark : run) ++starts[(mark >> kClassShift) + 1];
  for (u32 i = 1; i <= 256; ++i) starts[i] += starts[i - 1];
  for (const u32 mark : run) spare[starts[mark >> kClassShift]++] = mark;
  for (usize i = 0; i < run.size(); ++i) run[i] = spare[i];
}

usize decompose_text(Str text, Span<u32> out) {
  usize n = 0;
  for (usize at = 0; at < text.size();) {
    const Utf8Char c = decode_utf8(text.from(at));
    if (!c.valid) {
      out[n++] = kMalformed + static_cast<u8>(text[at]);
    } else {
      u32 parts[kMaxDecomposition];
      const u32 n_part = decompose(c.codepoint, parts);
      for (u32 i = 0; i < n_part; ++i) {
        out[n++] = parts[i] | combining_class(parts[i]) << kClassShift;
      }
    }
    at += c.n_byte;
  }
  return n;
}

void sort_all_marks(Span<u32> text, Span<u32> spare) {
  for (usize begin = 0; begin < text.size();) {
    usize end = begin;
    while (end < text.size() && text[end] >> kClassShift != 0) ++end;
    if (end - begin > 1) sort_marks(text.slice(begin, end - begin), spare);
    begin = end + 1;
  }
}

// Every mark joins the last starter, unless a mark between them has its class or a higher one
// ("blocked", UAX 15 D115). In place; returns what is left.
usize compose_text(Span<u32> text) {
  usize n = 0;
  usize starter = ~usize{0};
  u32 last_class = 0;
  for (usize i = 0; i < text.size(); ++i) {
    const u32 codepoint = text[i] & kCodepointMask;
    const u32 mark_class = text[i] >> kClassShift;
    const bool adjacent = n != 0 && starter == n - 1;
    if (starter != ~usize{0} && (adjacent || (last_class < mark_class && last_class != 0))) {
      const u32 composed = compose(text[starter] & kCodepointMask, codepoint);
      if (composed != 0) {
        text[starter] = composed;
        continue;
      }
    }
    if (mark_class == 0) starter = n;
    last_class = mark_class;
    text[n++] = text[i];
  }
  return n;
}

}  // namespace

u32 to_lower(u32 codepoint) {
  const CaseRange* range = find_range(
      kLowercaseRanges, codepoint, [](const CaseRange& r) { return r.first; },
      [](const CaseRange& r) { return r.last; });
  if (range == nullptr || (codepoint - range->first) % range->step != 0) return codepoint;
  return codepoint + static_cast<u32>(range->difference);
}

u32 combining_class(u32 codepoint) {
  const CombiningRange* range = find_range(
      kCombiningRanges, codepoint, [](const CombiningRange& r) { return r.first; },
      [](const CombiningRange& r) { return r.last; });
  return range == nullptr ? 0 : range->combining_class;
}

u32 decompose(u32 codepoint, u32 (&out)[kMaxDecomposition]) {
  const u32 syllable = codepoint - kSyllable;  // wraps below
  if (syllable < kSyllableCount) {
    out[0] = kInitial + syllable / (kVowelCount * kFinalCount);
    out[1] = kVowel + syllable / kFinalCount % kVowelCount;
    out[2] = kFinal + syllable % kFinalCount;
    return syllable % kFinalCount == 0 ? 2 : 3;
  }
  const auto key = [](const Decomposition& d) { return d.codepoint; };
  u32 n = 1;
  out[0] = codepoint;
  while (n < kMaxDecomposition) {
    const Decomposition* found = find_range(kDecompositions, out[0], key, key);
    if (found == nullptr) break;
    out[0] = found->first;
    if (found->second == 0) continue;
    for (u32 i = n++; i > 1; --i) out[i] = out[i - 1];
    out[1] = found->second;
  }
  return n;
}

u32 compose(u32 first, u32 second) {
  if (first - kInitial < kInitialCount && second - kVowel < kVowelCount) {
    return kSyllable + ((first - kInitial) * kVowelCount + second - kVowel) * kFinalCount;
  }
  const u32 syllable = first - kSyllable;
  if (syllable < kSyllableCount && syllable % kFinalCount == 0 &&
      second - kFinal - 1 < kFinalCount - 1) {
    return first + second - kFinal;
  }
  usize low = 0;
  usize high = kCompositions.size();
  while (low < high) {
    const usize middle = (low + high) / 2;
    const Decomposition& pair = kDecompositions[kCompositions[middle]];
    if (pair.first < first || (pair.first == first && pair.second < second)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == kCompositions.size()) return 0;
  const Decomposition& pair = kDecompositions[kCompositions[low]];
  return pair.first == first && pair.second == second ? pair.codepoint : 0;
}

Result<Str> normalize_nfc(Str text, Arena& arena) {
  bool ascii = true;
  for (const char c : text) ascii &= static_cast<u8>(c) < 0x80;
  if (ascii) return text;
  Result<Span<u8>> memory = arena.take_raw(nfc_bytes(text.size()), "normalized text", 1);
  if (!memory.ok()) return memory.error();
  const Arena::Mark mark = arena.mark();
  // A character of n bytes has at most 2 n code points in its decomposition.
  const usize n_work = 2 * text.size();
  Result<Span<u8>> work = arena.take_raw(u64{n_work} * 2 * sizeof(u32), "text to normalize");
  if (!work.ok()) return work.error();
  u32* const codepoints = reinterpret_cast<u32*>(work.value().data());
  usize n = decompose_text(text, {codepoints, n_work});
  sort_all_marks({codepoints, n}, {codepoints + n_work, n_work});
  n = compose_text({codepoints, n});
  usize at = 0;
  for (usize i = 0; i < n; ++i) {
    const u32 codepoint = codepoints[i] & kCodepointMask;
    char bytes[4] = {static_cast<char>(codepoint - kMalformed)};
    const u32 n_byte = codepoint >= kMalformed ? 1 : encode_utf8(codepoint, bytes);
    __builtin_memcpy(memory.value().data() + at, bytes, n_byte);
    at += n_byte;
  }
  arena.rewind(mark);
  return Str(memory.value()).first(at);
}

}  // namespace lbm
