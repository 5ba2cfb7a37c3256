// Quantization to superblocks of 256 columns: the K types and IQ4_XS.
//
// A superblock has two layers of rounding: groups of 16 or 32 values have a scale of 4 to 8 bits,
// in units of one binary16 for all. So a grid that suits a group is found first, its scale is
// rounded, and then what was lost is looked for again: the neighbouring codes of each group, and the
// unit that fits all groups best with the codes they have.
#include "core/tensor/block_bytes.h"
#include "core/tensor/elements.h"
#include "core/tensor/f16.h"
#include "core/tensor/quantize_blocks.h"
#include "core/tensor/quantize_fit.h"

namespace lbm {
namespace {

constexpr u32 kMaxGroups = 16;
constexpr u32 kRounds = 2;  // of choosing codes and refitting the unit
constexpr f32 kChanges[] = {0, -1, 1};  // of a code, when its neighbours are tried

f32 rounded(f32 value) { return f16_to_f32(f32_to_f16(value)); }

f32 clamp(f32 value, f32 low, f32 high) {
  return value < low ? low : (value > high ? high : value);
}
// Nearest integer, halves away from zero. |value| is small.
f32 nearest(f32 value) {
  return static_cast<f32>(static_cast<i32>(value < 0 ? value - 0.5f : value + 0.5f));
}
f32 quotient(f32 a, f32 b) { return b == 0 ? 0.0f : a / b; }

// ---- one scale per group: Q3_K, Q6_K, IQ4_XS ----------------------------------------------------

// A superblock without minima: value = unit * scale[group] * level. All are integers in f32.
struct ScaledBlock {
  f32 unit = 0;
  f32 scales[kMaxGroups] = {};
  f32 levels[kSuperSize] = {};
};

// `kLow`, `kHigh`: the range of a group's scale. kLow is farther from 0, so the largest scale goes
// there, and the unit takes its sign.
template <class Levels, u32 kGroups, i32 kLow, i32 kHigh>
class ScaledFit {
 public:
  ScaledFit(const Levels& levels, const f32* values, const f32* weights) : levels_(levels) {
    for (u32 g = 0; g < kGroups; ++g)
      groups_[g].load(values + g * kWidth, weights + g * kWidth, kWidth);
  }

  ScaledBlock run() {
    f32 ideal[kGroups];
    f32 largest = 0;
    for (u32 g = 0; g < kGroups; ++g) {
      ideal[g] = fit_scale(groups_[g], levels_);
      if (magnitude(ideal[g]) > magnitude(largest)) largest = ideal[g];
    }
    ScaledBlock block;
    block.unit = rounded(largest / static_cast<f32>(kLow));
    if (block.unit == 0) return block;  // too small for binary16: zeros
    for (u32 g = 0; g < kGroups; ++g) {
      block.scales[g] = clamp(nearest(ideal[g] / block.unit), kLow, kHigh);
      improve_scale(g, block);
    }
    for (u32 i = 0; i < kRounds && refit_unit(block); ++i) {
      for (u32 g = 0; g < kGroups; ++g) improve_scale(g, block);
    }
    for (u32 g = 0; g < kGroups; ++g) assign_group(g, block);
    return block;
  }

 private:
  static constexpr u32 kWidth = kSuperSize / kGroups;

  f32 group_error(u32 g, f32 unit, f32 scale) const {
    return error_of(groups_[g], levels_, {unit * scale, 0});
  }

  // The best of a scale and its two neighbours.
  void improve_scale(u32 g, ScaledBlock& block) const {
    const f32 start = block.scales[g];
    f32 best_error = group_error(g, block.unit, start);
    for (const f32 change : kChanges) {
      const f32 scale = clamp(start + change, kLow, kHigh);
      const f32 error = group_error(g, block.unit, scale);
      if (error < best_error) {
        best_error = error;
        block.scales[g] = scale;
      }
    }
  }

  void assign_group(u32 g, ScaledBlock& block) const {
    assign(groups_[g], levels_, {block.unit * block.scales[g], 0}, block.levels + g * kWidth);
  }

  f32 block_error(const ScaledBlock& block, f32 unit) const {
    f32 error = 0;
    for (u32 g = 0; g < kGroups; ++g) error += group_error(g, unit, block.scales[g]);
    return error;
  }

