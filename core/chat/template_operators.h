// What Python's operators mean for the values of a template.
#pragma once

#include "core/chat/template_budget.h"
#include "core/chat/template_object.h"
#include "core/chat/template_syntax.h"

namespace lbm {

// The type as Python names it in messages: "str", "list", "Undefined" ...
[[nodiscard]] Str type_name(TemplateValue v);
[[nodiscard]] bool is_number(TemplateValue v);    // kBool, kInt, kFloat
[[nodiscard]] bool is_integral(TemplateValue v);  // kBool, kInt
[[nodiscard]] f64 number_of(TemplateValue v);     // of is_number()

// Records that `v` was used where its type has no such operation: UndefinedError or SecurityError
// for undefined, else `what` about the type of `v`. Always false.
bool fail_type(TemplateBudget& budget, const char* what, TemplateValue v);

[[nodiscard]] bool truth(TemplateValue v);
[[nodiscard]] bool equal(TemplateBudget& budget, TemplateValue a, TemplateValue b, bool* out);
// The order of two values; fails where Python has none.
enum class TemplateOrder : u8 { kLess, kEqual, kGreater, kUnordered };
[[nodiscard]] bool compare(TemplateBudget& budget, TemplateValue a, TemplateValue b,
                           TemplateOrder* out);
// == != < <= > >= in not-in
[[nodiscard]] bool relate(TemplateBudget& budget, TemplateOperator op, TemplateValue a,
                          TemplateValue b, bool* out);
// `needle in haystack`
[[nodiscard]] bool contains(TemplateBudget& budget, TemplateValue haystack, TemplateValue needle,
                            bool* out);
// + - * / // % **
[[nodiscard]] bool arithmetic(TemplateBudget& budget, TemplateOperator op, TemplateValue a,
                              TemplateValue b, TemplateValue* out);
// The value of `key` in a map with keys of any kind, nullptr where there is none. Fails for keys
// Python can not hash.
[[nodiscard]] bool find_key(TemplateBudget& budget, const TemplateMap& map, TemplateValue key,
                            TemplateValue** out);

}  // namespace lbm
