#include "core/model/weights.h"

#include "core/tensor/blocks.h"
#include "core/tensor/dequantize.h"
#include "core/tensor/repack.h"

namespace lbm {
namespace {

constexpr usize kPlaceAlignment = 64;

}  // namespace

void Embedding::gather(u32 token, f32* out) const {
  LBM_CHECK(token < n_row);
  if (tiled) {
    const u64 stride = tile_bytes(dtype, n_col);
    dequantize_tile_row(dtype, bytes + token / kTileRows * stride, token % kTileRows, n_col, out);
    return;
  }
  const DTypeTraits traits = dtype_traits(dtype);
  const u64 n_byte = static_cast<u64>(n_col) / traits.block_size * traits.block_bytes;
  const Span<const u8> row(bytes + token * n_byte, static_cast<usize>(n_byte));
  LBM_CHECK(dequantize(dtype, row, {out, n_col}).ok());
}

Status place_weights(WeightPlan& plan, Arena& arena) {
  for (WeightPlacement& item : plan.placements) {
    Result<Span<u8>> place = arena.take_raw(item.n_byte, "weights", kPlaceAlignment);
    if (!place.ok()) {
      Error error = place.error();
      return error.about(item.tensor.name);
    }
    item.place = place.value().data();
    if (item.matrix != nullptr) item.matrix->tiles = item.place;
    if (item.embedding != nullptr) item.embedding->bytes = item.place;
    if (item.vector != nullptr) *item.vector = reinterpret_cast<const f32*>(item.place);
  }
  Weights& weights = *plan.weights;
  if (weights.output.tiles == nullptr) weights.output.tiles = weights.embedding.bytes;  // tied
  return {};
}

}  // namespace lbm
