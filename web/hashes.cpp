// See hashes.h.
#include "web/hashes.h"

namespace lbm::web {

Result<u32> Hashes::add(Sha256BlockFn blocks) {
  for (u32 i = 0; i < kMax; ++i) {
    if (entries_[i].used) continue;
    entries_[i].used = true;
    entries_[i].hash = Sha256(blocks);
    return i + 1;
  }
  return fail(ErrorCode::kLimit, "too many hashes at a time; finish one first")
      .with(kMax + 1, kMax);
}

Status Hashes::check(u32 number) const {
  if (number != 0 && number <= kMax && entries_[number - 1].used) return {};
  return fail(ErrorCode::kInvalidArgument, "no hash of this number has begun").with(number);
}

Status Hashes::update(u32 number, Span<const u8> bytes) {
  if (const Status s = check(number); !s.ok()) return s;
  entries_[number - 1].hash.update(bytes);
  return {};
}

Result<Sha256Digest> Hashes::finish(u32 number) {
  if (const Status s = check(number); !s.ok()) return s.error();
  entries_[number - 1].used = false;
  return entries_[number - 1].hash.finish();
}

}  // namespace lbm::web
