// See model_description.h.
#include "web/model_description.h"

#include "core/tensor/dtype.h"
#include "web/json_text.h"

namespace lbm::web {
namespace {

Str norm_name(NormKind norm) { return norm == NormKind::kRms ? "rms" : "layer"; }

Str activation_name(Activation activation) {
  switch (activation) {
    case Activation::kSilu: return "silu";
    case Activation::kGelu: return "gelu";
    case Activation::kReluSquared: return "relu_squared";
    case Activation::kClampedSwiglu: return "clamped_swiglu";
  }
  return "";
}

Str qk_norm_name(QkNorm norm) {
  switch (norm) {
    case QkNorm::kNone: return "none";
    case QkNorm::kPerHead: return "per_head";
    case QkNorm::kOwnPerHead: return "own_per_head";
    case QkNorm::kAllHeads: return "all_heads";
  }
  return "";
}

Str scaling_name(RopeScaling scaling) {
  switch (scaling) {
    case RopeScaling::kNone: return "none";
    case RopeScaling::kLinear: return "linear";
    case RopeScaling::kYarn: return "yarn";
    case RopeScaling::kLongrope: return "longrope";
  }
  return "";
}

Str gating_name(ExpertGating gating) {
  switch (gating) {
    case ExpertGating::kSoftmax: return "softmax";
    case ExpertGating::kSigmoid: return "sigmoid";
    case ExpertGating::kSoftmaxSelected: return "softmax_selected";
  }
  return "";
}

Str kind_name(LayerKind kind) {
  switch (kind) {
    case LayerKind::kAttention: return "attention";
    case LayerKind::kShortConv: return "short_conv";
    case LayerKind::kDeltaNet: return "delta_net";
  }
  return "";
}

// Writes the members of one object, with the commas between them.
class Members {
 public:
  explicit Members(TextWriter& out) : out_(out) { out_.append("{"); }
  void end() { out_.append("}"); }

  Members& text(Str key, Str value) {
    begin(key);
    write_json_text(out_, value);
    return *this;
  }
  Members& whole(Str key, u64 value) {
    begin(key);
    out_.print("{}", value);
    return *this;
  }
  Members& number(Str key, f64 value) {
    begin(key);
    write_json_number(out_, value);
    return *this;
  }
  Members& number(Str key, f32 value) { return number(key, static_cast<f64>(value)); }
  Members& boolean(Str key, bool value) {
    begin(key);
    out_.append(json_bool(value));
    return *this;
  }
  // The value is written by the caller.
  TextWriter& begin(Str key) {
    out_.print("{}\"{}\":", n_++ == 0 ? "" : ",", key);
    return out_;
  }

 private:
  TextWriter& out_;
  u32 n_ = 0;
};

void write_rope(TextWriter& out, const RopeConfig& rope) {
  Members members(out);
  members.number("freq_base", rope.freq_base)
      .number("freq_scale", rope.freq_scale)
      .text("scaling", scaling_name(rope.scaling))
      .text("layout", rope.layout == RopeLayout::kNeighbours ? "neighbours" : "halves")
      .whole("n_rot", rope.n_rot)
      .whole("n_ctx_orig", rope.n_ctx_orig)
      .number("yarn_ext_factor", rope.yarn_ext_factor)
      .number("attn_factor", rope.attn_factor)
      .number("yarn_beta_fast", rope.yarn_beta_fast)
      .number("yarn_beta_slow", rope.yarn_beta_slow)
      .end();
}

void write_experts(TextWriter& out, const ExpertConfig& experts) {
  if (experts.n_expert == 0) {
    out.append("null");
    return;
  }
  Members members(out);
  members.whole("n_expert", experts.n_expert)
      .whole("n_used", experts.n_used)
      .whole("n_ff", experts.n_ff)
      .whole("n_ff_shared", experts.n_ff_shared)
      .text("gating", gating_name(experts.gating))
      .boolean("normalised", experts.normalised)
      .number("scale", experts.scale)
      .end();
}

void write_recurrent(Members& members, TextWriter& out, const ModelConfig& c) {
  members.begin("short_conv");
  if (c.short_conv.n_tap != 0) {
    Members conv(out);
    conv.whole("n_tap", c.short_conv.n_tap).end();
  } else {
    out.append("null");
  }
  members.begin("delta_net");
  if (c.delta_net.n_tap != 0) {
    Members net(out);
    net.whole("n_tap", c.delta_net.n_tap)
        .whole("n_key_head", c.delta_net.n_key_head)
        .whole("n_value_head", c.delta_net.n_value_head)
        .whole("key_dim", c.delta_net.key_dim)
        .whole("value_dim", c.delta_net.value_dim)
        .boolean("grouped", c.delta_net.grouped)
        .end();
  } else {
    out.append("null");
  }
}

void write_layers(TextWriter& out, const ModelConfig& c) {
  out.append("[");
  for (u32 i = 0; i < c.n_layer; ++i) {
    if (i != 0) out.append(",");
    const LayerConfig& layer = c.layers[i];
    Members members(out);
    members.text("kind", kind_name(layer.kind))
        .boolean("rope", layer.rope)
        .boolean("windowed", layer.windowed)
        .boolean("experts", layer.experts)
        .whole("n_head_kv", layer.n_head_kv)
        .end();
  }
  out.append("]");
}

// ---- tensors by what reads them

// Goes through everything that a placement may point at, until the one that was looked for; its
// role is written then.
class RoleFinder {
 public:
  RoleFinder(const WeightPlacement& item, TextWriter& out) : item_(item), out_(out) {}

