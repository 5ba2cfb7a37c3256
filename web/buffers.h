// The buffers that JavaScript fills and reads: each known by its address and its capacity.
//
// Whatever an outsider names by an address has to lie in one of them, so that a wrong number is an
// error with a message, and never a read or a write somewhere in the module.
#pragma once

#include "core/platform.h"

namespace lbm::web {

class Buffers {
 public:
  // With what else is in memory, fewer than the holes that LinearMemory can keep.
  static constexpr u32 kMaxBuffers = 32;
  static constexpr u64 kMaxBytes = 128 * kMiB;

  // Errors: kInvalidArgument  0 bytes, or more than kMaxBytes.   kLimit   kOutOfMemory.
  [[nodiscard]] Result<u8*> add(Pages& pages, u32 n_byte);
  // Errors: kInvalidArgument  no buffer begins at `at` with this capacity.
  [[nodiscard]] Status remove(Pages& pages, const u8* at, u32 n_byte);

  // The `n_byte` bytes at `at`. No bytes are in no buffer, wherever they are.
  // Errors: kInvalidArgument  they are not in one buffer.
  [[nodiscard]] Result<Span<u8>> bytes(u8* at, u64 n_byte) const;
  [[nodiscard]] Result<Span<const u8>> bytes(const u8* at, u64 n_byte) const;
  // The same as text. Errors: kBadValue  it is not UTF-8.
  [[nodiscard]] Result<Str> text(const char* at, u32 n_byte) const;
  // The same as 32-bit numbers. Errors: kInvalidArgument  misaligned, too.
  [[nodiscard]] Result<Span<u32>> words(u32* at, u32 n_word) const;

  [[nodiscard]] u32 size() const { return n_; }

 private:
  Span<u8> all_[kMaxBuffers] = {};
  u32 n_ = 0;
};

}  // namespace lbm::web
