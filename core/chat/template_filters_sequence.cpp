// Filters on lists, maps and whatever else can be walked over.
#include "core/chat/template_access.h"
#include "core/chat/template_builtins.h"
#include "core/chat/template_format.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_sort.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

TemplateValue list_value(const TemplateList& list, TemplateValue source) {
  return TemplateValue::list(list).with_origin(origin_of(source.is_markup()));
}

bool filter_length(BuiltinCall& call, TemplateValue* out) {
  u64 n = 0;
  if (!length_of(call.budget, call.self, &n)) return false;
  *out = TemplateValue::integer(static_cast<i64>(n)).with_origin(TemplateOrigin::kMarkup);
  return true;
}

bool filter_default(BuiltinCall& call, TemplateValue* out) {
  const bool replace =
      call.self.is(TemplateKind::kUndefined) || (call.flag(1, false) && !truth(call.self));
  *out = !replace ? call.self : call.has(0) ? call.slot[0] : TemplateValue::markup("");
  return true;
}

bool filter_first(BuiltinCall& call, TemplateValue* out) {
  if (call.self.is(TemplateKind::kIterator)) {  // takes one item and leaves the rest
    IteratorObject& iterator =
        *static_cast<IteratorObject*>(const_cast<void*>(call.self.pointer()));
    const bool has_more = iterator.next < iterator.list->size();
    *out = has_more ? (*iterator.list)[iterator.next++] : TemplateValue::undefined("first");
    return true;
  }
  TemplateItems items;
  if (!iterate(call.budget, call.self, &items)) return false;
  *out = items.size == 0 ? TemplateValue::undefined("first") : items.at(0);
  return true;
}

bool filter_last(BuiltinCall& call, TemplateValue* out) {
  if (!has_length(call.self))
    return fail_type(call.budget, "TypeError: this type is not reversible, line", call.self);
  TemplateItems items;
  if (!iterate(call.budget, call.self, &items)) return false;
  *out = items.size == 0 ? TemplateValue::undefined("last") : items.at(items.size - 1);
  return true;
}

bool filter_list(BuiltinCall& call, TemplateValue* out) {
  TemplateList* list = nullptr;
  if (!list_of(call.budget, call.self, &list)) return false;
  *out = list_value(*list, call.self);
  return true;
}

bool filter_reverse(BuiltinCall& call, TemplateValue* out) {
  if (call.self.is(TemplateKind::kString)) {
    const SliceBounds backwards = {TemplateValue::absent(), TemplateValue::absent(),
                                   TemplateValue::integer(-1)};
    return get_slice(call.budget, call.self, backwards, out);
  }
  TemplateList* list = nullptr;
  if (!list_of(call.budget, call.self, &list)) return false;
  const Span<TemplateValue> items = list->items();
  for (usize i = 0; i < items.size() / 2; ++i) lbm::swap(items[i], items[items.size() - 1 - i]);
  if (!has_length(call.self)) {
    *out = list_value(*list, call.self);
    return true;
  }
  return make_iterator(call.budget, list, call.self.origin(), "reversed", out);
}

// The value to compare an item by: its attribute, in lower case where case does not count.
bool sort_key(TemplateBudget& budget, TemplateValue item, TemplateValue path, bool case_sensitive,
              TemplateValue* out) {
  if (!path.is(TemplateKind::kAbsent) && !path.is(TemplateKind::kNone)) {
    if (!get_path(budget, item, path, &item)) return false;
  }
  *out = item;
  return case_sensitive || !item.is(TemplateKind::kString) || lower_text(budget, item, out);
}

