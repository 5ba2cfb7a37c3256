// The lines that were entered, newest last, in one buffer. The oldest make room for the new.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

class InputHistory {
 public:
  static constexpr u32 kMaxLines = 256;

  // `storage` outlives the history.
  explicit InputHistory(Span<char> storage) : storage_(storage) {}

  // Remembers `line`, unless it is empty, equal to the newest, or longer than the whole storage.
  void add(Str line);
  [[nodiscard]] u32 size() const { return n_line_; }
  // Age 0 is the newest.
  [[nodiscard]] Str at(u32 age) const;

 private:
  Span<char> storage_;
  usize used_ = 0;
  u32 n_line_ = 0;
  u32 sizes_[kMaxLines] = {};  // oldest first
};

}  // namespace lbm