  [[nodiscard]] bool found() const { return found_; }
  void prefix(Str prefix, u32 layer) {
    prefix_.clear();
    prefix_.print("{}.{}.", prefix, layer);
  }
  void matrix(const Matrix& matrix, Str role) { compare(item_.matrix == &matrix, role); }
  void vector(const f32* const& vector, Str role) { compare(item_.vector == &vector, role); }
  void embedding(const Embedding& table, Str role) { compare(item_.embedding == &table, role); }
  void norm(const NormWeights& norm, Str role) {
    if (item_.vector == &norm.weight) write(role, ".weight");
    if (item_.vector == &norm.bias) write(role, ".bias");
  }
  void ffn(const FfnWeights& ffn, Str role) {
    const Matrix* const matrices[] = {&ffn.gate, &ffn.up, &ffn.down};
    const f32* const* const vectors[] = {&ffn.b_gate, &ffn.b_up, &ffn.b_down};
    constexpr const char* kMatrixNames[] = {".gate", ".up", ".down"};
    constexpr const char* kVectorNames[] = {".b_gate", ".b_up", ".b_down"};
    for (u32 i = 0; i < 3; ++i) {
      if (item_.matrix == matrices[i]) write(role, kMatrixNames[i]);
      if (item_.vector == vectors[i]) write(role, kVectorNames[i]);
    }
  }

 private:
  void compare(bool same, Str role) {
    if (same) write(role, {});
  }
  void write(Str role, Str suffix) {
    if (found_) return;
    found_ = true;
    out_.print("{}{}{}", prefix_.text(), role, suffix);
  }

