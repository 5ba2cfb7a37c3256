#include "core/chat/template_lexer.h"

#include "core/base/utf8.h"
#include "core/chat/template_number.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

constexpr usize kMaxNameBytes = 255;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Bytes beyond ASCII count as letters: names may be in any script.
bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c) ||
         (static_cast<u8>(c) & 0x80) != 0;
}

// End of `(digit+_)*digit+` in the base, or `at` where there is none.
usize skip_digits(Str text, usize at, u32 base) {
  usize end = at;
  for (usize i = at; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '_' && end == i && i > at) continue;
    const char low = static_cast<char>(c | 0x20);
    const bool fits = (c >= '0' && c < static_cast<char>('0' + (base < 10 ? base : 10))) ||
                      (base == 16 && low >= 'a' && low <= 'f');
    if (!fits) break;
    end = i + 1;
  }
  return end;
}

struct OperatorSpelling {
  char text[3];
  TokenKind kind;
};

// Longer spellings first.
constexpr OperatorSpelling kOperators[] = {
    {"**", TokenKind::kPower},      {"//", TokenKind::kFloorDivide},  {"==", TokenKind::kEqual},
    {"!=", TokenKind::kNotEqual},   {">=", TokenKind::kGreaterEqual}, {"<=", TokenKind::kLessEqual},
    {"+", TokenKind::kAdd},         {"-", TokenKind::kSubtract},      {"*", TokenKind::kMultiply},
    {"/", TokenKind::kDivide},      {"%", TokenKind::kModulo},        {"~", TokenKind::kTilde},
    {"[", TokenKind::kLeftBracket}, {"]", TokenKind::kRightBracket},  {"(", TokenKind::kLeftParen},
    {")", TokenKind::kRightParen},  {"{", TokenKind::kLeftBrace},     {"}", TokenKind::kRightBrace},
    {">", TokenKind::kGreater},     {"<", TokenKind::kLess},          {"=", TokenKind::kAssign},
    {".", TokenKind::kDot},         {":", TokenKind::kColon},         {"|", TokenKind::kPipe},
    {",", TokenKind::kComma},       {";", TokenKind::kSemicolon},
};

u32 hex_value(char c) {
  if (is_digit(c)) return static_cast<u32>(c - '0');
  const char low = static_cast<char>(c | 0x20);
  return low >= 'a' && low <= 'f' ? static_cast<u32>(low - 'a') + 10 : 99;
}

}  // namespace

usize TemplateLexer::skip_space(usize at) const {
  while (at < source_.size() && is_unicode_space(codepoint_at(source_, at)))
    at += character_at(source_, at);
  return at;
}

// What of `text` is left when the tag behind it has stripped its share.
Str TemplateLexer::strip_before_tag(Str text, char sign, bool is_variable) const {
  if (sign != '-' && (sign == '+' || is_variable)) return text;
  usize end = text.size();
  while (end > 0) {
    const usize n = character_before(text, end);
    const u32 c = codepoint_at(text, end - n);
    if (!is_unicode_space(c) || (sign != '-' && c == '\n')) break;
    end -= n;
  }
  if (sign == '-') return text.first(end);
  const bool whole_line = end == 0 ? line_starting_ : text[end - 1] == '\n';
  return whole_line ? text.first(end) : text;
}

bool TemplateLexer::next(TemplateToken* token) {
  for (;;) {
    if (!budget_.spend(1)) return false;
    token->offset = static_cast<u32>(at_);
    budget_.set_offset(token->offset);
    bool produced = true;
    bool ok = true;
    if (mode_ == Mode::kData)
      ok = next_data(token, &produced);
    else if (mode_ == Mode::kRaw)
      ok = next_raw(token, &produced);
    else
      ok = next_in_tag(token);
    if (!ok || produced) return ok;
  }
}

// One of: the text up to the next tag, the begin of that tag (when no text is before it), the end.
bool TemplateLexer::next_data(TemplateToken* token, bool* produced) {
  if (at_ == source_.size()) {
    *token = {TokenKind::kEnd, token->offset, {}, {}};
    return true;
  }
  usize tag = at_;
  while (tag < source_.size() &&
         !(source_.data()[tag] == '{' &&
           (peek(tag + 1) == '%' || peek(tag + 1) == '{' || peek(tag + 1) == '#'))) {
    ++tag;
  }
  if (!budget_.spend_bytes(tag - at_)) return false;
  if (tag != at_) {
    Str text = source_.slice(at_, tag - at_);
    if (tag != source_.size()) {
      const char sign = peek(tag + 2);
      text = strip_before_tag(text, sign, peek(tag + 1) == '{');
    }
    *token = {TokenKind::kData, token->offset, text, {}};
    *produced = !text.empty();
    move_to(tag);
    return true;
  }
  const char kind = peek(tag + 1);
  if (kind == '%' && take_raw_begin(tag)) {
    *produced = false;
    return true;
  }
  const char sign = peek(tag + 2);
  move_to(tag + (sign == '-' || sign == '+' ? 3 : 2));
  if (kind == '#') {
    *produced = false;
    return skip_comment();
  }
  mode_ = kind == '%' ? Mode::kBlock : Mode::kVariable;
  n_open_ = 0;
  *token = {kind == '%' ? TokenKind::kBlockBegin : TokenKind::kVariableBegin,
            token->offset,
            source_.slice(tag, 2),
            {}};
  return true;
}

