// Calls: arguments, functions, methods, macros.
#include "core/chat/template_access.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_runner.h"

namespace lbm {
namespace {

bool add_named(TemplateBudget& budget, TemplateMap& named, TemplateValue name,
               TemplateValue value) {
  if (!budget.spend(1 + named.size() / 8)) return false;
  if (named.find(name.text()) != nullptr) {
    return budget.fail(ErrorCode::kBadValue, "TypeError: argument given twice, line", name.text());
  }
  return add_entry(budget, named, name, value);
}

bool spread_map(TemplateBudget& budget, TemplateValue value, TemplateMap& named) {
  if (!value.is(TemplateKind::kMap))
    return fail_type(budget, "TypeError: ** needs a mapping, line", value);
  for (const TemplateMap::Entry& entry : value.as_map().entries()) {
    if (!entry.key.is(TemplateKind::kString)) {
      return fail_type(budget, "TypeError: keywords must be strings, line", entry.key);
    }
    if (!add_named(budget, named, entry.key, entry.value)) return false;
  }
  return true;
}

// Out of line, so that nested calls recurse with a small frame.
[[gnu::noinline]] bool add_argument(TemplateBudget& budget, const ArgumentSyntax& syntax,
                                    TemplateValue value, TemplateArguments* out) {
  switch (syntax.kind) {
    case ArgumentKind::kPositional: return append_item(budget, out->positional, value);
    case ArgumentKind::kNamed:
      return add_named(budget, out->named, TemplateValue::markup(syntax.name), value);
    case ArgumentKind::kSpreadMap: return spread_map(budget, value, out->named);
    case ArgumentKind::kSpreadList: break;
  }
  TemplateItems items;
  if (!iterate(budget, value, &items)) return false;
  for (u32 i = 0; i < items.size; ++i) {
    if (!append_item(budget, out->positional, items.at(i))) return false;
  }
  return true;
}

}  // namespace

bool TemplateRunner::eval_arguments(const ArgumentSyntax* first, TemplateArguments* out) {
  for (; first != nullptr; first = first->next) {
    TemplateValue value;
    if (!eval(*first->value, &value) || !add_argument(budget_, *first, value, out)) return false;
  }
  return true;
}

bool TemplateRunner::invoke(const TemplateBuiltin& builtin, TemplateValue self,
                            const TemplateArguments& arguments, TemplateValue* out) {
  if (builtin.run == nullptr)
    return budget_.fail(ErrorCode::kUnsupported, "this build lacks it, line", builtin.name);
  BuiltinCall call{*this, budget_, self, arguments};
  TemplateValue result;
  if (!budget_.spend(1) || !bind_arguments(builtin, call) || !builtin.run(call, &result))
    return false;
  *out = result;
  return budget_.ok();
}

bool TemplateRunner::call(TemplateValue callee, const TemplateArguments& arguments,
                          TemplateValue* out) {
  TemplateNesting level(budget_);
  if (!level.ok()) return false;  // mutants: invoke() and exec() look at the budget, too
  switch (callee.kind()) {
    case TemplateKind::kFunction:
      return invoke(*static_cast<const TemplateBuiltin*>(callee.pointer()), TemplateValue::absent(),
                    arguments, out);
    case TemplateKind::kClock: return invoke(kClockFunction, callee, arguments, out);
    case TemplateKind::kMethod: {
      const MethodObject& method = *static_cast<const MethodObject*>(callee.pointer());
      return invoke(*method.method, method.self, arguments, out);
    }
    case TemplateKind::kMacro:
      return call_macro(*static_cast<const MacroObject*>(callee.pointer()), arguments, out);
    case TemplateKind::kLoop:
      return call_loop(*static_cast<const LoopObject*>(callee.pointer()), arguments, out);
    default: return fail_type(budget_, "TypeError: this type is not callable, line", callee);
  }
}

bool TemplateRunner::call_macro(const MacroObject& macro, const TemplateArguments& arguments,
                                TemplateValue* out) {
  TemplateScope* scope = push_scope(macro.closure);
  if (scope == nullptr) return false;
  TextBuilder text(budget_);
  TextBuilder* const outer_text = out_;
  TemplateScope* const outer = scope_;
  out_ = &text;
  scope_ = scope;
  const bool ok = bind_macro(*macro.syntax, arguments) && exec(macro.syntax->body) != Flow::kFail;
  out_ = outer_text;
  scope_ = outer;
  return ok && text.finish(out);
}

// Given parameters first, then the defaults in order: a default may use the parameters before it.
bool TemplateRunner::bind_macro(const MacroSyntax& syntax, const TemplateArguments& arguments) {
  u32 n_named = 0;
  bool has_caller = false;
  if (!bind_parameters(syntax, arguments, &n_named, &has_caller)) return false;
  if (!has_caller && syntax.uses_caller) {
    const TemplateValue* caller = arguments.named.find("caller");
    if (caller != nullptr) ++n_named;
    if (!set_variable("caller", caller != nullptr ? *caller : TemplateValue::undefined("caller")))
      return false;
  }
  if (arguments.named.size() > n_named && !syntax.uses_kwargs) {
    return budget_.fail(ErrorCode::kBadValue,
                        "TypeError: the macro takes no such keyword argument, line", syntax.name);
  }
  if (arguments.positional.size() > syntax.n_parameter && !syntax.uses_varargs) {
    return budget_.fail(ErrorCode::kBadValue, "TypeError: too many arguments for the macro, line",
                        syntax.name);
  }
  if (!bind_rest(syntax, arguments)) return false;
  u32 i = 0;
  for (const ParameterSyntax* p = syntax.parameters; p != nullptr; p = p->next, ++i) {
    if (i < arguments.positional.size() || arguments.named.find(p->target->name) != nullptr)
      continue;
    TemplateValue value = TemplateValue::undefined(p->target->name);
    if (p->value != nullptr && !eval(*p->value, &value)) return false;
    if (!set_variable(p->target->name, value)) return false;
  }
  return true;
}

bool TemplateRunner::bind_parameters(const MacroSyntax& syntax, const TemplateArguments& arguments,
                                     u32* n_named, bool* has_caller) {
  u32 i = 0;
  for (const ParameterSyntax* p = syntax.parameters; p != nullptr; p = p->next, ++i) {
    const Str name = p->target->name;
    *has_caller |= name == "caller";
    const TemplateValue* named =
        i < arguments.positional.size() ? nullptr : arguments.named.find(name);
    if (named != nullptr) ++*n_named;
    if (i >= arguments.positional.size() && named == nullptr) continue;
    if (!set_variable(name, named != nullptr ? *named : arguments.positional[i])) return false;
  }
  return true;
}

// `kwargs` and `varargs`: what no parameter took, for the macros that ask for it.
bool TemplateRunner::bind_rest(const MacroSyntax& syntax, const TemplateArguments& arguments) {
  if (syntax.uses_kwargs) {
    TemplateMap* rest = budget_.make<TemplateMap>();
    if (rest == nullptr) return false;
    for (const TemplateMap::Entry& entry : arguments.named.entries()) {
      bool taken = syntax.uses_caller && entry.key.text() == "caller";
      for (const ParameterSyntax* p = syntax.parameters; p != nullptr; p = p->next) {
        taken |= p->target->name == entry.key.text();
      }
      if (!taken && !add_named(budget_, *rest, entry.key, entry.value)) return false;
    }
    if (!set_variable("kwargs", TemplateValue::map(*rest).with_origin(TemplateOrigin::kMarkup)))
      return false;
  }
  if (!syntax.uses_varargs) return true;
  TemplateList* rest = budget_.make<TemplateList>();
  if (rest == nullptr) return false;
  for (u32 i = syntax.n_parameter; i < arguments.positional.size(); ++i) {
    if (!append_item(budget_, *rest, arguments.positional[i])) return false;
  }
  return set_variable(
      "varargs",
      TemplateValue::object(TemplateKind::kTuple, rest).with_origin(TemplateOrigin::kMarkup));
}

}  // namespace lbm