  // Least squares over the whole superblock for the unit. False when nothing is gained.
  bool refit_unit(ScaledBlock& block) const {
    f32 qx = 0;
    f32 qq = 0;
    for (u32 g = 0; g < kGroups; ++g) {
      assign_group(g, block);
      Four qx_sum = {};
      Four qq_sum = {};
      for (u32 i = 0; i < groups_[g].n_four; ++i) {
        const f32* at = block.levels + g * kWidth + 4 * i;
        const Four q = Four{at[0], at[1], at[2], at[3]} * block.scales[g];
        const Four wq = groups_[g].w[i] * q;
        qx_sum += wq * groups_[g].x[i];
        qq_sum += wq * q;
      }
      qx += fold(qx_sum);
      qq += fold(qq_sum);
    }
    const f32 unit = rounded(quotient(qx, qq));
    if (unit == block.unit || unit == 0) return false;
    if (!(block_error(block, unit) < block_error(block, block.unit))) return false;
    block.unit = unit;
    return true;
  }

  const Levels& levels_;
  Group groups_[kGroups];
};

// ---- scale and minimum per group: Q2_K, Q4_K, Q5_K ----------------------------------------------

// value = unit * scale[group] * level - minimum_unit * minimum[group]
struct OffsetBlock {
  f32 unit = 0;
  f32 minimum_unit = 0;
  f32 scales[kMaxGroups] = {};
  f32 minima[kMaxGroups] = {};
  f32 levels[kSuperSize] = {};
};

// `kTop`: the largest code of a scale and of a minimum. Levels are 0 .. kHigh.
template <u32 kGroups, i32 kHigh, i32 kTop>
class OffsetFit {
 public:
  OffsetFit(const f32* values, const f32* weights) {
    for (u32 g = 0; g < kGroups; ++g)
      groups_[g].load(values + g * kWidth, weights + g * kWidth, kWidth);
  }

  OffsetBlock run() {
    Grid ideal[kGroups];
    Grid largest = {0, 0};
    for (u32 g = 0; g < kGroups; ++g) {
      ideal[g] = fit_grid(groups_[g], kLevels.high, /*minimum_below_zero=*/true);
      if (ideal[g].scale > largest.scale) largest.scale = ideal[g].scale;
      if (ideal[g].minimum < largest.minimum) largest.minimum = ideal[g].minimum;
    }
    OffsetBlock block;
    block.unit = rounded(largest.scale / kTop);
    block.minimum_unit = rounded(-largest.minimum / kTop);
    for (u32 g = 0; g < kGroups; ++g) {
      block.scales[g] = clamp(nearest(quotient(ideal[g].scale, block.unit)), 0, kTop);
      block.minima[g] = clamp(nearest(quotient(-ideal[g].minimum, block.minimum_unit)), 0, kTop);
      improve_codes(g, block);
    }
    for (u32 i = 0; i < kRounds && refit_units(block); ++i) {
      for (u32 g = 0; g < kGroups; ++g) improve_codes(g, block);
    }
    for (u32 g = 0; g < kGroups; ++g) assign_group(g, block);
    return block;
  }

 private:
  static constexpr u32 kWidth = kSuperSize / kGroups;
  static constexpr IntegerLevels kLevels = {0, static_cast<f32>(kHigh), static_cast<f32>(kHigh), 0};

  static Grid grid_of(const OffsetBlock& block, f32 scale, f32 minimum) {
    return {block.unit * scale, -(block.minimum_unit * minimum)};
  }
  Grid grid_of(u32 g, const OffsetBlock& block) const {
    return grid_of(block, block.scales[g], block.minima[g]);
  }

  // The best of a pair of codes and its eight neighbours.
  void improve_codes(u32 g, OffsetBlock& block) const {
    const f32 scale = block.scales[g];
    const f32 minimum = block.minima[g];
    f32 best_error = error_of(groups_[g], kLevels, grid_of(g, block));
    for (const f32 scale_change : kChanges) {
      for (const f32 minimum_change : kChanges) {
        const f32 new_scale = clamp(scale + scale_change, 0, kTop);
        const f32 new_minimum = clamp(minimum + minimum_change, 0, kTop);
        const f32 error = error_of(groups_[g], kLevels, grid_of(block, new_scale, new_minimum));
        if (error < best_error) {
          best_error = error;
          block.scales[g] = new_scale;
          block.minima[g] = new_minimum;
        }
      }
    }
  }

  void assign_group(u32 g, OffsetBlock& block) const {
    assign(groups_[g], kLevels, grid_of(g, block), block.levels + g * kWidth);
  }

