#include "core/chat/template_case.h"

#include "core/base/unicode_tables.h"

namespace lbm {
namespace {

// Lower-case characters first, first + step, ... last; upper = lower + delta.
struct CaseRange {
  u16 first;
  u16 last;
  u8 step;
  i16 delta;
};

constexpr CaseRange kCaseRanges[] = {
    {'a', 'z', 1, -32},      {0xE0, 0xF6, 1, -32},    {0xF8, 0xFE, 1, -32},
    {0xFF, 0xFF, 1, 121},  // Latin-1
    {0x101, 0x12F, 2, -1},   {0x133, 0x137, 2, -1},   {0x13A, 0x148, 2, -1},
    {0x14B, 0x177, 2, -1},   {0x17A, 0x17E, 2, -1},  // Latin Extended-A
    {0x1CE, 0x1DC, 2, -1},   {0x1DF, 0x1EF, 2, -1},   {0x1F9, 0x21F, 2, -1},
    {0x223, 0x233, 2, -1},   {0x3AC, 0x3AC, 1, -38},  {0x3AD, 0x3AF, 1, -37},
    {0x3B1, 0x3C1, 1, -32},  {0x3C3, 0x3CB, 1, -32},  {0x3CC, 0x3CC, 1, -64},
    {0x3CD, 0x3CE, 1, -63},  {0x3D9, 0x3EF, 2, -1},  // Greek
    {0x430, 0x44F, 1, -32},  {0x450, 0x45F, 1, -80},  {0x461, 0x481, 2, -1},
    {0x48B, 0x4BF, 2, -1},   {0x4C2, 0x4CE, 2, -1},   {0x4CF, 0x4CF, 1, -15},
    {0x4D1, 0x52F, 2, -1},                             // Cyrillic
    {0x561, 0x586, 1, -48},                            // Armenian
    {0x1E01, 0x1E95, 2, -1}, {0x1EA1, 0x1EFF, 2, -1},  // Latin Extended Additional
};

// Characters that share the other case of another one.
struct OneWay {
  u16 from;
  u16 to;
};
constexpr OneWay kUpperOnly[] = {{0xB5, 0x39C}, {0x131, 'I'}, {0x17F, 'S'}, {0x3C2, 0x3A3}};

}  // namespace

u32 to_upper(u32 codepoint) {
  for (const CaseRange& range : kCaseRanges) {
    if (codepoint >= range.first && codepoint <= range.last &&
        (codepoint - range.first) % range.step == 0) {
      return static_cast<u32>(static_cast<i32>(codepoint) + range.delta);
    }
  }
  for (const OneWay& pair : kUpperOnly) {
    if (codepoint == pair.from) return pair.to;
  }
  return codepoint;
}

bool is_upper(u32 codepoint) { return char_info(codepoint).char_class == CharClass::kUppercase; }

bool is_lower(u32 codepoint) { return char_info(codepoint).char_class == CharClass::kLowercase; }

bool is_letter(u32 codepoint) {
  const CharClass c = char_info(codepoint).char_class;
  return c >= CharClass::kUppercase && c <= CharClass::kOtherLetter;
}

bool is_decimal_digit(u32 codepoint) { return codepoint >= '0' && codepoint <= '9'; }

bool is_printable(u32 codepoint) {
  const CharClass c = char_info(codepoint).char_class;
  return codepoint == ' ' || (c != CharClass::kOther && c != CharClass::kWhiteSpace);
}

}  // namespace lbm
