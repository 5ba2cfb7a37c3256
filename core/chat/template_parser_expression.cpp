// Expressions, by Jinja's precedence: or, and, not, comparisons, + -, ~, * / // %, **, sign,
// postfix.
#include "core/chat/template_builtins.h"
#include "core/chat/template_parser.h"

namespace lbm {
namespace {

constexpr u32 kOrLevel = 0;
constexpr u32 kAndLevel = 1;
constexpr u32 kNotLevel = 2;
constexpr u32 kCompareLevel = 3;
constexpr u32 kAddLevel = 4;
constexpr u32 kConcatLevel = 5;
constexpr u32 kMultiplyLevel = 6;
constexpr u32 kPowerLevel = 7;

struct BinarySpelling {
  TokenKind token;
  TemplateOperator op;
  u32 level;
};

constexpr BinarySpelling kBinary[] = {
    {TokenKind::kEqual, TemplateOperator::kEqual, kCompareLevel},
    {TokenKind::kNotEqual, TemplateOperator::kNotEqual, kCompareLevel},
    {TokenKind::kLess, TemplateOperator::kLess, kCompareLevel},
    {TokenKind::kLessEqual, TemplateOperator::kLessEqual, kCompareLevel},
    {TokenKind::kGreater, TemplateOperator::kGreater, kCompareLevel},
    {TokenKind::kGreaterEqual, TemplateOperator::kGreaterEqual, kCompareLevel},
    {TokenKind::kAdd, TemplateOperator::kAdd, kAddLevel},
    {TokenKind::kSubtract, TemplateOperator::kSubtract, kAddLevel},
    {TokenKind::kTilde, TemplateOperator::kConcat, kConcatLevel},
    {TokenKind::kMultiply, TemplateOperator::kMultiply, kMultiplyLevel},
    {TokenKind::kDivide, TemplateOperator::kDivide, kMultiplyLevel},
    {TokenKind::kFloorDivide, TemplateOperator::kFloorDivide, kMultiplyLevel},
    {TokenKind::kModulo, TemplateOperator::kModulo, kMultiplyLevel},
    {TokenKind::kPower, TemplateOperator::kPower, kPowerLevel},
};

ExprKind kind_of_level(u32 level) {
  if (level == kOrLevel) return ExprKind::kOr;
  if (level == kAndLevel) return ExprKind::kAnd;
  if (level == kCompareLevel) return ExprKind::kCompare;
  return level == kConcatLevel ? ExprKind::kConcat : ExprKind::kArithmetic;
}

}  // namespace

// Expressions with commas between them; one without a comma stays what it is.
bool TemplateParser::parse_tuple(bool with_condition, Expr** out) {
  const u32 offset = token_.offset;
  Expr* first = nullptr;
  Expr** tail = &first;
  u32 n_item = 0;
  bool is_tuple = false;
  for (;;) {
    if (is_tuple && (at(TokenKind::kVariableEnd) || at(TokenKind::kBlockEnd) ||
                     at(TokenKind::kRightParen) || at_word("recursive"))) {
      break;
    }
    if (!(with_condition ? parse_expression(tail) : parse_binary(kOrLevel, tail))) return false;
    tail = &(*tail)->next;
    ++n_item;
    if (!at(TokenKind::kComma)) break;
    is_tuple = true;
    if (!advance()) return false;
  }
  if (!is_tuple) {
    *out = first;
    return true;
  }
  ListExpr* tuple = make<ListExpr>(ExprKind::kTuple);
  if (tuple == nullptr) return false;
  tuple->offset = offset;
  tuple->items = first;
  tuple->n_item = n_item;
  *out = tuple;
  return true;
}

// yes if test else no; the chain of elses is built from left to right, without recursion.
bool TemplateParser::parse_expression(Expr** out) {
  TemplateNesting level(budget_);
  if (!level.ok()) return false;
  PostfixOp* const unknown = unknown_;
  bool conditional = false;
  for (;;) {
    Expr* yes = nullptr;
    if (!parse_binary(kOrLevel, &yes)) return false;
    bool closed = false;
    while (at_word("if")) {
      ConditionalExpr* node = make<ConditionalExpr>(ExprKind::kConditional);
      if (node == nullptr || !advance() || !parse_binary(kOrLevel, &node->test)) return false;
      conditional = true;
      node->yes = yes;
      if (at_word("else")) {
        if (!advance()) return false;
        *out = node;
        out = &node->no;
        closed = true;
        break;
      }
      yes = node;
    }
    if (closed) continue;
    *out = yes;
    if (conditional)
      unknown_ = unknown;  // what a condition guards may name a filter that is not there
    return true;
  }
}

bool TemplateParser::binary_operator(TemplateOperator* op, u32* level) {
  for (const BinarySpelling& entry : kBinary) {
    if (!at(entry.token)) continue;
    *op = entry.op;
    *level = entry.level;
    return true;
  }
  if (at_word("or") || at_word("and")) {
    *op = at_word("or") ? TemplateOperator::kOr : TemplateOperator::kAnd;
    *level = at_word("or") ? kOrLevel : kAndLevel;
    return true;
  }
  *op = at_word("in") ? TemplateOperator::kIn : TemplateOperator::kNotIn;
  *level = kCompareLevel;
  if (at_word("in")) return true;
  TemplateToken behind;
  return at_word("not") && look(&behind) && behind.is_name("in");
}

// Precedence climbing: operands joined by operators of at least `level`; a run of one level becomes
// one flat node.
bool TemplateParser::parse_binary(u32 level, Expr** out) {
  Expr* left = nullptr;
  if (level <= kNotLevel && at_word("not")) {
    if (!parse_not(&left)) return false;
  } else if (!parse_unary(&left)) {
    return false;
  }
  TemplateOperator op;
  u32 found = 0;
  while (binary_operator(&op, &found) && found >= level) {
    ListExpr* node = make<ListExpr>(kind_of_level(found));
    if (node == nullptr) return false;
    node->items = left;
    node->n_item = 1;
    Expr** tail = &left->next;
    const u32 run_level = found;
    while (found == run_level) {
      const bool two_words = op == TemplateOperator::kNotIn;
      if (!advance() || (two_words && !advance())) return false;
      if (!parse_binary(run_level + 1, tail)) return false;
      (*tail)->op = op;
      tail = &(*tail)->next;
      ++node->n_item;
      if (!binary_operator(&op, &found)) break;
    }
    left = node;
  }
  *out = left;
  return budget_.ok();
}

// `not not x` is `x` as a boolean: pairs collapse, so a long row of them nests two deep at most.
bool TemplateParser::parse_not(Expr** out) {
  u32 n_not = 0;
  for (; at_word("not"); ++n_not) {
    if (!advance()) return false;
  }
  Expr* operand = nullptr;
  if (!parse_binary(kCompareLevel, &operand)) return false;
  for (u32 i = n_not % 2 == 0 ? 2 : 1; i > 0; --i) {
    UnaryExpr* node = make<UnaryExpr>(ExprKind::kNot);
    if (node == nullptr) return false;
    node->offset = operand->offset;
    node->operand = operand;
    operand = node;
  }
  *out = operand;
  return true;
}

bool TemplateParser::parse_unary(Expr** out) {
  Expr* first = nullptr;
  Expr** place = &first;
  UnaryExpr* sign = nullptr;
  while (at(TokenKind::kSubtract) || at(TokenKind::kAdd)) {
    sign = make<UnaryExpr>(at(TokenKind::kAdd) ? ExprKind::kPlus : ExprKind::kNegate);
    if (sign == nullptr || !advance()) return false;
    *place = sign;
    place = &sign->operand;
  }
  Expr* operand = nullptr;
  if (!parse_primary(&operand)) return false;
  if (sign == nullptr) return parse_postfix(operand, true, out);
  // -x|abs is (-x)|abs, -x.y is -(x.y)
  return parse_postfix(operand, false, place) && parse_postfix(first, true, out);
}

bool TemplateParser::parse_primary(Expr** out) {
  switch (token_.kind) {
    case TokenKind::kName: return parse_name_or_word(out);
    case TokenKind::kString: return parse_string(out);
    case TokenKind::kInteger:
    case TokenKind::kFloat: {
      LiteralExpr* node = make<LiteralExpr>(ExprKind::kLiteral);
      if (node == nullptr) return false;
      node->value = token_.number;
      *out = node;
      return advance();
    }
    case TokenKind::kLeftParen: return parse_parenthesis(out);
    case TokenKind::kLeftBracket: return parse_list(out);
    case TokenKind::kLeftBrace: return parse_map(out);
    default: return unexpected("an expression is needed here, line");
  }
}

bool TemplateParser::parse_name_or_word(Expr** out) {
  TemplateValue value = TemplateValue::absent();
  if (at_word("true") || at_word("True")) value = TemplateValue::boolean(true);
  if (at_word("false") || at_word("False")) value = TemplateValue::boolean(false);
  if (at_word("none") || at_word("None")) value = TemplateValue::none();
  if (!value.is(TemplateKind::kAbsent)) {
    LiteralExpr* node = make<LiteralExpr>(ExprKind::kLiteral);
    if (node == nullptr) return false;
    node->value = value.with_origin(TemplateOrigin::kMarkup);
    *out = node;
    return advance();
  }
  NameExpr* node = make<NameExpr>(ExprKind::kName);
  if (node == nullptr) return false;
  node->name = token_.text;
  if (macro_ != nullptr) {
    macro_->uses_varargs |= node->name == "varargs";
    macro_->uses_kwargs |= node->name == "kwargs";
    macro_->uses_caller |= node->name == "caller";
  }
  *out = node;
  return advance();
}

// "a" "b" is "ab". Two passes would need the tokens twice, so the text grows by doubling.
bool TemplateParser::parse_string(Expr** out) {
  LiteralExpr* node = make<LiteralExpr>(ExprKind::kLiteral);
  if (node == nullptr) return false;
  Str text = token_.text;
  if (!advance()) return false;
  usize capacity = 0;
  char* joined = nullptr;
  while (at(TokenKind::kString)) {
    const usize wanted = text.size() + token_.text.size();
    if (wanted > capacity) {
      capacity = wanted * 2;
      char* fresh = static_cast<char*>(budget_.take(capacity, 1));
      if (fresh == nullptr) return false;
      __builtin_memcpy(fresh, text.data(), text.size());
      joined = fresh;
    }
    __builtin_memcpy(joined + text.size(), token_.text.data(), token_.text.size());
    text = {joined, wanted};
    if (!advance()) return false;
  }
  node->value = TemplateValue::markup(text);
  *out = node;
  return true;
}

bool TemplateParser::parse_parenthesis(Expr** out) {
  const u32 offset = token_.offset;
  if (!advance()) return false;
  if (at(TokenKind::kRightParen)) {
    ListExpr* empty = make<ListExpr>(ExprKind::kTuple);
    if (empty == nullptr) return false;
    empty->offset = offset;
    *out = empty;
    return advance();
  }
  return parse_tuple(true, out) && expect(TokenKind::kRightParen, "')' is needed here, line");
}

bool TemplateParser::parse_list(Expr** out) {
  ListExpr* node = make<ListExpr>(ExprKind::kList);
  if (node == nullptr || !advance()) return false;
  Expr** tail = &node->items;
  while (!at(TokenKind::kRightBracket)) {
    if (node->n_item != 0 && !expect(TokenKind::kComma, "',' or ']' is needed here, line"))
      return false;
    if (at(TokenKind::kRightBracket)) break;
    if (!parse_expression(tail)) return false;
    tail = &(*tail)->next;
    ++node->n_item;
  }
  *out = node;
  return advance();
}

bool TemplateParser::parse_map(Expr** out) {
  ListExpr* node = make<ListExpr>(ExprKind::kMap);
  if (node == nullptr || !advance()) return false;
  Expr** tail = &node->items;
  while (!at(TokenKind::kRightBrace)) {
    if (node->n_item != 0 && !expect(TokenKind::kComma, "',' or '}' is needed here, line"))
      return false;
    if (at(TokenKind::kRightBrace)) break;
    if (!parse_expression(tail) || !expect(TokenKind::kColon, "':' is needed here, line"))
      return false;
    tail = &(*tail)->next;
    if (!parse_expression(tail)) return false;
    tail = &(*tail)->next;
    node->n_item += 2;
  }
  *out = node;
  return advance();
}

bool TemplateParser::parse_postfix(Expr* base, bool filters, Expr** out) {
  PostfixOp* first = nullptr;
  PostfixOp** tail = &first;
  bool had_filter = false;
  for (;;) {
    const bool is_test = filters && at_word("is");
    const bool is_filter = filters && at(TokenKind::kPipe);
    if (!is_test && !is_filter && !at(TokenKind::kDot) && !at(TokenKind::kLeftBracket) &&
        !at(TokenKind::kLeftParen))
      break;
    // Behind a filter or test Jinja takes only calls and further filters.
    if (had_filter && (at(TokenKind::kDot) || at(TokenKind::kLeftBracket))) break;
    had_filter |= is_test || is_filter;
    PostfixOp* op = budget_.make<PostfixOp>();
    if (op == nullptr) return false;
    op->offset = token_.offset;
    bool ok = true;
    if (is_test)
      ok = parse_test(op);
    else if (is_filter)
      ok = advance() && parse_filter(op);
    else if (at(TokenKind::kDot))
      ok = parse_attribute(op);
    else if (at(TokenKind::kLeftBracket))
      ok = parse_subscript(op);
    else {
      op->kind = PostfixKind::kCall;
      ok = parse_arguments(&op->arguments);
    }
    if (!ok) return false;  // mutants: parse_binary(), around this, looks at the budget
    *tail = op;
    tail = &op->next;
  }
  *out = base;
  if (first == nullptr) return true;
  PostfixExpr* node = make<PostfixExpr>(ExprKind::kPostfix);
  if (node == nullptr) return false;
  node->offset = base->offset;
  node->base = base;
  node->ops = first;
  *out = node;
  return true;
}

// .name, or .0 for [0]
bool TemplateParser::parse_attribute(PostfixOp* op) {
  if (!advance()) return false;
  if (at(TokenKind::kInteger)) {
    LiteralExpr* index = make<LiteralExpr>(ExprKind::kLiteral);
    if (index == nullptr) return false;
    index->value = token_.number;
    op->kind = PostfixKind::kSubscript;
    op->index[0] = index;
    return advance();
  }
  op->kind = PostfixKind::kAttribute;
  return expect_name(&op->name);
}

bool TemplateParser::parse_subscript(PostfixOp* op) {
  if (!advance() || !parse_subscript_item(op)) return false;
  if (!at(TokenKind::kComma)) return expect(TokenKind::kRightBracket, "']' is needed here, line");
  if (op->kind == PostfixKind::kSlice) return unexpected("only one slice can be taken, line");
  ListExpr* tuple = make<ListExpr>(ExprKind::kTuple);
  if (tuple == nullptr) return false;
  tuple->items = op->index[0];
  tuple->n_item = 1;
  Expr** tail = &tuple->items->next;
  while (at(TokenKind::kComma)) {
    if (!advance()) return false;
    if (at(TokenKind::kRightBracket)) break;
    if (!parse_expression(tail)) return false;
    tail = &(*tail)->next;
    ++tuple->n_item;
  }
  op->index[0] = tuple;
  return expect(TokenKind::kRightBracket, "']' is needed here, line");
}

// expression, or [begin]:[end][:[step]]
bool TemplateParser::parse_subscript_item(PostfixOp* op) {
  op->kind = PostfixKind::kSubscript;
  if (!at(TokenKind::kColon)) {
    if (!parse_expression(&op->index[0])) return false;
    if (!at(TokenKind::kColon)) return true;
  }
  op->kind = PostfixKind::kSlice;
  for (u32 part = 1; part < 3 && at(TokenKind::kColon); ++part) {
    if (!advance()) return false;
    const bool left_out =
        at(TokenKind::kColon) || at(TokenKind::kRightBracket) || at(TokenKind::kComma);
    if (!left_out && !parse_expression(&op->index[part])) return false;
  }
  return true;
}

// a.b.c as one name
bool TemplateParser::parse_dotted_name(Str* out) {
  const Str first = token_.text;
  Str last;
  if (!expect_name(&last)) return false;
  while (at(TokenKind::kDot)) {
    if (!advance() || !expect_name(&last)) return false;
  }
  *out = {first.data(), static_cast<usize>(last.end() - first.data())};
  return true;
}

bool TemplateParser::parse_filter(PostfixOp* op) {
  op->kind = PostfixKind::kFilter;
  op->offset = token_.offset;
  if (!parse_dotted_name(&op->name)) return false;
  op->builtin = find_template_filter(op->name);
  if (op->builtin == nullptr && unknown_ == nullptr) unknown_ = op;
  return !at(TokenKind::kLeftParen) || parse_arguments(&op->arguments);
}

// | f | g ...
bool TemplateParser::parse_filter_chain(PostfixOp** out) {
  while (at(TokenKind::kPipe)) {
    PostfixOp* op = budget_.make<PostfixOp>();
    if (op == nullptr || !advance() || !parse_filter(op)) return false;
    *out = op;
    out = &op->next;
  }
  return true;
}

// is [not] name, name(arguments) or name argument
bool TemplateParser::parse_test(PostfixOp* op) {
  if (!advance()) return false;
  op->kind = PostfixKind::kTest;
  if (at_word("not")) {
    op->negated = true;
    if (!advance()) return false;
  }
  op->offset = token_.offset;
  if (!parse_dotted_name(&op->name)) return false;
  op->builtin = find_template_test(op->name);
  if (op->builtin == nullptr && unknown_ == nullptr) unknown_ = op;
  if (at(TokenKind::kLeftParen)) return parse_arguments(&op->arguments);
  if (at_word("is")) return unexpected("tests can not be chained with 'is', line");
  const bool has_operand =
      (at(TokenKind::kName) && !at_word("else") && !at_word("or") && !at_word("and")) ||
      at(TokenKind::kString) || at(TokenKind::kInteger) || at(TokenKind::kFloat) ||
      at(TokenKind::kLeftBracket) || at(TokenKind::kLeftBrace);
  if (!has_operand) return true;
  op->arguments = budget_.make<ArgumentSyntax>();
  if (op->arguments == nullptr) return false;
  Expr* operand = nullptr;
  return parse_primary(&operand) && parse_postfix(operand, false, &op->arguments->value);
}

bool TemplateParser::parse_arguments(ArgumentSyntax** out) {
  if (!advance()) return false;  // '('
  ArgumentKind latest = ArgumentKind::kPositional;
  bool first = true;
  while (!at(TokenKind::kRightParen)) {
    if (!first && !expect(TokenKind::kComma, "',' or ')' is needed here, line")) return false;
    if (at(TokenKind::kRightParen)) break;
    ArgumentSyntax* argument = budget_.make<ArgumentSyntax>();
    if (argument == nullptr || !parse_argument(argument)) return false;
    // Positional ones, then *list and names, then **map.
    const bool misplaced =
        (argument->kind == ArgumentKind::kPositional && latest != ArgumentKind::kPositional) ||
        (argument->kind == ArgumentKind::kSpreadList && latest >= ArgumentKind::kSpreadList) ||
        latest == ArgumentKind::kSpreadMap;
    if (misplaced) return unexpected("arguments in the wrong order, line");
    if (argument->kind > latest) latest = argument->kind;
    *out = argument;
    out = &argument->next;
    first = false;
  }
  return advance();
}

bool TemplateParser::parse_argument(ArgumentSyntax* out) {
  if (at(TokenKind::kMultiply) || at(TokenKind::kPower)) {
    out->kind = at(TokenKind::kMultiply) ? ArgumentKind::kSpreadList : ArgumentKind::kSpreadMap;
    return advance() && parse_expression(&out->value);
  }
  if (at(TokenKind::kName)) {
    TemplateToken behind;
    if (!look(&behind)) return false;
    if (behind.kind == TokenKind::kAssign) {
      out->kind = ArgumentKind::kNamed;
      out->name = token_.text;
      return advance() && advance() && parse_expression(&out->value);
    }
  }
  return parse_expression(&out->value);
}

}  // namespace lbm
