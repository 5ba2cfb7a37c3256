// SHA-256 of several things at once, for JavaScript: downloads are hashed whole and in chunks, and
// the hashes that browsers have take everything in one piece.
#pragma once

#include "core/base/result.h"
#include "core/base/sha256.h"

namespace lbm::web {

class Hashes {
 public:
  static constexpr u32 kMax = 8;

  // Begins one; its number is 1 to kMax. Errors: kLimit  all are in use.
  [[nodiscard]] Result<u32> add(Sha256BlockFn blocks);
  // Errors of both: kInvalidArgument  no hash of this number has begun.
  [[nodiscard]] Status update(u32 number, Span<const u8> bytes);
  // The number is free again.
  [[nodiscard]] Result<Sha256Digest> finish(u32 number);

 private:
  [[nodiscard]] Status check(u32 number) const;

  struct Entry {
    bool used = false;
    Sha256 hash;
  };
  Entry entries_[kMax];
};

}  // namespace lbm::web
