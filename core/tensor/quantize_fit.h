// Finding the scale of a group: which grid, of all that a type can spell, lies closest to the values.
//
// Given values x, weights w and a set of levels, we look for the scale d (and the minimum m, where
// the type has one) that minimizes  sum w (d q + m - x)^2,  q being the level nearest to (x - m) / d.
// For fixed q the best d and m are those of weighted least squares; for fixed d and m the best q is
// the nearest level. A search that alternates the two ends in a local minimum, so it starts from
// several grids: those that put the extreme value a little inside or outside the last level, since a
// grid that clips one outlier may serve the other 31 values better.
//
// Sums run over four virtual lanes with a fixed fold, so vector and scalar hosts agree to the bit.
#pragma once

#include "core/base/types.h"

namespace lbm {

using Four = f32 __attribute__((vector_size(16)));

inline Four four(f32 value) { return Four{value, value, value, value}; }
inline Four smaller(Four a, Four b) { return a < b ? a : b; }
inline Four larger(Four a, Four b) { return a < b ? b : a; }
inline f32 fold(Four sum) { return (sum[0] + sum[1]) + (sum[2] + sum[3]); }
inline f32 magnitude(f32 x) { return x < 0 ? -x : x; }

// The values that share a scale, 16 or 32 of them.
struct Group {
  static constexpr u32 kMaxFours = 8;
  u32 n_four = 0;
  Four x[kMaxFours];
  Four w[kMaxFours];  // weights, 0 or more

  void load(const f32* values, const f32* weights, u32 n_value);
};

// Levels low .. high, one apart.
struct IntegerLevels {
  f32 low;
  f32 high;
  f32 extreme;  // the level that the largest magnitude goes to: the one farthest from 0
  f32 step;     // between the grids that are tried

  [[nodiscard]] Four nearest(Four value) const {
    // Adding 1.5 * 2^23 leaves no bits for a fraction: rounds to the nearest, ties to even.
    constexpr f32 kNoFraction = 12582912.0f;
    const Four inside = smaller(larger(value, four(low)), four(high));
    return (inside + kNoFraction) - kNoFraction;
  }
};

// The sixteen uneven levels of IQ4_NL and IQ4_XS.
struct Iq4Levels {
  static constexpr f32 extreme = -127;
  static constexpr f32 step = 1.4f;
  [[nodiscard]] Four nearest(Four value) const;
};

// A grid: level q stands for scale * q + minimum.
struct Grid {
  f32 scale = 0;
  f32 minimum = 0;
};

// A group whose largest magnitude is below this is zeros: no product of its scales in binary16 is
// smaller.
inline constexpr f32 kNothing = 1e-15f;

// The best scale of a grid without minimum; 0 for zeros. Negative where the largest magnitude is
// positive, because `extreme` is.
template <class Levels>
[[nodiscard]] f32 fit_scale(const Group& group, const Levels& levels);

// The best scale >= 0 and minimum for levels 0 .. high. `minimum_below_zero`: the type can not spell
// a minimum above 0.
[[nodiscard]] Grid fit_grid(const Group& group, f32 high, bool minimum_below_zero);

// The weighted squared error of a grid.
template <class Levels>
[[nodiscard]] f32 error_of(const Group& group, const Levels& levels, Grid grid);

// The nearest level of every value; zeros where the scale is 0.
template <class Levels>
void assign(const Group& group, const Levels& levels, Grid grid, f32* out);

}  // namespace lbm
