// ASCII that reads the same, for characters that models write often and fonts may lack.
#pragma once

#include "core/base/types.h"

namespace lbm {

// 0: there is none.
[[nodiscard]] constexpr char ascii_like(u32 codepoint) {
  switch (codepoint) {
    case 0x00A0:  // no-break space
    case 0x2002:
    case 0x2003:
    case 0x2009:  // thin space
    case 0x202F:
    case 0x3000: return ' ';
    case 0x00AD:
    case 0x2010:
    case 0x2011:
    case 0x2012:
    case 0x2013:
    case 0x2014:
    case 0x2015:
    case 0x2212: return '-';
    case 0x2018:
    case 0x2019:
    case 0x201B:
    case 0x2032: return '\'';
    case 0x201A: return ',';
    case 0x201C:
    case 0x201D:
    case 0x201F:
    case 0x2033: return '"';
    case 0x2022: return '*';
    case 0x2024:
    case 0x2026: return '.';
    case 0x2044:
    case 0x2215: return '/';
    case 0x2190: return '<';
    case 0x2192: return '>';
    case 0x2217: return '*';
    default: return 0;
  }
}

}  // namespace lbm
