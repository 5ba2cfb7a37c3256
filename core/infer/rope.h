// Rotary position embedding: the frequencies of a model and the cosines and sines of a position
// (R13).
//
// Frequencies and angles are f64 by our own functions; only the finished cosine and sine are
// rounded to f32, once. Sources: RoPE arXiv:2104.09864; YaRN arXiv:2309.00071, sec. 3, with the
// attention factor of the GGUF reference implementation.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/model/config.h"

namespace lbm {

class Rope {
 public:
  // `factors` [n_rot / 2] divides the frequencies (llama 3, longrope); may be nullptr.
  [[nodiscard]] static Result<Rope> create(Arena& arena, const RopeConfig& config,
                                           const f32* factors);
  [[nodiscard]] static u64 bytes_needed(const RopeConfig& config) {
    return config.n_rot / 2 * sizeof(f64) + 64;
  }

  // The cosine and sine of every pair at `pos`, as the kernel of the layout reads them:
  // out [n_rot / 2][2] for neighbours, [2][n_rot / 2] for halves.
  void angles(u32 pos, f32* out) const;

 private:
  Span<f64> frequencies_;  // radians per position, scaling included
  RopeLayout layout_ = RopeLayout::kNeighbours;
  f64 magnitude_ = 1.0;  // YaRN's attention factor, on cosine and sine
};

}  // namespace lbm