  f32 block_error(const OffsetBlock& block) const {
    f32 error = 0;
    for (u32 g = 0; g < kGroups; ++g) error += error_of(groups_[g], kLevels, grid_of(g, block));
    return error;
  }

  // Least squares over the whole superblock for both units: x = unit * (s q) + minimum_unit * (-m).
  // False when nothing is gained.
  bool refit_units(OffsetBlock& block) const {
    f32 qq = 0;
    f32 qm = 0;
    f32 mm = 0;
    f32 qx = 0;
    f32 mx = 0;
    for (u32 g = 0; g < kGroups; ++g) {
      assign_group(g, block);
      const f32 m = -block.minima[g];
      Four sums[5] = {};
      for (u32 i = 0; i < groups_[g].n_four; ++i) {
        const f32* at = block.levels + g * kWidth + 4 * i;
        const Four q = Four{at[0], at[1], at[2], at[3]} * block.scales[g];
        const Four w = groups_[g].w[i];
        sums[0] += w * q * q;
        sums[1] += w * q;
        sums[2] += w;
        sums[3] += w * q * groups_[g].x[i];
        sums[4] += w * groups_[g].x[i];
      }
      qq += fold(sums[0]);
      qm += fold(sums[1]) * m;
      mm += fold(sums[2]) * m * m;
      qx += fold(sums[3]);
      mx += fold(sums[4]) * m;
    }
    const f32 determinant = qq * mm - qm * qm;
    OffsetBlock changed = block;
    if (determinant > 0) {
      changed.unit = rounded((mm * qx - qm * mx) / determinant);
      changed.minimum_unit = rounded((qq * mx - qm * qx) / determinant);
    } else {
      changed.unit = rounded(quotient(qx, qq));
    }
    if (!(changed.unit > 0) || changed.minimum_unit < 0) return false;
    if (!(block_error(changed) < block_error(block))) return false;
    block = changed;
    return true;
  }

