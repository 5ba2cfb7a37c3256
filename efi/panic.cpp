// panic(): says what broke and where, on every output there is; under a harness it ends the
// machine, otherwise it waits for a key.
#include "efi/panic.h"

#include "core/base/check.h"
#include "core/base/fmt.h"
#include "efi/debug_devices.h"
#include "efi/firmware.h"
#include "efi/workers.h"

namespace lbm {
namespace efi {
namespace {

constinit Console* g_console = nullptr;
constinit bool g_panicking = false;

// A second panic, inside the first, must not loop: nothing but the ports is trusted then.
void show(Str text) {
  if (g_console != nullptr) return g_console->write(text);
  debug_write(text);
  SIMPLE_TEXT_OUTPUT_INTERFACE* output = system_table().ConOut;
  if (output == nullptr) return;
  for (const char c : text) {
    CHAR16 unit[3] = {static_cast<CHAR16>(c), 0, 0};
    if (c == '\n') {
      unit[0] = '\r';
      unit[1] = '\n';
    }
    (void)output->OutputString(output, unit);
  }
}

}  // namespace

void set_panic_console(Console* console) { g_console = console; }

}  // namespace efi

void panic(const char* what, const char* file, u32 line) {
  using namespace efi;
  if (hand_panic_to_boot_core(what, file, line)) {
    for (;;) __asm__ volatile("cli; hlt");
  }
  if (g_panicking) {
    debug_write("[panic] while panicking\n");
    debug_exit(DebugExit::kPanic);
    for (;;) __asm__ volatile("cli; hlt");
  }
  g_panicking = true;
  TextBuffer<512> text;
  text.print("\n[panic] {}\n  at {}:{}\n", what, file, line);
  const bool colours = g_console != nullptr;
  if (colours) show("\x1b[91m");
  show(text.text());
  if (colours) show("\x1b[0m");
  if (has_harness()) debug_exit(DebugExit::kPanic);
  show(
      "This is a fault of the program, not of the model or of you. Please report the two lines "
      "above.\n"
      "Press a key to restart the machine.\n");
  if (g_console != nullptr) {
    (void)g_console->wait_key();
  } else if (system_table().ConIn != nullptr) {
    UINTN index = 0;
    (void)boot_services().WaitForEvent(1, &system_table().ConIn->WaitForKey, &index);
  }
  reset_machine(/*power_off=*/false);
}

}  // namespace lbm
