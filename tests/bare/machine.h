// The machine under the tests: the platform objects of efi/, started once by the runner.
#pragma once

#include "efi/clock.h"
#include "efi/console.h"
#include "efi/cpu_state.h"
#include "efi/files.h"
#include "efi/memory.h"

namespace lbm::bare {

// Starts everything, as efi/host.cpp does for the chat.
void start();

[[nodiscard]] efi::TscClock& clock();
[[nodiscard]] efi::FirmwareConsole& console();
[[nodiscard]] efi::FirmwarePages& pages();
[[nodiscard]] efi::FirmwareVolume& volume();
// What enable_simd() found.
[[nodiscard]] const efi::CpuState& cpu_state();

}  // namespace lbm::bare
