// Finds the escape sequences in a text of ours, so that a screen can obey the few it knows and a
// log can leave all of them out.
//
// Understood: CSI sequences (ESC [ parameters letter), of which the core writes only SGR (colours,
// ending in 'm'). Feed it bytes or code points; both work, because every part of a sequence is
// ASCII.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm::efi {

class EscapeFilter {
 public:
  enum class Kind : u8 {
    kText,    // show it
    kHidden,  // part of a sequence
    kSgr,     // the end of a colour sequence: look at parameters()
  };

  [[nodiscard]] Kind feed(u32 unit) {
    switch (state_) {
      case State::kText:
        if (unit != 0x1B) return Kind::kText;
        state_ = State::kEscape;
        return Kind::kHidden;
      case State::kEscape:
        state_ = unit == '[' ? State::kParameters : State::kText;
        n_parameter_ = 0;
        parameters_[0] = 0;
        return Kind::kHidden;
      case State::kParameters: break;
    }
    if (unit >= '0' && unit <= '9') {
      u32& value = parameters_[n_parameter_];
      if (value < kMaxValue) value = value * 10 + (unit - '0');
      return Kind::kHidden;
    }
    if (unit == ';') {
      if (n_parameter_ + 1 < kMaxParameters) parameters_[++n_parameter_] = 0;
      return Kind::kHidden;
    }
    if (unit >= 0x20 && unit < 0x40) return Kind::kHidden;  // intermediate bytes
    state_ = State::kText;
    return unit == 'm' ? Kind::kSgr : Kind::kHidden;
  }

  // After kSgr: at least one number; an empty one is 0.
  [[nodiscard]] Span<const u32> parameters() const { return {parameters_, n_parameter_ + 1}; }

 private:
  static constexpr u32 kMaxParameters = 8;
  static constexpr u32 kMaxValue = 1000;
  enum class State : u8 { kText, kEscape, kParameters };
  State state_ = State::kText;
  u32 n_parameter_ = 0;
  u32 parameters_[kMaxParameters] = {};
};

}  // namespace lbm::efi
