// JSON as values that a chat template computes with.
#pragma once

#include "core/chat/template_value.h"
#include "tools/output.h"

namespace lbm::cli {

// Builds template values that view into one JSON document, which must outlive them.
class ValueBuilder {
 public:
  static constexpr u32 kMaxJsonDepth = 64;

  explicit ValueBuilder(Arena& arena) : arena_(arena) {}

  TemplateValue build(const Json& json, u32 depth = 0) {
    if (depth > kMaxJsonDepth) throw CommandError(ExitCode::kUsage, "JSON is nested too deeply");
    switch (json.type()) {
      case Json::value_t::boolean: return TemplateValue::boolean(json.get<bool>());
      case Json::value_t::number_integer: return TemplateValue::integer(json.get<i64>());
      case Json::value_t::number_unsigned: return build_unsigned(json.get<u64>());
      case Json::value_t::number_float: return TemplateValue::number(json.get<f64>());
      case Json::value_t::string:
        return TemplateValue::text(to_str(json.get_ref<const std::string&>()));
      case Json::value_t::array: return build_list(json, depth);
      case Json::value_t::object: return TemplateValue::map(build_map(json, depth));
      default: return TemplateValue::none();
    }
  }

  const TemplateMap& build_map(const Json& json, u32 depth = 0) {
    TemplateMap& map = *expect(arena_.make<TemplateMap>("template map"), "", Stage::kRun);
    for (const auto& [key, value] : json.items()) set(map, to_str(key), build(value, depth + 1));
    return map;
  }

  void set(TemplateMap& map, Str key, TemplateValue value) {
    expect(map.set(arena_, key, value), "", Stage::kRun);
  }

 private:
  static TemplateValue build_unsigned(u64 value) {
    return value <= static_cast<u64>(INT64_MAX) ? TemplateValue::integer(static_cast<i64>(value))
                                                : TemplateValue::number(static_cast<f64>(value));
  }

  TemplateValue build_list(const Json& json, u32 depth) {
    TemplateList& list = *expect(arena_.make<TemplateList>("template list"), "", Stage::kRun);
    for (const Json& item : json)
      expect(list.append(arena_, build(item, depth + 1)), "", Stage::kRun);
    return TemplateValue::list(list);
  }

  Arena& arena_;
};

}  // namespace lbm::cli
