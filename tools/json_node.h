// A JSON value that knows where it stands, for files of foreign origin: every wrong type or value
// is an error that names the file and the place ("/model/vocab/17").
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tools/output.h"

namespace lbm::cli {

// Objects are sorted maps: the ordered kind searches all keys for each one it takes in, and a
// vocabulary has hundreds of thousands.
using JsonTree = nlohmann::json;

// Parses `text`. Throws CommandError (kModel) for bytes that are no JSON (with the first of them),
// nesting deeper than 64 and a key that an object has twice.
[[nodiscard]] JsonTree parse_json_file(const std::string& text, const std::string& file);

class JsonNode {
 public:
  JsonNode(const JsonTree& value, std::string file) : value_(&value), file_(std::move(file)) {}

  [[nodiscard]] const JsonTree& value() const { return *value_; }
  [[nodiscard]] bool is_null() const { return value_->is_null(); }
  [[nodiscard]] bool has(const char* key) const {
    return value_->is_object() && value_->contains(key) && !value_->at(key).is_null();
  }
  // A member; an error where it is absent, and null where the key is optional.
  [[nodiscard]] JsonNode at(const std::string& key) const;
  [[nodiscard]] JsonNode find(const std::string& key) const;
  [[nodiscard]] std::vector<JsonNode> items() const;  // of an array

  [[nodiscard]] const std::string& text() const;
  [[nodiscard]] std::string text_or(const char* key, const char* fallback) const;
  [[nodiscard]] bool flag_or(const char* key, bool fallback) const;
  [[nodiscard]] u32 integer(u32 limit) const;  // 0 to limit - 1
  [[nodiscard]] f32 number() const;            // finite

  // Ends the command. `code` is what stands in brackets: "unsupported", "bad_type", "bad_value" ...
  [[noreturn]] void refuse(const std::string& what, const char* code) const;
  [[noreturn]] void refuse_unsupported(const std::string& what) const {
    refuse(what, "unsupported");
  }

 private:
  JsonNode(const JsonTree& value, std::string file, std::string place)
      : value_(&value), file_(std::move(file)), place_(std::move(place)) {}

  const JsonTree* value_;
  std::string file_;
  std::string place_;
};

}  // namespace lbm::cli
