#include "core/chat/template_access.h"

#include "core/chat/template_builtins.h"
#include "core/chat/template_number.h"
#include "core/chat/template_operators.h"
#include "core/chat/template_text.h"

namespace lbm {
namespace {

// The characters of a text, one value each.
bool characters(TemplateBudget& budget, TemplateValue text, TemplateList* out) {
  const Str bytes = text.text();
  for (usize at = 0; at < bytes.size();) {
    const usize n = character_at(bytes, at);
    TemplateValue c;
    if (!slice_text(budget, text, at, at + n, &c) || !append_item(budget, *out, c)) return false;
    at += n;
  }
  return true;
}

TemplateValue markup_int(i64 v) {
  return TemplateValue::integer(v).with_origin(TemplateOrigin::kMarkup);
}
TemplateValue markup_bool(bool v) {
  return TemplateValue::boolean(v).with_origin(TemplateOrigin::kMarkup);
}

// Variables of `loop`; its functions are methods. False where there is no such attribute.
bool loop_attribute(const LoopObject& loop, Str name, TemplateValue* out) {
  const i64 index = loop.index0;
  const i64 size = loop.items.size;
  if (name == "index")
    *out = markup_int(index + 1);
  else if (name == "index0")
    *out = markup_int(index);
  else if (name == "revindex")
    *out = markup_int(size - index);
  else if (name == "revindex0")
    *out = markup_int(size - index - 1);
  else if (name == "first")
    *out = markup_bool(index == 0);
  else if (name == "last")
    *out = markup_bool(index + 1 == size);
  else if (name == "length")
    *out = markup_int(size);
  else if (name == "depth")
    *out = markup_int(loop.depth0 + 1);
  else if (name == "depth0")
    *out = markup_int(loop.depth0);
  else if (name == "previtem")
    *out = index == 0 ? TemplateValue::undefined("previtem") : loop.items.at(loop.index0 - 1);
  else if (name == "nextitem")
    *out =
        index + 1 == size ? TemplateValue::undefined("nextitem") : loop.items.at(loop.index0 + 1);
  else
    return false;
  return true;
}

// v[index] of a sequence. False in `found` where the index is out of range.
bool item_at(TemplateBudget& budget, TemplateValue v, i64 index, TemplateValue* out, bool* found) {
  u64 size = 0;
  if (!length_of(budget, v, &size)) return false;
  if (index < 0) index += static_cast<i64>(size);
  *found = index >= 0 && static_cast<u64>(index) < size;
  if (!*found) return true;
  if (v.is(TemplateKind::kString)) {
    const usize begin = character_offset(v.text(), static_cast<u64>(index));
    return budget.spend_bytes(begin) &&
           slice_text(budget, v, begin, begin + character_at(v.text(), begin), out);
  }
  if (v.is(TemplateKind::kRange)) {
    *out = markup_int(static_cast<const RangeObject*>(v.pointer())->at(index));
  } else {
    *out = v.as_list()[static_cast<u32>(index)];
  }
  return true;
}

// A part of a slice, moved into [low, high] as Python does.
bool slice_bound(TemplateBudget& budget, TemplateValue part, i64 when_absent, i64 size,
                 bool downwards, i64* out) {
  if (part.is(TemplateKind::kAbsent) || part.is(TemplateKind::kNone)) {
    *out = when_absent;
    return true;
  }
  if (!is_integral(part))
    return fail_type(budget, "TypeError: slice indices must be integers, line", part);
  i64 index = part.as_int();
  const i64 low = downwards ? -1 : 0;
  const i64 high = downwards ? size - 1 : size;
  if (index < 0) index = index < -size ? low : index + size;
  *out = index < low ? low : index > high ? high : index;
  return true;
}

struct SliceRange {
  i64 begin = 0;
  i64 end = 0;
  i64 step = 1;
  u32 n = 0;
};

bool resolve_slice(TemplateBudget& budget, const SliceBounds& bounds, i64 size, SliceRange* out) {
  i64 step = 1;
  if (!bounds.step.is(TemplateKind::kAbsent) && !bounds.step.is(TemplateKind::kNone)) {
    if (!is_integral(bounds.step))
      return fail_type(budget, "TypeError: slice indices must be integers, line", bounds.step);
    step = bounds.step.as_int();
  }
  if (step == 0)
    return budget.fail(ErrorCode::kBadValue, "ValueError: slice step cannot be zero, line");
  if (step < -size - 1) step = -size - 1;  // one item either way; keeps the sums below small
  if (step > size + 1) step = size + 1;
  i64 begin = 0;
  i64 end = 0;
  if (!slice_bound(budget, bounds.begin, step < 0 ? size - 1 : 0, size, step < 0, &begin))
    return false;
  if (!slice_bound(budget, bounds.end, step < 0 ? -1 : size, size, step < 0, &end)) return false;
  const i64 span = step < 0 ? begin - end : end - begin;
  const i64 stride = step < 0 ? -step : step;
  *out = {begin, end, step, span <= 0 ? 0 : static_cast<u32>((span + stride - 1) / stride)};
  return true;
}

bool slice_string(TemplateBudget& budget, TemplateValue v, const SliceRange& range,
                  TemplateValue* out) {
  const Str bytes = v.text();
  if (range.n == 0) return slice_text(budget, v, 0, 0, out);
  if (!budget.spend_bytes(bytes.size())) return false;
  if (range.step == 1) {
    const usize begin = character_offset(bytes, static_cast<u64>(range.begin));
    return slice_text(budget, v, begin, begin + character_offset(bytes.from(begin), range.n), out);
  }
  TextBuilder text(budget);
  usize at = character_offset(bytes, static_cast<u64>(range.begin));
  for (u32 i = 0; i < range.n && budget.ok(); ++i) {
    text.append_slice(v, at, at + character_at(bytes, at));
    for (i64 k = range.step; k > 0 && at < bytes.size(); --k) at += character_at(bytes, at);
    for (i64 k = range.step; k < 0 && at > 0; ++k) at -= character_before(bytes, at);
  }
  return text.finish(out);
}

}  // namespace

bool reserve_items(TemplateBudget& budget, TemplateList& list, u32 n_item) {
  const Status room = list.reserve(budget.arena(), n_item);
  return room.ok() || budget.fail(room.error());
}

bool append_item(TemplateBudget& budget, TemplateList& list, TemplateValue item) {
  if (!budget.spend(1)) return false;
  const Status added = list.append(budget.arena(), item);
  return added.ok() || budget.fail(added.error());
}

bool add_entry(TemplateBudget& budget, TemplateMap& map, TemplateValue key, TemplateValue value) {
  if (!budget.spend(1)) return false;
  const Status added = map.add(budget.arena(), key, value);
  return added.ok() || budget.fail(added.error());
}

bool set_entry(TemplateBudget& budget, TemplateMap& map, TemplateValue key, TemplateValue value) {
  TemplateValue* earlier = nullptr;
  if (!find_key(budget, map, key, &earlier)) return false;
  if (earlier == nullptr) return add_entry(budget, map, key, value);
  *earlier = value;
  return true;
}

bool is_iterable(TemplateValue v) { return has_length(v) || v.is(TemplateKind::kIterator); }

bool has_length(TemplateValue v) {
  switch (v.kind()) {
    case TemplateKind::kUndefined:
    case TemplateKind::kString:
    case TemplateKind::kList:
    case TemplateKind::kTuple:
    case TemplateKind::kMap:
    case TemplateKind::kRange:
    case TemplateKind::kView:
    case TemplateKind::kLoop: return true;
    default: return false;
  }
}

bool length_of(TemplateBudget& budget, TemplateValue v, u64* out) {
  switch (v.kind()) {
    case TemplateKind::kUndefined: *out = 0; return true;
    case TemplateKind::kString:
      *out = count_characters(v.text());
      return budget.spend_bytes(v.text().size());
    case TemplateKind::kList:
    case TemplateKind::kTuple: *out = v.as_list().size(); return true;
    case TemplateKind::kMap: *out = v.as_map().size(); return true;
    case TemplateKind::kRange:
      *out = static_cast<const RangeObject*>(v.pointer())->size;
      return true;
    case TemplateKind::kView:
      *out = static_cast<const ViewObject*>(v.pointer())->list.size();
      return true;
    case TemplateKind::kLoop:
      *out = static_cast<const LoopObject*>(v.pointer())->items.size;
      return true;
    default: return fail_type(budget, "TypeError: this type has no length, line", v);
  }
}

bool iterate(TemplateBudget& budget, TemplateValue v, TemplateItems* out) {
  TemplateItems items;
  switch (v.kind()) {
    case TemplateKind::kUndefined: break;
    case TemplateKind::kList:
    case TemplateKind::kTuple: items.list = &v.as_list(); break;
    case TemplateKind::kView:
      items.list = &static_cast<const ViewObject*>(v.pointer())->list;
      break;
    case TemplateKind::kRange:
      items.range = static_cast<const RangeObject*>(v.pointer());
      items.size = items.range->size;
      break;
    case TemplateKind::kIterator: {
      IteratorObject* iterator = static_cast<IteratorObject*>(const_cast<void*>(v.pointer()));
      items.list = iterator->list;
      items.first = iterator->next;
      iterator->next = items.list->size();
      break;
    }
    case TemplateKind::kString:
    case TemplateKind::kMap: {
      TemplateList* list = budget.make<TemplateList>();
      if (list == nullptr) return false;
      items.list = list;
      if (v.is(TemplateKind::kString)) {
        if (!characters(budget, v, list)) return false;
        break;
      }
      for (const TemplateMap::Entry& entry : v.as_map().entries()) {
        if (!append_item(budget, *list, entry.key)) return false;
      }
      break;
    }
    default: return fail_type(budget, "TypeError: this type is not iterable, line", v);
  }
  if (items.list != nullptr) items.size = items.list->size() - items.first;
  *out = items;
  return true;
}

bool list_of(TemplateBudget& budget, TemplateValue v, TemplateList** out) {
  TemplateItems items;
  TemplateList* list = budget.make<TemplateList>();
  if (list == nullptr || !iterate(budget, v, &items)) return false;
  if (!reserve_items(budget, *list, items.size)) return false;
  for (u32 i = 0; i < items.size; ++i) {
    if (!append_item(budget, *list, items.at(i))) return false;
  }
  *out = list;
  return true;
}

bool get_own_attribute(TemplateBudget& budget, TemplateValue v, Str name, TemplateValue* out,
                       bool* found) {
  *found = true;
  if (v.is(TemplateKind::kNamespace)) {
    const TemplateMap& attributes = static_cast<const NamespaceObject*>(v.pointer())->attributes;
    if (!budget.spend(1 + attributes.size() / 8)) return false;
    const TemplateValue* value = attributes.find(name);
    *found = value != nullptr;
    if (*found) *out = *value;
    return true;
  }
  if (v.is(TemplateKind::kLoop) &&
      loop_attribute(*static_cast<const LoopObject*>(v.pointer()), name, out))
    return true;
  if (v.is(TemplateKind::kMacro) && name == "name") {
    *out = TemplateValue::markup(static_cast<const MacroObject*>(v.pointer())->syntax->name);
    return true;
  }
  if (is_forbidden_method(v, name)) {
    *out = TemplateValue::forbidden(name);
    return true;
  }
  const TemplateBuiltin* builtin = find_template_method(v, name);
  *found = builtin != nullptr;
  if (!*found) return true;
  MethodObject* method = budget.make<MethodObject>();
  if (method == nullptr) return false;
  method->self = v;
  method->method = builtin;
  *out = TemplateValue::object(TemplateKind::kMethod, method);
  return true;
}

bool get_attribute(TemplateBudget& budget, TemplateValue v, Str name, TemplateValue* out) {
  if (v.is(TemplateKind::kUndefined)) return fail_type(budget, "", v);
  bool found = false;
  if (!get_own_attribute(budget, v, name, out, &found) || found) return budget.ok();
  TemplateValue* entry = nullptr;
  if (v.is(TemplateKind::kMap) && !find_key(budget, v.as_map(), TemplateValue::text(name), &entry))
    return false;
  *out = entry == nullptr ? TemplateValue::undefined(name) : *entry;
  return true;
}

bool get_item(TemplateBudget& budget, TemplateValue v, TemplateValue key, TemplateValue* out) {
  if (v.is(TemplateKind::kUndefined)) return fail_type(budget, "", v);
  bool found = false;
  const bool hashable = !key.is(TemplateKind::kList) && !key.is(TemplateKind::kMap);
  if (v.is(TemplateKind::kMap) && hashable) {
    TemplateValue* entry = nullptr;
    if (!find_key(budget, v.as_map(), key, &entry)) return false;
    found = entry != nullptr;
    if (found) *out = *entry;
  } else if (is_integral(key) && (v.is(TemplateKind::kString) || v.is(TemplateKind::kList) ||
                                  v.is(TemplateKind::kTuple) || v.is(TemplateKind::kRange))) {
    if (!item_at(budget, v, key.as_int(), out, &found)) return false;
  }
  if (!found && key.is(TemplateKind::kString) &&
      !get_own_attribute(budget, v, key.text(), out, &found))
    return false;
  if (!found)
    *out = TemplateValue::undefined(key.is(TemplateKind::kString) ? key.text() : Str("item"));
  return true;
}

bool get_path(TemplateBudget& budget, TemplateValue v, TemplateValue path, TemplateValue* out) {
  if (!path.is(TemplateKind::kString)) {
    *out = v;
    return path.is(TemplateKind::kNone) || get_item(budget, v, path, out);
  }
  Str rest = path.text();
  if (!budget.spend_bytes(rest.size())) return false;
  for (;;) {
    const usize dot = rest.find(".");
    const Str part = dot == Str::kNone ? rest : rest.first(dot);
    bool all_digits = !part.empty();
    for (const char c : part) all_digits &= c >= '0' && c <= '9';
    i64 index = 0;
    TemplateValue key = TemplateValue::text(part);
    if (all_digits && parse_integer_text(part, 10, index) == IntegerParse::kOk)
      key = TemplateValue::integer(index);
    if (!budget.spend(1) || !get_item(budget, v, key, &v)) return false;
    if (dot == Str::kNone) break;
    rest = rest.from(dot + 1);
  }
  *out = v;
  return true;
}

bool get_slice(TemplateBudget& budget, TemplateValue v, const SliceBounds& bounds,
               TemplateValue* out) {
  const bool is_list = v.is(TemplateKind::kList) || v.is(TemplateKind::kTuple);
  if (!is_list && !v.is(TemplateKind::kString) && !v.is(TemplateKind::kRange)) {
    return fail_type(budget, "TypeError: this type can not be sliced, line", v);
  }
  u64 size = 0;
  SliceRange range;
  if (!length_of(budget, v, &size) ||
      !resolve_slice(budget, bounds, static_cast<i64>(size), &range))
    return false;
  if (v.is(TemplateKind::kString)) return slice_string(budget, v, range, out);
  if (v.is(TemplateKind::kRange)) {
    const RangeObject& whole = *static_cast<const RangeObject*>(v.pointer());
    RangeObject* part = budget.make<RangeObject>();
    if (part == nullptr) return false;
    part->start = whole.at(range.begin);
    part->step = static_cast<i64>(static_cast<u64>(whole.step) * static_cast<u64>(range.step));
    part->size = range.n;
    part->stop = whole.at(range.end);
    *out = TemplateValue::object(TemplateKind::kRange, part).with_origin(v.origin());
    return true;
  }
  TemplateList* part = budget.make<TemplateList>();
  if (part == nullptr || !reserve_items(budget, *part, range.n)) return false;
  for (u32 i = 0; i < range.n; ++i) {
    const i64 index = range.begin + static_cast<i64>(i) * range.step;
    if (!append_item(budget, *part, v.as_list()[static_cast<u32>(index)])) return false;
  }
  *out = TemplateValue::object(v.kind(), part).with_origin(v.origin());
  return true;
}

}  // namespace lbm