// "a,b" sorts by two attributes: the key is a list.
bool multi_sort_key(TemplateBudget& budget, TemplateValue item, TemplateValue path,
                    bool case_sensitive, TemplateValue* out) {
  const bool is_text = path.is(TemplateKind::kString);
  const bool several = is_text && path.text().contains(",");
  if (is_text && !budget.spend_bytes(path.text().size())) return false;
  if (!several) return sort_key(budget, item, path, case_sensitive, out);
  TemplateList* key = budget.make<TemplateList>();
  if (key == nullptr) return false;
  Str rest = path.text();
  for (;;) {
    const usize comma = rest.find(",");
    const Str part = comma == Str::kNone ? rest : rest.first(comma);
    TemplateValue value;
    if (!sort_key(budget, item, TemplateValue::text(part), case_sensitive, &value)) return false;
    if (!append_item(budget, *key, value)) return false;
    if (comma == Str::kNone) break;
    rest = rest.from(comma + 1);
  }
  *out = TemplateValue::list(*key);
  return true;
}

bool filter_sort(BuiltinCall& call, TemplateValue* out) {
  TemplateList* list = nullptr;
  TemplateList keys;
  if (!list_of(call.budget, call.self, &list)) return false;
  for (const TemplateValue& item : list->items()) {
    TemplateValue key;
    if (!multi_sort_key(call.budget, item, call.slot[2], call.flag(1, false), &key)) return false;
    if (!append_item(call.budget, keys, key)) return false;
  }
  if (!sort_by_key(call.budget, keys.items(), list->items(), call.flag(0, false))) return false;
  *out = list_value(*list, call.self);
  return true;
}

// dictsort(case_sensitive=false, by='key', reverse=false): a list of (key, value).
bool filter_dictsort(BuiltinCall& call, TemplateValue* out) {
  TemplateBudget& budget = call.budget;
  if (!call.self.is(TemplateKind::kMap))
    return fail_type(budget, "TypeError: dictsort needs a mapping, line", call.self);
  TemplateValue by;
  if (!call.string(1, "key", &by)) return false;
  const bool by_value = by.text() == "value";
  if (!by_value && !(by.text() == "key")) {
    return budget.fail(ErrorCode::kBadValue, "FilterArgumentError: sort by key or value, line",
                       by.text());
  }
  TemplateList keys;
  TemplateList* pairs = budget.make<TemplateList>();
  if (pairs == nullptr) return false;
  for (const TemplateMap::Entry& entry : call.self.as_map().entries()) {
    TemplateList* pair = budget.make<TemplateList>();
    TemplateValue key;
    if (pair == nullptr || !append_item(budget, *pair, entry.key) ||
        !append_item(budget, *pair, entry.value))
      return false;
    if (!sort_key(budget, by_value ? entry.value : entry.key, TemplateValue::absent(),
                  call.flag(0, false), &key))
      return false;
    const TemplateValue tuple =
        TemplateValue::object(TemplateKind::kTuple, pair).with_origin(call.self.origin());
    if (!append_item(budget, keys, key) || !append_item(budget, *pairs, tuple)) return false;
  }
  if (!sort_by_key(budget, keys.items(), pairs->items(), call.flag(2, false))) return false;
  *out = list_value(*pairs, call.self);
  return true;
}

// unique(case_sensitive=false, attribute=none)
bool filter_unique(BuiltinCall& call, TemplateValue* out) {
  TemplateItems items;
  TemplateMap seen;
  TemplateList* kept = call.budget.make<TemplateList>();
  if (kept == nullptr || !iterate(call.budget, call.self, &items)) return false;
  for (u32 i = 0; i < items.size; ++i) {
    TemplateValue key;
    TemplateValue* earlier = nullptr;
    if (!sort_key(call.budget, items.at(i), call.slot[1], call.flag(0, false), &key)) return false;
    if (!find_key(call.budget, seen, key, &earlier)) return false;
    if (earlier != nullptr) continue;
    if (!add_entry(call.budget, seen, key, TemplateValue::none())) return false;
    if (!append_item(call.budget, *kept, items.at(i))) return false;
  }
  return make_iterator(call.budget, kept, origin_of(call.self.is_markup()), "generator", out);
}

