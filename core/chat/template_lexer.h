// Template source to tokens, with the white-space rules of trim_blocks and lstrip_blocks.
//
//   {% ... %}  {# ... #}   the newline right behind goes, and so does the indentation before
//   {%- ... -%}            a minus takes all white space on its side
//   {%+ ... +%}            a plus keeps what would go without it
//   {{ ... }}              trims nothing by itself
//
// Source of the rules: Jinja's documentation ("White Space Control"), and its behaviour where that
// is silent.
#pragma once

#include "core/chat/template_budget.h"
#include "core/chat/template_value.h"

namespace lbm {

enum class TokenKind : u8 {
  kEnd,
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kAdd,
  kSubtract,
  kMultiply,
  kPower,
  kDivide,
  kFloorDivide,
  kModulo,
  kTilde,
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kAssign,
  kDot,
  kComma,
  kColon,
  kSemicolon,
  kPipe,
  kLeftParen,
  kRightParen,
  kLeftBracket,
  kRightBracket,
  kLeftBrace,
  kRightBrace,
};

struct TemplateToken {
  TokenKind kind = TokenKind::kEnd;
  u32 offset = 0;
  Str text;  // the bytes of kData, kName and kString (escapes resolved); the spelling of the others
  TemplateValue number;

  [[nodiscard]] bool is_name(Str word) const { return kind == TokenKind::kName && text == word; }
};

class TemplateLexer {
 public:
  // `source` has only '\n' for line ends and at most 2^32 - 1 bytes.
  TemplateLexer(TemplateBudget& budget, Str source) : budget_(budget), source_(source) {}

  // Errors: kBadSyntax  an unclosed tag, comment, raw block or string, a character that starts no
  //                     token, a malformed escape.
  //         kLimit      an integer beyond 64 bits, a name beyond 255 bytes.
  [[nodiscard]] bool next(TemplateToken* token);

 private:
  enum class Mode : u8 { kData, kVariable, kBlock, kRaw };

  [[nodiscard]] bool next_data(TemplateToken* token, bool* produced);
  [[nodiscard]] bool next_raw(TemplateToken* token, bool* produced);
  [[nodiscard]] bool next_in_tag(TemplateToken* token);
  [[nodiscard]] bool skip_comment();
  [[nodiscard]] bool take_tag_end(TemplateToken* token);
  [[nodiscard]] bool take_raw_begin(usize tag);
  [[nodiscard]] bool take_number(TemplateToken* token);
  [[nodiscard]] bool take_string(TemplateToken* token);
  [[nodiscard]] bool take_operator(TemplateToken* token);
  [[nodiscard]] Str strip_before_tag(Str text, char sign, bool is_variable) const;
  [[nodiscard]] usize skip_space(usize at) const;
  [[nodiscard]] char peek(usize at) const {
    return at < source_.size() ? source_.data()[at] : '\0';
  }
  void move_to(usize at) {
    line_starting_ = at > 0 && source_[at - 1] == '\n';
    at_ = at;
  }

  TemplateBudget& budget_;
  Str source_;
  usize at_ = 0;
  u32 n_open_ = 0;  // brackets: inside them "}}" and "%}" do not end a tag
  Mode mode_ = Mode::kData;
  bool line_starting_ = true;
};

// The text a string literal stands for, between its quotes. Taken from the budget where it differs
// from the spelling.
[[nodiscard]] bool unescape_literal(TemplateBudget& budget, Str spelling, Str* out);

}  // namespace lbm