  Group groups_[kGroups];
};

// ---- bits ---------------------------------------------------------------------------------------

u32 code(f32 value, i32 offset = 0) { return static_cast<u32>(static_cast<i32>(value) + offset); }

// Scales and minima of 6 bits (dequantize_k.cpp says where they are).
void store_six_bits(const OffsetBlock& block, u8* scales) {
  for (u32 g = 0; g < 4; ++g) {
    const u32 high_scale = code(block.scales[g + 4]);
    const u32 high_minimum = code(block.minima[g + 4]);
    scales[g] = static_cast<u8>(code(block.scales[g]) | ((high_scale >> 4) << 6));
    scales[g + 4] = static_cast<u8>(code(block.minima[g]) | ((high_minimum >> 4) << 6));
    scales[g + 8] = static_cast<u8>((high_scale & 15) | ((high_minimum & 15) << 4));
  }
}

void encode_q2_k(const f32* values, const f32* weights, u8* bytes) {
  const OffsetBlock fit = OffsetFit<16, 3, 15>(values, weights).run();
  BlockQ2_K out = {};
  out.d = f32_to_f16(fit.unit);
  out.dmin = f32_to_f16(fit.minimum_unit);
  for (u32 g = 0; g < 16; ++g)
    out.scales[g] = static_cast<u8>(code(fit.scales[g]) | (code(fit.minima[g]) << 4));
  for (u32 i = 0; i < kSuperSize; ++i) {
    u8& byte = out.qs[32 * (i / 128) + i % 32];
    byte = static_cast<u8>(byte | (code(fit.levels[i]) << (2 * (i / 32 % 4))));
  }
  __builtin_memcpy(bytes, &out, sizeof(out));
}

void encode_q3_k(const f32* values, const f32* weights, u8* bytes) {
  constexpr IntegerLevels kLevels = {-4, 3, -4, 0.1f};
  const ScaledBlock fit = ScaledFit<IntegerLevels, 16, -32, 31>(kLevels, values, weights).run();
  BlockQ3_K out = {};
  out.d = f32_to_f16(fit.unit);
  for (u32 g = 0; g < 16; ++g) {
    const u32 scale = code(fit.scales[g], 32);
    u8& low = out.scales[g % 8];
    u8& high = out.scales[8 + g % 4];
    low = static_cast<u8>(low | ((scale & 15) << (4 * (g / 8))));
    high = static_cast<u8>(high | ((scale >> 4) << (2 * (g / 4))));
  }
  for (u32 i = 0; i < kSuperSize; ++i) {
    const u32 q = code(fit.levels[i], 4);
    u8& pair = out.qs[32 * (i / 128) + i % 32];
    pair = static_cast<u8>(pair | ((q & 3) << (2 * (i / 32 % 4))));
    u8& third = out.hmask[i % 32];
    third = static_cast<u8>(third | ((q >> 2) << (i / 32)));
  }
  __builtin_memcpy(bytes, &out, sizeof(out));
}

// The nibbles of Q4_K and Q5_K.
void store_super_nibbles(const f32* levels, u8* qs) {
  for (u32 i = 0; i < kSuperSize; ++i) {
    u8& byte = qs[32 * (i / 64) + i % 32];
    byte = static_cast<u8>(byte | ((code(levels[i]) & 15) << (4 * (i / 32 % 2))));
  }
}

void encode_q4_k(const f32* values, const f32* weights, u8* bytes) {
  const OffsetBlock fit = OffsetFit<8, 15, 63>(values, weights).run();
  BlockQ4_K out = {};
  out.d = f32_to_f16(fit.unit);
  out.dmin = f32_to_f16(fit.minimum_unit);
  store_six_bits(fit, out.scales);
  store_super_nibbles(fit.levels, out.qs);
  __builtin_memcpy(bytes, &out, sizeof(out));
}

void encode_q5_k(const f32* values, const f32* weights, u8* bytes) {
  const OffsetBlock fit = OffsetFit<8, 31, 63>(values, weights).run();
  BlockQ5_K out = {};
  out.d = f32_to_f16(fit.unit);
  out.dmin = f32_to_f16(fit.minimum_unit);
  store_six_bits(fit, out.scales);
  store_super_nibbles(fit.levels, out.qs);
  for (u32 i = 0; i < kSuperSize; ++i) {
    u8& byte = out.qh[i % 32];
    byte = static_cast<u8>(byte | ((code(fit.levels[i]) >> 4) << (i / 32)));
  }
  __builtin_memcpy(bytes, &out, sizeof(out));
}

void encode_q6_k(const f32* values, const f32* weights, u8* bytes) {
  constexpr IntegerLevels kLevels = {-32, 31, -32, 0.1f};
  const ScaledBlock fit = ScaledFit<IntegerLevels, 16, -128, 127>(kLevels, values, weights).run();
  BlockQ6_K out = {};
  out.d = f32_to_f16(fit.unit);
  for (u32 g = 0; g < 16; ++g) out.scales[g] = static_cast<i8>(fit.scales[g]);
  for (u32 i = 0; i < kSuperSize; ++i) {
    const u32 q = code(fit.levels[i], 32);
    const u32 column = i % 128;
    u8& low = out.ql[64 * (i / 128) + column % 64];
    low = static_cast<u8>(low | ((q & 15) << (4 * (column / 64))));
    u8& high = out.qh[32 * (i / 128) + column % 32];
    high = static_cast<u8>(high | ((q >> 4) << (2 * (column / 32))));
  }
  __builtin_memcpy(bytes, &out, sizeof(out));
}

void encode_iq4_xs(const f32* values, const f32* weights, u8* bytes) {
  constexpr Iq4Levels kLevels;
  const ScaledBlock fit = ScaledFit<Iq4Levels, 8, -32, 31>(kLevels, values, weights).run();
  BlockIQ4_XS out = {};
  out.d = f32_to_f16(fit.unit);
  for (u32 g = 0; g < 8; ++g) {
    const u32 scale = code(fit.scales[g], 32);
    out.scales_h = static_cast<u16>(out.scales_h | ((scale >> 4) << (2 * g)));
    u8& low = out.scales_l[g / 2];
    low = static_cast<u8>(low | ((scale & 15) << (4 * (g % 2))));
    f32 indices[kBlockSize];
    for (u32 i = 0; i < kBlockSize; ++i)
      indices[i] = static_cast<f32>(iq4_index(fit.levels[g * kBlockSize + i]));
    store_nibbles(indices, 0, out.qs + 16 * g);
  }
  __builtin_memcpy(bytes, &out, sizeof(out));
}

}  // namespace

EncodeBlock superblock_encoder(DType type) {
  switch (type) {
    case DType::kQ2_K: return encode_q2_k;
    case DType::kQ3_K: return encode_q3_k;
    case DType::kQ4_K: return encode_q4_k;
    case DType::kQ5_K: return encode_q5_k;
    case DType::kQ6_K: return encode_q6_k;
    case DType::kIQ4_XS: return encode_iq4_xs;
    default: return nullptr;
  }
}

}  // namespace lbm
