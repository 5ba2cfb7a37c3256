// The state of a module as one JSON object.
#pragma once

#include "core/base/fmt.h"
#include "web/chat_desk.h"

namespace lbm::web {

struct DiagnosticsInput {
  u32 abi_version = 0;
  const ChatDesk& desk;
  u32 n_buffer = 0;
  bool gave_up_model = false;
  u64 n_staged = 0;
  u64 staged_size = 0;
};

void write_diagnostics(TextWriter& out, const DiagnosticsInput& input);

}  // namespace lbm::web
