#include "tools/json_node.h"

#include <cmath>
#include <unordered_set>

namespace lbm::cli {
namespace {

constexpr int kMaxDepth = 64;

[[noreturn]] void refuse_file(const std::string& file, const std::string& what, const char* code) {
  throw CommandError(ExitCode::kModel, file + ": " + printable(to_str(what)) + " [" + code + "]");
}

[[noreturn]] void refuse_byte(const std::string& file, usize at) {
  refuse_file(file, "is no JSON, at byte " + std::to_string(at), "bad_syntax");
}

// A key as part of a message, cut where it is long.
std::string place_name(const std::string& key) {
  constexpr usize kLongest = 60;
  return key.size() > kLongest ? key.substr(0, kLongest) + "..." : key;
}

}  // namespace

JsonTree parse_json_file(const std::string& text, const std::string& file) {
  std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, JsonTree::parse_event_t event, JsonTree& parsed) {
    using Event = JsonTree::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= kMaxDepth) refuse_file(file, "the JSON is nested too deeply", "limit");
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(parsed.get_ref<std::string&>()).second) {
      refuse_file(file, "the key '" + place_name(parsed.get<std::string>()) + "' is there twice",
                  "duplicate");
    }
    return true;
  };
  try {
    JsonTree tree = JsonTree::parse(text, check);
    // The library takes a byte 0 for the end of the text, whatever comes behind it.
    const usize end = text.find('\0');
    if (end != std::string::npos) refuse_byte(file, end);
    return tree;
  } catch (const JsonTree::parse_error& error) {
    // It counts those that it has read, with the one that it did not expect.
    refuse_byte(file, error.byte - 1);
  } catch (const JsonTree::exception&) {
    refuse_file(file, "JSON with a number out of range", "overflow");
  }
}

void JsonNode::refuse(const std::string& what, const char* code) const {
  refuse_file(file_, (place_.empty() ? "" : place_ + ": ") + what, code);
}

JsonNode JsonNode::at(const std::string& key) const {
  if (!value_->is_object()) refuse("an object is needed", "bad_type");
  const auto found = value_->find(key);
  if (found == value_->end()) refuse("'" + place_name(key) + "' is missing", "missing");
  return {*found, file_, place_ + "/" + place_name(key)};
}

JsonNode JsonNode::find(const std::string& key) const {
  static const JsonTree kNull;
  if (value_->is_null()) return {kNull, file_, place_ + "/" + key};
  if (!value_->is_object()) refuse("an object is needed", "bad_type");
  const auto found = value_->find(key);
  return {found == value_->end() ? kNull : *found, file_, place_ + "/" + key};
}

std::vector<JsonNode> JsonNode::items() const {
  if (!value_->is_array()) refuse("an array is needed", "bad_type");
  std::vector<JsonNode> nodes;
  nodes.reserve(value_->size());
  for (usize i = 0; i < value_->size(); ++i) {
    nodes.push_back({(*value_)[i], file_, place_ + "/" + std::to_string(i)});
  }
  return nodes;
}

const std::string& JsonNode::text() const {
  if (!value_->is_string()) refuse("a string is needed", "bad_type");
  return value_->get_ref<const std::string&>();
}

std::string JsonNode::text_or(const char* key, const char* fallback) const {
  const JsonNode member = find(key);
  return member.is_null() ? fallback : member.text();
}

bool JsonNode::flag_or(const char* key, bool fallback) const {
  const JsonNode member = find(key);
  if (member.is_null()) return fallback;
  if (!member.value().is_boolean()) member.refuse("true or false is needed", "bad_type");
  return member.value().get<bool>();
}

u32 JsonNode::integer(u32 limit) const {
  if (!value_->is_number_integer()) refuse("a whole number is needed", "bad_type");
  if (value_->get<u64>() >= limit) {  // which a negative number is
    refuse("the number " + value_->dump() + " is not from 0 on and below " + std::to_string(limit),
           "bad_value");
  }
  return static_cast<u32>(value_->get<u64>());
}

f32 JsonNode::number() const {
  if (!value_->is_number()) refuse("a number is needed", "bad_type");
  const f32 number = static_cast<f32>(value_->get<f64>());
  if (!std::isfinite(number)) refuse("the number is not finite", "numeric");
  return number;
}

}  // namespace lbm::cli
