#include "tools/interrupt.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

#include "tools/output.h"

namespace lbm::cli {
namespace {

std::atomic<bool> pending{false};
std::atomic<void (*)()> restorer{nullptr};
static_assert(std::atomic<bool>::is_always_lock_free &&
                  std::atomic<void (*)()>::is_always_lock_free,
              "used in signal handlers");

void on_interrupt(int) {
  if (!pending.exchange(true)) return;
  restore_terminal();
  _exit(static_cast<int>(ExitCode::kInterrupted));
}

void on_fatal(int signal_number) {
  restore_terminal();
  // SA_RESETHAND restored the default action: the second delivery ends the process with the right
  // status.
  raise(signal_number);
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
}

bool take_interrupt() { return pending.exchange(false); }

bool interrupt_pending() { return pending.load(); }

void set_terminal_restorer(void (*restore)()) {
  restorer.store(restore);
  struct sigaction action = {};
  action.sa_handler = on_fatal;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (const int signal_number :
       {SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    sigaction(signal_number, &action, nullptr);
  }
}

void restore_terminal() {
  void (*restore)() = restorer.load();
  if (restore != nullptr) restore();
}

}  // namespace lbm::cli
