// Prints repl.cfg.example out of the table of the settings, so that the example can not fall behind
// them (`make example-config`).
#include <cstdio>

#include "core/chat/settings.h"

namespace {

class Printer final : public lbm::LineSink {
 public:
  void on_line(lbm::Str line) override {
    std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
  }
};

}  // namespace

int main() {
  Printer printer;
  lbm::write_example_config(printer);
  return std::fflush(stdout) == 0 ? 0 : 1;
}
