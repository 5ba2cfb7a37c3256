// Statements.
#include "core/chat/template_runner.h"

#include "core/chat/template_access.h"
#include "core/chat/template_format.h"
#include "core/chat/template_operators.h"

namespace lbm {

bool TemplateRunner::run(const Statement* body) { return exec(body) != Flow::kFail; }

TemplateScope* TemplateRunner::push_scope(TemplateScope* parent) {
  TemplateScope* scope = budget_.make<TemplateScope>();
  if (scope != nullptr) scope->parent = parent;
  return scope;
}

bool TemplateRunner::set_variable(Str name, TemplateValue value) {
  return set_entry(budget_, scope_->variables, TemplateValue::markup(name), value);
}

TemplateRunner::Flow TemplateRunner::exec(const Statement* body) {
  TemplateNesting level(budget_);
  if (!level.ok()) return Flow::kFail;
  for (; body != nullptr; body = body->next) {
    if (!budget_.spend(1)) return Flow::kFail;
    budget_.set_offset(body->offset);
    const Flow flow = exec_one(*body);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

TemplateRunner::Flow TemplateRunner::exec_one(const Statement& statement) {
  bool ok = true;
  switch (statement.kind) {
    case StatementKind::kData:
      out_->append(static_cast<const DataStatement&>(statement).text, true);
      break;
    case StatementKind::kOutput:
      ok = output(*static_cast<const OutputStatement&>(statement).value);
      break;
    case StatementKind::kIf: return exec_if(static_cast<const IfStatement&>(statement));
    case StatementKind::kFor: return exec_for(static_cast<const ForStatement&>(statement));
    case StatementKind::kSet: {
      const SetStatement& set = static_cast<const SetStatement&>(statement);
      TemplateValue value;
      ok = check_target(*set.target) && eval(*set.value, &value) && assign(*set.target, value);
      break;
    }
    case StatementKind::kSetBlock:
      return exec_set_block(static_cast<const SetBlockStatement&>(statement));
    case StatementKind::kMacro: {
      const MacroSyntax& syntax = static_cast<const MacroStatement&>(statement).macro;
      TemplateValue macro;
      ok = define_macro(syntax, &macro) && set_variable(syntax.name, macro);
      break;
    }
    case StatementKind::kCallBlock:
      ok = call_block(static_cast<const CallBlockStatement&>(statement));
      break;
    case StatementKind::kFilterBlock:
      return exec_filter_block(static_cast<const FilterBlockStatement&>(statement));
    case StatementKind::kWith: return exec_with(static_cast<const WithStatement&>(statement));
    case StatementKind::kScope:
      return exec_scope(static_cast<const ScopeStatement&>(statement).body);
    case StatementKind::kBreak: return Flow::kBreak;
    case StatementKind::kContinue: return Flow::kContinue;
  }
  return ok && budget_.ok() ? Flow::kNext : Flow::kFail;
}

bool TemplateRunner::output(const Expr& value) {
  TemplateValue shown;
  if (!eval(value, &shown)) return false;
  write_str(budget_, *out_, shown);
  return budget_.ok();
}

TemplateRunner::Flow TemplateRunner::exec_if(const IfStatement& statement) {
  for (const BranchSyntax* branch = statement.branches; branch != nullptr; branch = branch->next) {
    TemplateValue test;
    if (!eval(*branch->test, &test)) return Flow::kFail;
    if (truth(test)) return exec(branch->body);
  }
  return exec(statement.otherwise);
}

TemplateRunner::Flow TemplateRunner::exec_for(const ForStatement& statement) {
  TemplateValue value;
  TemplateItems items;
  if (!eval(*statement.items, &value) || !iterate(budget_, value, &items)) return Flow::kFail;
  return run_loop(statement, items, 0);
}

// The items that pass `for ... if`. The condition sees the loop's target and what is around the
// loop, not `loop`.
bool TemplateRunner::filter_items(const ForStatement& statement, TemplateItems* items) {
  TemplateList* kept = budget_.make<TemplateList>();
  if (kept == nullptr) return false;  // mutants: a scope takes more
  TemplateScope* scope = push_scope(scope_);
  if (scope == nullptr) return false;
  TemplateScope* const outer = scope_;
  scope_ = scope;
  bool ok = true;
  for (u32 i = 0; ok && i < items->size; ++i) {
    TemplateValue passes;
    ok = budget_.spend(1) && assign(*statement.target, items->at(i)) &&
         eval(*statement.filter, &passes);
    if (ok && truth(passes)) ok = append_item(budget_, *kept, items->at(i));
  }
  scope_ = outer;
  *items = {kept, nullptr, 0, kept->size()};
  return ok;
}

// `else` runs when no iteration came to its end: also, as Jinja has it, when `break` or `continue`
// cut every one of them short.
TemplateRunner::Flow TemplateRunner::run_loop(const ForStatement& statement, TemplateItems items,
                                              u32 depth0) {
  if (statement.filter != nullptr && !filter_items(statement, &items)) return Flow::kFail;
  if (items.size == 0) return exec_scope(statement.otherwise);
  LoopObject* loop = budget_.make<LoopObject>();
  TemplateScope* scope = push_scope(scope_);
  if (loop == nullptr || scope == nullptr) return Flow::kFail;
  loop->items = items;
  loop->depth0 = depth0;
  loop->statement = &statement;
  loop->outer = scope_;
  const TemplateValue loop_value =
      TemplateValue::object(TemplateKind::kLoop, loop).with_origin(TemplateOrigin::kMarkup);
  TemplateScope* const outer = scope_;
  scope_ = scope;
  Flow flow = Flow::kNext;
  bool completed = false;
  for (u32 i = 0; i < items.size && flow != Flow::kBreak && flow != Flow::kFail; ++i) {
    loop->index0 = i;
    scope->variables.clear();  // what an iteration set, the next one does not see
    const bool ok = budget_.spend(1) && set_variable("loop", loop_value) &&
                    assign(*statement.target, items.at(i));
    flow = ok ? exec(statement.body) : Flow::kFail;
    completed |= flow == Flow::kNext;
  }
  scope_ = outer;
  if (flow == Flow::kFail) return flow;
  return completed ? Flow::kNext : exec_scope(statement.otherwise);
}

bool TemplateRunner::call_loop(const LoopObject& loop, const TemplateArguments& arguments,
                               TemplateValue* out) {
  TemplateNesting level(budget_);
  if (!level.ok()) return false;  // mutants: exec() stops at the same depth
  if (!loop.statement->recursive) {
    return budget_.fail(ErrorCode::kBadValue,
                        "TypeError: the loop is not marked 'recursive', line");
  }
  if (arguments.positional.size() != 1 || arguments.named.size() != 0) {
    return budget_.fail(ErrorCode::kBadValue, "TypeError: loop() takes one argument, line");
  }
  TemplateItems items;
  if (!iterate(budget_, arguments.positional[0], &items)) return false;
  TextBuilder text(budget_);
  TextBuilder* const outer_text = out_;
  TemplateScope* const outer = scope_;
  out_ = &text;
  scope_ = loop.outer;
  const Flow flow = run_loop(*loop.statement, items, loop.depth0 + 1);
  out_ = outer_text;
  scope_ = outer;
  return flow != Flow::kFail && text.finish(out);
}

// Runs `body` in a scope of its own and returns what it wrote.
TemplateRunner::Flow TemplateRunner::capture(const Statement* body, TemplateValue* out) {
  TextBuilder text(budget_);
  TextBuilder* const outer = out_;
  out_ = &text;
  const Flow flow = exec_scope(body);
  out_ = outer;
  if (flow == Flow::kFail || !text.finish(out)) return Flow::kFail;
  return flow;
}

TemplateRunner::Flow TemplateRunner::exec_scope(const Statement* body) {
  if (body == nullptr) return Flow::kNext;
  TemplateScope* scope = push_scope(scope_);
  if (scope == nullptr) return Flow::kFail;
  TemplateScope* const outer = scope_;
  scope_ = scope;
  const Flow flow = exec(body);
  scope_ = outer;
  return flow;
}

TemplateRunner::Flow TemplateRunner::exec_set_block(const SetBlockStatement& statement) {
  TemplateValue text = TemplateValue::markup("");
  const Flow flow = capture(statement.body, &text);
  if (flow != Flow::kNext) return flow;
  const bool ok = apply_chain(statement.filters, &text) && check_target(*statement.target) &&
                  assign(*statement.target, text);
  return ok ? Flow::kNext : Flow::kFail;
}

TemplateRunner::Flow TemplateRunner::exec_filter_block(const FilterBlockStatement& statement) {
  TemplateValue text = TemplateValue::markup("");
  const Flow flow = capture(statement.body, &text);
  if (flow != Flow::kNext) return flow;
  if (!apply_chain(statement.filters, &text)) return Flow::kFail;
  write_str(budget_, *out_, text);
  return budget_.ok() ? Flow::kNext : Flow::kFail;
}

// The values of `with` are evaluated outside of its scope.
TemplateRunner::Flow TemplateRunner::exec_with(const WithStatement& statement) {
  TemplateScope* scope = push_scope(scope_);
  if (scope == nullptr) return Flow::kFail;
  TemplateScope* const outer = scope_;
  bool ok = true;
  for (const ParameterSyntax* binding = statement.bindings; ok && binding != nullptr;
       binding = binding->next) {
    TemplateValue value;
    ok = eval(*binding->value, &value);
    scope_ = scope;
    ok = ok && assign(*binding->target, value);
    scope_ = outer;
  }
  if (!ok) return Flow::kFail;
  scope_ = scope;
  const Flow flow = exec(statement.body);
  scope_ = outer;
  return flow;
}

bool TemplateRunner::define_macro(const MacroSyntax& syntax, TemplateValue* out) {
  MacroObject* macro = budget_.make<MacroObject>();
  if (macro == nullptr) return false;
  macro->syntax = &syntax;
  macro->closure = scope_;
  *out = TemplateValue::object(TemplateKind::kMacro, macro).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool TemplateRunner::call_block(const CallBlockStatement& statement) {
  TemplateValue caller;
  TemplateValue shown;
  if (!define_macro(statement.caller, &caller)) return false;
  if (!eval_postfix(static_cast<const PostfixExpr&>(*statement.call), &caller, &shown))
    return false;
  write_str(budget_, *out_, shown);
  return budget_.ok();
}

// Jinja looks whether ns.x can be assigned before it evaluates what to assign.
bool TemplateRunner::check_target(const TargetSyntax& target) {
  TemplateNesting level(budget_);
  if (!level.ok()) return false;  // mutants: exec_one() looks at the budget behind it
  for (const TargetSyntax* item = target.is_tuple ? target.items : nullptr; item != nullptr;
       item = item->next) {
    if (!check_target(*item)) return false;
  }
  if (target.attribute.empty()) return true;
  NameExpr name;
  name.name = target.name;
  TemplateValue value;
  if (!eval_name(name, &value)) return false;
  if (value.is(TemplateKind::kNamespace)) return true;
  budget_.set_offset(target.offset);
  return budget_.fail(ErrorCode::kBadValue,
                      "TemplateRuntimeError: only a namespace has attributes to set, line",
                      target.name);
}

bool TemplateRunner::assign(const TargetSyntax& target, TemplateValue value) {
  if (!target.is_tuple) {
    if (target.attribute.empty()) return set_variable(target.name, value);
    NameExpr name;
    name.name = target.name;
    TemplateValue found;
    if (!eval_name(name, &found)) return false;
    if (!found.is(TemplateKind::kNamespace))
      return fail_type(budget_, "TypeError: not a namespace, line", found);
    NamespaceObject& object = *static_cast<NamespaceObject*>(const_cast<void*>(found.pointer()));
    return set_entry(budget_, object.attributes, TemplateValue::markup(target.attribute), value);
  }
  TemplateNesting level(budget_);
  if (!level.ok()) return false;  // mutants: who assigns looks at the budget before it goes on
  TemplateItems items;
  if (!iterate(budget_, value, &items)) return false;
  if (items.size != target.n_item) {
    return budget_.fail(ErrorCode::kBadValue, items.size < target.n_item
                                                  ? "ValueError: not enough values to unpack, line"
                                                  : "ValueError: too many values to unpack, line");
  }
  u32 i = 0;
  for (const TargetSyntax* item = target.items; item != nullptr; item = item->next) {
    if (!assign(*item, items.at(i++))) return false;
  }
  return true;
}

}  // namespace lbm
