// The index of a file that is kept in pieces: where each piece lies, and its hash.
// docs/formats/shards.md is the specification of both forms that are read:
//   lbm-shards-1            ours: SHA-256 of every chunk and of the whole, binary chunks
//   CLIF-1-base64-sharded   JSON files with base64 inside, no hashes: import only
#pragma once

#include <string>
#include <vector>

#include "tools/manifest.h"

namespace lbm::cli {

inline constexpr const char* kShardSchema = "lbm-shards-1";

struct Chunk {
  std::string path;     // a plain name beside the index
  u64 path_at = 0;      // where in that file the chunk begins
  u64 offset = 0;       // where in the whole
  u64 size = 0;         // bytes of the whole
  Sha256Digest sha256;  // of those; meaningless where the index has no hashes
};

struct ShardIndex {
  std::string name;  // of the file that comes out
  u64 size = 0;
  bool has_hashes = true;
  bool is_base64 = false;  // a chunk's file is JSON around base64
  Sha256Digest sha256;
  u64 chunk_bytes = kDefaultChunkBytes;
  bool has_manifest = false;
  Sha256Digest manifest_sha256;  // of the manifest that was packed along
  std::vector<Chunk> chunks;     // by offset: no gaps, no overlaps
};

// Throws CommandError (kModel) with the entry and the reason: gaps, overlaps, duplicates, names
// that leave the folder, counts and sizes that contradict each other.
[[nodiscard]] ShardIndex parse_shard_index(const std::string& text, const std::string& name);
[[nodiscard]] Json to_json(const ShardIndex& index);

// The bytes inside the JSON file of a base64 shard, checked against its place in the index. Throws
// CommandError (kModel).
[[nodiscard]] std::string decode_base64_shard(const std::string& text, const ShardIndex& index,
                                              usize number, const std::string& name);

}  // namespace lbm::cli
