// The settings of the REPL that are about the screen, as the console takes them.
#pragma once

#include "core/chat/settings.h"
#include "core/screen/options.h"

namespace lbm::efi {

[[nodiscard]] ScreenOptions screen_options(const Settings& settings);

}  // namespace lbm::efi
