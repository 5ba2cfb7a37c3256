// The UEFI application: from power-on to a chat.
//
// What must come first comes first: the firmware's watchdog would reset the machine after five
// minutes, and no vector instruction may run before its state is switched on.
#include "core/base/fmt.h"
#include "core/chat/repl.h"
#include "efi/cpu_state.h"
#include "efi/debug_devices.h"
#include "efi/firmware.h"
#include "efi/host.h"
#include "efi/stack.h"

namespace {

using namespace lbm;
using namespace lbm::efi;

struct Application {
  Span<u8> stack;
  Span<u8> host_memory;
  CpuState cpu_state;
};

void leave(UefiHost& host, const Result<ReplExit>& exit) {
  if (!exit.ok()) {
    char reason[256];
    host.console().write("\nThe chat can not run: ");
    host.console().write(format_error(exit.error(), reason));
    host.console().write("\n");
    if (has_harness()) debug_exit(DebugExit::kFailed);
  } else if (exit.value() == ReplExit::kReboot) {
    host.stop();
    reset_machine(/*power_off=*/false);
  } else if (exit.value() == ReplExit::kShutdown) {
    host.stop();
    reset_machine(/*power_off=*/true);
  }
  host.console().write("Press a key to return to the firmware.\n");
  (void)host.console().wait_key();
  host.stop();
}

void run(void* argument) {
  const Application& application = *static_cast<const Application*>(argument);
  UefiHost& host = *new (PlaceAt{application.host_memory.data()}) UefiHost;
  host.start(application.cpu_state);
  const Result<ReplExit> exit = run_repl(host);
  TextBuffer<64> line;
  line.print("[obs] stack_bytes={}\n", stack_high_water(application.stack));
  debug_write(line.text());
  leave(host, exit);
}

}  // namespace

extern "C" EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
  (void)system->BootServices->SetWatchdogTimer(0, 0, 0, nullptr);
  set_firmware(image, system);
  const CpuState cpu_state = enable_simd();
  find_debug_devices();

  // The host is larger than a stack should carry, and in the image it would be bytes of zeros: it
  // has pages of its own.
  FirmwarePages pages;
  const Result<Span<u8>> stack = pages.take(kStackBytes, "stack");
  const Result<Span<u8>> host_memory = pages.take(sizeof(UefiHost), "host");
  if (!stack.ok() || !host_memory.ok()) return EFI_OUT_OF_RESOURCES;
  Application application = {stack.value(), host_memory.value(), cpu_state};
  run_on_stack(application.stack, run, &application);
  pages.give_back(application.host_memory);
  pages.give_back(application.stack);
  return EFI_SUCCESS;
}
