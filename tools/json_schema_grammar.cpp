// From a JSON schema to GBNF, one rule for each value that is made of others.
//
// A schema is walked once. What "$ref" names becomes a rule by its pointer, before it is walked, so
// that schemas may be recursive. "allOf" is merged into one schema first, as are the keywords
// beside "anyOf" and "$ref"; merging is bounded in depth, since a schema may refer to itself there.
#include "tools/json_schema_grammar.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include "tools/json_schema_document.h"
#include "tools/json_schema_parts.h"

namespace lbm::cli {
namespace {

constexpr usize kMaxGrammarBytes = 1u << 20;
constexpr u64 kMaxCount = 100'000;
constexpr usize kMaxNameBytes = 1024;

}  // namespace

struct SchemaGrammar::Rules {
  std::map<std::string, std::string> bodies;
  std::vector<std::string> order;
  std::map<std::string, std::string> references;  // rule of a pointer
  SchemaDocument document;
  u32 n_rule = 0;
  usize n_byte = 0;

  std::string define(const std::string& name, const std::string& body, const std::string& pointer) {
    n_byte += name.size() + body.size() + 8;
    if (n_byte > kMaxGrammarBytes)
      throw SchemaError(pointer, "the schema is too large for a grammar");
    if (bodies.emplace(name, body).second) order.push_back(name);
    return name;
  }
  std::string fresh() { return "r" + std::to_string(n_rule++); }
  std::string built_in(const std::string& name) {
    if (bodies.count(name) != 0) return name;
    for (const BuiltInRule& rule : kBuiltInRules) {
      if (name != rule.name) continue;
      define(name, rule.body, "");
      const std::string uses = rule.uses;
      for (usize at = 0; at < uses.size();) {
        const usize end = uses.find(' ', at);
        static_cast<void>(built_in(uses.substr(at, end - at)));
        at = end + 1;
      }
    }
    return name;
  }

  // An expression for values of a schema.
  std::string value(const Json& schema, const std::string& pointer, int depth);

