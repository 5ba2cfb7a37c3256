// Parts of json_schema_grammar.cpp: expressions of GBNF for the values that are not made of others.
#pragma once

#include <string>

#include "tools/json_schema_grammar.h"

namespace lbm::cli {

// Rules that expressions below refer to; a grammar has those that it uses.
struct BuiltInRule {
  const char* name;
  const char* body;
  const char* uses;  // names, each followed by a space
};
inline constexpr BuiltInRule kBuiltInRules[] = {
    // No white space of any length: models that run out of words go on with spaces for ever.
    {"space", R"(| " " | "\n"{1,2} [ \t]{0,20})", ""},
    {"char",
     R"([^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" ([0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2})))",
     "hex "},
    {"hex", "[0-9a-fA-F]", ""},
    {"string", R"("\"" char* "\"")", "char "},
    {"integer", R"("-"? ("0" | [1-9] [0-9]{0,15}))", ""},
    {"number", R"(integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?)", "integer "},
    {"positive", R"(("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?)", ""},
    {"boolean", R"("true" | "false")", ""},
    {"null", R"("null")", ""},
    {"array", R"("[" space (value (space "," space value)* space)? "]")", "space value "},
    {"object",
     R"("{" space (string space ":" space value (space "," space string space ":" space value)* space)? "}")",
     "space string value "},
    {"value", "object | array | string | number | boolean | null",
     "object array string number boolean null "},
    {"date",
     R"([1-9] [0-9]{3} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8]))", ""},
    {"clock", R"([01] [0-9] | "2" [0-3])", ""},
    {"time",
     R"(clock ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})? ("Z" | [-+] clock ":" [0-5] [0-9]))",
     "clock "},
    {"uuid", R"([0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12})", ""},
};

// Decimal numbers low..high, as JSON writes them.
[[nodiscard]] std::string integer_range(i64 low, i64 high);

// Strings that `pattern`, a regular expression of ECMA-262, matches; in their quotes. Of the
// language: literals, classes, '.', groups, alternatives, repetitions, and anchors at both ends.
// Throws SchemaError with `pointer`.
[[nodiscard]] std::string pattern_string(const std::string& pattern, const std::string& pointer,
                                         bool& uses_char);

}  // namespace lbm::cli
