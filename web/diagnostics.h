// The state of a module as one JSON object.
#pragma once

#include "core/base/fmt.h"
#include "web/model_load.h"

namespace lbm::web {

struct DiagnosticsInput {
  u32 abi_version = 0;
  const ChatDesk& desk;
  const ModelLoad& load;
  u32 n_buffer = 0;
};

void write_diagnostics(TextWriter& out, const DiagnosticsInput& input);

}  // namespace lbm::web