  const WeightPlacement& item_;
  TextWriter& out_;
  TextBuffer<32> prefix_;
  bool found_ = false;
};

void find_in_model(const Weights& w, RoleFinder& find) {
  find.embedding(w.embedding, "embedding");
  find.embedding(w.positions, "positions");
  find.norm(w.output_norm, "output_norm");
  find.matrix(w.output, "output");
  find.vector(w.output_bias, "output_bias");
  find.vector(w.rope_freqs, "rope_freqs");
  find.vector(w.rope_long, "rope_long");
  find.vector(w.rope_short, "rope_short");
}

void find_in_recurrent(const LayerWeights& w, RoleFinder& find) {
  find.matrix(w.short_conv.in_b, "short_conv.in_b");
  find.matrix(w.short_conv.in_c, "short_conv.in_c");
  find.matrix(w.short_conv.in_x, "short_conv.in_x");
  find.matrix(w.short_conv.taps, "short_conv.taps");
  find.matrix(w.short_conv.out, "short_conv.out");
  const DeltaNetWeights& net = w.delta_net;
  find.matrix(net.qkv, "delta_net.qkv");
  find.matrix(net.gate, "delta_net.gate");
  find.matrix(net.mixed, "delta_net.mixed");
  find.matrix(net.beta, "delta_net.beta");
  find.matrix(net.alpha, "delta_net.alpha");
  find.matrix(net.beta_alpha, "delta_net.beta_alpha");
  find.matrix(net.taps, "delta_net.taps");
  find.vector(net.decay_bias, "delta_net.decay_bias");
  find.vector(net.decay_rate, "delta_net.decay_rate");
  find.vector(net.norm, "delta_net.norm");
  find.matrix(net.out, "delta_net.out");
}

void find_in_layer(const LayerWeights& w, RoleFinder& find) {
  find.norm(w.attn_norm, "attn_norm");
  find.norm(w.attn_post_norm, "attn_post_norm");
  find.matrix(w.wq, "wq");
  find.matrix(w.wk, "wk");
  find.matrix(w.wv, "wv");
  find.matrix(w.wo, "wo");
  find.vector(w.bq, "bq");
  find.vector(w.bk, "bk");
  find.vector(w.bv, "bv");
  find.vector(w.bo, "bo");
  find.vector(w.q_norm, "q_norm");
  find.vector(w.k_norm, "k_norm");
  find.vector(w.sinks, "sinks");
  find_in_recurrent(w, find);
  find.norm(w.ffn_norm, "ffn_norm");
  find.norm(w.ffn_post_norm, "ffn_post_norm");
  find.ffn(w.ffn, "ffn");
  find.matrix(w.router, "router");
  find.vector(w.router_bias, "router_bias");
  find.vector(w.selection_bias, "selection_bias");
  find.ffn(w.shared, "shared");
  find.vector(w.shared_gate, "shared_gate");
  TextBuffer<24> role;
  for (u32 i = 0; i < w.experts.size() && !find.found(); ++i) {
    role.clear();
    find.ffn(w.experts[i], role.print("experts.{}", i).text());
  }
}

// The layer whose weights `item` fills in: its table holds what the item points at, or its experts
// do.
bool belongs_to(const LayerWeights& layer, const WeightPlacement& item) {
  const void* const target = item.matrix != nullptr ? static_cast<const void*>(item.matrix)
                                                    : static_cast<const void*>(item.vector);
  const u8* const at = static_cast<const u8*>(target);
  const auto within = [at](const void* begin, usize n_byte) {
    const u8* const first = static_cast<const u8*>(begin);
    return at >= first && at < first + n_byte;
  };
  return within(&layer, sizeof(layer)) || within(layer.experts.data(), layer.experts.size_bytes());
}

void write_role(TextWriter& out, const Weights& weights, const WeightPlacement& item) {
  RoleFinder find(item, out);
  find_in_model(weights, find);
  for (u32 i = 0; i < weights.layers.size() && !find.found(); ++i) {
    if (!belongs_to(weights.layers[i], item)) continue;
    find.prefix("layers", i);
    find_in_layer(weights.layers[i], find);
  }
  LBM_CHECK(find.found());
}

void write_tensors(TextWriter& out, const Engine& engine) {
  out.append("[");
  bool first = true;
  for (const WeightPlacement& item : engine.placements()) {
    const TensorInfo& tensor = item.tensor;
    if (!first) out.append(",\n");
    first = false;
    out.append("{\"role\":\"");
    write_role(out, engine.planned_weights(), item);
    out.append("\",\"name\":");
    write_json_text(out, tensor.name);
    out.print(",\"dtype\":\"{}\",\"shape\":[", dtype_traits(tensor.dtype).name);
    const bool is_vector = item.vector != nullptr && tensor.dims[1] == 1;
    for (u32 i = is_vector ? 1 : tensor.n_dim; i-- > 0;)
      out.print("{}{}", tensor.dims[i], i == 0 ? "" : ",");
    out.print("],\"offset\":{},\"bytes\":{}}", tensor.file_offset, tensor.n_byte);
  }
  out.append("]");
}

}  // namespace

void write_model_description(TextWriter& out, Engine& engine) {
  const ModelConfig& c = engine.model().config;
  Members members(out);
  members.text("family", Str(c.architecture))
      .whole("n_vocab", c.n_vocab)
      .whole("n_embd", c.n_embd)
      .whole("n_layer", c.n_layer)
      .whole("n_ff", c.n_ff)
      .whole("n_head", c.n_head)
      .whole("n_head_kv", c.n_head_kv)
      .whole("head_dim", c.head_dim)
      .whole("n_ctx_train", c.n_ctx_train)
      .whole("n_ctx", engine.session().n_ctx())
      .text("norm", norm_name(c.norm))
      .number("norm_eps", c.norm_eps)
      .text("activation", activation_name(c.activation))
      .boolean("parallel", c.parallel)
      .text("qk_norm", qk_norm_name(c.qk_norm))
      .boolean("qk_norm_after_rope", c.qk_norm_after_rope)
      .boolean("gated_attention", c.gated_attention)
      .number("embedding_scale", c.embedding_scale)
      .number("residual_scale", c.residual_scale)
      .number("attention_scale", c.attention_scale)
      .number("logit_scale", c.logit_scale)
      .number("attention_soft_cap", c.attention_soft_cap)
      .number("logit_soft_cap", c.logit_soft_cap)
      .whole("window", c.window);
  write_rope(members.begin("rope"), c.rope);
  members.begin("rope_local");
  if (c.two_ropes) {
    write_rope(out, c.rope_local);
  } else {
    out.append("null");
  }
  write_experts(members.begin("experts"), c.experts);
  write_recurrent(members, out, c);
  write_layers(members.begin("layers"), c);
  members.boolean("tied", engine.planned_weights().embedding.tiled);
  write_tensors(members.begin("tensors"), engine);
  members.end();
}

}  // namespace lbm::web
