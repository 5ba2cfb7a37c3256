// From pieces to a file: each piece is checked before it counts, and the file has its name only
// when it is whole.
//
// Work goes on in NAME.part. A run that is stopped, killed or fails leaves it, and the next one
// keeps every chunk in it whose hash is right and gets the others: what is read again after k
// interruptions is at most k chunks.
#pragma once

#include <functional>
#include <string>

#include "tools/shard_index.h"
#include "tools/shard_source.h"

namespace lbm::cli {

struct AssembleOptions {
  bool expects_whole = true;  // index.sha256 is what must come out
  u32 n_retry = 3;            // of a chunk whose bytes are wrong or did not come
  // Told after every chunk: bytes done of all.
  std::function<void(u64, u64)> on_progress;
};

struct AssembleReport {
  u64 n_kept = 0;     // chunks that were there already
  u64 n_read = 0;     // chunks that were got
  u64 n_retried = 0;  // attempts beyond the first
  Sha256Digest sha256;
};

// The bytes of one chunk, checked. Throws FetchError ([bad_hash] for other bytes) or CommandError.
[[nodiscard]] std::string read_chunk(const ShardIndex& index, usize number, ShardSource& source);

// Throws FetchError of the source and of chunks that are not those of the index; CommandError:
// kModel [bad_hash] where the whole is not the file that was asked for; kInterrupted after Ctrl-C;
// kRuntime where the file can not be written.
[[nodiscard]] AssembleReport assemble(const ShardIndex& index, ShardSource& source,
                                      const std::string& out_path, const AssembleOptions& options);

}  // namespace lbm::cli
