// Formatted text to a console, made printable on the way (printable.h): the only way the REPL
// writes anything but prompts.
#pragma once

#include "core/base/error.h"
#include "core/base/fmt.h"
#include "core/chat/printable.h"
#include "core/platform.h"

namespace lbm {

class ConsolePrinter {
 public:
  // Longer formatted texts are cut; text() takes any length.
  static constexpr usize kMaxFormatted = 768;

  explicit ConsolePrinter(Console& console) : console_(&console) {}

  template <class... Args>
  void print(Str pattern, const Args&... args) {
    TextBuffer<kMaxFormatted> buffer;
    write_printable(*console_, buffer.print(pattern, args...).text());
  }
  template <class... Args>
  void line(Str pattern, const Args&... args) {
    print(pattern, args...);
    console_->write("\n");
  }
  void text(Str text) { write_printable(*console_, text); }
  // "ERROR: tiny.gguf: tensor ... [corrupt]"
  void error(const Error& error) {
    char buffer[256];
    line("ERROR: {}", format_error(error, buffer));
  }
  // Writes to `console` from now on: into a report, and back.
  void redirect(Console& console) { console_ = &console; }
  [[nodiscard]] Console& console() { return *console_; }

 private:
  Console* console_;
};

// Bytes in MiB, for people.
[[nodiscard]] constexpr f64 mib(u64 bytes) {
  return static_cast<f64>(bytes) / static_cast<f64>(kMiB);
}

}  // namespace lbm
