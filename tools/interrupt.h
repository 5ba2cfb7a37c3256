// Ctrl-C, as a flag that long work polls. The first SIGINT asks politely; a second one that finds
// the first unanswered ends the process at once with exit code 130, so that no bug can make lbm
// unstoppable.
#pragma once

namespace lbm::cli {

// Takes over SIGINT. Without it SIGINT ends the process as usual.
void install_interrupt_handler();
// True once after each SIGINT.
[[nodiscard]] bool take_interrupt();
// The same without taking it.
[[nodiscard]] bool interrupt_pending();

// Run by the handlers of fatal signals, panic() and exit, to give the terminal back;
// async-signal-safe. Null for none.
void set_terminal_restorer(void (*restore)());
void restore_terminal();

}  // namespace lbm::cli
