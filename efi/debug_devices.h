// What QEMU offers to a test: a log port, an exit code, and files handed in from outside.
//
// All three are port I/O that a real machine may interpret in its own way, and a channel into the
// program that its user may not know about. They exist only where CPUID names a hypervisor, QEMU's
// signature answers, and Secure Boot is off.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm::efi {

// Values for debug_exit(); QEMU ends with 2 * value + 1.
enum class DebugExit : u8 { kPassed = 0, kFailed = 1, kPanic = 2 };

// Looks for the devices. Until it is called, and where there are none, everything below does
// nothing.
void find_debug_devices();

// True when a harness stands behind the devices: it passed at least one file opt/lbm/*.
[[nodiscard]] bool has_harness();

// Appends to the debug console (port 0xE9).
void debug_write(Str text);

// Ends QEMU through its isa-debug-exit device. Returns where there is none.
void debug_exit(DebugExit value);

// Copies the fw_cfg file `name` into `out`; returns the bytes copied, 0 when there is no such file.
usize read_fw_cfg(Str name, Span<char> out);

}  // namespace lbm::efi
