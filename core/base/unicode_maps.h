// Maps of the Unicode character database, as data: what normalization and lower case are made of.
// unicode_maps.cpp is generated (scripts/gen_unicode_tables.py); unicode_normalize.h has the
// functions. All lists are sorted by their first members and do not overlap.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

// first, first + step, ..., last: their small letters are `difference` further on.
struct CaseRange {
  u32 first;
  u32 last;
  u32 step;
  i32 difference;
};
// Canonical combining class of marks; all others have 0.
struct CombiningRange {
  u32 first;
  u32 last;
  u32 combining_class;
};
// A canonical decomposition; `first` may have one itself. `second` is 0 where there is none.
// Without Hangul, which is arithmetic.
struct Decomposition {
  u32 codepoint;
  u32 first;
  u32 second;
};

extern const Span<const CaseRange> kLowercaseRanges;
extern const Span<const CombiningRange> kCombiningRanges;
extern const Span<const Decomposition> kDecompositions;
// Places in kDecompositions of all that may be composed again, by their first and second.
extern const Span<const u16> kCompositions;

}  // namespace lbm