 private:
  std::string value_of_type(const std::string& type, const Json& schema, const std::string& pointer,
                            int depth);
  std::string alternatives(const Json& schema, const char* keyword, const std::string& pointer,
                           int depth);
  std::string literals(const Json& schema, const std::string& pointer);
  std::string reference(const Json& schema, const std::string& pointer, int depth);
  std::string text(const Json& schema, const std::string& pointer);
  std::string number(const Json& schema, const std::string& pointer, bool is_integer);
  std::string array(const Json& schema, const std::string& pointer, int depth);
  std::string object(const Json& schema, const std::string& pointer, int depth);
  std::string other_names(const std::set<std::string>& names, const std::string& pointer);
};

namespace {

u64 count_of(const Json& schema, const char* key, u64 standard, const std::string& pointer) {
  const auto found = schema.find(key);
  if (found == schema.end()) return standard;
  if (!found->is_number_unsigned() && !(found->is_number_integer() && found->get<i64>() >= 0))
    refuse_schema(pointer + "/" + key, "needs a number that counts");
  const u64 count = found->get<u64>();
  if (count > kMaxCount) refuse_schema(pointer + "/" + key, "is too large for a grammar");
  return count;
}

constexpr u64 kUnbounded = ~u64{0};

std::string bounds(u64 low, u64 high) {
  if (low == 0 && high == kUnbounded) return "*";
  return "{" + std::to_string(low) + "," + (high == kUnbounded ? "" : std::to_string(high)) + "}";
}

bool is_of_type(const Json& value, const std::string& type) {
  if (type == "integer") {
    return value.is_number_integer() ||
           (value.is_number() && std::floor(value.get<f64>()) == value.get<f64>());
  }
  return type == (value.is_number() ? "number" : value.type_name());
}

}  // namespace

// ---- values -------------------------------------------------------------------------------------

std::string SchemaGrammar::Rules::value(const Json& schema, const std::string& pointer, int depth) {
  check_schema_depth(depth, pointer);
  const Json own = document.merged(schema, pointer, depth);
  if (own.contains("$ref")) return reference(own, pointer, depth);
  if (own.contains("anyOf")) return alternatives(own, "anyOf", pointer, depth);
  if (own.contains("oneOf")) return alternatives(own, "oneOf", pointer, depth);
  if (own.contains("const") || own.contains("enum")) return literals(own, pointer);
  const std::vector<std::string> types = schema_types(own, pointer);
  if (types.size() == 6 && !own.contains("type")) return built_in("value");
  std::string out;
  for (const std::string& type : types)
    out += (out.empty() ? "" : " | ") + value_of_type(type, own, pointer, depth);
  return types.size() == 1 ? out : define(fresh(), out, pointer);
}

std::string SchemaGrammar::Rules::value_of_type(const std::string& type, const Json& schema,
                                                const std::string& pointer, int depth) {
  if (type == "object") return object(schema, pointer, depth);
  if (type == "array") return array(schema, pointer, depth);
  if (type == "string") return text(schema, pointer);
  if (type == "number" || type == "integer") return number(schema, pointer, type == "integer");
  return built_in(type);
}

std::string SchemaGrammar::Rules::reference(const Json& schema, const std::string& pointer,
                                            int depth) {
  const std::string name = schema["$ref"].get<std::string>();
  const auto known = references.find(name);
  if (known != references.end()) return known->second;
  const Json& schema_there = document.target(name, pointer);
  const std::string rule = references[name] = fresh();
  return define(rule, value(schema_there, name.substr(1), depth + 1), pointer);
}

std::string SchemaGrammar::Rules::alternatives(const Json& schema, const char* keyword,
                                               const std::string& pointer, int depth) {
  const Json& list = schema[keyword];
  const std::string here = pointer + "/" + keyword;
  if (!list.is_array() || list.empty()) refuse_schema(here, "needs a list of schemas");
  Json beside = schema;
  beside.erase(keyword);
  std::string out;
  for (usize i = 0; i < list.size(); ++i) {
    const std::string at = here + "/" + std::to_string(i);
    const Json one =
        beside.empty() ? list[i] : Json::object({{"allOf", Json::array({list[i], beside})}});
    out += (i == 0 ? "" : " | ") + value(one, at, depth + 1);
  }
  return define(fresh(), out, pointer);
}

std::string SchemaGrammar::Rules::literals(const Json& schema, const std::string& pointer) {
  Json list = schema.contains("enum") ? schema["enum"] : Json::array({schema["const"]});
  if (!list.is_array()) refuse_schema(pointer + "/enum", "needs a list of values");
  std::string out;
  for (const Json& one : list) {
    bool is_valid = !schema.contains("const") || one == schema["const"];
    if (schema.contains("type")) {
      bool is_of_any = false;
      for (const std::string& type : schema_types(schema, pointer))
        is_of_any = is_of_any || is_of_type(one, type);
      is_valid = is_valid && is_of_any;
    }
    if (is_valid) out += (out.empty() ? "" : " | ") + grammar_literal(one.dump());
  }
  if (out.empty()) refuse_schema(pointer, "no value of the list is valid here");
  return define(fresh(), out, pointer);
}

std::string SchemaGrammar::Rules::text(const Json& schema, const std::string& pointer) {
  const bool has_length = schema.contains("minLength") || schema.contains("maxLength");
  if (schema.contains("pattern")) {
    if (has_length || schema.contains("format"))
      refuse_schema(pointer + "/pattern",
                    "a pattern with minLength, maxLength or format is not supported");
    if (!schema["pattern"].is_string()) refuse_schema(pointer + "/pattern", "needs a text");
    bool uses_char = false;
    const std::string body =
        pattern_string(schema["pattern"].get<std::string>(), pointer + "/pattern", uses_char);
    if (uses_char) static_cast<void>(built_in("char"));
    return define(fresh(), body, pointer);
  }
  if (schema.contains("format")) {
    const Json& format = schema["format"];
    if (has_length)
      refuse_schema(pointer + "/format", "a format with minLength or maxLength is not supported");
    if (format == "date-time") {
      return define(fresh(),
                    "\"\\\"\" " + built_in("date") + " \"T\" " + built_in("time") + " \"\\\"\"",
                    pointer);
    }
    if (format != "date" && format != "time" && format != "uuid")
      refuse_schema(pointer + "/format", "there are the formats date, time, date-time and uuid");
    return define(fresh(), "\"\\\"\" " + built_in(format.get<std::string>()) + " \"\\\"\"",
                  pointer);
  }
  if (!has_length) return built_in("string");
  const u64 low = count_of(schema, "minLength", 0, pointer);
  const u64 high = count_of(schema, "maxLength", kUnbounded, pointer);
  if (high < low) refuse_schema(pointer + "/maxLength", "is less than minLength");
  return define(fresh(), "\"\\\"\" " + built_in("char") + bounds(low, high) + " \"\\\"\"", pointer);
}

namespace {

// A bound of integers; `step` is what an exclusive one moves it by.
void narrow(const Json& schema, const char* key, const char* exclusive_key, i64 step, i64& bound,
            bool& has_bound, const std::string& pointer) {
  for (const char* name : {key, exclusive_key}) {
    const auto found = schema.find(name);
    if (found == schema.end()) continue;
    if (!found->is_number()) refuse_schema(pointer + "/" + name, "needs a number");
    const f64 value = found->get<f64>();
    if (std::fabs(value) > 9e15) refuse_schema(pointer + "/" + name, "is too large for a grammar");
    const f64 whole = step > 0 ? std::ceil(value) : std::floor(value);
    i64 one = static_cast<i64>(whole);
    if (name == exclusive_key && whole == value) one += step;
    if (!has_bound || (step > 0 ? one > bound : one < bound)) bound = one;
    has_bound = true;
  }
}

}  // namespace

std::string SchemaGrammar::Rules::number(const Json& schema, const std::string& pointer,
                                         bool is_integer) {
  const auto multiple = schema.find("multipleOf");
  if (multiple != schema.end() && !(is_integer && *multiple == 1))
    refuse_schema(pointer + "/multipleOf", "is not supported");
  i64 low = 0;
  i64 high = 0;
  bool has_low = false;
  bool has_high = false;
  narrow(schema, "minimum", "exclusiveMinimum", 1, low, has_low, pointer);
  narrow(schema, "maximum", "exclusiveMaximum", -1, high, has_high, pointer);
  if (!is_integer) {
    if (!has_low && !has_high) return built_in("number");
    if (!has_high && !schema.contains("exclusiveMinimum") && schema["minimum"] == 0)
      return built_in("positive");
    refuse_schema(pointer,
                  "bounds of numbers with decimals are not supported, but for \"minimum\": 0; "
                  "\"integer\" may have any");
  }
  if (!has_low && !has_high) return built_in("integer");
  constexpr i64 kFar = 999'999'999'999'999;
  if (!has_low) low = high < -kFar ? -9'999'999'999'999'999 : -kFar;
  if (!has_high) high = low > kFar ? 9'999'999'999'999'999 : kFar;
  if (high < low) refuse_schema(pointer, "the bounds of this number leave none");
  return define(fresh(), integer_range(low, high), pointer);
}

// Elements by their position up to the last that is described by itself, each inside of the one
// before; then those that are all alike.
std::string SchemaGrammar::Rules::array(const Json& schema, const std::string& pointer, int depth) {
  if (schema.contains("uniqueItems") && schema["uniqueItems"] != false)
    refuse_schema(pointer + "/uniqueItems", "is not supported");
  const u64 low = count_of(schema, "minItems", 0, pointer);
  u64 high = count_of(schema, "maxItems", kUnbounded, pointer);
  if (high < low) refuse_schema(pointer + "/maxItems", "is less than minItems");
  // Before 2020 "items" could be a list, and the rest was "additionalItems".
  const bool is_old = schema.contains("items") && schema["items"].is_array();
  const char* const first_key = is_old ? "items" : "prefixItems";
  const char* const rest_key = is_old ? "additionalItems" : "items";
  const Json first = schema.contains(first_key) ? schema[first_key] : Json::array();
  if (!first.is_array()) refuse_schema(pointer + "/" + first_key, "needs a list of schemas");
  const bool has_rest =
      schema.contains(rest_key) ? schema[rest_key] != false : first.empty() || low > first.size();
  if (!has_rest) high = std::min<u64>(high, first.size());
  if (high < low) refuse_schema(pointer + "/minItems", "is more than there may be");
  const std::string space = built_in("space");
  if (high == 0) return define(fresh(), "\"[\" " + space + " \"]\"", pointer);
  const std::string comma = space + " \",\" " + space + " ";
  std::string rest;  // from behind the described ones on, with a comma before each
  std::string item;
  if (high > first.size()) {
    item = schema.contains(rest_key) ? value(schema[rest_key], pointer + "/" + rest_key, depth + 1)
                                     : built_in("value");
    const u64 n_before = std::max<u64>(first.size(), 1);  // one of them has no comma
    const u64 rest_low = low > n_before ? low - n_before : 0;
    const u64 rest_high = high == kUnbounded ? kUnbounded : high - n_before;
    if (rest_high != 0) rest = "(" + comma + item + ")" + bounds(rest_low, rest_high);
  }
  std::string tail = rest;
  for (usize i = first.size(); i-- > 1;) {
    const std::string one =
        comma + value(first[i], pointer + "/" + first_key + "/" + std::to_string(i), depth + 1);
    const std::string both = tail.empty() ? one : one + " " + tail;
    tail = define(fresh(), i < low ? both : "(" + both + ")?", pointer);
  }
  const std::string head =
      first.empty() ? item : value(first[0], pointer + "/" + first_key + "/0", depth + 1);
  const std::string all = head + (tail.empty() ? "" : " " + tail) + " " + space;
  return define(fresh(), "\"[\" " + space + " " + (low > 0 ? all : "(" + all + ")?") + " \"]\"",
                pointer);
}

// Strings that are none of `names`: a tree of their characters, left at any point where they
// differ. Nothing is escaped in them, since an escape could spell a name in another way.
std::string SchemaGrammar::Rules::other_names(const std::set<std::string>& names,
                                              const std::string& pointer) {
  if (bodies.count("plain") == 0) define("plain", R"([^"\\\x00-\x1F\x7F])", pointer);
  struct Branch {
    std::map<std::string, Branch> next;
    bool is_name = false;
  };
  Branch root;
  for (const std::string& name : names) {
    Branch* at = &root;
    for (usize i = 0; i < name.size();) {
      usize end = i + 1;
      while (end < name.size() && (static_cast<u8>(name[end]) & 0xC0) == 0x80) ++end;
      at = &at->next[name.substr(i, end - i)];
      i = end;
    }
    at->is_name = true;
  }
  // A branch with its characters before it; without recursion, since names may be long.
  struct Open {
    const Branch* branch;
    std::string rule;
  };
  std::vector<Open> open = {{&root, fresh()}};
  const std::string first = open[0].rule;
  while (!open.empty()) {
    const Open here = open.back();
    open.pop_back();
    std::string taken;
    std::string body = here.branch->is_name ? "" : "\"\"";
    for (const auto& [character, branch] : here.branch->next) {
      const bool is_special =
          character.size() == 1 && std::string("\\]^-[").find(character) != std::string::npos;
      const std::string literal = grammar_literal(character);
      taken += is_special ? "\\" + character : literal.substr(1, literal.size() - 2);
      const std::string rule = fresh();
      body += (body.empty() ? "" : " | ") + literal + " " + rule;
      open.push_back({&branch, rule});
    }
    // `plain` but for the characters that go on with a name.
    body += std::string(body.empty() ? "" : " | ") + R"([^"\\\x00-\x1F\x7F)" + taken + "] plain*";
    define(here.rule, body, pointer);
  }
  return define(fresh(), "\"\\\"\" " + first + " \"\\\"\"", pointer);
}

