// The platform objects of the test application (machine.h).
#include "tests/bare/machine.h"

#include "core/base/move.h"
#include "efi/debug_devices.h"
#include "efi/panic.h"

namespace lbm::bare {
namespace {

struct Machine {
  Machine() : console(clock) {}
  efi::TscClock clock;
  efi::FirmwareConsole console;
  efi::FirmwarePages pages;
  efi::FirmwareVolume volume;
};

constinit Machine* g_machine = nullptr;
constinit efi::CpuState g_cpu_state;

}  // namespace

void start() {
  g_cpu_state = efi::enable_simd();
  efi::find_debug_devices();
  efi::FirmwarePages pages;
  Result<Span<u8>> memory = pages.take(sizeof(Machine), "test machine");
  g_machine = new (PlaceAt{memory.value().data()}) Machine;
  g_machine->console.start();
  efi::set_panic_console(&g_machine->console);
  g_machine->clock.calibrate();
  g_machine->volume.start();
}

efi::TscClock& clock() { return g_machine->clock; }
efi::FirmwareConsole& console() { return g_machine->console; }
efi::FirmwarePages& pages() { return g_machine->pages; }
efi::FirmwareVolume& volume() { return g_machine->volume; }
const efi::CpuState& cpu_state() { return g_cpu_state; }

}  // namespace lbm::bare
