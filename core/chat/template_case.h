// Upper case and classes of characters (lower case: core/base/unicode_normalize.h). Upper case is
// one to one, for Latin, Greek, Cyrillic and Armenian. Other scripts with case are left as they are,
// which is the one known difference to Python's str.upper(); and so are letters whose other case is
// more than one character, but for the German sharp s.
#pragma once

#include "core/base/types.h"

namespace lbm {

[[nodiscard]] u32 to_upper(u32 codepoint);
[[nodiscard]] bool is_upper(u32 codepoint);
[[nodiscard]] bool is_lower(u32 codepoint);
[[nodiscard]] bool is_letter(u32 codepoint);
[[nodiscard]] bool is_decimal_digit(u32 codepoint);
// str.isprintable(): what repr() shows as it is.
[[nodiscard]] bool is_printable(u32 codepoint);

}  // namespace lbm