// {%[-+]? raw -?%}  does not trim the newline behind it.
bool TemplateLexer::take_raw_begin(usize tag) {
  usize at = tag + 2;
  if (peek(at) == '-' || peek(at) == '+') ++at;
  at = skip_space(at);
  if (!source_.from(at).starts_with("raw")) return false;
  at = skip_space(at + 3);
  if (source_.from(at).starts_with("-%}")) {
    at = skip_space(at + 3);
  } else if (source_.from(at).starts_with("%}")) {
    at += 2;
  } else {
    return false;
  }
  move_to(at);
  mode_ = Mode::kRaw;
  return true;
}

bool TemplateLexer::next_raw(TemplateToken* token, bool* produced) {
  usize tag = at_;
  for (;; ++tag) {
    if (!budget_.spend(1)) return false;
    tag = source_.find("{%", tag);
    if (tag == Str::kNone) return budget_.fail(ErrorCode::kBadSyntax, "unclosed raw block, line");
    usize at = tag + 2;
    const char sign = peek(at);
    if (sign == '-' || sign == '+') ++at;
    at = skip_space(at);
    if (!source_.from(at).starts_with("endraw")) continue;
    at = skip_space(at + 6);
    const Str rest = source_.from(at);
    if (rest.starts_with("+%}")) {
      at += 3;
    } else if (rest.starts_with("-%}")) {
      at = skip_space(at + 3);
    } else if (rest.starts_with("%}")) {
      at += 2;
      if (peek(at) == '\n') ++at;
    } else {
      continue;
    }
    const Str text = strip_before_tag(source_.slice(at_, tag - at_), sign, false);
    *token = {TokenKind::kData, token->offset, text, {}};
    *produced = !text.empty();
    move_to(at);
    mode_ = Mode::kData;
    return true;
  }
}

bool TemplateLexer::skip_comment() {
  const usize end = source_.find("#}", at_);
  if (end == Str::kNone) return budget_.fail(ErrorCode::kBadSyntax, "unclosed comment, line");
  const char sign = end > at_ ? source_[end - 1] : '\0';
  usize after = end + 2;
  if (sign == '-') {
    after = skip_space(after);
  } else if (sign != '+' && peek(after) == '\n') {
    ++after;
  }
  move_to(after);
  return true;
}

// "}}" or "%}" with its sign, where no bracket is open.
bool TemplateLexer::take_tag_end(TemplateToken* token) {
  if (n_open_ != 0) return false;
  const bool block = mode_ == Mode::kBlock;
  usize at = at_;
  const char sign = peek(at);
  if (sign == '-' || (sign == '+' && block)) ++at;
  if (!source_.from(at).starts_with(block ? "%}" : "}}")) return false;
  *token = {block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd,
            static_cast<u32>(at_),
            source_.slice(at, 2),
            {}};
  at += 2;
  if (sign == '-') {
    at = skip_space(at);
  } else if (block && sign != '+' && peek(at) == '\n') {
    ++at;
  }
  move_to(at);
  mode_ = Mode::kData;
  return true;
}

bool TemplateLexer::next_in_tag(TemplateToken* token) {
  move_to(skip_space(at_));
  token->offset = static_cast<u32>(at_);
  budget_.set_offset(token->offset);
  if (at_ == source_.size()) return budget_.fail(ErrorCode::kBadSyntax, "unclosed tag, line");
  if (take_tag_end(token)) return true;
  const char c = source_[at_];
  if (is_digit(c)) return take_number(token);
  if (c == '\'' || c == '"') return take_string(token);
  if (!is_name_char(c)) return take_operator(token);
  usize end = at_;
  while (end < source_.size() && is_name_char(source_[end])) ++end;
  if (end - at_ > kMaxNameBytes) {
    return budget_.fail(ErrorCode::kLimit, "name too long, line", source_.slice(at_, 32));
  }
  *token = {TokenKind::kName, token->offset, source_.slice(at_, end - at_), {}};
  move_to(end);
  return budget_.spend_bytes(end - token->offset);
}

bool TemplateLexer::take_operator(TemplateToken* token) {
  for (const OperatorSpelling& entry : kOperators) {
    const Str spelling(entry.text);
    if (!source_.from(at_).starts_with(spelling)) continue;
    *token = {entry.kind, token->offset, source_.slice(at_, spelling.size()), {}};
    const char c = spelling[0];
    if (c == '(' || c == '[' || c == '{') ++n_open_;
    if ((c == ')' || c == ']' || c == '}') && n_open_ > 0) --n_open_;
    move_to(at_ + spelling.size());
    return true;
  }
  return budget_.fail(ErrorCode::kBadSyntax, "unexpected character, line",
                      source_.slice(at_, character_at(source_, at_)));
}

