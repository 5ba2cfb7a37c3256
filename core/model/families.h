// Model families as data: what distinguishes one architecture from another, with no code of its
// own.
//
// forward() reads flags, never names. A family that needs a new flag adds a column here and the
// operation behind it.
#pragma once

#include "core/base/span.h"
#include "core/model/config.h"

namespace lbm {

struct Family {
  const char* architecture;  // general.architecture
  RopeLayout rope_layout;
};

// The family called `architecture`, or nullptr.
[[nodiscard]] const Family* find_family(Str architecture);

// "llama, ..." for messages.
[[nodiscard]] Str supported_architectures();

}  // namespace lbm
