#include "core/tensor/quantize_fit.h"

#include "core/tensor/elements.h"

namespace lbm {
namespace {

constexpr i32 kGrids = 9;       // starting grids on either side of the one that just fits
constexpr u32 kRefinements = 4;  // least-squares steps from the best of them, at most

// The nearest level of IQ4_NL for each half step from the lowest one: the middles between two
// levels are multiples of a half, so half steps decide exactly.
struct NearestIq4 {
  static constexpr u32 kHalfSteps = 2 * (kIq4Values[15] - kIq4Values[0]);
  f32 level[kHalfSteps + 1] = {};
  constexpr NearestIq4() {
    u32 index = 0;
    for (u32 i = 0; i <= kHalfSteps; ++i) {
      // 4 times the distance from the lowest level, to stay with integers.
      const i32 middle = 2 * (kIq4Values[index] + kIq4Values[index == 15 ? 15 : index + 1]);
      if (index < 15 && static_cast<i32>(2 * i) + 4 * kIq4Values[0] >= middle) ++index;
      level[i] = static_cast<f32>(kIq4Values[index]);
    }
  }
};
constexpr NearestIq4 kNearestIq4;

f32 reciprocal(f32 scale) { return scale == 0 ? 0.0f : 1.0f / scale; }

// The value of the largest magnitude, with its sign; the first of equals.
f32 extreme_of(const Group& group) {
  f32 extreme = 0;
  for (u32 i = 0; i < group.n_four; ++i) {
    for (u32 lane = 0; lane < 4; ++lane) {
      const f32 value = group.x[i][lane];
      if (magnitude(value) > magnitude(extreme)) extreme = value;
    }
  }
  return extreme;
}

// The sums of least squares for one choice of levels.
struct Sums {
  f32 q = 0;   // sum w q
  f32 qq = 0;  // sum w q^2
  f32 qx = 0;  // sum w q x
};

template <class Levels>
Sums sum_up(const Group& group, const Levels& levels, f32 inverse, f32 minimum) {
  Four q_sum = {};
  Four qq_sum = {};
  Four qx_sum = {};
  for (u32 i = 0; i < group.n_four; ++i) {
    const Four q = levels.nearest((group.x[i] - minimum) * inverse);
    const Four wq = group.w[i] * q;
    q_sum += wq;
    qq_sum += wq * q;
    qx_sum += wq * group.x[i];
  }
  return {fold(q_sum), fold(qq_sum), fold(qx_sum)};
}

// The best scale without minimum, and what it takes off the error of an all-zero group:
// sum w x^2 - error = (sum w q x)^2 / sum w q^2.
struct Scale {
  f32 scale = 0;
  f32 gain = 0;

