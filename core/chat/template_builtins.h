// Filters, tests, functions and methods: what a template can call without having defined it.
//
// Each is one entry of a table: its name, its parameters as one string ("old new count?"; "*" takes
// anything), and the C++ function, which finds its arguments bound to slots in that order.
#pragma once

#include "core/chat/template_budget.h"
#include "core/chat/template_object.h"
#include "core/chat/template_value.h"

namespace lbm {

class TemplateRunner;
class TextBuilder;

// The arguments of one call, as they were written.
struct TemplateArguments {
  TemplateList positional;
  TemplateMap named;
};

struct BuiltinCall {
  static constexpr u32 kMaxParameters = 6;
  TemplateRunner& runner;
  TemplateBudget& budget;
  TemplateValue self;  // what the filter or test is applied to, whose method it is, or kAbsent
  const TemplateArguments& arguments;
  TemplateValue slot[kMaxParameters] = {};  // kAbsent where an optional one was left out

  [[nodiscard]] bool has(u32 index) const { return !slot[index].is(TemplateKind::kAbsent); }
  [[nodiscard]] bool has_value(u32 index) const {
    return has(index) && !slot[index].is(TemplateKind::kNone);
  }
  // The slot as an integer, text or truth; `fallback` where it is absent. Fails for other types.
  [[nodiscard]] bool integer(u32 index, i64 fallback, i64* out) const;
  [[nodiscard]] bool string(u32 index, Str fallback, TemplateValue* out) const;
  [[nodiscard]] bool flag(u32 index, bool fallback) const;
};

struct TemplateBuiltin {
  const char* name;
  const char* parameters;
  // nullptr: Python has it, this build lacks it.
  bool (*run)(BuiltinCall& call, TemplateValue* out);
};

using BuiltinTable = Span<const TemplateBuiltin>;

[[nodiscard]] const TemplateBuiltin* find_template_filter(Str name);
[[nodiscard]] const TemplateBuiltin* find_template_test(Str name);
[[nodiscard]] const TemplateBuiltin* find_template_function(Str name);
[[nodiscard]] const TemplateBuiltin* find_template_method(TemplateValue self, Str name);
// Methods that would change a list or map: the sandbox has them, and forbids them.
[[nodiscard]] bool is_forbidden_method(TemplateValue self, Str name);
// strftime_now
extern const TemplateBuiltin kClockFunction;

// Binds the arguments to the slots of `call`. Errors: kBadValue (TypeError) as Python's.
[[nodiscard]] bool bind_arguments(const TemplateBuiltin& builtin, BuiltinCall& call);

// The tables, one file each.
[[nodiscard]] BuiltinTable text_filters();
[[nodiscard]] BuiltinTable number_filters();
[[nodiscard]] BuiltinTable sequence_filters();
[[nodiscard]] BuiltinTable selection_filters();
[[nodiscard]] BuiltinTable template_tests();
[[nodiscard]] BuiltinTable template_functions();
[[nodiscard]] BuiltinTable string_methods();
[[nodiscard]] BuiltinTable map_methods();
[[nodiscard]] BuiltinTable list_methods();
[[nodiscard]] BuiltinTable tuple_methods();
[[nodiscard]] BuiltinTable loop_methods();

// What filters and methods share.
[[nodiscard]] bool strip_text(TemplateBudget& budget, TemplateValue text, TemplateValue chars,
                              bool left, bool right, TemplateValue* out);
[[nodiscard]] bool replace_text(TemplateBudget& budget, TemplateValue text, TemplateValue old_text,
                                TemplateValue new_text, i64 count, TemplateValue* out);
// One character in another case; bytes that are not UTF-8 stay.
enum class LetterCase : u8 { kLower, kUpper, kTitle };
void append_in_case(TextBuilder& text, Str character, LetterCase wanted, bool markup);
[[nodiscard]] bool upper_text(TemplateBudget& budget, TemplateValue text, TemplateValue* out);
[[nodiscard]] bool lower_text(TemplateBudget& budget, TemplateValue text, TemplateValue* out);
[[nodiscard]] bool capitalize_text(TemplateBudget& budget, TemplateValue text, TemplateValue* out);
[[nodiscard]] bool split_lines(TemplateBudget& budget, TemplateValue text, bool keep_ends,
                               TemplateList* out);
[[nodiscard]] bool center_text(TemplateBudget& budget, TemplateValue text, i64 width,
                               TemplateValue fill, TemplateValue* out);
// str.isupper() and str.islower(): at least one cased character, and none of the other case.
[[nodiscard]] bool is_upper_text(Str text);
[[nodiscard]] bool is_lower_text(Str text);
// A generator over `list`.
[[nodiscard]] bool make_iterator(TemplateBudget& budget, const TemplateList* list,
                                 TemplateOrigin origin, const char* type_name, TemplateValue* out);

}  // namespace lbm
