// Notices when an answer says the same over and over, as small models do at low temperatures.
//
// The newest tokens are compared with those one period before them, for every period up to
// kMaxPeriod. An answer loops once its end is `n_repeat` times the same run of tokens, and long
// enough that no ruler, table or row of zeros is meant. The cost is one comparison a period and
// token.
#pragma once

#include "core/base/types.h"

namespace lbm {

class LoopGuard {
 public:
  static constexpr u32 kMaxPeriod = 256;  // tokens: a paragraph
  static constexpr u32 kMinTokens = 48;

  // 0: never; 1 counts as 2, for what came once is no repetition.
  explicit LoopGuard(u32 n_repeat) : n_repeat_(n_repeat == 1 ? 2 : n_repeat) {}

  // Takes the next token of the answer. True: it loops, with period().
  [[nodiscard]] bool add(u32 token);
  [[nodiscard]] u32 period() const { return period_; }

 private:
  u32 n_repeat_;
  u32 period_ = 0;
  u32 n_token_ = 0;
  u32 ring_[kMaxPeriod] = {};     // the newest tokens, by position modulo kMaxPeriod
  u32 n_equal_[kMaxPeriod] = {};  // by period - 1: how many of the newest equal the one before
};

}  // namespace lbm
