#include "core/chat/template_builtins.h"

#include "core/chat/template_operators.h"

namespace lbm {
namespace {

const TemplateBuiltin* find_in(BuiltinTable table, Str name) {
  for (const TemplateBuiltin& entry : table) {
    if (name == entry.name) return &entry;
  }
  return nullptr;
}

bool listed(Span<const char* const> names, Str name) {
  for (const char* entry : names) {
    if (name == entry) return true;
  }
  return false;
}

// The next word of a parameter list, without its '?'.
struct Parameter {
  Str name;
  bool optional = false;
};

bool next_parameter(Str& rest, Parameter* out) {
  if (rest.empty()) return false;
  const usize space = rest.find(" ");
  Str word = space == Str::kNone ? rest : rest.first(space);
  rest = space == Str::kNone ? Str() : rest.from(space + 1);
  out->optional = word.ends_with("?");
  out->name = out->optional ? word.first(word.size() - 1) : word;
  return true;
}

}  // namespace

const TemplateBuiltin* find_template_filter(Str name) {
  const BuiltinTable tables[] = {text_filters(), number_filters(), sequence_filters(),
                                 selection_filters()};
  for (const BuiltinTable& table : tables) {
    if (const TemplateBuiltin* found = find_in(table, name)) return found;
  }
  return nullptr;
}

const TemplateBuiltin* find_template_test(Str name) { return find_in(template_tests(), name); }

const TemplateBuiltin* find_template_function(Str name) {
  return find_in(template_functions(), name);
}

const TemplateBuiltin* find_template_method(TemplateValue self, Str name) {
  switch (self.kind()) {
    case TemplateKind::kString: return find_in(string_methods(), name);
    case TemplateKind::kMap: return find_in(map_methods(), name);
    case TemplateKind::kList: return find_in(list_methods(), name);
    case TemplateKind::kTuple: return find_in(tuple_methods(), name);
    case TemplateKind::kLoop: return find_in(loop_methods(), name);
    default: return nullptr;
  }
}

bool is_forbidden_method(TemplateValue self, Str name) {
  static constexpr const char* kMap[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr const char* kList[] = {"append", "clear", "pop",    "reverse",
                                          "insert", "sort",  "extend", "remove"};
  if (self.is(TemplateKind::kMap)) return listed(kMap, name);
  return self.is(TemplateKind::kList) && listed(kList, name);
}

bool bind_arguments(const TemplateBuiltin& builtin, BuiltinCall& call) {
  for (TemplateValue& slot : call.slot) slot = TemplateValue::absent();
  Str rest(builtin.parameters);
  if (rest == "*") return true;
  const TemplateList& positional = call.arguments.positional;
  Parameter parameter;
  u32 n = 0;
  u32 n_named = 0;
  for (; next_parameter(rest, &parameter); ++n) {
    LBM_CHECK(n < BuiltinCall::kMaxParameters);
    const TemplateValue* named = call.arguments.named.find(parameter.name);
    if (named != nullptr) ++n_named;
    if (n < positional.size()) {
      if (named != nullptr) {
        return call.budget.fail(ErrorCode::kBadValue, "TypeError: argument given twice, line",
                                parameter.name);
      }
      call.slot[n] = positional[n];
    } else if (named != nullptr) {
      call.slot[n] = *named;
    } else if (!parameter.optional) {
      return call.budget.fail(ErrorCode::kBadValue, "TypeError: missing argument, line",
                              parameter.name);
    }
  }
  if (positional.size() > n) {
    return call.budget.fail(ErrorCode::kBadValue, "TypeError: too many arguments, line",
                            builtin.name);
  }
  if (call.arguments.named.size() > n_named) {
    return call.budget.fail(ErrorCode::kBadValue, "TypeError: unexpected keyword argument, line",
                            builtin.name);
  }
  return true;
}

bool BuiltinCall::integer(u32 index, i64 fallback, i64* out) const {
  *out = fallback;
  if (!has(index)) return true;
  if (!is_integral(slot[index]))
    return fail_type(budget, "TypeError: an integer is needed, line", slot[index]);
  *out = slot[index].as_int();
  return true;
}

bool BuiltinCall::string(u32 index, Str fallback, TemplateValue* out) const {
  *out = TemplateValue::markup(fallback);
  if (!has(index)) return true;
  if (!slot[index].is(TemplateKind::kString))
    return fail_type(budget, "TypeError: text is needed, line", slot[index]);
  *out = slot[index];
  return true;
}

bool BuiltinCall::flag(u32 index, bool fallback) const {
  return has(index) ? truth(slot[index]) : fallback;
}

bool make_iterator(TemplateBudget& budget, const TemplateList* list, TemplateOrigin origin,
                   const char* type_name, TemplateValue* out) {
  IteratorObject* iterator = budget.make<IteratorObject>();
  if (iterator == nullptr) return false;
  iterator->list = list;
  iterator->type_name = type_name;
  *out = TemplateValue::object(TemplateKind::kIterator, iterator).with_origin(origin);
  return true;
}

}  // namespace lbm
