// See input_history.h.
#include "core/chat/input_history.h"

namespace lbm {

void InputHistory::add(Str line) {
  if (line.empty() || line.size() > storage_.size()) return;
  if (n_line_ > 0 && at(0) == line) return;
  u32 n_drop = 0;
  usize freed = 0;
  while (n_line_ - n_drop == kMaxLines || storage_.size() - (used_ - freed) < line.size())
    freed += sizes_[n_drop++];
  __builtin_memmove(storage_.data(), storage_.data() + freed, used_ - freed);
  __builtin_memmove(sizes_, sizes_ + n_drop, (n_line_ - n_drop) * sizeof(sizes_[0]));
  used_ -= freed;
  n_line_ -= n_drop;
  __builtin_memcpy(storage_.data() + used_, line.data(), line.size());
  used_ += line.size();
  sizes_[n_line_++] = static_cast<u32>(line.size());
}

Str InputHistory::at(u32 age) const {
  LBM_CHECK(age < n_line_);
  usize end = used_;
  for (u32 i = 0; i < age; ++i) end -= sizes_[n_line_ - 1 - i];
  const u32 size = sizes_[n_line_ - 1 - age];
  return {storage_.data() + end - size, size};
}

}  // namespace lbm
