// Methods of dict, list, tuple and loop. Those that would change a list or map are forbidden
// (is_forbidden_method).
#include "core/chat/template_access.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_operators.h"

namespace lbm {
namespace {

bool map_get(BuiltinCall& call, TemplateValue* out) {
  TemplateValue* found = nullptr;
  if (!find_key(call.budget, call.self.as_map(), call.slot[0], &found)) return false;
  *out = found != nullptr ? *found : call.has(1) ? call.slot[1] : TemplateValue::none();
  return true;
}

bool make_view(BuiltinCall& call, const char* type, ViewObject** view, TemplateValue* out) {
  *view = call.budget.make<ViewObject>();
  if (*view == nullptr) return false;
  (*view)->type_name = type;
  *out = TemplateValue::object(TemplateKind::kView, *view).with_origin(call.self.origin());
  return true;
}

bool map_keys(BuiltinCall& call, TemplateValue* out) {
  ViewObject* view = nullptr;
  if (!make_view(call, "dict_keys", &view, out)) return false;
  for (const TemplateMap::Entry& entry : call.self.as_map().entries()) {
    if (!append_item(call.budget, view->list, entry.key)) return false;
  }
  return true;
}

bool map_values(BuiltinCall& call, TemplateValue* out) {
  ViewObject* view = nullptr;
  if (!make_view(call, "dict_values", &view, out)) return false;
  for (const TemplateMap::Entry& entry : call.self.as_map().entries()) {
    if (!append_item(call.budget, view->list, entry.value)) return false;
  }
  return true;
}

bool map_items(BuiltinCall& call, TemplateValue* out) {
  ViewObject* view = nullptr;
  if (!make_view(call, "dict_items", &view, out)) return false;
  for (const TemplateMap::Entry& entry : call.self.as_map().entries()) {
    TemplateList* pair = call.budget.make<TemplateList>();
    if (pair == nullptr || !append_item(call.budget, *pair, entry.key)) return false;
    if (!append_item(call.budget, *pair, entry.value)) return false;
    const TemplateValue tuple =
        TemplateValue::object(TemplateKind::kTuple, pair).with_origin(call.self.origin());
    if (!append_item(call.budget, view->list, tuple)) return false;
  }
  return true;
}

// Nothing can change the original, so the copy is the original.
bool copy_self(BuiltinCall& call, TemplateValue* out) {
  *out = call.self;
  return true;
}

bool list_index(BuiltinCall& call, TemplateValue* out) {
  const TemplateList& list = call.self.as_list();
  i64 begin = 0;
  i64 end = list.size();
  if (!call.integer(1, 0, &begin) || !call.integer(2, end, &end)) return false;
  if (begin < 0) begin += list.size();
  if (end < 0) end += list.size();
  for (u32 i = 0; i < list.size(); ++i) {
    bool same = false;
    if (i < begin || i >= end) continue;
    if (!equal(call.budget, list[i], call.slot[0], &same)) return false;
    if (!same) continue;
    *out = TemplateValue::integer(i).with_origin(TemplateOrigin::kMarkup);
    return true;
  }
  return call.budget.fail(ErrorCode::kBadValue, "ValueError: the item is not in the list, line");
}

bool list_count(BuiltinCall& call, TemplateValue* out) {
  i64 n = 0;
  for (const TemplateValue& item : call.self.as_list().items()) {
    bool same = false;
    if (!equal(call.budget, item, call.slot[0], &same)) return false;
    n += same ? 1 : 0;
  }
  *out = TemplateValue::integer(n).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool loop_cycle(BuiltinCall& call, TemplateValue* out) {
  const TemplateList& values = call.arguments.positional;
  if (values.size() == 0)
    return call.budget.fail(ErrorCode::kBadValue, "TypeError: no items for cycling given, line");
  *out = values[static_cast<const LoopObject*>(call.self.pointer())->index0 % values.size()];
  return true;
}

bool loop_changed(BuiltinCall& call, TemplateValue* out) {
  LoopObject& loop = *static_cast<LoopObject*>(const_cast<void*>(call.self.pointer()));
  TemplateList* now = call.budget.make<TemplateList>();
  if (now == nullptr) return false;
  *now = call.arguments.positional;
  bool same = false;
  if (loop.last_changed != nullptr && !equal(call.budget, TemplateValue::list(*loop.last_changed),
                                             TemplateValue::list(*now), &same)) {
    return false;
  }
  if (!same) loop.last_changed = now;
  *out = TemplateValue::boolean(!same).with_origin(TemplateOrigin::kMarkup);
  return true;
}

constexpr TemplateBuiltin kMapMethods[] = {
    {"get", "key default?", map_get}, {"items", "", map_items}, {"keys", "", map_keys},
    {"values", "", map_values},       {"copy", "", copy_self},  {"fromkeys", "*", nullptr},
};

constexpr TemplateBuiltin kListMethods[] = {
    {"index", "value start? stop?", list_index},
    {"count", "value", list_count},
    {"copy", "", copy_self},
};

constexpr TemplateBuiltin kTupleMethods[] = {
    {"index", "value start? stop?", list_index},
    {"count", "value", list_count},
};

constexpr TemplateBuiltin kLoopMethods[] = {
    {"cycle", "*", loop_cycle},
    {"changed", "*", loop_changed},
};

}  // namespace

BuiltinTable map_methods() { return kMapMethods; }
BuiltinTable list_methods() { return kListMethods; }
BuiltinTable tuple_methods() { return kTupleMethods; }
BuiltinTable loop_methods() { return kLoopMethods; }

}  // namespace lbm
