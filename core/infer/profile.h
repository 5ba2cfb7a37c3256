// Where the time of a forward pass goes, for `lbm bench --split`.
//
// The forward pass is one operation after the other, each of them done when the next one starts. So
// a sink that is told when an operation has ended knows the time of all: what passed since it was
// told last.
#pragma once

#include "core/base/types.h"

namespace lbm {

enum class ForwardPart : u8 {
  kOutside,    // between two passes: the caller, and the check that logits are finite
  kEmbedding,  // rows of the embedding table, angles of RoPE
  kNorm,       // with the quantization of what a norm gives
  kMatmul,     // all matrices, the head among them
  kRope,       // biases and RoPE of q and k; k and v enter the cache
  kAttention,
  kQuantize,    // of what attention and activation give
  kActivation,  // silu(gate) * up
  kResidual,    // x += delta
};
inline constexpr u32 kForwardParts = 9;

class ProfileSink {
 public:
  // Called on the thread that runs the session.
  virtual void on_part_end(ForwardPart part) = 0;

 protected:
  ~ProfileSink() = default;
};

}  // namespace lbm
