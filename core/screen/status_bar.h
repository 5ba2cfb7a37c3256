// The two bars of the screen: what the model is doing, above; what the keys do, below.
#pragma once

#include "core/base/fmt.h"
#include "core/base/span.h"
#include "core/platform.h"
#include "core/screen/cell.h"

namespace lbm {

// " SmolLM2-135M  answering    ctx 1741/2048   ########-- 85%   23.4 tok/s   5.1 GiB free   12:34 "
//
// The context is marked from 80 % on, and again from 95 %. What a narrow screen has no room for is
// left out: first memory, then the meter, speed, clock; the name of the model is cut last.
class StatusBar {
 public:
  // Keeps a copy of what is shown. True when that is something else than before.
  bool set(const ConsoleStatus& status);
  // The clock alone ("2025-06-15T12:34:56", or empty: not known); as set().
  bool set_clock(Str clock);
  // Writes the whole row.
  void compose(Span<Cell> row) const;

 private:
  static constexpr u32 kMaxModel = 64;

  struct Shown {
    char model[kMaxModel] = {};
    char activity[16] = {};
    char clock[8] = {};  // "12:34"
    u32 n_ctx_used = 0;
    u32 n_ctx = 0;
    u32 tenth_tok_s = 0;
    u32 tenth_gib = 0;  // of free memory
  };
  // Compared byte by byte.
  static_assert(__has_unique_object_representations(Shown), "no padding");
  Shown shown_;
};

// " F1 Help  F2 Model  F4 Font  F9 Save  F10 Picture  Esc Stop". A notice takes its place until it
// is cleared; while older text is shown, the bar says how much is below.
class KeyBar {
 public:
  void set_notice(Str text);
  void clear_notice() { n_notice_ = 0; }
  [[nodiscard]] bool has_notice() const { return n_notice_ > 0; }
  void compose(Span<Cell> row, u64 n_line_below) const;

 private:
  char notice_[160] = {};
  u32 n_notice_ = 0;
};

}  // namespace lbm
