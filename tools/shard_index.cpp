// See shard_index.h.
#include "tools/shard_index.h"

#include <algorithm>
#include <set>

#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

constexpr const char* kBase64Index = "CLIF-1-base64-sharded";
constexpr const char* kBase64Shard = "CLIF-1-base64-shard";
constexpr u64 kMaxBase64Shards = 100'000;

void check_name(const std::string& where, const std::string& name) {
  if (is_plain_name(name)) return;
  refuse(ExitCode::kModel, where,
         "'" + printable(to_str(name)) + "' is no plain file name (A-Z a-z 0-9 . _ -)",
         ErrorCode::kBadName);
}

std::string entry(const std::string& name, usize i) {
  return name + ": chunks[" + std::to_string(i) + "]";
}

// Every byte of the whole in exactly one chunk. The chunks come in order.
void check_cover(const ShardIndex& index, const std::string& name) {
  u64 end = 0;
  for (usize i = 0; i < index.chunks.size(); ++i) {
    const Chunk& chunk = index.chunks[i];
    const std::string numbers = " at byte " + std::to_string(chunk.offset) +
                                ", where the one before ends at " + std::to_string(end);
    if (chunk.offset > end)
      refuse(ExitCode::kModel, entry(name, i), "a gap: begins" + numbers, ErrorCode::kBadOffset);
    if (chunk.offset < end)
      refuse(ExitCode::kModel, entry(name, i), "an overlap: begins" + numbers, ErrorCode::kOverlap);
    if (chunk.size > index.size - end)
      refuse(ExitCode::kModel, entry(name, i), "ends behind the file", ErrorCode::kBadOffset);
    end += chunk.size;
  }
  if (end != index.size) {
    refuse(ExitCode::kModel, name,
           "the chunks end at byte " + std::to_string(end) + " of " + std::to_string(index.size),
           ErrorCode::kTruncated);
  }
}

ShardIndex parse_own(const Json& json, const std::string& name) {
  Fields fields(json, name);
  static_cast<void>(fields.text("schema"));
  ShardIndex index;
  index.name = fields.text("name");
  check_name(fields.where("name"), index.name);
  index.size = fields.number("size", 0, kMaxArtifactBytes);
  index.sha256 = fields.digest("sha256");
  const u64 chunk_bytes = index.chunk_bytes =
      fields.number("chunk_size", kMinChunkBytes, kMaxChunkBytes);
  index.has_manifest = fields.optional("manifest_sha256") != nullptr;
  if (index.has_manifest) index.manifest_sha256 = fields.digest("manifest_sha256");
  if (const Json* signature = fields.optional("signature");
      signature != nullptr && !signature->is_null()) {
    refuse(ExitCode::kModel, fields.where("signature"), "this build can not check signatures",
           ErrorCode::kUnsupported);
  }
  const Json& chunks = fields.array("chunks");
  if (chunks.size() != chunk_count(index.size, chunk_bytes)) {
    refuse(ExitCode::kModel, fields.where("chunks"),
           std::to_string(chunks.size()) + " chunks, where size and chunk_size make " +
               std::to_string(chunk_count(index.size, chunk_bytes)),
           ErrorCode::kMismatch);
  }
  std::set<std::pair<std::string, u64>> places;
  for (usize i = 0; i < chunks.size(); ++i) {
    Fields inner(chunks[i], entry(name, i));
    Chunk chunk;
    chunk.path = inner.text("path");
    check_name(inner.where("path"), chunk.path);
    chunk.path_at = inner.number_or("at", 0, kMaxArtifactBytes, 0);
    chunk.offset = inner.number("offset", 0, kMaxArtifactBytes);
    chunk.size = inner.number("size", 1, chunk_bytes);
    chunk.sha256 = inner.digest("sha256");
    inner.done();
    if (!places.insert({chunk.path, chunk.path_at}).second)
      refuse(ExitCode::kModel, entry(name, i), "the same bytes as another chunk",
             ErrorCode::kDuplicate);
    index.chunks.push_back(std::move(chunk));
  }
  fields.done();
  check_cover(index, name);
  return index;
}

