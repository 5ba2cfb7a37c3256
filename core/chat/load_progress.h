// One line that shows how far a long read is, drawn over itself by '\r'.
#pragma once

#include "core/base/arith.h"
#include "core/chat/console_printer.h"
#include "core/chat/engine.h"

namespace lbm {

class LoadProgress final : public LoadObserver {
 public:
  // `verb` is "Loading", "Reading" ...; both texts outlive the object.
  LoadProgress(Console& console, Clock& clock, Str verb, Str label)
      : console_(console), clock_(clock), verb_(verb), label_(label), start_us_(clock.now_us()) {}

  bool on_progress(u64 n_done, u64 n_total) override {
    const u64 now_us = clock_.now_us();
    const bool is_due = last_us_ == 0 || now_us - last_us_ >= kIntervalUs || n_done == n_total;
    if (is_due) {
      last_us_ = now_us;
      draw(n_done, n_total, now_us - start_us_);
    }
    return !console_.take_interrupt();
  }
  // Ends the line, so that what follows starts at column 0.
  void end() {
    if (last_us_ != 0) console_.write("\n");
  }

 private:
  static constexpr u64 kIntervalUs = 200'000;  // a slow console must not slow the load

  void draw(u64 n_done, u64 n_total, u64 us) {
    TextBuffer<400> line;
    const f64 rate = us == 0 ? 0.0 : mib(n_done) * 1e6 / static_cast<f64>(us);
    // The name comes last: where the row is short it is the name that is cut.
    // Blanks at the end cover what was drawn before.
    const bool is_done = n_done == n_total;
    line.print("{} {:3} % of {:.1} MiB, {:.1} MB/s{}: {}{}", verb_,
               n_total == 0
                   ? 100
                   : static_cast<u32>(static_cast<f64>(n_done) * 100.0 / static_cast<f64>(n_total)),
               mib(n_total), rate * 1.048576, is_done ? "" : ", Esc cancels", label_,
               is_done ? "               " : "  ");
    console_.write("\r");
    // Never into the last column: the line would move on, and '\r' would not come back to it.
    const Str text = line.text();
    write_printable(console_,
                    text.first(static_cast<usize>(min_u64(text.size(), console_.n_column() - 1))));
  }

  Console& console_;
  Clock& clock_;
  Str verb_;
  Str label_;
  u64 start_us_;
  u64 last_us_ = 0;
};

}  // namespace lbm