bool pick_extreme(BuiltinCall& call, TemplateOrder wanted, TemplateValue* out) {
  TemplateItems items;
  if (!iterate(call.budget, call.self, &items)) return false;
  *out = TemplateValue::undefined("empty sequence");
  TemplateValue best;
  for (u32 i = 0; i < items.size; ++i) {
    TemplateValue key;
    if (!sort_key(call.budget, items.at(i), call.slot[1], call.flag(0, false), &key)) return false;
    TemplateOrder order = wanted;
    if (i != 0 && !compare(call.budget, key, best, &order)) return false;
    if (order != wanted) continue;
    best = key;
    *out = items.at(i);
  }
  return true;
}

bool filter_min(BuiltinCall& call, TemplateValue* out) {
  return pick_extreme(call, TemplateOrder::kLess, out);
}

bool filter_max(BuiltinCall& call, TemplateValue* out) {
  return pick_extreme(call, TemplateOrder::kGreater, out);
}

// sum(attribute=none, start=0)
bool filter_sum(BuiltinCall& call, TemplateValue* out) {
  TemplateItems items;
  if (!iterate(call.budget, call.self, &items)) return false;
  TemplateValue sum =
      call.has(1) ? call.slot[1] : TemplateValue::integer(0).with_origin(TemplateOrigin::kMarkup);
  if (sum.is(TemplateKind::kString))
    return fail_type(call.budget, "TypeError: sum can not add text, line", sum);
  for (u32 i = 0; i < items.size; ++i) {
    TemplateValue item = items.at(i);
    if (call.has_value(0) && !get_path(call.budget, item, call.slot[0], &item)) return false;
    if (!arithmetic(call.budget, TemplateOperator::kAdd, sum, item, &sum)) return false;
  }
  *out = sum;
  return true;
}

// join(d='', attribute=none)
bool filter_join(BuiltinCall& call, TemplateValue* out) {
  TemplateItems items;
  TemplateValue separator = TemplateValue::markup("");
  if (call.has(0) && !text_of(call.budget, call.slot[0], &separator)) return false;
  if (!iterate(call.budget, call.self, &items)) return false;
  TextBuilder text(call.budget);
  for (u32 i = 0; i < items.size && call.budget.ok(); ++i) {
    TemplateValue item = items.at(i);
    if (call.has_value(1) && !get_path(call.budget, item, call.slot[1], &item)) return false;
    if (i != 0) text.append(separator);
    write_str(call.budget, text, item);
  }
  return text.finish(out);
}

bool filter_items(BuiltinCall& call, TemplateValue* out) {
  TemplateList* pairs = call.budget.make<TemplateList>();
  if (pairs == nullptr) return false;
  if (!call.self.is(TemplateKind::kUndefined)) {
    if (!call.self.is(TemplateKind::kMap)) {
      return fail_type(call.budget, "TypeError: only mappings have items, line", call.self);
    }
    for (const TemplateMap::Entry& entry : call.self.as_map().entries()) {
      TemplateList* pair = call.budget.make<TemplateList>();
      if (pair == nullptr || !append_item(call.budget, *pair, entry.key)) return false;
      if (!append_item(call.budget, *pair, entry.value)) return false;
      const TemplateValue tuple =
          TemplateValue::object(TemplateKind::kTuple, pair).with_origin(call.self.origin());
      if (!append_item(call.budget, *pairs, tuple)) return false;
    }
  }
  return make_iterator(call.budget, pairs, call.self.origin(), "generator", out);
}

bool filter_attr(BuiltinCall& call, TemplateValue* out) {
  TemplateValue name;
  bool found = false;
  if (!call.string(0, "", &name)) return false;
  if (call.self.is(TemplateKind::kUndefined)) return fail_type(call.budget, "", call.self);
  if (!get_own_attribute(call.budget, call.self, name.text(), out, &found)) return false;
  if (!found) *out = TemplateValue::undefined(name.text());
  return true;
}

