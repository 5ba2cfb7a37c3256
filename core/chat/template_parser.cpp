// Statements. Expressions are in template_parser_expression.cpp.
#include "core/chat/template_parser.h"

namespace lbm {

bool TemplateParser::advance() {
  if (has_ahead_) {
    token_ = ahead_;
    has_ahead_ = false;
    return true;
  }
  return lexer_.next(&token_);
}

bool TemplateParser::look(TemplateToken* token) {
  if (!has_ahead_) {
    if (!lexer_.next(&ahead_)) return false;
    has_ahead_ = true;
  }
  *token = ahead_;
  return true;
}

bool TemplateParser::unexpected(const char* what) {
  budget_.set_offset(token_.offset);
  return budget_.fail(ErrorCode::kBadSyntax, what, token_.text);
}

bool TemplateParser::expect(TokenKind kind, const char* what) {
  if (!at(kind)) return unexpected(what);
  return advance();
}

bool TemplateParser::expect_word(Str word) {
  if (!at_word(word)) return unexpected("unexpected word, line");
  return advance();
}

bool TemplateParser::expect_name(Str* out) {
  if (!at(TokenKind::kName)) return unexpected("a name is needed here, line");
  *out = token_.text;
  return advance();
}

bool TemplateParser::parse(Statement** body) { return advance() && parse_body({}, {}, {}, body); }

// Statements up to the tag named `end_a`, `end_b` or `end_c`, which becomes the current token; up
// to the end of the template where all three are empty.
bool TemplateParser::parse_body(Str end_a, Str end_b, Str end_c, Statement** out) {
  TemplateNesting level(budget_);
  if (!level.ok()) return false;
  Statement* first = nullptr;
  Statement** tail = &first;
  for (;;) {
    Statement* statement = nullptr;
    unknown_ = nullptr;
    if (at(TokenKind::kEnd)) {
      if (end_a.empty()) break;
      budget_.set_offset(token_.offset);
      return budget_.fail(ErrorCode::kBadSyntax, "this tag is missing, line",
                          end_c.empty() ? end_a : end_c);
    }
    if (at(TokenKind::kData)) {
      DataStatement* data = make<DataStatement>(StatementKind::kData);
      if (data == nullptr) return false;
      data->text = token_.text;
      statement = data;
      if (!advance()) return false;
    } else if (at(TokenKind::kVariableBegin)) {
      OutputStatement* output = make<OutputStatement>(StatementKind::kOutput);
      if (output == nullptr) return false;  // mutants: what follows takes as much
      if (!advance() || !parse_tuple(true, &output->value)) return false;
      if (!expect(TokenKind::kVariableEnd, "the expression does not end here, line")) return false;
      statement = output;
    } else {
      if (!expect(TokenKind::kBlockBegin, "unexpected token, line")) return false;
      if (!at(TokenKind::kName)) return unexpected("a tag needs a name, line");
      const Str name = token_.text;
      if (!end_a.empty() && (name == end_a || name == end_b || name == end_c)) break;
      if (!parse_statement(&statement)) return false;
      if (!expect(TokenKind::kBlockEnd, "the tag does not end here, line")) return false;
    }
    if (unknown_ != nullptr && n_if_ == 0) {
      budget_.set_offset(unknown_->offset);
      return budget_.fail(
          ErrorCode::kUnsupported,
          unknown_->kind == PostfixKind::kFilter ? "no such filter, line" : "no such test, line",
          unknown_->name);
    }
    *tail = statement;
    while (*tail != nullptr) tail = &(*tail)->next;
  }
  *out = first;
  return true;
}

bool TemplateParser::parse_statement(Statement** out) {
  struct Tag {
    const char* name;
    bool (TemplateParser::*parse)(Statement** out);
  };
  static constexpr Tag kTags[] = {
      {"if", &TemplateParser::parse_if},
      {"for", &TemplateParser::parse_for},
      {"set", &TemplateParser::parse_set},
      {"macro", &TemplateParser::parse_macro},
      {"call", &TemplateParser::parse_call_block},
      {"filter", &TemplateParser::parse_filter_block},
      {"with", &TemplateParser::parse_with},
      {"generation", &TemplateParser::parse_scope},
      {"block", &TemplateParser::parse_scope},
      {"break", &TemplateParser::parse_loop_control},
      {"continue", &TemplateParser::parse_loop_control},
      {"print", &TemplateParser::parse_print},
  };
  for (const Tag& tag : kTags) {
    if (at_word(tag.name)) return (this->*tag.parse)(out);
  }
  return unknown_tag(token_.text);
}

bool TemplateParser::unknown_tag(Str name) {
  constexpr const char* kKnown[] = {"extends",    "include", "import", "from",
                                    "autoescape", "do",      "trans",  "debug"};
  for (const char* known : kKnown) {
    if (name == known) {
      budget_.set_offset(token_.offset);
      return budget_.fail(ErrorCode::kUnsupported, "this build lacks the tag, line", name);
    }
  }
  return unexpected("unknown or misplaced tag, line");
}

bool TemplateParser::parse_if(Statement** out) {
  IfStatement* node = make<IfStatement>(StatementKind::kIf);
  if (node == nullptr) return false;  // mutants: what follows takes as much
  BranchSyntax** tail = &node->branches;
  while (at_word("if") || at_word("elif")) {
    BranchSyntax* branch = budget_.make<BranchSyntax>();
    if (branch == nullptr) return false;  // mutants: what follows takes as much
    if (!advance() || !parse_tuple(false, &branch->test)) return false;
    if (!expect(TokenKind::kBlockEnd, "the condition does not end here, line")) return false;
    ++n_if_;
    const bool ok = parse_body("elif", "else", "endif", &branch->body);
    --n_if_;
    if (!ok) return false;
    *tail = branch;
    tail = &branch->next;
  }
  if (at_word("else")) {
    if (!advance() || !expect(TokenKind::kBlockEnd, "the tag does not end here, line"))
      return false;
    ++n_if_;
    const bool ok = parse_body("endif", {}, {}, &node->otherwise);
    --n_if_;
    if (!ok) return false;
  }
  unknown_ = nullptr;  // conditions, too, may ask for what is not there
  *out = node;
  return expect_word("endif");
}

bool TemplateParser::parse_for(Statement** out) {
  ForStatement* node = make<ForStatement>(StatementKind::kFor);
  if (node == nullptr) return false;  // mutants: what follows takes as much
  if (!advance() || !parse_target_list(false, &node->target) || !expect_word("in") ||
      !parse_tuple(false, &node->items))
    return false;
  if (at_word("if")) {
    if (!advance() || !parse_expression(&node->filter)) return false;
  }
  if (at_word("recursive")) {
    node->recursive = true;
    if (!advance()) return false;
  }
  if (!expect(TokenKind::kBlockEnd, "the tag does not end here, line")) return false;
  PostfixOp* unknown = unknown_;
  ++n_loop_;
  const bool ok = parse_body("endfor", "else", {}, &node->body);
  --n_loop_;
  if (!ok) return false;
  if (at_word("else")) {
    if (!advance() || !expect(TokenKind::kBlockEnd, "the tag does not end here, line"))
      return false;
    if (!parse_body("endfor", {}, {}, &node->otherwise)) return false;
  }
  unknown_ = unknown;
  *out = node;
  return expect_word("endfor");
}

bool TemplateParser::parse_set(Statement** out) {
  const u32 offset = token_.offset;
  TargetSyntax* target = nullptr;
  if (!advance() || !parse_target_list(true, &target)) return false;
  if (at(TokenKind::kAssign)) {
    SetStatement* node = make<SetStatement>(StatementKind::kSet);
    if (node == nullptr) return false;
    node->offset = offset;
    node->target = target;
    *out = node;
    return advance() && parse_tuple(true, &node->value);
  }
  SetBlockStatement* node = make<SetBlockStatement>(StatementKind::kSetBlock);
  if (node == nullptr) return false;
  node->offset = offset;
  node->target = target;
  if (!parse_filter_chain(&node->filters)) return false;
  if (!expect(TokenKind::kBlockEnd, "'=' or the end of the tag is needed here, line")) return false;
  PostfixOp* unknown = unknown_;
  if (!parse_body("endset", {}, {}, &node->body)) return false;
  unknown_ = unknown;
  *out = node;
  return expect_word("endset");
}

// a, (b, ns.c) ...
bool TemplateParser::parse_target_list(bool with_attributes, TargetSyntax** out) {
  TargetSyntax* first = nullptr;
  if (!parse_target(with_attributes, &first)) return false;
  if (!at(TokenKind::kComma)) {
    *out = first;
    return true;
  }
  TargetSyntax* tuple = budget_.make<TargetSyntax>();
  if (tuple == nullptr) return false;
  tuple->is_tuple = true;
  tuple->offset = first->offset;
  tuple->items = first;
  tuple->n_item = 1;
  TargetSyntax** tail = &first->next;
  while (at(TokenKind::kComma)) {
    if (!advance()) return false;
    if (!at(TokenKind::kName) && !at(TokenKind::kLeftParen)) break;
    if (at_word("in")) break;
    if (!parse_target(with_attributes, tail)) return false;
    tail = &(*tail)->next;
    ++tuple->n_item;
  }
  *out = tuple;
  return true;
}

bool TemplateParser::parse_target(bool with_attributes, TargetSyntax** out) {
  TemplateNesting level(budget_);
  if (!level.ok()) return false;
  if (at(TokenKind::kLeftParen)) {
    if (!advance() || !parse_target_list(with_attributes, out)) return false;
    return expect(TokenKind::kRightParen, "')' is needed here, line");
  }
  constexpr const char* kWords[] = {"true", "false", "none", "True", "False", "None"};
  for (const char* word : kWords) {
    if (at_word(word)) return unexpected("can not assign to this, line");
  }
  TargetSyntax* target = budget_.make<TargetSyntax>();
  if (target == nullptr) return false;
  target->offset = token_.offset;
  if (!expect_name(&target->name)) return false;
  if (with_attributes && at(TokenKind::kDot)) {
    if (!advance() || !expect_name(&target->attribute)) return false;
  }
  *out = target;
  return true;
}

bool TemplateParser::parse_signature(MacroSyntax* macro) {
  if (!expect(TokenKind::kLeftParen, "'(' is needed here, line")) return false;
  ParameterSyntax** tail = &macro->parameters;
  bool had_default = false;
  while (!at(TokenKind::kRightParen)) {
    if (macro->n_parameter != 0 && !expect(TokenKind::kComma, "',' is needed here, line"))
      return false;
    ParameterSyntax* parameter = budget_.make<ParameterSyntax>();
    if (parameter == nullptr) return false;  // mutants: what follows takes as much
    TargetSyntax* target = budget_.make<TargetSyntax>();
    if (target == nullptr) return false;
    parameter->target = target;
    target->offset = token_.offset;
    if (!expect_name(&target->name)) return false;
    if (at(TokenKind::kAssign)) {
      if (!advance() || !parse_expression(&parameter->value)) return false;
      had_default = true;
    } else if (had_default) {
      return unexpected("a parameter without default follows one with, line");
    }
    *tail = parameter;
    tail = &parameter->next;
    ++macro->n_parameter;
  }
  return advance();
}

// The body, which can not break loops outside of it.
bool TemplateParser::parse_macro_body(MacroSyntax* macro, Str end) {
  if (!expect(TokenKind::kBlockEnd, "the tag does not end here, line")) return false;
  MacroSyntax* outer = macro_;
  PostfixOp* unknown = unknown_;
  const u32 n_loop = n_loop_;
  macro_ = macro;
  n_loop_ = 0;
  const bool ok = parse_body(end, {}, {}, &macro->body);
  macro_ = outer;
  n_loop_ = n_loop;
  if (!ok) return false;
  unknown_ = unknown;
  if (outer != nullptr) {
    outer->uses_varargs |= macro->uses_varargs;
    outer->uses_kwargs |= macro->uses_kwargs;
    outer->uses_caller |= macro->uses_caller;
  }
  return expect_word(end);
}

bool TemplateParser::parse_macro(Statement** out) {
  MacroStatement* node = make<MacroStatement>(StatementKind::kMacro);
  if (node == nullptr || !advance()) return false;
  *out = node;
  return expect_name(&node->macro.name) && parse_signature(&node->macro) &&
         parse_macro_body(&node->macro, "endmacro");
}

bool TemplateParser::parse_call_block(Statement** out) {
  CallBlockStatement* node = make<CallBlockStatement>(StatementKind::kCallBlock);
  if (node == nullptr || !advance()) return false;
  node->caller.name = "caller";
  if (at(TokenKind::kLeftParen) && !parse_signature(&node->caller)) return false;
  if (!parse_expression(&node->call)) return false;
  bool is_call = false;
  if (node->call->kind == ExprKind::kPostfix) {
    const PostfixOp* last = static_cast<PostfixExpr*>(node->call)->ops;
    while (last->next != nullptr) last = last->next;
    is_call = last->kind == PostfixKind::kCall;
  }
  if (!is_call) return unexpected("'call' needs a call, line");
  *out = node;
  return parse_macro_body(&node->caller, "endcall");
}

bool TemplateParser::parse_filter_block(Statement** out) {
  FilterBlockStatement* node = make<FilterBlockStatement>(StatementKind::kFilterBlock);
  if (node == nullptr || !advance()) return false;
  node->filters = budget_.make<PostfixOp>();
  if (node->filters == nullptr || !parse_filter(node->filters) ||
      !parse_filter_chain(&node->filters->next))
    return false;
  if (!expect(TokenKind::kBlockEnd, "the tag does not end here, line")) return false;
  PostfixOp* unknown = unknown_;
  if (!parse_body("endfilter", {}, {}, &node->body)) return false;
  unknown_ = unknown;
  *out = node;
  return expect_word("endfilter");
}

bool TemplateParser::parse_with(Statement** out) {
  WithStatement* node = make<WithStatement>(StatementKind::kWith);
  if (node == nullptr || !advance()) return false;
  ParameterSyntax** tail = &node->bindings;
  while (!at(TokenKind::kBlockEnd)) {
    if (node->bindings != nullptr && !expect(TokenKind::kComma, "',' is needed here, line"))
      return false;
    ParameterSyntax* binding = budget_.make<ParameterSyntax>();
    if (binding == nullptr) return false;  // mutants: what follows takes as much
    if (!parse_target(false, &binding->target)) return false;
    if (!expect(TokenKind::kAssign, "'=' is needed here, line") ||
        !parse_expression(&binding->value))
      return false;
    *tail = binding;
    tail = &binding->next;
  }
  PostfixOp* unknown = unknown_;
  if (!advance() || !parse_body("endwith", {}, {}, &node->body)) return false;
  unknown_ = unknown;
  *out = node;
  return expect_word("endwith");
}

// {% generation %} marks what the assistant wrote, for training; {% block name %} is for
// inheritance, which a lone template has not. Both render in place, with a scope of their own.
bool TemplateParser::parse_scope(Statement** out) {
  ScopeStatement* node = make<ScopeStatement>(StatementKind::kScope);
  if (node == nullptr) return false;
  const bool is_block = at_word("block");
  Str name;
  if (!advance()) return false;
  if (is_block) {
    if (!expect_name(&name)) return false;
    if (at_word("scoped") && !advance()) return false;
    if (at_word("required") && !advance()) return false;
  }
  if (!expect(TokenKind::kBlockEnd, "the tag does not end here, line")) return false;
  const u32 n_loop = n_loop_;
  PostfixOp* unknown = unknown_;
  n_loop_ = 0;
  const Str end = is_block ? "endblock" : "endgeneration";
  const bool ok = parse_body(end, {}, {}, &node->body);
  n_loop_ = n_loop;
  if (!ok || !expect_word(end)) return false;
  unknown_ = unknown;
  *out = node;
  return !is_block || !at_word(name) || advance();
}

bool TemplateParser::parse_loop_control(Statement** out) {
  if (n_loop_ == 0) return unexpected("not inside a loop, line");
  *out = make<Statement>(at_word("break") ? StatementKind::kBreak : StatementKind::kContinue);
  return *out != nullptr && advance();
}

bool TemplateParser::parse_print(Statement** out) {
  if (!advance()) return false;
  Statement** tail = out;
  while (!at(TokenKind::kBlockEnd)) {
    if (tail != out && !expect(TokenKind::kComma, "',' is needed here, line")) return false;
    OutputStatement* node = make<OutputStatement>(StatementKind::kOutput);
    if (node == nullptr) return false;  // mutants: what follows takes as much
    if (!parse_expression(&node->value)) return false;
    *tail = node;
    tail = &node->next;
  }
  return true;
}

}  // namespace lbm
