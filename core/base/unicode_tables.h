// What the Unicode character database says of a code point, as far as this project asks: its class
// and its width.
//
// unicode_tables.cpp is generated (scripts/gen_unicode_tables.py). The classes are the general
// categories that pre-tokenizers tell apart. White_Space is a property, not a category, but no
// character that has it is in any of the others here, so it is a class of its own: what is \s to a
// regular expression.
#pragma once

#include "core/base/types.h"

namespace lbm {

enum class CharClass : u8 {
  kOther,  // controls, formats, private use, surrogates
  kUppercase,
  kLowercase,
  kTitlecase,
  kModifierLetter,
  kOtherLetter,
  kMark,
  kDecimalNumber,
  kNumber,  // any other number
  kPunctuation,
  kSymbol,
  kUnassigned,
  kWhiteSpace,
};

struct CharInfo {
  CharClass char_class;
  u8 width;  // columns on a terminal: 0, 1 or 2
};

// Values beyond U+10FFFF are {kOther, 1}.
[[nodiscard]] CharInfo char_info(u32 codepoint);

}  // namespace lbm