// Adds items[begin, end) of `from`, filled up to `size` with `fill`, as one list of `to`.
bool add_group(BuiltinCall& call, const TemplateItems& from, u32 begin, u32 end, u64 size,
               TemplateList& to) {
  TemplateList* group = call.budget.make<TemplateList>();
  if (group == nullptr) return false;
  for (u32 i = begin; i < end; ++i) {
    if (!append_item(call.budget, *group, from.at(i))) return false;
  }
  while (call.has_value(1) && group->size() < size) {
    if (!append_item(call.budget, *group, call.slot[1])) return false;
  }
  return append_item(call.budget, to, list_value(*group, call.self));
}

// batch(linecount, fill_with=none): lists of `linecount` items.
bool filter_batch(BuiltinCall& call, TemplateValue* out) {
  i64 size = 0;
  TemplateItems items;
  TemplateList* groups = call.budget.make<TemplateList>();
  if (groups == nullptr || !call.integer(0, 0, &size) || !iterate(call.budget, call.self, &items))
    return false;
  // Jinja never fills a group of 0 or fewer: all items end in the first.
  const u64 step = size > 0 ? static_cast<u64>(size) : items.size + u64{1};
  for (u64 begin = 0; begin < items.size; begin += step) {
    const u32 end = static_cast<u32>(min_u64(begin + step, items.size));
    if (!add_group(call, items, static_cast<u32>(begin), end, size > 0 ? step : 0, *groups))
      return false;
  }
  return make_iterator(call.budget, groups, origin_of(call.self.is_markup()), "generator", out);
}

// slice(slices, fill_with=none): that many lists, the first ones one longer where it does not
// divide.
bool filter_slice(BuiltinCall& call, TemplateValue* out) {
  i64 n_slice = 0;
  TemplateItems items;
  TemplateList* groups = call.budget.make<TemplateList>();
  if (groups == nullptr || !call.integer(0, 0, &n_slice) ||
      !iterate(call.budget, call.self, &items))
    return false;
  if (n_slice == 0)
    return call.budget.fail(ErrorCode::kBadValue, "ZeroDivisionError: slice into no parts, line");
  const u64 n = n_slice < 0 ? 0 : static_cast<u64>(n_slice);
  const u64 size = n == 0 ? 0 : items.size / n;
  const u64 n_longer = n == 0 ? 0 : items.size % n;
  u64 begin = 0;
  for (u64 i = 0; i < n; ++i) {
    const u64 end = begin + size + (i < n_longer ? 1 : 0);
    const u64 filled = i < n_longer ? 0 : size + 1;
    if (!add_group(call, items, static_cast<u32>(begin), static_cast<u32>(end), filled, *groups))
      return false;
    begin = end;
  }
  return make_iterator(call.budget, groups, origin_of(call.self.is_markup()), "generator", out);
}

constexpr TemplateBuiltin kSequenceFilters[] = {
    {"length", "", filter_length},
    {"count", "", filter_length},
    {"default", "default_value? boolean?", filter_default},
    {"d", "default_value? boolean?", filter_default},
    {"first", "", filter_first},
    {"last", "", filter_last},
    {"list", "", filter_list},
    {"reverse", "", filter_reverse},
    {"sort", "reverse? case_sensitive? attribute?", filter_sort},
    {"dictsort", "case_sensitive? by? reverse?", filter_dictsort},
    {"unique", "case_sensitive? attribute?", filter_unique},
    {"min", "case_sensitive? attribute?", filter_min},
    {"max", "case_sensitive? attribute?", filter_max},
    {"sum", "attribute? start?", filter_sum},
    {"join", "d? attribute?", filter_join},
    {"items", "", filter_items},
    {"attr", "name", filter_attr},
    {"batch", "linecount fill_with?", filter_batch},
    {"slice", "slices fill_with?", filter_slice},
};

}  // namespace

BuiltinTable sequence_filters() { return kSequenceFilters; }

}  // namespace lbm
