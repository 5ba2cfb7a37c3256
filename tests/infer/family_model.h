// A tiny model of any family without recurrent layers, made from the row of the family table:
// random weights of one type, four layers, so that every rule about layers shows.
#pragma once

#include "core/model/families.h"
#include "tests/infer/made_model.h"
#include "tests/tensor/random_blocks.h"

namespace lbm::test {

class FamilyModel final : public MadeModel {
 public:
  static constexpr u32 kVocab = 40;
  static constexpr u32 kContext = 64;

  FamilyModel(const Family& family, DType matrix_type) : family_(family), type_(matrix_type) {
    u32 n_tensor = 0;
    for_each_tensor([&](const Tensor&) { ++n_tensor; });
    u8 keys[2048];
    GgufBuilder key_list{Span<u8>(keys)};
    const u32 n_key = write_keys(key_list);
    GgufBuilder gguf(file());
    gguf.header(n_tensor, n_key);
    gguf.raw({reinterpret_cast<const char*>(keys), key_list.size()});
    u64 offset = 0;
    for_each_tensor([&](const Tensor& t) {
      describe(gguf, t, offset);
      offset += align_up(n_byte(t), 32);
    });
    gguf.pad(32);
    Pcg32 random(5, 6);
    for_each_tensor([&](const Tensor& t) { fill(gguf, t, random); });
    load(gguf.size());
  }

 private:
  static constexpr u32 kEmbd = 32;
  static constexpr u32 kHeads = 4;
  static constexpr u32 kHeadsKv = 2;
  static constexpr u32 kHeadDim = 8;
  static constexpr u32 kKv = kHeadsKv * kHeadDim;
  static constexpr u32 kFf = 32;
  static constexpr u32 kLayers = 4;
  static constexpr u32 kExperts = 4;

  struct Tensor {
    Str name;
    u32 n_col;
    u32 n_row = 0;     // 0: a vector
    u32 n_expert = 0;  // 0: two dimensions
  };

  [[nodiscard]] bool experts() const {
    const Str name(family_.architecture);
    return name.ends_with("moe") || name == "gpt-oss";
  }
  [[nodiscard]] DType type_of(const Tensor& t) const {
    const bool plain = t.n_row == 0 || t.name.ends_with("_norm.weight") ||
                       t.name.ends_with(".bias") || t.name.ends_with("gate_inp.weight");
    return plain ? DType::kF32 : type_;
  }
  [[nodiscard]] u64 n_element(const Tensor& t) const {
    return u64{t.n_col} * (t.n_row == 0 ? 1 : t.n_row) * (t.n_expert == 0 ? 1 : t.n_expert);
  }
  [[nodiscard]] u64 n_byte(const Tensor& t) const {
    const DTypeTraits traits = dtype_traits(type_of(t));
    return n_element(t) / traits.block_size * traits.block_bytes;
  }

  // One list of tensors, gone through three times: counted, described, filled.
  template <class Visit>
  void for_each_tensor(const Visit& visit) {
    visit(Tensor{"token_embd.weight", kEmbd, kVocab});
    if (family_.learned_positions) visit(Tensor{"position_embd.weight", kEmbd, kContext});
    norm(visit, family_.output_norm_name, Presence::kMust);
    if (family_.output_bias == Presence::kMust) {
      visit(Tensor{"output.weight", kEmbd, kVocab});
      visit(Tensor{"output.bias", kVocab});
    }
    for (layer_ = 0; layer_ < kLayers; ++layer_) visit_layer(visit);
  }
  template <class Visit>
  void own(const Visit& visit, Str suffix, u32 n_col, u32 n_row = 0, u32 n_expert = 0) {
    name_.clear();
    visit(Tensor{name_.print("blk.{}.{}", layer_, suffix).text(), n_col, n_row, n_expert});
  }
  template <class Visit>
  void norm(const Visit& visit, Str stem, Presence presence) {
    if (presence == Presence::kNever) return;
    const bool outside = stem == family_.output_norm_name;
    for (u32 i = 0; i < (family_.norm_bias == Presence::kMust ? 2u : 1u); ++i) {
      name_.clear();
      if (!outside) name_.print("blk.{}.", layer_);
      visit(Tensor{name_.print("{}.{}", stem, i == 0 ? "weight" : "bias").text(), kEmbd});
    }
  }
  template <class Visit>
  void visit_layer(const Visit& visit) {
    norm(visit, "attn_norm", family_.attn_norm);
    norm(visit, family_.ffn_norm_name, family_.ffn_norm);
    norm(visit, "post_attention_norm", family_.post_norms);
    norm(visit, "post_ffw_norm", family_.post_norms);
    own(visit, "attn_q.weight", kEmbd, kEmbd);
    own(visit, "attn_k.weight", kEmbd, kKv);
    own(visit, "attn_v.weight", kEmbd, kKv);
    own(visit, "attn_q.bias", kEmbd);
    own(visit, "attn_output.weight", kEmbd, kEmbd);
    if (family_.sinks) own(visit, "attn_sinks.weight", kHeads);
    switch (family_.qk_norm) {
      case QkNorm::kNone: break;
      case QkNorm::kPerHead:
        own(visit, "attn_q_norm.weight", kHeadDim);
        own(visit, "attn_k_norm.weight", kHeadDim);
        break;
      case QkNorm::kOwnPerHead:
        own(visit, "attn_q_norm.weight", kHeadDim, kHeads);
        own(visit, "attn_k_norm.weight", kHeadDim, kHeadsKv);
        break;
      case QkNorm::kAllHeads:
        own(visit, "attn_q_norm.weight", kEmbd);
        own(visit, "attn_k_norm.weight", kKv);
        break;
    }
    if (experts()) {
      own(visit, "ffn_gate_inp.weight", kEmbd, kExperts);
      own(visit, "ffn_gate_exps.weight", kEmbd, kFf, kExperts);
      own(visit, "ffn_up_exps.weight", kEmbd, kFf, kExperts);
      own(visit, "ffn_down_exps.weight", kFf, kEmbd, kExperts);
      return;
    }
    if (family_.gated && !family_.fused_gate_up) own(visit, "ffn_gate.weight", kEmbd, kFf);
    own(visit, "ffn_up.weight", kEmbd, family_.fused_gate_up ? 2 * kFf : kFf);
    own(visit, "ffn_down.weight", kFf, kEmbd);
  }