  void take_better(const Sums& sums) {
    if (!(sums.qq > 0)) return;
    const f32 new_scale = sums.qx / sums.qq;
    const f32 new_gain = new_scale * sums.qx;
    if (new_gain > gain) *this = {new_scale, new_gain};
  }
};

// Best scale and minimum for the levels that `start` chooses.
Grid solve(const Group& group, const IntegerLevels& levels, Grid start, f32 w_sum, f32 x_sum,
           bool minimum_below_zero) {
  const Sums sums = sum_up(group, levels, reciprocal(start.scale), start.minimum);
  const f32 determinant = w_sum * sums.qq - sums.q * sums.q;
  if (!(determinant > 0)) return start;
  const Grid solved = {(w_sum * sums.qx - x_sum * sums.q) / determinant,
                       (sums.qq * x_sum - sums.q * sums.qx) / determinant};
  if (minimum_below_zero && solved.minimum > 0) return {sums.qx / sums.qq, 0};
  return solved;
}

}  // namespace

void Group::load(const f32* values, const f32* weights, u32 n_value) {
  n_four = n_value / 4;
  for (u32 i = 0; i < n_four; ++i) {
    x[i] = Four{values[4 * i], values[4 * i + 1], values[4 * i + 2], values[4 * i + 3]};
    w[i] = Four{weights[4 * i], weights[4 * i + 1], weights[4 * i + 2], weights[4 * i + 3]};
  }
}

Four Iq4Levels::nearest(Four value) const {
  const Four inside = smaller(larger(value, four(kIq4Values[0])), four(kIq4Values[15]));
  const Four place = (inside - static_cast<f32>(kIq4Values[0])) * 2.0f;  // 0 .. 480
  Four level;
  for (u32 lane = 0; lane < 4; ++lane)
    level[lane] = kNearestIq4.level[static_cast<u32>(place[lane])];
  return level;
}

template <class Levels>
f32 fit_scale(const Group& group, const Levels& levels) {
  const f32 extreme = extreme_of(group);
  if (magnitude(extreme) < kNothing) return 0;
  Scale best;
  best.take_better(sum_up(group, levels, levels.extreme / extreme, 0));
  for (i32 i = -kGrids; i <= kGrids; ++i) {
    const f32 level = levels.extreme + levels.step * static_cast<f32>(i);
    if (i != 0) best.take_better(sum_up(group, levels, level / extreme, 0));
  }
  for (u32 i = 0; i < kRefinements; ++i) {
    const f32 before = best.gain;
    best.take_better(sum_up(group, levels, reciprocal(best.scale), 0));
    if (!(best.gain > before)) break;
  }
  return best.scale;
}

template <class Levels>
f32 error_of(const Group& group, const Levels& levels, Grid grid) {
  const f32 inverse = reciprocal(grid.scale);
  Four error = {};
  for (u32 i = 0; i < group.n_four; ++i) {
    const Four q = levels.nearest((group.x[i] - grid.minimum) * inverse);
    const Four difference = (grid.scale * q + grid.minimum) - group.x[i];
    error += group.w[i] * difference * difference;
  }
  return fold(error);
}

template <class Levels>
void assign(const Group& group, const Levels& levels, Grid grid, f32* out) {
  const f32 inverse = reciprocal(grid.scale);
  for (u32 i = 0; i < group.n_four; ++i) {
    const Four q = levels.nearest((group.x[i] - grid.minimum) * inverse);
    for (u32 lane = 0; lane < 4; ++lane) out[4 * i + lane] = q[lane];
  }
}

Grid fit_grid(const Group& group, f32 high, bool minimum_below_zero) {
  const IntegerLevels levels = {0, high, high, 0};
  f32 low_x = group.x[0][0];
  f32 high_x = low_x;
  Four w_sums = {};
  Four x_sums = {};
  for (u32 i = 0; i < group.n_four; ++i) {
    for (u32 lane = 0; lane < 4; ++lane) {
      const f32 value = group.x[i][lane];
      low_x = value < low_x ? value : low_x;
      high_x = value > high_x ? value : high_x;
    }
    w_sums += group.w[i];
    x_sums += group.w[i] * group.x[i];
  }
  if (minimum_below_zero && low_x > 0) low_x = 0;
  const f32 range = high_x - low_x;
  if (range < kNothing) return {0, low_x};
  const f32 w_sum = fold(w_sums);
  const f32 x_sum = fold(x_sums);
  Grid best = {range / high, low_x};
  f32 best_error = error_of(group, levels, best);
  const auto take_better = [&](Grid grid) {
    const Grid solved = solve(group, levels, grid, w_sum, x_sum, minimum_below_zero);
    const f32 error = error_of(group, levels, solved);
    if (!(error < best_error)) return false;
    best_error = error;
    best = solved;
    return true;
  };
  // The extremes at -a and high + b, in parts of a level.
  const Grid fitting = best;
  for (i32 a = -1; a <= 2; ++a) {
    for (i32 b = -1; b <= 3; ++b) {
      const f32 below = 0.3f * static_cast<f32>(a);
      const f32 above = 0.3f * static_cast<f32>(b);
      const f32 scale = range / (high + below + above);
      const f32 minimum = fitting.minimum + scale * below;
      take_better({scale, minimum_below_zero && minimum > 0 ? 0 : minimum});
    }
  }
  for (u32 i = 0; i < kRefinements && take_better(best); ++i) {
  }
  return best;
}

template f32 fit_scale(const Group&, const IntegerLevels&);
template f32 fit_scale(const Group&, const Iq4Levels&);
template f32 error_of(const Group&, const IntegerLevels&, Grid);
template f32 error_of(const Group&, const Iq4Levels&, Grid);
template void assign(const Group&, const IntegerLevels&, Grid, f32*);
template void assign(const Group&, const Iq4Levels&, Grid, f32*);

}  // namespace lbm
