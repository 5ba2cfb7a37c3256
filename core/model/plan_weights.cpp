// plan_weights: the names, types and shapes of a family's tensors, and where each goes.
#include "core/model/families.h"
#include "core/model/weight_binder.h"
#include "core/model/weights.h"
#include "core/tensor/blocks.h"
#include "core/tensor/repack.h"

namespace lbm {
namespace {

constexpr u64 kMinChunk = 4 * kMiB;
constexpr u64 kPlaceAlignment = 64;

// Queries, keys and values: three tensors, or one with the rows of the three in that order.
void bind_qkv(WeightBinder& binder, const ModelConfig& c, u32 index, LayerWeights& layer) {
  LayerName name(index);
  const u32 n_q = c.n_embd_q() * (c.gated_attention ? 2 : 1);
  const u32 n_kv = c.n_embd_kv(index);
  const u32 n_all = n_q + 2 * n_kv;
  const RowRange q = {0, n_q, n_all};
  const RowRange k = {n_q, n_kv, n_all};
  const RowRange v = {n_q + n_kv, n_kv, n_all};
  if (binder.has(name("attn_qkv.weight"))) {
    binder.matrix_rows(name("attn_qkv.weight"), c.n_embd, q, layer.wq);
    binder.matrix_rows(name("attn_qkv.weight"), c.n_embd, k, layer.wk);
    binder.matrix_rows(name("attn_qkv.weight"), c.n_embd, v, layer.wv);
  } else {
    binder.matrix(name("attn_q.weight"), c.n_embd, n_q, layer.wq);
    binder.matrix(name("attn_k.weight"), c.n_embd, n_kv, layer.wk);
    binder.matrix(name("attn_v.weight"), c.n_embd, n_kv, layer.wv);
  }
  if (binder.has(name("attn_qkv.bias"))) {
    binder.vector_part(name("attn_qkv.bias"), q, layer.bq);
    binder.vector_part(name("attn_qkv.bias"), k, layer.bk);
    binder.vector_part(name("attn_qkv.bias"), v, layer.bv);
  } else {
    binder.optional_vector(name("attn_q.bias"), n_q, layer.bq);
    binder.optional_vector(name("attn_k.bias"), n_kv, layer.bk);
    binder.optional_vector(name("attn_v.bias"), n_kv, layer.bv);
  }
}

void bind_qk_norm(WeightBinder& binder, const Family& family, const ModelConfig& c, u32 index,
                  LayerWeights& layer) {
  if (family.qk_norm == QkNorm::kNone) return;
  LayerName name(index);
  if (family.qk_norm_presence == Presence::kMay && !binder.has(name("attn_q_norm.weight"))) return;
  const u32 n_head_kv = c.layers[index].n_head_kv;
  switch (family.qk_norm) {
    case QkNorm::kPerHead:
      binder.vector(name("attn_q_norm.weight"), c.head_dim, layer.q_norm);
      binder.vector(name("attn_k_norm.weight"), c.head_dim, layer.k_norm);
      return;
    case QkNorm::kOwnPerHead:
      binder.vector_rows(name("attn_q_norm.weight"), c.head_dim, {0, c.n_head, c.n_head},
                         layer.q_norm);
      binder.vector_rows(name("attn_k_norm.weight"), c.head_dim, {0, n_head_kv, n_head_kv},
                         layer.k_norm);
      return;
    case QkNorm::kAllHeads:
      binder.vector(name("attn_q_norm.weight"), c.n_embd_q(), layer.q_norm);
      binder.vector(name("attn_k_norm.weight"), c.n_embd_kv(index), layer.k_norm);
      return;
    case QkNorm::kNone: return;  // coverage: returned before the switch
  }
}

void bind_attention(WeightBinder& binder, const Family& family, const ModelConfig& c, u32 index,
                    LayerWeights& layer) {
  LayerName name(index);
  bind_qkv(binder, c, index, layer);
  bind_qk_norm(binder, family, c, index, layer);
  binder.matrix(name("attn_output.weight"), c.n_embd_q(), c.n_embd, layer.wo);
  binder.optional_vector(name("attn_output.bias"), c.n_embd, layer.bo);
  if (family.sinks) binder.vector(name("attn_sinks.weight"), c.n_head, layer.sinks);
}

// Gate and up: two tensors, or one with the rows of the gate first.
void bind_ffn(WeightBinder& binder, const Family& family, const ModelConfig& c, u32 index,
              FfnWeights& ffn) {
  LayerName name(index);
  if (family.fused_gate_up && !binder.has(name("ffn_gate.weight"))) {
    binder.matrix_rows(name("ffn_up.weight"), c.n_embd, {0, c.n_ff, 2 * c.n_ff}, ffn.gate);
    binder.matrix_rows(name("ffn_up.weight"), c.n_embd, {c.n_ff, c.n_ff, 2 * c.n_ff}, ffn.up);
  } else {
    if (family.gated) {
      binder.matrix(name("ffn_gate.weight"), c.n_embd, c.n_ff, ffn.gate);
      binder.optional_vector(name("ffn_gate.bias"), c.n_ff, ffn.b_gate);
    }
    binder.matrix(name("ffn_up.weight"), c.n_embd, c.n_ff, ffn.up);
    binder.optional_vector(name("ffn_up.bias"), c.n_ff, ffn.b_up);
  }
  binder.matrix(name("ffn_down.weight"), c.n_ff, c.n_embd, ffn.down);
  binder.optional_vector(name("ffn_down.bias"), c.n_embd, ffn.b_down);
}

void bind_layer(WeightBinder& binder, const Family& family, const ModelConfig& c, u32 index,
                LayerWeights& layer) {
  LayerName name(index);
  const Presence bias = family.norm_bias;
  if (family.second_attn_norm && binder.has(name("attn_norm_2.weight"))) {
    binder.norm(name("attn_norm_2"), c.n_embd, Presence::kMust, bias, layer.attn_norm);
    binder.norm(name("attn_norm"), c.n_embd, Presence::kMust, bias, layer.ffn_norm);
  } else {
    binder.norm(name("attn_norm"), c.n_embd, family.attn_norm, bias, layer.attn_norm);
    binder.norm(name(family.ffn_norm_name), c.n_embd, family.ffn_norm, bias, layer.ffn_norm);
  }
  if (c.layers[index].kind == LayerKind::kAttention) {
    bind_attention(binder, family, c, index, layer);
  } else {
    bind_recurrent(binder, c, index, layer);
  }
  binder.norm(name("post_attention_norm"), c.n_embd, family.post_norms, bias, layer.attn_post_norm);
  if (c.layers[index].experts) {
    bind_experts(binder, c, index, layer);
  } else {
    bind_ffn(binder, family, c, index, layer.ffn);
  }
  binder.norm(name("post_ffw_norm"), c.n_embd, family.post_norms, bias, layer.ffn_post_norm);
}

void bind_all(WeightBinder& binder, const Family& family, const ModelConfig& c, Weights& weights) {
  const bool tied = !binder.has("output.weight");
  binder.embedding("token_embd.weight", c.n_embd, c.n_vocab, tied, weights);
  if (family.learned_positions)
    binder.table("position_embd.weight", c.n_embd, c.n_ctx_train, weights.positions);
  binder.norm(family.output_norm_name, c.n_embd, Presence::kMust, family.norm_bias,
              weights.output_norm);
  if (!tied) binder.matrix("output.weight", c.n_embd, c.n_vocab, weights.output);
  if (family.output_bias == Presence::kMust) {
    binder.vector("output.bias", c.n_vocab, weights.output_bias);
  } else if (family.output_bias == Presence::kMay) {
    binder.optional_vector("output.bias", c.n_vocab, weights.output_bias);
  }
  if (c.rope.n_rot != 0) {
    binder.optional_vector("rope_freqs.weight", c.rope.n_rot / 2, weights.rope_freqs);
    binder.optional_vector("rope_factors_long.weight", c.rope.n_rot / 2, weights.rope_long);
    binder.optional_vector("rope_factors_short.weight", c.rope.n_rot / 2, weights.rope_short);
  }
  for (u32 i = 0; i < weights.layers.size() && binder.status().ok(); ++i)
    bind_layer(binder, family, c, i, weights.layers[i]);
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

// Tensors that repeat what the metadata says, or belong to layers and heads that are not run.
bool may_be_ignored(Str name, const ModelConfig& config) {
  if (name.ends_with(".attn_rot_embd") || name.ends_with(".rotary_emb.inv_freq")) return true;
  u32 layer = 0;
  usize i = 4;
  if (!name.starts_with("blk.")) return false;
  for (; i < name.size() && i < 9 && name[i] >= '0' && name[i] <= '9'; ++i)
    layer = layer * 10 + static_cast<u32>(name[i] - '0');
  return i < name.size() && name[i] == '.' && layer >= config.n_layer &&
         layer < config.n_layer + config.n_layer_ahead;
}

// A tensor that nothing asked for could change what the model computes, so it is refused, not
// skipped.
Status check_all_known(const ModelFile& file, const ModelConfig& config,
                       Span<const WeightPlacement> items) {
  usize next = 0;
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    while (next < items.size() && items[next].tensor.file_offset < tensor.file_offset) ++next;
    if (next < items.size() &&
        items[next].tensor.file_offset - tensor.file_offset < max_u64(tensor.n_byte, 1))
      continue;
    if (may_be_ignored(tensor.name, config)) continue;
    return fail(ErrorCode::kUnsupported, "tensor that this architecture has no use for")
        .about(tensor.name)
        .at(tensor.file_offset);
  }
  return {};
}

// At least as many placements as the tensors of the file can be bound to. Counted by what is there
// and not by what the configuration promises, so a small file can not ask for much memory.
u64 most_placements(const ModelFile& file) {
  constexpr u64 kMatricesOfOne = 4;  // queries, keys, values; gate and up
  u64 n = 1;
  for (u32 i = 0; i < file.n_tensor(); ++i) {
    const TensorInfo tensor = file.tensor(i);
    const bool of_experts = tensor.name.ends_with("_exps.bias");
    n += kMatricesOfOne + 2 * (tensor.dims[2] - 1) + (of_experts ? tensor.dims[1] : 0);
  }
  return n;
}

}  // namespace

Result<WeightPlan> plan_weights(const ModelFile& file, const ModelConfig& config, Arena& arena) {
  const Family* const family = find_family(config.architecture);
  LBM_CHECK(family != nullptr);
  WeightPlan plan;
  Result<Weights*> weights = arena.make<Weights>("weight table");
  if (!weights.ok()) return weights.error();
  plan.weights = weights.value();
  // A layer has a tensor of its own, so with more layers than tensors one will be missing.
  const u32 n_layer = min_u32(config.n_layer, file.n_tensor() + 1);
  Result<Span<LayerWeights>> layers = arena.take<LayerWeights>(n_layer, "weight table");
  if (!layers.ok()) return layers.error();
  for (LayerWeights& layer : layers.value()) layer = LayerWeights();
  plan.weights->layers = layers.value();
  Result<Span<WeightPlacement>> items =
      arena.take<WeightPlacement>(most_placements(file), "weight table");
  if (!items.ok()) return items.error();

  WeightBinder binder(file, arena, items.value());
  bind_all(binder, *family, config, *plan.weights);
  if (!binder.status().ok()) return binder.status().error();
  LBM_CHECK(n_layer == config.n_layer);

  plan.placements = items.value().first(binder.n_item());
  sort_by_offset(plan.placements);
  if (Status s = check_all_known(file, config, plan.placements); !s.ok()) return s.error();
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
