// A JSON schema as a document: what may stand in it, where references lead, and schemas that are
// made of others.
#pragma once

#include <string>
#include <vector>

#include "tools/json_schema_grammar.h"

namespace lbm::cli {

// Throws SchemaError.
[[noreturn]] void refuse_schema(const std::string& pointer, const std::string& why);
// A name as a step of a JSON pointer.
[[nodiscard]] std::string escape_pointer(const std::string& key);
// Throws SchemaError where a walk that may follow references has gone too deep.
void check_schema_depth(int depth, const std::string& pointer);
// "type", or the types that the keywords of a schema without it speak of. Throws SchemaError.
[[nodiscard]] std::vector<std::string> schema_types(const Json& schema, const std::string& pointer);

class SchemaDocument {
 public:
  SchemaDocument() = default;
  explicit SchemaDocument(const Json* root) : root_(root) {}

  // What "$ref" names. Throws SchemaError.
  [[nodiscard]] const Json& target(const std::string& reference, const std::string& pointer) const;
  // `schema` without "allOf", without annotations, and without "$ref" where something stands beside
  // it: one that says all that they say. Every keyword of it is known. Throws SchemaError.
  [[nodiscard]] Json merged(const Json& schema, const std::string& pointer, int depth) const;

 private:
  [[nodiscard]] Json resolved(Json schema, const std::string& pointer, int depth) const;
  void merge_into(Json& into, const Json& from, const std::string& pointer, int depth) const;

  // Merging the same things again and again doubles with each level of "$ref" in "allOf".
  static constexpr u32 kMaxMerges = 10'000;

  const Json* root_ = nullptr;
  mutable u32 n_merge_ = 0;
};

}  // namespace lbm::cli
