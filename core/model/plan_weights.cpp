// plan_weights: the names, types and shapes of a family's tensors, and where each goes.
#include "core/base/fmt.h"
#include "core/model/weights.h"
#include "core/tensor/blocks.h"
#include "core/tensor/repack.h"

namespace lbm {
namespace {

constexpr u64 kMinChunk = 4 * kMiB;
constexpr u64 kPlaceAlignment = 64;

class WeightBinder {
 public:
  WeightBinder(const ModelFile& file, Span<WeightPlacement> items) : file_(file), items_(items) {}

  // W [n_row][n_col] of any weight type.
  void matrix(Str name, u32 n_col, u32 n_row, Matrix& out) {
    TensorInfo tensor;
    if (!find(name, n_col, n_row, tensor)) return;
    out = {tensor.dtype, n_row, n_col, nullptr,
           static_cast<usize>(tile_bytes(tensor.dtype, n_col))};
    WeightPlacement& item = next(WeightPlacement::Kind::kTiles, tensor);
    item.matrix = &out;
    item.n_byte = out.n_tile() * static_cast<u64>(out.tile_stride);
  }

  void embedding(Str name, u32 n_col, u32 n_row, bool tied, Weights& weights) {
    TensorInfo tensor;
    if (status_.ok() && file_.find_tensor(name, tensor) && tensor.n_dim == 2 &&
        tensor.dims[0] == n_col && tensor.dims[1] != n_row) {
      keep(fail(ErrorCode::kMismatch, "rows differ from the number of tokens")
               .about(name)
               .with(tensor.dims[1], n_row)
               .at(tensor.file_offset));
    }
    if (!find(name, n_col, n_row, tensor)) return;
    weights.embedding = {tensor.dtype, n_row, n_col, nullptr, tied};
    WeightPlacement& item =
        next(tied ? WeightPlacement::Kind::kTiles : WeightPlacement::Kind::kRows, tensor);
    item.embedding = &weights.embedding;
    item.n_byte = tensor.n_byte;
    if (tied) {
      weights.output = {tensor.dtype, n_row, n_col, nullptr,
                        static_cast<usize>(tile_bytes(tensor.dtype, n_col))};
      item.n_byte = weights.output.n_tile() * static_cast<u64>(weights.output.tile_stride);
    }
  }

  // A norm or bias [n] of F32, F16 or BF16, kept as f32.
  void vector(Str name, u32 n, const f32*& out) {
    TensorInfo tensor;
    if (!find(name, n, 0, tensor)) return;
    if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 &&
        tensor.dtype != DType::kBF16) {
      keep(fail(ErrorCode::kBadType, "a norm or bias must be F32, F16 or BF16")
               .about(name)
               .at(tensor.file_offset));
      return;
    }
    WeightPlacement& item = next(WeightPlacement::Kind::kVector, tensor);
    item.vector = &out;
    item.n_byte = static_cast<u64>(n) * sizeof(f32);
  }
  void optional_vector(Str name, u32 n, const f32*& out) {
    TensorInfo tensor;
    if (file_.find_tensor(name, tensor)) vector(name, n, out);
  }

  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] u32 n_item() const { return n_item_; }

 private:
  // Finds a tensor with dimensions [n_row][n_col], or [n_col] when n_row is 0.
  bool find(Str name, u32 n_col, u32 n_row, TensorInfo& out) {
    if (!status_.ok()) return false;
    if (!file_.find_tensor(name, out)) {
      keep(fail(ErrorCode::kMissing, "tensor is not in the file").about(name));
      return false;
    }
    const DTypeTraits traits = dtype_traits(out.dtype);
    const u64 rows = n_row == 0 ? 1 : n_row;
    if (out.dims[0] != n_col || out.dims[1] != rows || out.dims[2] != 1 || out.dims[3] != 1) {
      const bool first = out.dims[0] != n_col;
      keep(fail(ErrorCode::kBadShape, first ? "first dimension is not the expected one"
                                            : "second dimension is not the expected one")
               .about(name)
               .with(first ? out.dims[0] : out.dims[1], first ? n_col : rows)
               .at(out.file_offset));
      return false;
    }
    if (!traits.is_weight) {
      TextBuffer<Error::kSubjectCapacity> subject;
      subject.print("{} ({})", name, traits.name);
      keep(fail(ErrorCode::kUnsupported,
                "not a type for weights; quantize the original model again, as Q4_K_M or Q8_0")
               .about(subject.text())
               .at(out.file_offset));
      return false;
    }
    return true;
  }

  WeightPlacement& next(WeightPlacement::Kind kind, const TensorInfo& tensor) {
    WeightPlacement& item = items_[n_item_++];
    item.kind = kind;
    item.tensor = tensor;
    return item;
  }
  void keep(const Error& error) {
    if (status_.ok()) status_ = error;
  }

  const ModelFile& file_;
  Span<WeightPlacement> items_;
  u32 n_item_ = 0;
  Status status_;
};

