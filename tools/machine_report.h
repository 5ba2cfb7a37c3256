// What /diag and /report tell about a Linux machine.
#pragma once

#include "core/chat/console_printer.h"
#include "kernels/kernel_table.h"

namespace lbm::cli {

void describe_linux_machine(ConsolePrinter& out);

}  // namespace lbm::cli
