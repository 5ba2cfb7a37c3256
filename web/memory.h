// The linear memory of a module as Pages: what lies behind its own data and stack.
//
// Memory grows at its end and never shrinks; ranges that were given back are holes, kept in order
// and joined, and the first one that fits is used again.
#pragma once

#include "core/platform.h"

namespace lbm::web {

class LinearMemory final : public Pages {
 public:
  [[nodiscard]] Result<Span<u8>> take(u64 bytes, const char* what) override;
  void give_back(Span<u8> range) override;
  [[nodiscard]] u64 bytes_free() const override;
  [[nodiscard]] u64 largest_free() const override;

 private:
  static constexpr u32 kMaxHoles = 64;
  struct Hole {
    u64 begin = 0;  // addresses
    u64 end = 0;
  };
  [[nodiscard]] bool grow(u64 bytes);
  void remove(u32 index);

  Hole holes_[kMaxHoles] = {};  // ascending
  u32 n_hole_ = 0;
  u64 end_ = 0;  // of all that was ever taken; 0: not used yet
};

}  // namespace lbm::web
