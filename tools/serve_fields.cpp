// See serve_fields.h.
#include "tools/serve_fields.h"

#include <cmath>
#include <unordered_set>

#include "tools/serve_error.h"

namespace lbm::cli {
namespace {

constexpr usize kMaxIds = 1u << 20;
constexpr usize kShownKeyBytes = 60;

[[noreturn]] void refuse_body(const std::string& what) {
  throw ApiError(400, "the body " + what, "invalid_json");
}

// A key of a stranger as part of a message.
std::string shown_key(const std::string& key) {
  return printable(to_str(key.substr(0, kShownKeyBytes)));
}

// Looks on while the body is parsed, so that nothing is built that is refused later.
class BodyCheck {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    using Event = Json::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= kMaxBodyDepth) refuse_body("is nested too deeply");
    if (event == Event::object_start) keys_.emplace_back();
    if (event == Event::object_end) keys_.pop_back();
    if (event == Event::key) take_key(parsed.get_ref<const std::string&>());
    return true;
  }

 private:
  void take_key(const std::string& key) {
    if (!keys_.back().insert(key).second) {
      throw ApiError(400, "the key '" + shown_key(key) + "' is there twice", "invalid_json",
                     shown_key(key));
    }
    if (keys_.back().size() > kMaxKeys) {
      refuse_body("has an object with more than " + std::to_string(kMaxKeys) + " keys");
    }
  }

  std::vector<std::unordered_set<std::string>> keys_;  // of the objects that are open
};

}  // namespace

void refuse_field(const std::string& key, const std::string& what, const char* code) {
  throw ApiError(400, "'" + key + "' " + what, code, key);
}

Json parse_body(const std::string& body) {
  Json value;
  BodyCheck check;
  // The library takes a byte 0 for the end of the text, whatever comes behind it.
  if (body.find('\0') != std::string::npos) refuse_body("is no JSON: it has a byte 0");
  try {
    value = Json::parse(body, [&check](int depth, Json::parse_event_t event, Json& parsed) {
      return check(depth, event, parsed);
    });
  } catch (const Json::parse_error& error) {
    refuse_body("is no JSON, at byte " + std::to_string(error.byte));
  } catch (const Json::exception&) {
    refuse_body("has a number out of range");
  }
  if (!value.is_object()) refuse_body("is no JSON object");
  return value;
}

Json parse_inner_json(const std::string& text) {
  bool is_too_deep = false;
  Json value = Json::parse(
      text,
      [&is_too_deep](int depth, Json::parse_event_t event, Json&) {
        using Event = Json::parse_event_t;
        const bool opens = event == Event::object_start || event == Event::array_start;
        is_too_deep = is_too_deep || (opens && depth >= kMaxBodyDepth);
        return !is_too_deep;
      },
      false);
  return is_too_deep ? Json(Json::value_t::discarded) : value;
}

const Json* find_field(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const Json& need_field(const Json& object, const char* key) {
  const Json* const value = find_field(object, key);
  if (value == nullptr) refuse_field(key, "is missing", "missing");
  return *value;
}

f64 number_field(const Json& object, const char* key, f64 low, f64 high, f64 standard) {
  const Json* const value = find_field(object, key);
  if (value == nullptr) return standard;
  if (!value->is_number()) refuse_field(key, "must be a number", "invalid_type");
  const f64 n = value->get<f64>();
  if (!std::isfinite(n) || n < low || n > high)
    refuse_field(key, format("must lie between %g and %g", low, high));
  return n;
}

i64 integer_field(const Json& object, const char* key, i64 low, i64 high, i64 standard) {
  const Json* const value = find_field(object, key);
  if (value == nullptr) return standard;
  if (!value->is_number_integer()) refuse_field(key, "must be an integer", "invalid_type");
  const bool is_huge = value->is_number_unsigned() && value->get<u64>() > u64{INT64_MAX};
  if (is_huge || value->get<i64>() < low || value->get<i64>() > high) {
    refuse_field(key, "must lie between " + std::to_string(low) + " and " + std::to_string(high));
  }
  return value->get<i64>();
}

bool flag_field(const Json& object, const char* key, bool standard) {
  const Json* const value = find_field(object, key);
  if (value == nullptr) return standard;
  if (!value->is_boolean()) refuse_field(key, "must be true or false", "invalid_type");
  return value->get<bool>();
}

std::string text_field(const Json& object, const char* key) {
  const Json* const value = find_field(object, key);
  return value == nullptr ? std::string() : text_of(*value, key);
}

std::string text_of(const Json& value, const std::string& key) {
  if (!value.is_string()) refuse_field(key, "must be a string", "invalid_type");
  return value.get<std::string>();
}

const Json& object_of(const Json& value, const std::string& key) {
  if (!value.is_object()) refuse_field(key, "must be an object", "invalid_type");
  return value;
}

const Json& array_of(const Json& value, const std::string& key, usize n_max) {
  if (!value.is_array()) refuse_field(key, "must be an array", "invalid_type");
  if (value.size() > n_max)
    refuse_field(key, "has more than " + std::to_string(n_max) + " entries");
  return value;
}

std::vector<u32> ids_of(const Json& array, const std::string& key) {
  if (!array.is_array()) refuse_field(key, "must be an array of token ids", "invalid_type");
  if (array.size() > kMaxIds) refuse_field(key, "has too many token ids");
  std::vector<u32> ids;
  ids.reserve(array.size());
  for (const Json& id : array) {
    if (!id.is_number_unsigned() || id.get<u64>() > UINT32_MAX)
      refuse_field(key, "must be an array of token ids", "invalid_type");
    ids.push_back(id.get<u32>());
  }
  return ids;
}

}  // namespace lbm::cli
