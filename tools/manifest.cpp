// See manifest.h.
#include "tools/manifest.h"

#include <algorithm>
#include <filesystem>

#include "tools/model_reader.h"
#include "tools/strict_json.h"

namespace lbm::cli {
namespace {

constexpr usize kMaxFiles = 4096;
constexpr usize kMaxTextBytes = 1024;

void check_choice(const std::string& where, const std::string& value,
                  std::initializer_list<const char*> choices) {
  std::string list;
  for (const char* choice : choices) {
    if (value == choice) return;
    list += (list.empty() ? "" : ", ") + std::string(choice);
  }
  refuse(ExitCode::kModel, where, "'" + printable(to_str(value)) + "' is none of " + list,
         ErrorCode::kBadValue);
}

// MAJOR.MINOR.PATCH, digits only: what can be compared.
bool is_version(const std::string& text) {
  int n_dot = 0;
  bool has_digit = false;
  for (const char c : text) {
    if (c == '.' && has_digit) {
      ++n_dot;
      has_digit = false;
    } else if (c >= '0' && c <= '9') {
      has_digit = true;
    } else {
      return false;
    }
  }
  return n_dot == 2 && has_digit && text.size() <= 32;
}

std::string short_text(Fields& fields, const char* key, bool may_be_empty) {
  const std::string text = fields.text_or(key, "");
  if (text.empty() && !may_be_empty)
    refuse(ExitCode::kModel, fields.where(key), "is missing", ErrorCode::kMissing);
  if (text.size() > kMaxTextBytes || printable(to_str(text)) != text)
    refuse(ExitCode::kModel, fields.where(key), "a short printable text is needed",
           ErrorCode::kBadValue);
  return text;
}

HashedFile parse_file(const Json& json, const std::string& path) {
  Fields fields(json, path);
  HashedFile file;
  file.name = fields.text("path");
  if (!is_plain_name(file.name)) {
    refuse(ExitCode::kModel, fields.where("path"),
           "'" + printable(to_str(file.name)) + "' is no plain file name (A-Z a-z 0-9 . _ -)",
           ErrorCode::kBadName);
  }
  file.size = fields.number("size", 0, kMaxArtifactBytes);
  file.sha256 = fields.digest("sha256");
  file.chunk_bytes = fields.number("chunk_size", kMinChunkBytes, kMaxChunkBytes);
  const Json& chunks = fields.array("chunks");
  if (chunks.size() != chunk_count(file.size, file.chunk_bytes)) {
    refuse(ExitCode::kModel, fields.where("chunks"),
           std::to_string(chunks.size()) + " chunks, where size and chunk_size make " +
               std::to_string(chunk_count(file.size, file.chunk_bytes)),
           ErrorCode::kMismatch);
  }
  for (usize i = 0; i < chunks.size(); ++i) {
    Sha256Digest digest;
    if (!chunks[i].is_string() ||
        !parse_hex_digest(to_str(chunks[i].get_ref<const std::string&>()), digest)) {
      refuse(ExitCode::kModel, fields.where("chunks") + "[" + std::to_string(i) + "]",
             "a SHA-256 is 64 hexadecimal digits", ErrorCode::kBadValue);
    }
    file.chunks.push_back(digest);
  }
  fields.done();
  return file;
}

// An artifact may claim quality only with the record of an evaluation (gate A-4).
void check_evidence(const Manifest& manifest, const Json& evidence, const std::string& name) {
  for (usize i = 0; i < evidence.size(); ++i) {
    Fields fields(evidence[i], name + ": evidence[" + std::to_string(i) + "]");
    static_cast<void>(short_text(fields, "name", false));
    static_cast<void>(fields.digest("sha256"));
    static_cast<void>(short_text(fields, "scope", false));
    fields.done();
  }
  const bool claims = manifest.trained_quality_claim || manifest.source_kind == "evaluated";
  if (claims && evidence.empty()) {
    refuse(ExitCode::kModel, name + ": evidence",
           "a claim of quality needs the record of an evaluation (name, sha256, scope)",
           ErrorCode::kMissing);
  }
  if (manifest.trained_quality_claim && manifest.source_kind != "evaluated") {
    refuse(ExitCode::kModel, name + ": trained_quality_claim",
           "only an artifact of source_kind 'evaluated' may claim quality", ErrorCode::kMismatch);
  }
}

// Fields whose inside belongs to rooms to come: their kind is checked, no more.
void check_reserved(Fields& fields, const std::string& name) {
  static_cast<void>(fields.array("deps", false));
  static_cast<void>(fields.array("authority", false));
  if (const Json* io = fields.optional("io"); io != nullptr && !io->is_object())
    refuse(ExitCode::kModel, name + ": io", "an object is needed", ErrorCode::kBadType);
  if (const Json* resources = fields.optional("resources"); resources != nullptr) {
    Fields inner(*resources, name + ": resources");
    for (const char* key : {"ram", "kv_per_token", "disk"})
      static_cast<void>(inner.number_or(key, 0, kMaxArtifactBytes, 0));
    inner.done();
  }
  if (const Json* signature = fields.optional("signature");
      signature != nullptr && !signature->is_null()) {
    refuse(ExitCode::kModel, name + ": signature",
           "this build can not check signatures; null is the only value it takes",
           ErrorCode::kUnsupported);
  }
}

}  // namespace

std::string hex_of(const Sha256Digest& digest) { return to_string(to_hex(digest).str()); }

HashedFile hash_file(const std::string& path, const std::string& name, u64 chunk_bytes) {
  const std::unique_ptr<FileSource> source = open_model_source(path);
  HashedFile file;
  file.name = name;
  file.size = source->size();
  file.chunk_bytes = chunk_bytes;
  if (file.size > kMaxArtifactBytes) refuse(ExitCode::kModel, path, "too large", ErrorCode::kLimit);
  Sha256 whole;
  std::vector<u8> bytes(static_cast<usize>(std::min(chunk_bytes, std::max<u64>(file.size, 1))));
  for (u64 at = 0; at < file.size; at += chunk_bytes) {
    const Span<u8> chunk(bytes.data(), static_cast<usize>(std::min(chunk_bytes, file.size - at)));
    expect(source->read(at, chunk), path, Stage::kModel);
    whole.update(chunk);
    Sha256 part;
    part.update(chunk);
    file.chunks.push_back(part.finish());
  }
  file.sha256 = whole.finish();
  return file;
}

Manifest parse_manifest(const std::string& text, const std::string& name) {
  const Json json = parse_strict_json(text, name);
  Fields fields(json, name);
  const std::string schema = fields.text("schema");
  if (schema != kManifestSchema) {
    refuse(ExitCode::kModel, fields.where("schema"),
           "'" + printable(to_str(schema)) + "' is not " + kManifestSchema, ErrorCode::kBadVersion);
  }
  Manifest manifest;
  manifest.name = fields.text("name");
  if (!is_plain_name(manifest.name))
    refuse(ExitCode::kModel, fields.where("name"), "is no plain name", ErrorCode::kBadName);
  manifest.version = fields.text("version");
  if (!is_version(manifest.version))
    refuse(ExitCode::kModel, fields.where("version"), "needs MAJOR.MINOR.PATCH",
           ErrorCode::kBadValue);
  manifest.kind = fields.text("kind");
  check_choice(fields.where("kind"), manifest.kind,
               {"model", "tokenizer", "adapter", "module", "kernels", "dataset"});
  manifest.licence = short_text(fields, "licence", false);
  manifest.source_kind = fields.text("source_kind");
  check_choice(fields.where("source_kind"), manifest.source_kind,
               {"deterministic-smoke", "trained", "evaluated"});
  manifest.source = short_text(fields, "source", false);
  manifest.trained_quality_claim = fields.flag("trained_quality_claim");
  if (const Json* base = fields.optional("base_sha256"); base != nullptr && !base->is_null()) {
    manifest.has_base = true;
    manifest.base_sha256 = fields.digest("base_sha256");
  }
  if (const Json* hash = fields.optional("tokenizer_sha256"); hash != nullptr && !hash->is_null())
    static_cast<void>(fields.digest("tokenizer_sha256"));
  manifest.quantization = short_text(fields, "quantization", true);
  manifest.tool = short_text(fields, "tool", false);
  const Json& files = fields.array("files");
  if (files.empty() || files.size() > kMaxFiles)
    refuse(ExitCode::kModel, fields.where("files"), "1 to 4096 files are needed",
           ErrorCode::kLimit);
  for (usize i = 0; i < files.size(); ++i) {
    manifest.files.push_back(parse_file(files[i], name + ": files[" + std::to_string(i) + "]"));
    for (usize k = 0; k < i; ++k) {
      if (manifest.files[k].name == manifest.files[i].name)
        refuse(ExitCode::kModel, name + ": files[" + std::to_string(i) + "].path",
               "'" + manifest.files[i].name + "' is there already", ErrorCode::kDuplicate);
    }
  }
  check_evidence(manifest, fields.array("evidence", false), name);
  check_reserved(fields, name);
  fields.done();
  return manifest;
}

Json to_json(const Manifest& manifest) {
  Json out;
  out["schema"] = kManifestSchema;
  out["name"] = manifest.name;
  out["version"] = manifest.version;
  out["kind"] = manifest.kind;
  out["licence"] = manifest.licence;
  out["source_kind"] = manifest.source_kind;
  out["source"] = manifest.source;
  out["trained_quality_claim"] = manifest.trained_quality_claim;
  out["base_sha256"] = manifest.has_base ? Json(hex_of(manifest.base_sha256)) : Json(nullptr);
  out["tokenizer_sha256"] = nullptr;
  out["quantization"] = manifest.quantization;
  out["tool"] = manifest.tool;
  out["files"] = Json::array();
  for (const HashedFile& file : manifest.files) {
    Json chunks = Json::array();
    for (const Sha256Digest& chunk : file.chunks) chunks.push_back(hex_of(chunk));
    out["files"].push_back({{"path", file.name},
                            {"size", file.size},
                            {"sha256", hex_of(file.sha256)},
                            {"chunk_size", file.chunk_bytes},
                            {"chunks", std::move(chunks)}});
  }
  out["evidence"] = Json::array();
  out["signature"] = nullptr;
  return out;
}

void check_files(const Manifest& manifest, const std::string& folder) {
  for (const HashedFile& file : manifest.files) {
    const std::string path = (std::filesystem::path(folder) / file.name).string();
    const HashedFile found = hash_file(path, file.name, file.chunk_bytes);
    if (found.size != file.size) {
      refuse(ExitCode::kModel, path,
             std::to_string(found.size) + " bytes, where the manifest says " +
                 std::to_string(file.size),
             ErrorCode::kMismatch);
    }
    for (usize i = 0; i < file.chunks.size(); ++i) {
      if (!(found.chunks[i] == file.chunks[i])) {
        refuse(ExitCode::kModel, path,
               "chunk " + std::to_string(i) + ", at byte " + std::to_string(i * file.chunk_bytes) +
                   ", is not the one of the manifest",
               ErrorCode::kBadHash);
      }
    }
    if (!(found.sha256 == file.sha256))
      refuse(ExitCode::kModel, path, "is not the file of the manifest", ErrorCode::kBadHash);
  }
}

}  // namespace lbm::cli
