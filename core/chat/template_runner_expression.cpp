// Expressions.
#include "core/chat/template_access.h"
#include "core/chat/template_format.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_runner.h"

namespace lbm {

// Conditionals are walked down in a loop: a row of `x if a else y if b else z` is one level deep.
bool TemplateRunner::eval(const Expr& expr, TemplateValue* out) {
  TemplateNesting level(budget_);
  if (!level.ok()) return false;  // mutants: trees end, and statements look at the budget
  const Expr* at = &expr;
  while (at->kind == ExprKind::kConditional) {
    const ConditionalExpr& node = static_cast<const ConditionalExpr&>(*at);
    TemplateValue test;
    if (!eval(*node.test, &test)) return false;
    at = truth(test) ? node.yes : node.no;
    if (at == nullptr) {
      *out = TemplateValue::undefined("inline if without else");
      return true;
    }
  }
  return budget_.spend(1) && eval_node(*at, out);
}

bool TemplateRunner::eval_node(const Expr& expr, TemplateValue* out) {
  budget_.set_offset(expr.offset);
  switch (expr.kind) {
    case ExprKind::kLiteral: *out = static_cast<const LiteralExpr&>(expr).value; return true;
    case ExprKind::kName: return eval_name(static_cast<const NameExpr&>(expr), out);
    case ExprKind::kTuple:
    case ExprKind::kList: return eval_list(static_cast<const ListExpr&>(expr), out);
    case ExprKind::kMap: return eval_map(static_cast<const ListExpr&>(expr), out);
    case ExprKind::kNot: {
      if (!eval(*static_cast<const UnaryExpr&>(expr).operand, out)) return false;
      *out = TemplateValue::boolean(!truth(*out)).with_origin(TemplateOrigin::kMarkup);
      return true;
    }
    case ExprKind::kNegate:
    case ExprKind::kPlus: return eval_sign(static_cast<const UnaryExpr&>(expr), out);
    case ExprKind::kAnd:
    case ExprKind::kOr: return eval_logic(static_cast<const ListExpr&>(expr), out);
    case ExprKind::kArithmetic: return eval_arithmetic(static_cast<const ListExpr&>(expr), out);
    case ExprKind::kConcat: return eval_concat(static_cast<const ListExpr&>(expr), out);
    case ExprKind::kCompare: return eval_compare(static_cast<const ListExpr&>(expr), out);
    case ExprKind::kPostfix:
      return eval_postfix(static_cast<const PostfixExpr&>(expr), nullptr, out);
    case ExprKind::kConditional: break;  // coverage: eval() has resolved it
  }
  return eval(expr, out);  // coverage: not reached
}

bool TemplateRunner::eval_name(const NameExpr& expr, TemplateValue* out) {
  u64 work = 1;
  for (const TemplateScope* scope = scope_; scope != nullptr; scope = scope->parent) {
    work += 1 + scope->variables.size() / 4;
    if (const TemplateValue* found = scope->variables.find(expr.name)) {
      *out = *found;
      return budget_.spend(work);
    }
  }
  if (!budget_.spend(work + globals_.size() / 4)) return false;
  if (const TemplateValue* found = globals_.find(expr.name)) {
    *out = *found;
  } else if (const TemplateBuiltin* function = find_template_function(expr.name)) {
    *out = TemplateValue::object(TemplateKind::kFunction, function)
               .with_origin(TemplateOrigin::kMarkup);
  } else {
    *out = TemplateValue::undefined(expr.name);
  }
  return true;
}

bool TemplateRunner::eval_list(const ListExpr& expr, TemplateValue* out) {
  TemplateList* list = budget_.make<TemplateList>();
  if (list == nullptr) return false;
  if (!reserve_items(budget_, *list, expr.n_item)) return false;  // mutants: append_item() fails
  for (const Expr* item = expr.items; item != nullptr; item = item->next) {
    TemplateValue value;
    if (!eval(*item, &value) || !append_item(budget_, *list, value)) return false;
  }
  const TemplateKind kind =
      expr.kind == ExprKind::kTuple ? TemplateKind::kTuple : TemplateKind::kList;
  *out = TemplateValue::object(kind, list).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool TemplateRunner::eval_map(const ListExpr& expr, TemplateValue* out) {
  TemplateMap* map = budget_.make<TemplateMap>();
  if (map == nullptr) return false;
  for (const Expr* item = expr.items; item != nullptr; item = item->next->next) {
    TemplateValue key;
    TemplateValue value;
    if (!eval(*item, &key) || !eval(*item->next, &value) || !set_entry(budget_, *map, key, value))
      return false;
  }
  *out = TemplateValue::map(*map).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool TemplateRunner::eval_sign(const UnaryExpr& expr, TemplateValue* out) {
  TemplateValue v;
  if (!eval(*expr.operand, &v)) return false;
  budget_.set_offset(expr.offset);
  if (!is_number(v)) return fail_type(budget_, "TypeError: a sign needs a number, line", v);
  const bool negate = expr.kind == ExprKind::kNegate;
  if (v.is(TemplateKind::kFloat)) {
    *out = TemplateValue::number(negate ? -v.as_float() : v.as_float()).with_origin(v.origin());
    return true;
  }
  i64 result = v.as_int();
  if (negate && __builtin_sub_overflow(i64{0}, v.as_int(), &result)) {
    return budget_.fail(ErrorCode::kOverflow, "OverflowError: beyond 64 bits, line");
  }
  *out = TemplateValue::integer(result).with_origin(v.origin());
  return true;
}

// The first operand that decides, or the last one: `a or b` is not a boolean.
bool TemplateRunner::eval_logic(const ListExpr& expr, TemplateValue* out) {
  for (const Expr* operand = expr.items; operand != nullptr; operand = operand->next) {
    if (!eval(*operand, out)) return false;
    if (truth(*out) == (expr.kind == ExprKind::kOr)) break;
  }
  return true;
}

// From left to right. Text that is added to text is collected and joined once: a row of n pieces
// costs their length, not its square.
bool TemplateRunner::eval_arithmetic(const ListExpr& expr, TemplateValue* out) {
  TextBuilder text(budget_);
  bool collecting = false;
  TemplateValue left;
  if (!eval(*expr.items, &left)) return false;
  for (const Expr* operand = expr.items->next; operand != nullptr; operand = operand->next) {
    TemplateValue right;
    if (!eval(*operand, &right)) return false;
    budget_.set_offset(operand->offset);
    const bool joins = operand->op == TemplateOperator::kAdd && left.is(TemplateKind::kString) &&
                       right.is(TemplateKind::kString) && !left.is_safe() && !right.is_safe();
    if (joins) {
      if (!collecting) text.append(left);
      collecting = true;
      text.append(right);
      continue;
    }
    if (collecting && !text.finish(&left)) return false;
    collecting = false;
    if (!arithmetic(budget_, operand->op, left, right, &left)) return false;
  }
  if (collecting) return text.finish(out);
  *out = left;
  return budget_.ok();
}

bool TemplateRunner::eval_concat(const ListExpr& expr, TemplateValue* out) {
  TextBuilder text(budget_);
  for (const Expr* operand = expr.items; operand != nullptr; operand = operand->next) {
    TemplateValue value;
    if (!eval(*operand, &value)) return false;
    write_str(budget_, text, value);
  }
  return text.finish(out);
}

// a < b < c is a < b and b < c, with b evaluated once.
bool TemplateRunner::eval_compare(const ListExpr& expr, TemplateValue* out) {
  TemplateValue left;
  if (!eval(*expr.items, &left)) return false;
  bool result = true;
  for (const Expr* operand = expr.items->next; result && operand != nullptr;
       operand = operand->next) {
    TemplateValue right;
    if (!eval(*operand, &right)) return false;
    budget_.set_offset(operand->offset);
    if (!relate(budget_, operand->op, left, right, &result)) return false;
    left = right;
  }
  *out = TemplateValue::boolean(result).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool TemplateRunner::eval_postfix(const PostfixExpr& expr, const TemplateValue* caller,
                                  TemplateValue* out) {
  TemplateValue value;
  if (!eval(*expr.base, &value)) return false;
  for (const PostfixOp* op = expr.ops; op != nullptr; op = op->next) {
    if (!apply(*op, op->next == nullptr ? caller : nullptr, &value)) return false;
  }
  *out = value;
  return true;
}

bool TemplateRunner::apply(const PostfixOp& op, const TemplateValue* caller, TemplateValue* value) {
  if (!budget_.spend(1)) return false;
  budget_.set_offset(op.offset);
  switch (op.kind) {
    case PostfixKind::kAttribute: return get_attribute(budget_, *value, op.name, value);
    case PostfixKind::kSubscript: {
      TemplateValue key;
      if (!eval(*op.index[0], &key)) return false;
      budget_.set_offset(op.offset);
      return get_item(budget_, *value, key, value);
    }
    case PostfixKind::kSlice: return apply_slice(op, value);
    case PostfixKind::kCall: {
      TemplateArguments arguments;
      if (!eval_arguments(op.arguments, &arguments)) return false;
      if (caller != nullptr &&
          !set_entry(budget_, arguments.named, TemplateValue::markup("caller"), *caller))
        return false;
      budget_.set_offset(op.offset);
      return call(*value, arguments, value);
    }
    case PostfixKind::kFilter:
    case PostfixKind::kTest: break;
  }
  return apply_builtin(op, value);
}

bool TemplateRunner::apply_slice(const PostfixOp& op, TemplateValue* value) {
  TemplateValue parts[3];
  for (u32 i = 0; i < 3; ++i) {
    parts[i] = TemplateValue::absent();
    if (op.index[i] != nullptr && !eval(*op.index[i], &parts[i])) return false;
  }
  budget_.set_offset(op.offset);
  return get_slice(budget_, *value, {parts[0], parts[1], parts[2]}, value);
}

bool TemplateRunner::apply_builtin(const PostfixOp& op, TemplateValue* value) {
  const bool is_test = op.kind == PostfixKind::kTest;
  if (op.builtin == nullptr) {
    return budget_.fail(ErrorCode::kUnsupported,
                        is_test ? "no such test, line" : "no such filter, line", op.name);
  }
  TemplateArguments arguments;
  if (!eval_arguments(op.arguments, &arguments)) return false;
  budget_.set_offset(op.offset);
  if (!invoke(*op.builtin, *value, arguments, value)) return false;
  if (is_test)
    *value =
        TemplateValue::boolean(truth(*value) != op.negated).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool TemplateRunner::apply_chain(const PostfixOp* ops, TemplateValue* value) {
  for (; ops != nullptr; ops = ops->next) {
    if (!apply(*ops, nullptr, value)) return false;
  }
  return true;
}

}  // namespace lbm
