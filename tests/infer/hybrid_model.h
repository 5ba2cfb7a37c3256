// Models with recurrent layers, small enough to be made in a test: short convolutions (as lfm2) or
// delta nets (as qwen35) around one attention layer, random weights.
#pragma once

#include "tests/infer/made_model.h"

namespace lbm::test {

inline constexpr u32 kHybridVocab = 24;
inline constexpr u32 kHybridContext = 80;
inline constexpr u32 kHybridEmbd = 40;
inline constexpr u32 kHybridLayers = 3;
// Its embedding holds a NaN.
inline constexpr u32 kHybridBadToken = kHybridVocab - 1;
// Of a layer, f32: two inputs of a convolution; or two, and the matrices [16][24] of 4 value heads,
// rows in whole lanes.
inline constexpr u64 kShortConvStateFloats = 2 * 48;
inline constexpr u64 kDeltaNetStateFloats = 2 * 160 + 4 * 16 * 32;

class HybridModel final : public MadeModel {
 public:
  explicit HybridModel(LayerKind kind) : kind_(kind) { load(write()); }

 private:
  static constexpr u32 kFf = 32;

  // One list of tensors, gone through three times: counted, described, filled.
  template <class Visit>
  void for_each_tensor(Visit visit) {
    visit("token_embd.weight", kHybridEmbd, kHybridVocab);
    visit("output.weight", kHybridEmbd, kHybridVocab);
    visit(kind_ == LayerKind::kShortConv ? "token_embd_norm.weight" : "output_norm.weight",
          kHybridEmbd, 0u);
    TextBuffer<64> text;
    for (u32 layer = 0; layer < kHybridLayers; ++layer) {
      const auto own = [&](Str suffix, u32 n_col, u32 n_row) {
        text.clear();
        visit(text.print("blk.{}.{}", layer, suffix).text(), n_col, n_row);
      };
      own("attn_norm.weight", kHybridEmbd, 0);
      if (layer == 1) {
        attention(own);
      } else if (kind_ == LayerKind::kShortConv) {
        own("shortconv.in_proj.weight", kHybridEmbd, 3 * kHybridEmbd);
        own("shortconv.conv.weight", 3, kHybridEmbd);
        own("shortconv.out_proj.weight", kHybridEmbd, kHybridEmbd);
      } else {
        delta_net(own);
      }
      own(kind_ == LayerKind::kShortConv ? "ffn_norm.weight" : "post_attention_norm.weight",
          kHybridEmbd, 0);
      own("ffn_gate.weight", kHybridEmbd, kFf);
      own("ffn_up.weight", kHybridEmbd, kFf);
      own("ffn_down.weight", kFf, kHybridEmbd);
    }
  }
  template <class Own>
  void attention(const Own& own) {  // two heads of 20
    own("attn_q.weight", kHybridEmbd, (kind_ == LayerKind::kDeltaNet ? 2 : 1) * kHybridEmbd);
    own("attn_k.weight", kHybridEmbd, 20);
    own("attn_v.weight", kHybridEmbd, 20);
    own("attn_output.weight", kHybridEmbd, kHybridEmbd);
    own("attn_q_norm.weight", 20, 0);
    own("attn_k_norm.weight", 20, 0);
  }
  template <class Own>
  void delta_net(const Own& own) {  // 2 key heads of 16, 4 value heads of 24
    own("attn_qkv.weight", kHybridEmbd, 160);
    own("attn_gate.weight", kHybridEmbd, 96);
    own("ssm_beta.weight", kHybridEmbd, 4);
    own("ssm_alpha.weight", kHybridEmbd, 4);
    own("ssm_conv1d.weight", 3, 160);
    own("ssm_dt.bias", 4, 0);
    own("ssm_a", 4, 0);
    own("ssm_norm.weight", 24, 0);
    own("ssm_out.weight", 96, kHybridEmbd);
  }

  void write_keys(GgufBuilder& gguf, Str architecture) {
    TextBuffer<64> text;
    const auto number = [&](Str key, u32 value) {
      text.clear();
      gguf.u32_key(text.print("{}.{}", architecture, key).text(), value);
    };
    gguf.text_key("general.architecture", architecture);
    number("vocab_size", kHybridVocab);
    number("context_length", kHybridContext);
    number("embedding_length", kHybridEmbd);
    number("block_count", kHybridLayers);
    number("feed_forward_length", kFf);
    number("attention.head_count", 2);
    text.clear();
    gguf.key(text.print("{}.attention.layer_norm_rms_epsilon", architecture).text(), MetaType::kF32)
        .f32_value(1e-5f);
    text.clear();
    gguf.key(text.print("{}.attention.head_count_kv", architecture).text(), MetaType::kArray)
        .array(MetaType::kU32, kHybridLayers);
    for (u32 layer = 0; layer < kHybridLayers; ++layer) gguf.u32_value(layer == 1 ? 1 : 0);
    if (kind_ == LayerKind::kShortConv) {
      number("shortconv.l_cache", 3);
      return;
    }
    number("full_attention_interval", 2);
    number("ssm.conv_kernel", 3);
    number("ssm.state_size", 16);
    number("ssm.group_count", 2);
    number("ssm.time_step_rank", 4);
    number("ssm.inner_size", 96);
  }

  // Bytes of the file.
  [[nodiscard]] usize write() {
    u32 n_tensor = 0;
    for_each_tensor([&](Str, u32, u32) { ++n_tensor; });
    GgufBuilder gguf(file());
    const bool conv = kind_ == LayerKind::kShortConv;
    gguf.header(n_tensor, conv ? 10 : 15);
    write_keys(gguf, conv ? "lfm2" : "qwen35");
    u64 offset = 0;
    for_each_tensor([&](Str name, u32 n_col, u32 n_row) {
      gguf.tensor(name, n_col, n_row, DType::kF32, offset);
      offset += align_up(u64{n_col} * (n_row == 0 ? 1 : n_row) * 4, 32);
    });
    gguf.pad(32);
    Pcg32 random(5, 6);
    for_each_tensor([&](Str name, u32 n_col, u32 n_row) {
      const bool decay = name.ends_with("ssm_a");
      const u32 n = n_col * (n_row == 0 ? 1 : n_row);
      for (u32 i = 0; i < n; ++i) {
        const f32 value = static_cast<f32>(random.next_unit() - 0.5);
        const bool bad = name == "token_embd.weight" && i == kHybridBadToken * kHybridEmbd + 7;
        gguf.f32_value(bad          ? __builtin_nanf("")
                       : decay      ? value - 0.6f
                       : n_row == 0 ? value + 1.0f
                                    : value);
      }
      gguf.pad(32);
    });
    return gguf.size();
  }

  LayerKind kind_;
};

}  // namespace lbm::test
