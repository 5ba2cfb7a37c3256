// PCG32 (XSH-RR 64/32): the one random generator. One stream per purpose, so that no consumer
// disturbs another. Source: M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient
// Statistically Good Algorithms", 2014; pcg-random.org.
#pragma once

#include "core/base/types.h"

namespace lbm {

class Pcg32 {
 public:
  constexpr Pcg32(u64 seed, u64 stream) : state_(0), increment_((stream << 1) | 1) {
    next();
    state_ += seed;
    next();
  }

  constexpr u32 next() {
    const u64 old = state_;
    state_ = old * 6364136223846793005u + increment_;
    const u32 xorshifted = static_cast<u32>(((old >> 18) ^ old) >> 27);
    const u32 rotation = static_cast<u32>(old >> 59);
    return (xorshifted >> rotation) | (xorshifted << ((~rotation + 1) & 31));
  }

  // Uniform in [0, 1) with 32 bits, exact in f64.
  constexpr f64 next_unit() { return static_cast<f64>(next()) * (1.0 / 4294967296.0); }

 private:
  u64 state_;
  u64 increment_;
};

}  // namespace lbm
