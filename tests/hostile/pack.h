// The whole corpus in one file (tests/hostile/generate.py), for hosts without folders: a firmware
// volume, the memory of a WebAssembly module.
//
//   "LBMPACK1"  u64 n_entry
//   n_entry x { char name[96], error[24], stage[16], u64 offset, u64 place, u64 size }
//   the bytes of the files
#pragma once

#include "core/base/arena.h"
#include "core/platform.h"

namespace lbm::test {

struct PackResult {
  u32 n_file = 0;
  u32 n_wrong = 0;
};

// Replays every file of `pack` that this build has a reader for, and runs the models that are
// accepted. What is not as the index says is told to `tell`, a line each. `arena` as for replay().
// Errors: those of the source; kBadMagic, kTruncated where the pack itself is not whole.
[[nodiscard]] Result<PackResult> replay_pack(ByteSource& pack, Arena& arena, Pages& pages,
                                             void (*tell)(Str line));

}  // namespace lbm::test
