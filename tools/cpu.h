// What of the processor this process may use.
#pragma once

#include "kernels/cpu_features.h"

namespace lbm::cli {

// detect_cpu_features(), less what the operating system refuses. Linux gives a process the 8 KiB of
// AMX tile state only when asked, and holds it for all its threads from then on.
[[nodiscard]] CpuFeatures usable_cpu_features();

}  // namespace lbm::cli
