#include "tools/json_schema_document.h"

#include <algorithm>
#include <set>

namespace lbm::cli {

void refuse_schema(const std::string& pointer, const std::string& why) {
  throw SchemaError(pointer, why);
}

std::string escape_pointer(const std::string& key) {
  std::string out;
  for (const char c : key) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

void check_schema_depth(int depth, const std::string& pointer) {
  constexpr int kMaxDepth = 64;
  if (depth > kMaxDepth)
    refuse_schema(pointer, "the schema is nested too deep, or merges with itself");
}

namespace {

// Keywords that say nothing about which values are valid.
const std::set<std::string> kAnnotations = {
    "title",    "description", "default", "examples", "deprecated",  "readOnly", "writeOnly",
    "$comment", "$schema",     "$id",     "$defs",    "definitions", "$anchor"};

// Keywords that are understood. What else there is in a schema is refused.
const std::set<std::string> kKeywords = {"type",
                                         "enum",
                                         "const",
                                         "anyOf",
                                         "oneOf",
                                         "allOf",
                                         "$ref",
                                         "properties",
                                         "required",
                                         "items",
                                         "prefixItems",
                                         "additionalProperties",
                                         "minItems",
                                         "maxItems",
                                         "uniqueItems",
                                         "pattern",
                                         "format",
                                         "minLength",
                                         "maxLength",
                                         "minimum",
                                         "maximum",
                                         "multipleOf",
                                         "exclusiveMinimum",
                                         "exclusiveMaximum",
                                         "additionalItems"};

// Types that the keywords of a schema without "type" speak of.
std::vector<std::string> implied_types(const Json& schema) {
  const auto has = [&](std::initializer_list<const char*> keys) {
    for (const char* key : keys) {
      if (schema.contains(key)) return true;
    }
    return false;
  };
  if (has({"properties", "required", "additionalProperties"})) return {"object"};
  if (has({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"})) return {"array"};
  if (has({"pattern", "format", "minLength", "maxLength"})) return {"string"};
  if (has({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}))
    return {"integer"};
  return {"object", "array", "string", "number", "boolean", "null"};
}

void check_keywords(const Json& schema, const std::string& pointer) {
  if (!schema.is_object() && !schema.is_boolean())
    refuse_schema(pointer, "a schema is an object, true or false");
  if (schema.is_boolean()) return;
  for (const auto& [key, value] : schema.items()) {
    if (kAnnotations.count(key) != 0 || kKeywords.count(key) != 0 || key.rfind("x-", 0) == 0)
      continue;
    refuse_schema(pointer + "/" + escape_pointer(key), "this keyword is not supported");
  }
}

}  // namespace

std::vector<std::string> schema_types(const Json& schema, const std::string& pointer) {
  const auto type = schema.find("type");
  if (type == schema.end()) return implied_types(schema);
  std::vector<std::string> out;
  const Json list = type->is_array() ? *type : Json::array({*type});
  for (const Json& one : list) {
    static const std::set<std::string> kTypes = {"object",  "array",   "string", "number",
                                                 "integer", "boolean", "null"};
    if (!one.is_string() || kTypes.count(one.get<std::string>()) == 0)
      refuse_schema(pointer + "/type", "there is no such type");
    out.push_back(one.get<std::string>());
  }
  if (out.empty()) refuse_schema(pointer + "/type", "no type is left");
  return out;
}

const Json& SchemaDocument::target(const std::string& reference, const std::string& pointer) const {
  if (reference.empty() || reference[0] != '#' || (reference.size() > 1 && reference[1] != '/'))
    refuse_schema(pointer + "/$ref", "only references into this schema are supported: '#/...'");
  try {
    return root_->at(Json::json_pointer(reference.substr(1)));
  } catch (const Json::exception&) {
    refuse_schema(pointer + "/$ref", "there is nothing at '" + reference + "'");
  }
}

// What both say, in `into`.
void SchemaDocument::merge_into(Json& into, const Json& from, const std::string& pointer,
                                int depth) const {
  check_schema_depth(depth, pointer);
  if (++n_merge_ > kMaxMerges) refuse_schema(pointer, "the schema merges too much with allOf");
  for (const auto& [key, value] : from.items()) {
    const std::string here = pointer + "/" + escape_pointer(key);
    if (kAnnotations.count(key) != 0) continue;
    if (!into.contains(key)) {
      into[key] = value;
      continue;
    }
    Json& mine = into[key];
    if (mine == value) continue;
    if (key == "properties" && mine.is_object() && value.is_object()) {
      for (const auto& [name, schema] : value.items()) {
        if (!mine.contains(name)) {
          mine[name] = schema;
        } else if (mine[name] != schema) {
          mine[name] = Json::object({{"allOf", Json::array({mine[name], schema})}});
        }
      }
    } else if (key == "required" && mine.is_array() && value.is_array()) {
      for (const Json& name : value) {
        if (std::find(mine.begin(), mine.end(), name) == mine.end()) mine.push_back(name);
      }
    } else if (key == "type") {
      Json both = Json::array();
      for (const std::string& a : schema_types(into, pointer)) {
        for (const std::string& b : schema_types(from, pointer)) {
          if (a == b || (a == "integer" && b == "number")) both.push_back(a);
          if (a == "number" && b == "integer") both.push_back(b);
        }
      }
      mine = both;
    } else if ((key == "minimum" || key == "exclusiveMinimum" || key == "minLength" ||
                key == "minItems") &&
               mine.is_number() && value.is_number()) {
      if (value > mine) mine = value;
    } else if ((key == "maximum" || key == "exclusiveMaximum" || key == "maxLength" ||
                key == "maxItems") &&
               mine.is_number() && value.is_number()) {
      if (value < mine) mine = value;
    } else if (key == "enum" && mine.is_array() && value.is_array()) {
      Json both = Json::array();
      for (const Json& one : mine) {
        if (std::find(value.begin(), value.end(), one) != value.end()) both.push_back(one);
      }
      mine = both;
    } else if ((key == "additionalProperties" || key == "uniqueItems") && value.is_boolean() &&
               mine.is_boolean()) {
      mine = key == "uniqueItems";
    } else if (key == "items" || key == "additionalProperties") {
      mine = Json::object({{"allOf", Json::array({mine, value})}});
    } else {
      refuse_schema(here, "can not be merged with what is said elsewhere");
    }
  }
}

// What a schema that is nothing but a reference stands for.
Json SchemaDocument::resolved(Json schema, const std::string& pointer, int depth) const {
  while (schema.contains("$ref")) {
    const std::string name = schema["$ref"].get<std::string>();
    schema = merged(target(name, pointer), name.substr(1), ++depth);
  }
  return schema;
}

Json SchemaDocument::merged(const Json& schema, const std::string& pointer, int depth) const {
  check_schema_depth(depth, pointer);
  check_keywords(schema, pointer);
  if (schema.is_boolean()) {
    if (!schema.get<bool>()) refuse_schema(pointer, "nothing is valid here");
    return Json::object();
  }
  Json out = Json::object();
  for (const auto& [key, value] : schema.items()) {
    if (key != "allOf" && key != "$ref" && kKeywords.count(key) != 0) out[key] = value;
  }
  if (const auto reference = schema.find("$ref"); reference != schema.end()) {
    if (!reference->is_string()) refuse_schema(pointer + "/$ref", "needs a text");
    const Json alone = Json::object({{"$ref", *reference}});
    if (out.empty() && !schema.contains("allOf")) return alone;
    merge_into(out, resolved(alone, pointer, depth), pointer, depth);
  }
  const auto all = schema.find("allOf");
  if (all == schema.end()) return out;
  if (!all->is_array() || all->empty())
    refuse_schema(pointer + "/allOf", "needs a list of schemas");
  for (usize i = 0; i < all->size(); ++i) {
    const std::string here = pointer + "/allOf/" + std::to_string(i);
    merge_into(out, resolved(merged((*all)[i], here, depth + 1), here, depth + 1), here, depth);
  }
  return out;
}

}  // namespace lbm::cli
