#include "core/tokenizer/word_piece.h"

#include "core/base/unicode_normalize.h"
#include "core/base/unicode_tables.h"
#include "core/base/utf8.h"

namespace lbm {
namespace {

constexpr u32 kWordStart = 0x2581;

// Ideographs, which BERT's tokenizer puts spaces around. (0x2B920 for 0x2B820 is its own mistake,
// and the vocabulary's.)
bool is_chinese(u32 codepoint) {
  constexpr struct {
    u32 first;
    u32 last;
  } kRanges[] = {{0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
                 {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0x2F800, 0x2FA1F}};
  for (const auto& range : kRanges) {
    if (codepoint >= range.first && codepoint <= range.last) return true;
  }
  return false;
}

// Marks of the category Me, which enclose what is before them; a non-spacing mark is any other that
// has no width.
constexpr bool is_enclosing(u32 codepoint) {
  return codepoint == 0x488 || codepoint == 0x489 || codepoint == 0x1ABE ||
         (codepoint >= 0x20DD && codepoint <= 0x20E4 && codepoint != 0x20E1) ||
         (codepoint >= 0xA670 && codepoint <= 0xA672);
}

bool is_accent(u32 codepoint, bool as_hugging_face) {
  const CharInfo info = char_info(codepoint);
  if (info.char_class != CharClass::kMark) return false;
  return !as_hugging_face || (info.width == 0 && !is_enclosing(codepoint));
}

}  // namespace

void WordReader::append(u32 codepoint) {
  char bytes[4];
  const u32 n_byte = encode_utf8(codepoint, bytes);
  for (u32 i = 0; i < n_byte; ++i) word_[n_++] = bytes[i];
}

void WordReader::append_letter(u32 codepoint) {
  ++n_char_;
  append(rules_.lowercase ? to_lower(codepoint) : codepoint);
}

bool WordReader::next(Str& word) {
  n_ = 0;
  n_char_ = 0;
  append(kWordStart);
  while (position_ < text_.size()) {
    const Utf8Char c = decode_utf8(text_.from(position_));
    u32 parts[kMaxDecomposition] = {c.codepoint};
    u32 n_part = rules_.strip_accents ? decompose(c.codepoint, parts) : 1;
    if (!rules_.as_hugging_face) n_part = 1;
    const bool control =
        rules_.as_hugging_face && (parts[0] == '\v' || parts[0] == '\f' || parts[0] == 0x85);
    const CharClass char_class = control ? CharClass::kOther : char_info(parts[0]).char_class;
    const bool alone = char_class == CharClass::kPunctuation ||
                       (char_class == CharClass::kSymbol && parts[0] < 0x7F) ||
                       is_chinese(parts[0]);
    const bool ends_word = alone || char_class == CharClass::kWhiteSpace;
    if (ends_word && n_char_ > 0) break;  // and looks at this character again
    position_ += c.n_byte;
    if (ends_word && !alone) continue;
    if (c.codepoint == 0 || c.codepoint == kReplacementCodepoint ||
        char_class == CharClass::kOther) {
      continue;
    }
    for (u32 i = 0; i < n_part; ++i) {
      const bool accent = rules_.strip_accents && is_accent(parts[i], rules_.as_hugging_face);
      if (!accent) append_letter(parts[i]);
    }
    if (alone) break;
  }
  if (n_char_ == 0) return false;
  constexpr usize kStartBytes = 3;
  const bool too_long = rules_.max_chars != 0 && n_char_ > rules_.max_chars;
  word = {word_.data(), too_long ? kStartBytes : n_};
  return true;
}

}  // namespace lbm
