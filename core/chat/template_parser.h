// Tokens to syntax tree: recursive descent, one function per construct, one for all binary
// operators.
#pragma once

#include "core/chat/template_budget.h"
#include "core/chat/template_lexer.h"
#include "core/chat/template_syntax.h"

namespace lbm {

class TemplateParser {
 public:
  // `source` as the lexer wants it. Nodes are taken from the arena of `budget`; the depth of the
  // budget bounds the recursion.
  TemplateParser(TemplateBudget& budget, Str source) : budget_(budget), lexer_(budget, source) {}

  // Errors: kBadSyntax; kUnsupported names a tag, filter or test this build lacks; kLimit  nested
  // too deep.
  [[nodiscard]] bool parse(Statement** body);

 private:
  // Statements (template_parser.cpp)
  [[nodiscard]] bool parse_body(Str end_a, Str end_b, Str end_c, Statement** out);
  [[nodiscard]] bool parse_statement(Statement** out);
  [[nodiscard]] bool parse_if(Statement** out);
  [[nodiscard]] bool parse_for(Statement** out);
  [[nodiscard]] bool parse_set(Statement** out);
  [[nodiscard]] bool parse_macro(Statement** out);
  [[nodiscard]] bool parse_call_block(Statement** out);
  [[nodiscard]] bool parse_filter_block(Statement** out);
  [[nodiscard]] bool parse_with(Statement** out);
  [[nodiscard]] bool parse_scope(Statement** out);
  [[nodiscard]] bool parse_loop_control(Statement** out);
  [[nodiscard]] bool parse_print(Statement** out);
  [[nodiscard]] bool parse_signature(MacroSyntax* macro);
  [[nodiscard]] bool parse_macro_body(MacroSyntax* macro, Str end);
  [[nodiscard]] bool parse_target_list(bool with_attributes, TargetSyntax** out);
  [[nodiscard]] bool parse_target(bool with_attributes, TargetSyntax** out);
  [[nodiscard]] bool unknown_tag(Str name);

  // Expressions (template_parser_expression.cpp)
  [[nodiscard]] bool parse_tuple(bool with_condition, Expr** out);
  [[nodiscard]] bool parse_expression(Expr** out);
  [[nodiscard]] bool parse_binary(u32 level, Expr** out);
  [[nodiscard]] bool parse_not(Expr** out);
  [[nodiscard]] bool parse_unary(Expr** out);
  [[nodiscard]] bool parse_primary(Expr** out);
  [[nodiscard]] bool parse_name_or_word(Expr** out);
  [[nodiscard]] bool parse_string(Expr** out);
  [[nodiscard]] bool parse_parenthesis(Expr** out);
  [[nodiscard]] bool parse_list(Expr** out);
  [[nodiscard]] bool parse_map(Expr** out);
  // `filters` also takes | and `is`, which bind to the whole signed operand.
  [[nodiscard]] bool parse_postfix(Expr* base, bool filters, Expr** out);
  [[nodiscard]] bool parse_attribute(PostfixOp* op);
  [[nodiscard]] bool parse_subscript(PostfixOp* op);
  [[nodiscard]] bool parse_subscript_item(PostfixOp* op);
  [[nodiscard]] bool parse_filter(PostfixOp* op);
  [[nodiscard]] bool parse_filter_chain(PostfixOp** out);
  [[nodiscard]] bool parse_test(PostfixOp* op);
  [[nodiscard]] bool parse_arguments(ArgumentSyntax** out);
  [[nodiscard]] bool parse_argument(ArgumentSyntax* out);
  [[nodiscard]] bool parse_dotted_name(Str* out);
  [[nodiscard]] bool binary_operator(TemplateOperator* op, u32* level);

  // Tokens
  [[nodiscard]] bool advance();
  [[nodiscard]] bool look(TemplateToken* token);  // the one behind the current one
  [[nodiscard]] bool at(TokenKind kind) const { return token_.kind == kind; }
  [[nodiscard]] bool at_word(Str word) const { return token_.is_name(word); }
  [[nodiscard]] bool expect(TokenKind kind, const char* what);
  [[nodiscard]] bool expect_word(Str word);
  [[nodiscard]] bool expect_name(Str* out);
  [[nodiscard]] bool unexpected(const char* what);

  template <class T, class Kind>
  [[nodiscard]] T* make(Kind kind) {
    T* node = budget_.make<T>();
    if (node == nullptr) return nullptr;
    node->kind = kind;
    node->offset = token_.offset;
    return node;
  }

  TemplateBudget& budget_;
  TemplateLexer lexer_;
  TemplateToken token_;  // the current one
  TemplateToken ahead_;
  bool has_ahead_ = false;

  u32 n_loop_ = 0;  // loops around the current place, up to the macro it is in
  u32 n_if_ = 0;    // ifs around it: there an unknown filter is an error only when it runs
  MacroSyntax* macro_ = nullptr;
  PostfixOp* unknown_ = nullptr;  // the first unknown filter or test of the current tag
};

}  // namespace lbm
