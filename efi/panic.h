// The last screen: what to do when an invariant is broken (core/base/check.h declares panic()).
#pragma once

#include "core/platform.h"

namespace lbm::efi {

// Where panic() shows its message. Before this is called it uses the firmware's ConOut.
void set_panic_console(Console* console);

}  // namespace lbm::efi
