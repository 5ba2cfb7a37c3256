#include "core/model/config_reader.h"

namespace lbm {

Str ConfigReader::full(Str key) {
  name_.clear();
  return name_.print("{}.{}", architecture_, key).text();
}

u32 ConfigReader::take(Result<u64> r, u32 fallback) {
  if (r.ok()) return static_cast<u32>(r.value());
  keep(r.error());
  return fallback;
}

f64 ConfigReader::take(Result<f64> r) {
  if (r.ok()) return r.value();
  keep(r.error());
  return 1.0;
}

u32 ConfigReader::required(Str key, u64 low, u64 high) {
  return take(file_.get_u64(full(key), low, high), static_cast<u32>(low));
}

u32 ConfigReader::optional(Str key, u64 fallback, u64 low, u64 high) {
  return take(file_.get_u64_or(full(key), fallback, low, high), static_cast<u32>(fallback));
}

f64 ConfigReader::number(Str key, f64 low, f64 high) {
  return take(file_.get_f64(full(key), low, high));
}

f64 ConfigReader::number_or(Str key, f64 fallback, f64 low, f64 high) {
  return take(file_.get_f64_or(full(key), fallback, low, high));
}

bool ConfigReader::flag_or(Str key, bool fallback) {
  Result<bool> r = file_.get_bool_or(full(key), fallback);
  if (r.ok()) return r.value();
  keep(r.error());
  return fallback;
}

Str ConfigReader::text_or(Str key, Str fallback) {
  Result<Str> r = file_.get_text_or(full(key), fallback);
  if (r.ok()) return r.value();
  keep(r.error());
  return fallback;
}

bool ConfigReader::per_layer(Str key, u64 low, u64 high, Span<u32> out) {
  MetaValue value;
  if (!file_.find(full(key), value)) return false;
  if (value.type != MetaType::kArray) {
    const u32 one = required(key, low, high);
    for (u32& each : out) each = one;
    return true;
  }
  const MetaArray& array = value.array;
  const bool integers = array.type != MetaType::kF32 && array.type != MetaType::kF64 &&
                        array.type != MetaType::kString && array.type != MetaType::kArray;
  if (!integers) {
    keep(fail(ErrorCode::kBadType, "must be a number or an array of integers")
             .about(full(key))
             .at(value.file_offset));
    return true;
  }
  if (array.count < out.size()) {
    keep(fail(ErrorCode::kMismatch, "array has fewer entries than the model has layers")
             .about(full(key))
             .with(array.count, out.size())
             .at(value.file_offset));
    return true;
  }
  for (usize i = 0; i < out.size(); ++i) {
    const u64 entry = static_cast<u64>(array.integer(i));  // a negative one is a large one
    if (entry < low || entry > high) {
      keep(fail(ErrorCode::kBadValue, "entry of the array is out of range")
               .about(full(key))
               .with(entry, high)
               .at(value.file_offset));
      return true;
    }
    out[i] = static_cast<u32>(entry);
  }
  return true;
}

bool ConfigReader::has(Str key) {
  MetaValue ignored;
  return file_.find(full(key), ignored);
}

bool ConfigReader::has_array(Str key) {
  MetaValue value;
  return file_.find(full(key), value) && value.type == MetaType::kArray;
}

void ConfigReader::refuse(ErrorCode code, const char* what, Str key, u64 value, u64 limit) {
  const Str name = full(key);
  keep(fail(code, what).about(name).with(value, limit).at(file_.place_of(name)));
}

}  // namespace lbm
