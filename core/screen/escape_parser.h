// Finds the escape sequences in a text, so that a screen can obey the few it knows and a log can
// leave all of them out.
//
// Understood: CSI sequences (ESC [ parameters letter). Feed it bytes or code points; both work,
// because every part of a sequence is ASCII.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

class EscapeParser {
 public:
  enum class Kind : u8 {
    kText,     // show it
    kHidden,   // part of a sequence
    kSgr,      // the end of a colour sequence: look at parameters()
    kControl,  // the end of another sequence: look at final_byte() and parameters()
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
        is_private_ = false;
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
    if (unit >= 0x20 && unit < 0x40) {  // '?' and the like: a sequence that is not for us
      is_private_ = true;
      return Kind::kHidden;
    }
    state_ = State::kText;
    final_ = unit;
    if (is_private_ || unit < 0x40 || unit > 0x7E) return Kind::kHidden;
    return unit == 'm' ? Kind::kSgr : Kind::kControl;
  }

  // After kSgr and kControl: at least one number; an empty one is 0.
  [[nodiscard]] Span<const u32> parameters() const { return {parameters_, n_parameter_ + 1}; }
  [[nodiscard]] u32 final_byte() const { return final_; }

 private:
  static constexpr u32 kMaxParameters = 8;
  static constexpr u32 kMaxValue = 1000;
  enum class State : u8 { kText, kEscape, kParameters };
  State state_ = State::kText;
  bool is_private_ = false;
  u32 n_parameter_ = 0;
  u32 final_ = 0;
  u32 parameters_[kMaxParameters] = {};
};

}  // namespace lbm
