// See loop_guard.h.
#include "core/chat/loop_guard.h"

#include "core/base/arith.h"

namespace lbm {

bool LoopGuard::add(u32 token) {
  if (n_repeat_ == 0) return false;
  period_ = 0;
  const u32 n_period = min_u32(n_token_, kMaxPeriod);
  for (u32 period = 1; period <= n_period; ++period) {
    u32& n_equal = n_equal_[period - 1];
    n_equal = ring_[(n_token_ - period) % kMaxPeriod] == token ? n_equal + 1 : 0;
    // The tokens that equal others, and the first ones, which those equal.
    const u64 n_same = u64{n_equal} + period;
    if (period_ == 0 && n_equal != 0 && n_same >= u64{n_repeat_} * period && n_same >= kMinTokens)
      period_ = period;
  }
  ring_[n_token_ % kMaxPeriod] = token;
  ++n_token_;
  return period_ != 0;
}

}  // namespace lbm
