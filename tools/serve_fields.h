// The fields of a request's body: each has a type and a range, and what is wrong is an ApiError
// (400) that names the field.
#pragma once

#include <string>
#include <vector>

#include "core/base/types.h"
#include "tools/output.h"

namespace lbm::cli {

// Throws ApiError (400).
[[noreturn]] void refuse_field(const std::string& key, const std::string& what,
                               const char* code = "invalid_value");

// Keys stay in their order, which schemas and templates show. Throws ApiError for bytes that are no
// JSON object, a key that is there twice, more than kMaxKeys of them in one object (looking one up
// takes time for each), and nesting deeper than kMaxBodyDepth.
inline constexpr usize kMaxKeys = 1024;
inline constexpr int kMaxBodyDepth = 64;
[[nodiscard]] Json parse_body(const std::string& body);
// JSON within a text: arguments of a call. Discarded where it is none, or nested deeper than
// kMaxBodyDepth: copying and writing a value go as deep as it is.
[[nodiscard]] Json parse_inner_json(const std::string& text);

// Null where the key is absent; null itself counts as absent, as clients send it.
[[nodiscard]] const Json* find_field(const Json& object, const char* key);
// The same of a key that must be there.
[[nodiscard]] const Json& need_field(const Json& object, const char* key);

[[nodiscard]] f64 number_field(const Json& object, const char* key, f64 low, f64 high,
                               f64 standard);
[[nodiscard]] i64 integer_field(const Json& object, const char* key, i64 low, i64 high,
                                i64 standard);
[[nodiscard]] bool flag_field(const Json& object, const char* key, bool standard = false);
// Empty where the key is absent.
[[nodiscard]] std::string text_field(const Json& object, const char* key);

// Of a value that stands at `key`.
[[nodiscard]] std::string text_of(const Json& value, const std::string& key);
[[nodiscard]] const Json& object_of(const Json& value, const std::string& key);
[[nodiscard]] const Json& array_of(const Json& value, const std::string& key, usize n_max);
[[nodiscard]] std::vector<u32> ids_of(const Json& array, const std::string& key);

}  // namespace lbm::cli
