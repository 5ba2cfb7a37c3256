// Getting at the parts of a value: items, subscripts, slices, attributes.
#pragma once

#include "core/chat/template_budget.h"
#include "core/chat/template_object.h"

namespace lbm {

// What a `for` walks over. An iterator is used up by it. Fails for values that can not be walked.
[[nodiscard]] bool iterate(TemplateBudget& budget, TemplateValue v, TemplateItems* out);
// The same as a new list, which the caller may change.
[[nodiscard]] bool list_of(TemplateBudget& budget, TemplateValue v, TemplateList** out);

// Adding to the lists and maps that the engine makes. Out of line and without a Status of their
// own, because the functions that recurse call them and an Error is large.
[[nodiscard]] bool reserve_items(TemplateBudget& budget, TemplateList& list, u32 n_item);
[[nodiscard]] bool append_item(TemplateBudget& budget, TemplateList& list, TemplateValue item);
// `key` is known to be new.
[[nodiscard]] bool add_entry(TemplateBudget& budget, TemplateMap& map, TemplateValue key,
                             TemplateValue value);
// Adds the key or replaces its value. Fails for keys Python can not hash.
[[nodiscard]] bool set_entry(TemplateBudget& budget, TemplateMap& map, TemplateValue key,
                             TemplateValue value);

// len(v)
[[nodiscard]] bool length_of(TemplateBudget& budget, TemplateValue v, u64* out);
// Whether len(v) works, and whether a `for` can walk over it.
[[nodiscard]] bool has_length(TemplateValue v);
[[nodiscard]] bool is_iterable(TemplateValue v);

// v.name: methods first, then keys of a map. Undefined where there is neither.
[[nodiscard]] bool get_attribute(TemplateBudget& budget, TemplateValue v, Str name,
                                 TemplateValue* out);
// The method or variable `name` of v, leaving keys aside.
[[nodiscard]] bool get_own_attribute(TemplateBudget& budget, TemplateValue v, Str name,
                                     TemplateValue* out, bool* found);
// v[key]: items first, then methods.
[[nodiscard]] bool get_item(TemplateBudget& budget, TemplateValue v, TemplateValue key,
                            TemplateValue* out);
// v.a.0.b, as the `attribute` argument of filters spells it; `path` may also be an integer.
[[nodiscard]] bool get_path(TemplateBudget& budget, TemplateValue v, TemplateValue path,
                            TemplateValue* out);

// v[begin:end:step]; kAbsent or none where a part is left out.
struct SliceBounds {
  TemplateValue begin;
  TemplateValue end;
  TemplateValue step;
};
[[nodiscard]] bool get_slice(TemplateBudget& budget, TemplateValue v, const SliceBounds& bounds,
                             TemplateValue* out);

}  // namespace lbm
