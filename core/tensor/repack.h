// Repacking: from the rows of a file to the row tiles of the kernels (blocks.h). Same bits, other
// order, same size.
#pragma once

#include "core/base/result.h"
#include "core/base/span.h"
#include "core/tensor/dtype.h"

namespace lbm {

// Bytes of one tile (16 rows) of a matrix with n_col columns. n_col must be whole blocks of the
// type.
[[nodiscard]] u64 tile_bytes(DType type, u64 n_col);

// Repacks n_row <= 16 file rows that stand one after the other in `rows` (anywhere) into one tile
// (aligned to 8 bytes). Missing rows become zeros.
// Errors: kNumeric      a scale is NaN or infinite; `value` is the row within the tile.
//         kUnsupported  not a type of weights.
[[nodiscard]] Status repack_tile(DType type, Span<const u8> rows, u32 n_row, u64 n_col,
                                 Span<u8> tile);

// Expands row `lane` of a tile: the element formula of dequantize() on the same values, so the same
// bits.
void dequantize_tile_row(DType type, const u8* tile, u32 lane, u64 n_col, f32* out);

}  // namespace lbm