bool TemplateLexer::take_number(TemplateToken* token) {
  usize end = skip_digits(source_, at_, 10);
  bool is_float = false;
  if (at_ == 0 || source_[at_ - 1] != '.') {  // "x.0.1" is two subscripts
    if (peek(end) == '.' && is_digit(peek(end + 1))) {
      end = skip_digits(source_, end + 1, 10);
      is_float = true;
    }
    if ((peek(end) | 0x20) == 'e') {
      const usize digits = end + (peek(end + 1) == '-' || peek(end + 1) == '+' ? 2 : 1);
      if (is_digit(peek(digits))) {
        end = skip_digits(source_, digits, 10);
        is_float = true;
      }
    }
  }
  if (!is_float && source_[at_] == '0') {
    const char mark = static_cast<char>(peek(at_ + 1) | 0x20);
    const u32 base = mark == 'b' ? 2 : mark == 'o' ? 8 : mark == 'x' ? 16 : 0;
    const usize digits = at_ + (peek(at_ + 2) == '_' ? 3 : 2);
    if (base != 0 && skip_digits(source_, digits, base) != digits) {
      end = skip_digits(source_, digits, base);
    } else {  // only zeros: "007" is 00 and 7, a syntax error later on
      end = at_ + 1;
      while (peek(end) == '0' || (peek(end) == '_' && peek(end + 1) == '0')) ++end;
    }
  }
  const Str text = source_.slice(at_, end - at_);
  TemplateValue value;
  if (is_float) {
    f64 parsed = 0;
    if (!parse_float_text(text, parsed)) {  // coverage: the digits above are always a number
      return budget_.fail(ErrorCode::kBadSyntax, "malformed number, line", text);  // coverage: so
    }
    value = TemplateValue::number(parsed);
  } else {
    i64 parsed = 0;
    if (parse_integer_text(text, 0, parsed) != IntegerParse::kOk) {
      return budget_.fail(ErrorCode::kLimit, "integer beyond 64 bits, line", text);
    }
    value = TemplateValue::integer(parsed);
  }
  *token = {is_float ? TokenKind::kFloat : TokenKind::kInteger, token->offset, text,
            value.with_origin(TemplateOrigin::kMarkup)};
  move_to(end);
  return budget_.spend_bytes(text.size());
}

bool TemplateLexer::take_string(TemplateToken* token) {
  const char quote = source_[at_];
  usize end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2u : 1u;
  if (end >= source_.size()) return budget_.fail(ErrorCode::kBadSyntax, "unclosed string, line");
  Str text;
  if (!unescape_literal(budget_, source_.slice(at_ + 1, end - at_ - 1), &text)) return false;
  *token = {TokenKind::kString, token->offset, text, {}};
  move_to(end + 1);
  return budget_.spend_bytes(text.size());
}

// Python's escapes. An unknown one keeps its backslash, \ before a newline takes both away. \N{...}
// needs the table of character names and is refused.
bool unescape_literal(TemplateBudget& budget, Str spelling, Str* out) {
  if (!spelling.contains("\\")) {
    *out = spelling;
    return true;
  }
  // No escape is shorter than what it stands for.
  char* text = static_cast<char*>(budget.take(spelling.size(), 1));
  if (text == nullptr) return false;
  usize n = 0;
  for (usize i = 0; i < spelling.size(); ++i) {
    if (spelling[i] != '\\' || i + 1 == spelling.size()) {
      text[n++] = spelling[i];
      continue;
    }
    const char c = spelling[++i];
    constexpr Str kSimple = "\\'\"abfnrtv";
    constexpr Str kStandsFor = "\\'\"\a\b\f\n\r\t\v";
    const usize simple = kSimple.find(Str(&c, 1));
    u32 n_digit = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    u32 codepoint = 0;
    if (c == '\n') continue;
    if (simple != Str::kNone) {
      text[n++] = kStandsFor[simple];
      continue;
    }
    if (c >= '0' && c <= '7') {
      for (n_digit = 0;
           n_digit < 3 && i < spelling.size() && spelling[i] >= '0' && spelling[i] <= '7';
           ++n_digit) {
        codepoint = codepoint * 8 + static_cast<u32>(spelling[i++] - '0');
      }
      --i;
    } else if (n_digit != 0) {
      for (; n_digit > 0 && i + 1 < spelling.size() && hex_value(spelling[i + 1]) < 16; --n_digit) {
        if (codepoint > 0x10FFFF) break;
        codepoint = codepoint * 16 + hex_value(spelling[++i]);
      }
      if (n_digit != 0 || codepoint > 0x10FFFF) {
        return budget.fail(ErrorCode::kBadSyntax, "malformed escape in a string, line", spelling);
      }
    } else if (c == 'N') {
      return budget.fail(ErrorCode::kUnsupported, "\\N{...} in a string, line", spelling);
    } else {
      text[n++] = '\\';
      text[n++] = c;
      continue;
    }
    char utf8[4];
    const u32 n_byte = encode_utf8(codepoint, utf8);
    __builtin_memcpy(text + n, utf8, n_byte);
    n += n_byte;
  }
  *out = {text, n};
  return true;
}

}  // namespace lbm