void bind_layer(WeightBinder& binder, const ModelConfig& c, u32 index, LayerWeights& layer) {
  TextBuffer<64> buffer;
  const auto name = [&](const char* suffix) {
    buffer.clear();
    return buffer.print("blk.{}.{}", index, suffix).text();
  };
  binder.vector(name("attn_norm.weight"), c.n_embd, layer.attn_norm);
  binder.matrix(name("attn_q.weight"), c.n_embd, c.n_embd_q(), layer.wq);
  binder.matrix(name("attn_k.weight"), c.n_embd, c.n_embd_kv(), layer.wk);
  binder.matrix(name("attn_v.weight"), c.n_embd, c.n_embd_kv(), layer.wv);
  binder.matrix(name("attn_output.weight"), c.n_embd_q(), c.n_embd, layer.wo);
  binder.optional_vector(name("attn_q.bias"), c.n_embd_q(), layer.bq);
  binder.optional_vector(name("attn_k.bias"), c.n_embd_kv(), layer.bk);
  binder.optional_vector(name("attn_v.bias"), c.n_embd_kv(), layer.bv);
  binder.optional_vector(name("attn_output.bias"), c.n_embd, layer.bo);
  binder.vector(name("ffn_norm.weight"), c.n_embd, layer.ffn_norm);
  binder.matrix(name("ffn_gate.weight"), c.n_embd, c.n_ff, layer.w_gate);
  binder.matrix(name("ffn_up.weight"), c.n_embd, c.n_ff, layer.w_up);
  binder.matrix(name("ffn_down.weight"), c.n_ff, c.n_embd, layer.w_down);
  binder.optional_vector(name("ffn_gate.bias"), c.n_ff, layer.b_gate);
  binder.optional_vector(name("ffn_up.bias"), c.n_ff, layer.b_up);
  binder.optional_vector(name("ffn_down.bias"), c.n_embd, layer.b_down);
}

// Heapsort by file offset: in place, no recursion, no bad case.
void sort_by_offset(Span<WeightPlacement> items) {
  const auto sift = [&](usize root, usize end) {
    for (;;) {
      usize child = 2 * root + 1;
      if (child >= end) return;
      if (child + 1 < end && items[child].tensor.file_offset < items[child + 1].tensor.file_offset)
        ++child;
      if (items[root].tensor.file_offset >= items[child].tensor.file_offset) return;
      lbm::swap(items[root], items[child]);
      root = child;
    }
  };
  for (usize i = items.size() / 2; i-- > 0;) sift(i, items.size());
  for (usize end = items.size(); end > 1; --end) {
    lbm::swap(items[0], items[end - 1]);
    sift(0, end - 1);
  }
}

// A tensor that nothing asked for could change what the model computes, so it is refused, not
// skipped; except what is known to repeat what the metadata says.
Status check_all_known(const ModelFile& file, Span<const WeightPlacement> items) {
  if (file.n_tensor() == items.size()) return {};
  usize next = 0;
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    while (next < items.size() && items[next].tensor.file_offset < tensor.file_offset) ++next;
    if (next < items.size() && items[next].tensor.file_offset == tensor.file_offset) continue;
    if (tensor.name.ends_with(".attn_rot_embd") || tensor.name.ends_with(".rotary_emb.inv_freq"))
      continue;
    return fail(ErrorCode::kUnsupported, "tensor that this architecture has no use for")
        .about(tensor.name)
        .at(tensor.file_offset);
  }
  return {};
}

}  // namespace

Result<WeightPlan> plan_weights(const ModelFile& file, const ModelConfig& config, Arena& arena) {
  constexpr u64 kPerLayer = 16;
  constexpr u64 kOutsideLayers = 4;
  WeightPlan plan;
  Result<Weights*> weights = arena.make<Weights>("weight table");
  if (!weights.ok()) return weights.error();
  plan.weights = weights.value();
  Result<Span<LayerWeights>> layers = arena.take<LayerWeights>(config.n_layer, "weight table");
  if (!layers.ok()) return layers.error();
  for (LayerWeights& layer : layers.value()) layer = LayerWeights();
  plan.weights->layers = layers.value();
  Result<Span<WeightPlacement>> items =
      arena.take<WeightPlacement>(kPerLayer * config.n_layer + kOutsideLayers, "weight table");
  if (!items.ok()) return items.error();
  for (WeightPlacement& item : items.value()) item = WeightPlacement();

  WeightBinder binder(file, items.value());
  TensorInfo ignored;
  const bool tied = !file.find_tensor("output.weight", ignored);
  binder.embedding("token_embd.weight", config.n_embd, config.n_vocab, tied, *plan.weights);
  binder.vector("output_norm.weight", config.n_embd, plan.weights->output_norm);
  if (!tied) binder.matrix("output.weight", config.n_embd, config.n_vocab, plan.weights->output);
  binder.optional_vector("rope_freqs.weight", config.rope.n_rot / 2, plan.weights->rope_freqs);
  for (u32 i = 0; i < config.n_layer; ++i) bind_layer(binder, config, i, layers.value()[i]);
  if (!binder.status().ok()) return binder.status().error();

  plan.placements = items.value().first(binder.n_item());
  sort_by_offset(plan.placements);
  if (Status s = check_all_known(file, plan.placements); !s.ok()) return s.error();
  plan.chunk_bytes = kMinChunk;
  for (const WeightPlacement& item : plan.placements) {
    plan.n_byte += align_up(item.n_byte, kPlaceAlignment);
    const DTypeTraits traits = dtype_traits(item.tensor.dtype);
    const u64 tile_rows_bytes =
        kTileRows * (item.tensor.dims[0] / traits.block_size * traits.block_bytes);
    plan.chunk_bytes = max_u64(plan.chunk_bytes, 2 * tile_rows_bytes);
  }
  return plan;
}

}  // namespace lbm
