// What a broken GGUF file says before it breaks: for a person who wonders which file that was.
#include <algorithm>
#include <vector>

#include "core/base/byte_reader.h"
#include "tools/inspect_model.h"
#include "tools/model_reader.h"

namespace lbm::cli {

Json describe_value(const MetaValue& value) {
  switch (value.type) {
    case MetaType::kString: return to_string(value.text);
    case MetaType::kBool: return value.integer != 0;
    case MetaType::kF32:
    case MetaType::kF64: return value.number;
    case MetaType::kArray:
      return Json{{"array_of", to_string(meta_type_name(value.array.type))},
                  {"count", value.array.count}};
    default: return value.huge ? Json(static_cast<u64>(value.integer)) : Json(value.integer);
  }
}

Json inspect_broken_gguf(const std::string& path) {
  constexpr u64 kMost = kMiB;
  constexpr u32 kMostKeys = 64;
  const std::unique_ptr<FileSource> source = open_model_source(path);
  std::vector<u8> bytes(static_cast<usize>(std::min(source->size(), kMost)));
  if (!source->read(0, {bytes.data(), bytes.size()}).ok()) return nullptr;
  ByteReader in({bytes.data(), bytes.size()});
  if (in.read_text(4) != "GGUF") return nullptr;
  Json out;
  out["version"] = in.read_u32();
  out["n_tensor"] = in.read_u64();
  out["n_metadata"] = in.read_u64();
  if (!in.ok()) return nullptr;
  Json keys = Json::object();
  for (u64 i = 0; i < out["n_metadata"].get<u64>() && keys.size() < kMostKeys; ++i) {
    const u64 n_key = in.read_u64();
    const std::string key = to_string(in.read_text(n_key));
    const u32 type = in.read_u32();
    if (!in.ok() || type >= kMetaTypeCount) break;
    MetaValue value;
    value.type = static_cast<MetaType>(type);
    if (value.type == MetaType::kArray) break;  // mostly the vocabulary
    if (value.type == MetaType::kString) {
      const u64 n_text = in.read_u64();
      value.text = in.read_text(n_text);
    } else {
      const u32 n_byte = meta_type_bytes(value.type);
      u64 bits = 0;
      for (u32 k = 0; k < n_byte; ++k) bits |= u64{in.read_u8()} << (8 * k);
      value.integer = static_cast<i64>(bits);
      if (value.type == MetaType::kF32)
        value.number = static_cast<f64>(__builtin_bit_cast(f32, static_cast<u32>(bits)));
      if (value.type == MetaType::kF64) value.number = __builtin_bit_cast(f64, bits);
    }
    if (!in.ok()) break;
    keys[key] = describe_value(value);
  }
  out["metadata"] = keys;
  return out;
}

}  // namespace lbm::cli
