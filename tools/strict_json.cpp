// See strict_json.h.
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

constexpr usize kMaxNameBytes = 128;

// Watches a parse for what JSON itself allows.
class ParseGuard {
 public:
  ParseGuard(const std::string& name, ExitCode code) : name_(name), code_(code) {}

  bool operator()(int depth, Json::parse_event_t event, const Json& parsed) {
    using Event = Json::parse_event_t;
    const bool opens = event == Event::object_start || event == Event::array_start;
    if (opens && depth >= kMaxStrictDepth)
      refuse(code_, name_, "JSON is nested too deeply", ErrorCode::kLimit);
    switch (event) {
      case Event::object_start: keys_.emplace_back(); break;
      case Event::object_end: keys_.pop_back(); break;
      case Event::key: {
        const std::string& key = parsed.get_ref<const std::string&>();
        if (!keys_.back().insert(key).second) {
          refuse(code_, name_, "the key '" + printable(to_str(key)) + "' is given twice",
                 ErrorCode::kDuplicate);
        }
        break;
      }
      default: break;
    }
    return true;
  }

 private:
  const std::string& name_;
  ExitCode code_;
  std::vector<std::set<std::string>> keys_;
};

[[noreturn]] void refuse_byte(ExitCode code, const std::string& name, usize at) {
  refuse(code, name, "is no JSON, at byte " + std::to_string(at), ErrorCode::kBadSyntax);
}

}  // namespace

void refuse(ExitCode code, const std::string& where, const std::string& what, ErrorCode error) {
  throw CommandError(code, where + ": " + what + " [" + to_string(error_code_name(error)) + "]");
}

Json parse_strict_json(const std::string& text, const std::string& name, ExitCode code) {
  if (text.size() > kMaxJsonBytes)
    refuse(code, name, "JSON of more than 64 MiB", ErrorCode::kLimit);
  ParseGuard guard(name, code);
  try {
    Json json = Json::parse(text, std::ref(guard));
    // The library takes a byte 0 for the end of the text, whatever comes behind it.
    const usize end = text.find('\0');
    if (end != std::string::npos) refuse_byte(code, name, end);
    return json;
  } catch (const Json::parse_error& error) {
    // It counts those that it has read, with the one that it did not expect.
    refuse_byte(code, name, error.byte - 1);
  } catch (const Json::exception&) {
    // Not a syntax error: a number that no type holds.
    refuse(code, name, "JSON with a number out of range", ErrorCode::kOverflow);
  }
}

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  if (!object.is_object())
    refuse(ExitCode::kModel, path_, "a JSON object is needed", ErrorCode::kBadType);
}

const Json* Fields::optional(const char* key) {
  known_.insert(key);
  const auto found = object_.find(key);
  return found == object_.end() ? nullptr : &*found;
}

const Json& Fields::required(const char* key) {
  const Json* value = optional(key);
  if (value == nullptr) refuse(ExitCode::kModel, where(key), "is missing", ErrorCode::kMissing);
  return *value;
}

std::string Fields::text(const char* key) {
  const Json& value = required(key);
  if (!value.is_string())
    refuse(ExitCode::kModel, where(key), "a text is needed", ErrorCode::kBadType);
  return value.get<std::string>();
}

std::string Fields::text_or(const char* key, const std::string& standard) {
  return optional(key) == nullptr ? standard : text(key);
}

u64 Fields::number(const char* key, u64 low, u64 high) {
  const Json& value = required(key);
  if (!value.is_number_unsigned())
    refuse(ExitCode::kModel, where(key), "a whole number is needed", ErrorCode::kBadType);
  const u64 number = value.get<u64>();
  if (number < low || number > high) {
    refuse(ExitCode::kModel, where(key),
           std::to_string(number) + " is not from " + std::to_string(low) + " to " +
               std::to_string(high),
           ErrorCode::kBadValue);
  }
  return number;
}

u64 Fields::number_or(const char* key, u64 low, u64 high, u64 standard) {
  return optional(key) == nullptr ? standard : number(key, low, high);
}

bool Fields::flag(const char* key) {
  const Json& value = required(key);
  if (!value.is_boolean())
    refuse(ExitCode::kModel, where(key), "true or false is needed", ErrorCode::kBadType);
  return value.get<bool>();
}

Sha256Digest Fields::digest(const char* key) {
  Sha256Digest digest;
  if (!parse_hex_digest(to_str(text(key)), digest)) {
    refuse(ExitCode::kModel, where(key), "a SHA-256 is 64 hexadecimal digits",
           ErrorCode::kBadValue);
  }
  return digest;
}

const Json& Fields::array(const char* key, bool is_required) {
  static const Json kEmpty = Json::array();
  const Json* value = is_required ? &required(key) : optional(key);
  if (value == nullptr) return kEmpty;
  if (!value->is_array())
    refuse(ExitCode::kModel, where(key), "an array is needed", ErrorCode::kBadType);
  return *value;
}

void Fields::done() const {
  for (const auto& [key, value] : object_.items()) {
    if (known_.count(key) != 0 || key.rfind("x-", 0) == 0) continue;
    refuse(ExitCode::kModel, path_,
           "'" + printable(to_str(key)) + "' is not a known field (your own begin with x-)",
           ErrorCode::kUnsupported);
  }
}

bool is_plain_name(const std::string& name) {
  if (name.empty() || name.size() > kMaxNameBytes || name == "." || name == "..") return false;
  for (const char c : name) {
    const bool is_allowed = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                            (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!is_allowed) return false;
  }
  return true;
}

}  // namespace lbm::cli
