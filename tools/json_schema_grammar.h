// JSON schemas as grammars (docs/grammar.md): what a model writes under the grammar is JSON that
// the schema accepts.
//
// A keyword that a grammar can not express, or that is not known, is an error: nothing is passed
// over that would make an answer invalid. What a schema leaves open is decided for the shorter
// answer: properties and elements that are not described are left out where the schema does not ask
// for them.
#pragma once

#include <stdexcept>
#include <string>

#include "tools/output.h"

namespace lbm::cli {

// "/properties/age/multipleOf: not supported ...": the JSON pointer of what is at fault, and why.
class SchemaError : public std::runtime_error {
 public:
  SchemaError(const std::string& pointer, const std::string& why)
      : std::runtime_error((pointer.empty() ? "schema" : "schema " + pointer) + ": " + why),
        pointer_(pointer) {}
  [[nodiscard]] const std::string& pointer() const { return pointer_; }

 private:
  std::string pointer_;
};

// GBNF whose root is a value that `schema` accepts. Properties come in the order of the schema.
// Throws SchemaError.
[[nodiscard]] std::string grammar_of_schema(const Json& schema);

// GBNF of any JSON object.
[[nodiscard]] std::string grammar_of_any_object();

// A grammar made of several: how a tool call is described, for example.
class SchemaGrammar {
 public:
  SchemaGrammar();
  ~SchemaGrammar();
  SchemaGrammar(const SchemaGrammar&) = delete;
  SchemaGrammar& operator=(const SchemaGrammar&) = delete;

  // The name of a rule for values of `schema`, to which pointers in messages are relative.
  // Throws SchemaError.
  [[nodiscard]] std::string add(const Json& schema);
  // The rules so far, followed by `root ::= <expression>`.
  [[nodiscard]] std::string finish(const std::string& expression) const;

 private:
  struct Rules;
  Rules* rules_;
};

// `text` as a literal of GBNF, in its quotes.
[[nodiscard]] std::string grammar_literal(const std::string& text);

}  // namespace lbm::cli
