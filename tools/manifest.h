// The manifest of an artifact: what it is, where it comes from, and the hash of every byte of it.
// docs/formats/manifest.md is the specification.
//
// Three levels are kept apart: a container's checksum finds damage, SHA-256 is identity, a
// signature is authenticity. A manifest is about identity; its signature field is reserved.
#pragma once

#include <string>
#include <vector>

#include "core/base/sha256.h"
#include "tools/output.h"

namespace lbm::cli {

inline constexpr const char* kManifestSchema = "lbm-manifest-1";
inline constexpr u64 kDefaultChunkBytes = 4 * kMiB;
inline constexpr u64 kMinChunkBytes = 4 * kKiB;
inline constexpr u64 kMaxChunkBytes = 256 * kMiB;
inline constexpr u64 kMaxArtifactBytes = u64{1} << 46;

// A file cut into chunks of `chunk_bytes`, the last one shorter: SHA-256 of each and of the whole.
struct HashedFile {
  std::string name;
  u64 size = 0;
  Sha256Digest sha256;
  u64 chunk_bytes = kDefaultChunkBytes;
  std::vector<Sha256Digest> chunks;
};

[[nodiscard]] std::string hex_of(const Sha256Digest& digest);
// Reads `path` once. `name` is what the result is called. Throws CommandError.
[[nodiscard]] HashedFile hash_file(const std::string& path, const std::string& name,
                                   u64 chunk_bytes);
[[nodiscard]] inline u64 chunk_count(u64 size, u64 chunk_bytes) {
  return size / chunk_bytes + (size % chunk_bytes != 0 ? 1 : 0);
}

struct Manifest {
  std::string name;         // "smollm2-135m-instruct-q4_1"
  std::string version;      // MAJOR.MINOR.PATCH
  std::string kind;         // model, tokenizer, adapter, module, kernels, dataset
  std::string licence;      // SPDX expression
  std::string source_kind;  // deterministic-smoke, trained, evaluated
  std::string source;       // where it was got or made from: a URL, or words
  bool trained_quality_claim = false;
  bool has_base = false;
  Sha256Digest base_sha256;  // of the model that it was made of
  std::string quantization;  // "Q4_1"; empty where there is none
  std::string tool;          // what made it: "lbm 0.1.0 (abc1234)"
  std::vector<HashedFile> files;
};

// Throws CommandError (kModel) with the field and the reason for anything the specification does
// not allow.
[[nodiscard]] Manifest parse_manifest(const std::string& text, const std::string& name);
[[nodiscard]] Json to_json(const Manifest& manifest);

// Compares the files of `manifest` in `folder` with what it says of them: sizes, every chunk, the
// whole. Throws CommandError (kModel) at the first difference: [missing] [mismatch] [bad_hash].
void check_files(const Manifest& manifest, const std::string& folder);

}  // namespace lbm::cli