  u32 write_keys(GgufBuilder& gguf) {
    u32 n_key = 1;
    TextBuffer<96> text;
    const auto full = [&](Str key) {
      ++n_key;
      text.clear();
      return text.print("{}.{}", family_.architecture, key).text();
    };
    gguf.text_key("general.architecture", family_.architecture);
    gguf.u32_key(full("vocab_size"), kVocab).u32_key(full("context_length"), kContext);
    gguf.u32_key(full("embedding_length"), kEmbd).u32_key(full("block_count"), kLayers);
    gguf.u32_key(full("feed_forward_length"), kFf);
    gguf.u32_key(full("attention.head_count"), kHeads);
    gguf.u32_key(full("attention.head_count_kv"), kHeadsKv);
    gguf.key(full(family_.norm == NormKind::kRms ? "attention.layer_norm_rms_epsilon"
                                                 : "attention.layer_norm_epsilon"),
             MetaType::kF32);
    gguf.f32_value(1e-5f);
    if (family_.window != Window::kNone) gguf.u32_key(full("attention.sliding_window"), 5);
    if (family_.scales != Presence::kNever)
      gguf.key(full("residual_scale"), MetaType::kF32).f32_value(0.5f);
    if (!experts()) return n_key;
    gguf.u32_key(full("expert_count"), kExperts).u32_key(full("expert_used_count"), 2);
    gguf.u32_key(full("expert_feed_forward_length"), kFf);
    return n_key;
  }

  void describe(GgufBuilder& gguf, const Tensor& t, u64 offset) const {
    gguf.text(t.name).u32_value(t.n_expert != 0 ? 3 : t.n_row != 0 ? 2 : 1).u64_value(t.n_col);
    if (t.n_row != 0) gguf.u64_value(t.n_row);
    if (t.n_expert != 0) gguf.u64_value(t.n_expert);
    gguf.u32_value(static_cast<u32>(type_of(t))).u64_value(offset);
  }

  // Norms near 1; quantized scales small, so that nothing overflows.
  void fill(GgufBuilder& gguf, const Tensor& t, Pcg32& random) const {
    const DType type = type_of(t);
    if (type == DType::kF32) {
      const f32 middle = t.name.ends_with("norm.weight") ? 1.0f : 0.0f;
      for (u64 i = 0; i < n_element(t); ++i)
        gguf.f32_value(static_cast<f32>(random.next_unit() - 0.5) * 0.5f + middle);
    } else {
      const u32 block_bytes = dtype_traits(type).block_bytes;
      const ScalePlaces places = scale_places(type);
      for (u64 block = 0; block < n_byte(t) / block_bytes; ++block) {
        u8 bytes[256];
        fill_random_blocks(random, type, {bytes, block_bytes});
        for (u32 i = 0; i < places.n; ++i)
          bytes[places.at[i] + 1] = static_cast<u8>((bytes[places.at[i] + 1] & 0x83) | 0x18);
        gguf.raw({reinterpret_cast<const char*>(bytes), block_bytes});
      }
    }
    gguf.pad(32);
  }

  const Family& family_;
  DType type_;
  u32 layer_ = 0;
  TextBuffer<96> name_;
};

}  // namespace lbm::test