// The form of CSS-LLM. Of a shard the index says only the name; sizes are in the shards, and the
// split is ceil(total / count).
ShardIndex parse_base64(const Json& json, const std::string& name) {
  Fields fields(json, name);
  static_cast<void>(fields.text("format"));
  ShardIndex index;
  index.has_hashes = false;
  index.is_base64 = true;
  const std::string base = fields.text("baseName");
  check_name(fields.where("baseName"), base);
  index.name = base + ".bin";
  const u64 count = fields.number("shardCount", 1, kMaxBase64Shards);
  index.size = fields.number("totalBytes", 1, kMaxArtifactBytes);
  const Json& shards = fields.array("shards");
  if (shards.size() != count) {
    refuse(ExitCode::kModel, fields.where("shards"),
           std::to_string(shards.size()) + " names for " + std::to_string(count) + " shards",
           ErrorCode::kMismatch);
  }
  const u64 each = chunk_count(index.size, count);  // ceil(total / count)
  std::set<std::string> names;
  for (usize i = 0; i < shards.size(); ++i) {
    const std::string where = name + ": shards[" + std::to_string(i) + "]";
    if (!shards[i].is_string())
      refuse(ExitCode::kModel, where, "a text is needed", ErrorCode::kBadType);
    Chunk chunk;
    chunk.path = shards[i].get<std::string>();
    check_name(where, chunk.path);
    if (!names.insert(chunk.path).second)
      refuse(ExitCode::kModel, where, "is there already", ErrorCode::kDuplicate);
    chunk.offset = std::min(index.size, each * i);
    chunk.size = std::min(each, index.size - chunk.offset);
    index.chunks.push_back(std::move(chunk));
  }
  fields.done();
  return index;
}

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

// RFC 4648, strict: whole groups, padding at the end only, no bits beyond it. False, with the
// place, for anything else.
bool decode_base64(const std::string& text, std::string& out, usize& bad_at) {
  bad_at = text.size();
  if (text.size() % 4 != 0) return false;
  usize n = text.size();
  while (n > 0 && text.size() - n < 2 && text[n - 1] == '=') --n;
  out.reserve(text.size() / 4 * 3);
  u32 bits = 0;
  u32 n_bit = 0;
  for (usize i = 0; i < n; ++i) {
    const int value = base64_value(text[i]);
    bad_at = i;
    if (value < 0) return false;
    bits = (bits << 6 | static_cast<u32>(value)) & 0xFFFF;
    n_bit += 6;
    if (n_bit < 8) continue;
    n_bit -= 8;
    out += static_cast<char>(bits >> n_bit & 0xFF);
  }
  return (bits & ((1u << n_bit) - 1)) == 0;
}

}  // namespace

ShardIndex parse_shard_index(const std::string& text, const std::string& name) {
  const Json json = parse_strict_json(text, name);
  const auto is = [&](const char* key, const char* value) {
    return json.is_object() && json.contains(key) && json[key] == value;
  };
  if (is("schema", kShardSchema)) return parse_own(json, name);
  if (is("format", kBase64Index)) return parse_base64(json, name);
  refuse(ExitCode::kModel, name,
         std::string("is no index of shards (\"schema\": \"") + kShardSchema +
             "\" or \"format\": \"" + kBase64Index + "\")",
         ErrorCode::kBadMagic);
}

Json to_json(const ShardIndex& index) {
  Json out;
  out["schema"] = kShardSchema;
  out["name"] = index.name;
  out["size"] = index.size;
  out["sha256"] = hex_of(index.sha256);
  out["chunk_size"] = index.chunk_bytes;
  if (index.has_manifest) out["manifest_sha256"] = hex_of(index.manifest_sha256);
  out["chunks"] = Json::array();
  for (const Chunk& chunk : index.chunks) {
    Json entry = {{"path", chunk.path}};
    if (chunk.path_at != 0) entry["at"] = chunk.path_at;
    entry["offset"] = chunk.offset;
    entry["size"] = chunk.size;
    entry["sha256"] = hex_of(chunk.sha256);
    out["chunks"].push_back(std::move(entry));
  }
  out["signature"] = nullptr;
  return out;
}

std::string decode_base64_shard(const std::string& text, const ShardIndex& index, usize number,
                                const std::string& name) {
  const Chunk& chunk = index.chunks[number];
  const Json json = parse_strict_json(text, name);
  Fields fields(json, name);
  if (fields.text("format") != kBase64Shard)
    refuse(ExitCode::kModel, fields.where("format"), std::string("is not ") + kBase64Shard,
           ErrorCode::kBadMagic);
  const auto check = [&](const char* key, u64 expected) {
    const u64 found = fields.number(key, 0, kMaxArtifactBytes);
    if (found == expected) return;
    refuse(ExitCode::kModel, fields.where(key),
           std::to_string(found) + ", where the index makes it " + std::to_string(expected),
           ErrorCode::kMismatch);
  };
  check("shardIndex", number);
  check("shardNumber", number + 1);
  check("shardCount", index.chunks.size());
  check("byteOffset", chunk.offset);
  check("byteLength", chunk.size);
  std::string bytes;
  usize bad_at = 0;
  if (!decode_base64(fields.text("dataBase64"), bytes, bad_at)) {
    refuse(ExitCode::kModel, fields.where("dataBase64"),
           "is no base64, at character " + std::to_string(bad_at), ErrorCode::kBadSyntax);
  }
  if (bytes.size() != chunk.size) {
    refuse(ExitCode::kModel, fields.where("dataBase64"),
           std::to_string(bytes.size()) + " bytes, where byteLength says " +
               std::to_string(chunk.size),
           ErrorCode::kMismatch);
  }
  fields.done();
  return bytes;
}

}  // namespace lbm::cli
