// The UEFI application: from power-on to a chat.
//
// What must come first comes first: the firmware's watchdog would reset the machine after five minutes, and no vector instruction
// may run before its state is switched on.
#include "core/base/fmt.h"
#include "core/chat/repl.h"
#include "efi/cpu_state.h"
#include "efi/debug_devices.h"
#include "efi/firmware.h"
#include "efi/host.h"

namespace {

using namespace lbm;
using namespace lbm::efi;

// The host is larger than a stack should carry, and in the image it would be bytes of zeros: it lives in pages of its own.
Result<UefiHost*> create_host() {
  FirmwarePages pages;
  Result<Span<u8>> memory = pages.take(sizeof(UefiHost), "host");
  if (!memory.ok()) return memory.error();
  return new (PlaceAt{memory.value().data()}) UefiHost;
}

void leave(UefiHost& host, const Result<ReplExit>& exit) {
  if (!exit.ok()) {
    char reason[256];
    host.console().write("\nThe chat can not run: ");
    host.console().write(format_error(exit.error(), reason));
    host.console().write("\n");
    if (has_harness()) debug_exit(DebugExit::kFailed);
  } else if (exit.value() == ReplExit::kReboot) {
    reset_machine(/*power_off=*/false);
  } else if (exit.value() == ReplExit::kShutdown) {
    reset_machine(/*power_off=*/true);
  }
  host.console().write("Press a key to return to the firmware.\n");
  (void)host.console().wait_key();
}

}  // namespace

extern "C" EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
  (void)system->BootServices->SetWatchdogTimer(0, 0, 0, nullptr);
  set_firmware(image, system);
  enable_simd();
  find_debug_devices();

  const Result<UefiHost*> host = create_host();
  if (!host.ok()) return EFI_OUT_OF_RESOURCES;
  host.value()->start();
  leave(*host.value(), run_repl(*host.value()));
  return EFI_SUCCESS;
}