namespace {

// The tree of other_names() is as deep as a name is long.
void check_name(const std::string& name, const std::string& pointer) {
  if (name.size() > kMaxNameBytes)
    refuse_schema(pointer, "has a name of more than " + std::to_string(kMaxNameBytes) + " bytes");
}

}  // namespace

// Properties in their order. Each one that may be absent doubles what follows: with and without a
// comma before, as two rules.
std::string SchemaGrammar::Rules::object(const Json& schema, const std::string& pointer,
                                         int depth) {
  const Json properties = schema.contains("properties") ? schema["properties"] : Json::object();
  if (!properties.is_object()) refuse_schema(pointer + "/properties", "needs an object");
  std::set<std::string> required;
  if (schema.contains("required")) {
    if (!schema["required"].is_array())
      refuse_schema(pointer + "/required", "needs a list of names");
    for (const Json& name : schema["required"]) {
      if (!name.is_string()) refuse_schema(pointer + "/required", "needs a list of names");
      check_name(name.get_ref<const std::string&>(), pointer + "/required");
      required.insert(name.get<std::string>());
    }
  }
  const auto additional = schema.find("additionalProperties");
  const bool has_more = additional != schema.end() ? *additional != false : properties.empty();
  const std::string space = built_in("space");
  if (properties.empty() && required.empty() && has_more &&
      (additional == schema.end() || *additional == true))
    return built_in("object");
  const std::string colon = " " + space + " \":\" " + space + " ";
  const std::string comma = space + " \",\" " + space + " ";
  std::vector<std::pair<std::string, bool>> members;  // expression, required
  std::set<std::string> names;
  for (const auto& [name, property] : properties.items()) {
    check_name(name, pointer + "/properties");
    names.insert(name);
    members.emplace_back(
        grammar_literal(Json(name).dump()) + colon +
            value(property, pointer + "/properties/" + escape_pointer(name), depth + 1),
        required.count(name) != 0);
  }
  for (const std::string& name : required) {
    if (!names.insert(name).second) continue;
    if (!has_more)
      refuse_schema(pointer + "/required", "asks for '" + name + "', which may not be there");
    members.emplace_back(
        grammar_literal(Json(name).dump()) + colon +
            (additional == schema.end()
                 ? built_in("value")
                 : value(*additional, pointer + "/additionalProperties", depth + 1)),
        true);
  }
  std::string first;  // the members from here on, where none came before
  std::string more;   // where one did
  if (has_more) {
    const std::string other =
        other_names(names, pointer) + colon +
        (additional == schema.end()
             ? built_in("value")
             : value(*additional, pointer + "/additionalProperties", depth + 1));
    more = define(fresh(), "(" + comma + other + ")*", pointer);
    first = define(fresh(), "(" + other + " " + more + ")?", pointer);
  }
  bool is_needed = false;  // one of the members from here on is required
  for (usize i = members.size(); i-- > 0;) {
    const auto& [member, is_required] = members[i];
    const std::string with = member + (more.empty() ? "" : " " + more);
    is_needed = is_needed || is_required;
    if (is_required) {
      first = define(fresh(), with, pointer);
    } else {
      first = define(fresh(), with + " | " + (first.empty() ? "\"\"" : first), pointer);
    }
    const std::string next = comma + member;
    more =
        define(fresh(), (is_required ? next : "(" + next + ")?") + (more.empty() ? "" : " " + more),
               pointer);
  }
  const std::string body = is_needed       ? " " + first + " " + space
                           : first.empty() ? ""
                                           : " (" + first + " " + space + ")?";
  return define(fresh(), "\"{\" " + space + body + " \"}\"", pointer);
}

// ---- whole grammars -----------------------------------------------------------------------------

SchemaGrammar::SchemaGrammar() : rules_(new Rules) {}
SchemaGrammar::~SchemaGrammar() { delete rules_; }

std::string SchemaGrammar::add(const Json& schema) {
  rules_->document = SchemaDocument(&schema);
  rules_->references.clear();
  const std::string name = rules_->fresh();
  rules_->references["#"] = name;
  return rules_->define(name, rules_->value(schema, "", 0), "");
}

std::string SchemaGrammar::finish(const std::string& expression) const {
  std::string out = "root ::= " + expression + "\n";
  for (const std::string& name : rules_->order)
    out += name + " ::= " + rules_->bodies.at(name) + "\n";
  return out;
}

std::string grammar_of_schema(const Json& schema) {
  SchemaGrammar grammar;
  const std::string rule = grammar.add(schema);
  return grammar.finish(rule);
}

std::string grammar_of_any_object() {
  return grammar_of_schema(Json::object({{"type", "object"}}));
}

}  // namespace lbm::cli
