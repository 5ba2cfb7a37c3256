// A model that can be run: its configuration and its weights, ready in the layout of the kernels.
// Immutable after load.
#pragma once

#include "core/model/config.h"
#include "core/model/weights.h"

namespace lbm {

struct Model {
  ModelConfig config;
  Weights weights;
};

}  // namespace lbm
