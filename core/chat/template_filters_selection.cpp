// map, select, reject, selectattr, rejectattr: filters that apply a filter or test, named at run
// time, to every item.
#include "core/chat/template_access.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_runner.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

// The arguments behind the first `n`.
bool drop_arguments(BuiltinCall& call, u32 n, TemplateArguments* out) {
  out->named = call.arguments.named;
  for (u32 i = n; i < call.arguments.positional.size(); ++i) {
    if (!append_item(call.budget, out->positional, call.arguments.positional[i])) return false;
  }
  return true;
}

// What is false has no items, even where it is nothing to walk over, like none.
bool items_of(BuiltinCall& call, TemplateItems* out) {
  return !truth(call.self) || iterate(call.budget, call.self, out);
}

bool named_text(BuiltinCall& call, u32 index, Str* out) {
  const TemplateValue v = call.arguments.positional[index];
  if (!v.is(TemplateKind::kString))
    return fail_type(call.budget, "TypeError: a filter or test is named by text, line", v);
  *out = v.text();
  return true;
}

bool map_attribute(BuiltinCall& call, const TemplateItems& items, TemplateList& out) {
  const TemplateValue* path = call.arguments.named.find("attribute");
  const TemplateValue* fallback = call.arguments.named.find("default");
  if (path == nullptr) {
    return call.budget.fail(ErrorCode::kBadValue,
                            "FilterArgumentError: map requires a filter argument, line");
  }
  if (call.arguments.named.size() > (fallback == nullptr ? 1u : 2u)) {
    return call.budget.fail(ErrorCode::kBadValue,
                            "FilterArgumentError: unexpected keyword argument, line");
  }
  const bool has_fallback = fallback != nullptr && !fallback->is(TemplateKind::kNone);
  for (u32 i = 0; i < items.size; ++i) {
    TemplateValue v;
    if (!get_path(call.budget, items.at(i), *path, &v)) return false;
    if (has_fallback && v.is(TemplateKind::kUndefined)) v = *fallback;
    if (!append_item(call.budget, out, v)) return false;
  }
  return true;
}

bool filter_map(BuiltinCall& call, TemplateValue* out) {
  TemplateItems items;
  TemplateList* mapped = call.budget.make<TemplateList>();
  if (mapped == nullptr || !items_of(call, &items)) return false;
  if (items.size != 0 && call.arguments.positional.size() == 0) {
    if (!map_attribute(call, items, *mapped)) return false;
  } else if (items.size != 0) {
    Str name;
    TemplateArguments rest;
    if (!named_text(call, 0, &name) || !drop_arguments(call, 1, &rest)) return false;
    const TemplateBuiltin* filter = find_template_filter(name);
    if (filter == nullptr)
      return call.budget.fail(ErrorCode::kUnsupported, "no such filter, line", name);
    for (u32 i = 0; i < items.size; ++i) {
      TemplateValue v;
      if (!call.runner.invoke(*filter, items.at(i), rest, &v) ||
          !append_item(call.budget, *mapped, v))
        return false;
    }
  }
  return make_iterator(call.budget, mapped, origin_of(call.self.is_markup()), "generator", out);
}

// Keeps the items whose test, or truth where none is named, is `wanted`.
bool select_items(BuiltinCall& call, bool by_attribute, bool wanted, TemplateValue* out) {
  TemplateItems items;
  TemplateList* kept = call.budget.make<TemplateList>();
  if (kept == nullptr || !items_of(call, &items)) return false;
  const u32 n_given = call.arguments.positional.size();
  const u32 test_index = by_attribute ? 1 : 0;
  if (items.size != 0 && by_attribute && n_given == 0) {
    return call.budget.fail(ErrorCode::kBadValue,
                            "FilterArgumentError: missing attribute name, line");
  }
  const TemplateBuiltin* test = nullptr;
  TemplateArguments rest;
  if (items.size != 0 && n_given > test_index) {
    Str name;
    if (!named_text(call, test_index, &name) || !drop_arguments(call, test_index + 1, &rest))
      return false;
    test = find_template_test(name);
    if (test == nullptr)
      return call.budget.fail(ErrorCode::kUnsupported, "no such test, line", name);
  }
  for (u32 i = 0; i < items.size; ++i) {
    TemplateValue v = items.at(i);
    if (by_attribute && !get_path(call.budget, v, call.arguments.positional[0], &v)) return false;
    if (test != nullptr && !call.runner.invoke(*test, v, rest, &v)) return false;
    if (truth(v) == wanted && !append_item(call.budget, *kept, items.at(i))) return false;
  }
  return make_iterator(call.budget, kept, origin_of(call.self.is_markup()), "generator", out);
}

bool filter_select(BuiltinCall& call, TemplateValue* out) {
  return select_items(call, false, true, out);
}

bool filter_reject(BuiltinCall& call, TemplateValue* out) {
  return select_items(call, false, false, out);
}

bool filter_selectattr(BuiltinCall& call, TemplateValue* out) {
  return select_items(call, true, true, out);
}

bool filter_rejectattr(BuiltinCall& call, TemplateValue* out) {
  return select_items(call, true, false, out);
}

constexpr TemplateBuiltin kSelectionFilters[] = {
    {"map", "*", filter_map},
    {"select", "*", filter_select},
    {"reject", "*", filter_reject},
    {"selectattr", "*", filter_selectattr},
    {"rejectattr", "*", filter_rejectattr},
};

}  // namespace

BuiltinTable selection_filters() { return kSelectionFilters; }

}  // namespace lbm
