// A GGUF model small enough to be made in a test: a llama of one layer with random weights and a
// byte-level vocabulary of the 256 bytes and three control tokens. It answers nonsense, but always
// the same.
#pragma once

#include "core/base/pcg32.h"
#include "core/base/utf8.h"
#include "tests/format/gguf_builder.h"

namespace lbm::test {

inline constexpr u32 kTinyVocab = 259;
inline constexpr u32 kTinyContext = 256;
inline constexpr usize kTinyModelBytes = 192 * 1024;

// The character that stands for `byte` in a GPT-2 vocabulary.
inline u32 byte_character(u32 byte) {
  const auto stands_for_itself = [](u32 b) {
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
  };
  if (stands_for_itself(byte)) return byte;
  u32 n = 0;
  for (u32 b = 0; b < byte; ++b) n += stands_for_itself(b) ? 0u : 1u;
  return 256 + n;
}

// What a tiny model has beyond the 256 bytes and <|endoftext|> 256, <|im_start|> 257, <|im_end|>
// 258.
struct TinyModel {
  Str architecture = "llama";  // another makes a model that no build runs
  u64 seed = 1;
  u32 n_ctx = kTinyContext;
  Str chat_template = {};  // empty: none
  bool has_chatml = true;  // false: 257 and 258 are spelled <|a|> and <|b|>, and 256 ends an answer
  // User-defined tokens, from id 259 on.
  Span<const Str> more_tokens = {};
  // Tokens that the model says after the last one of the prompt: each knows the next (so no id may
  // come twice). Empty: random weights.
  Span<const u32> script = {};

  [[nodiscard]] u32 n_vocab() const { return kTinyVocab + static_cast<u32>(more_tokens.size()); }
};

// Writes the model into `out`, kTinyModelBytes long.
inline Span<const u8> make_tiny_model(Span<u8> out, const TinyModel& model) {
  constexpr u32 kEmbd = 32;
  constexpr u32 kFf = 64;
  const u32 n_vocab = model.n_vocab();
  struct Entry {
    const char* name;
    u32 n_col, n_row;
  };
  const Entry tensors[] = {
      {"token_embd.weight", kEmbd, n_vocab}, {"blk.0.attn_norm.weight", kEmbd, 0},
      {"blk.0.attn_q.weight", kEmbd, kEmbd}, {"blk.0.attn_k.weight", kEmbd, kEmbd},
      {"blk.0.attn_v.weight", kEmbd, kEmbd}, {"blk.0.attn_output.weight", kEmbd, kEmbd},
      {"blk.0.ffn_norm.weight", kEmbd, 0},   {"blk.0.ffn_gate.weight", kEmbd, kFf},
      {"blk.0.ffn_up.weight", kEmbd, kFf},   {"blk.0.ffn_down.weight", kFf, kEmbd},
      {"output_norm.weight", kEmbd, 0},      {"output.weight", kEmbd, n_vocab},
  };
  const bool is_scripted = !model.script.empty();
  const Span<const Entry> used(tensors, is_scripted ? 12u : 11u);  // tied unless scripted
  const Str control[] = {"<|endoftext|>", model.has_chatml ? "<|im_start|>" : "<|a|>",
                         model.has_chatml ? "<|im_end|>" : "<|b|>"};

  GgufBuilder gguf(out);
  gguf.header(used.size(), 15u + (model.chat_template.empty() ? 0u : 1u));
  gguf.text_key("general.architecture", model.architecture).text_key("general.name", "tiny");
  gguf.u32_key("llama.context_length", model.n_ctx).u32_key("llama.embedding_length", kEmbd);
  gguf.u32_key("llama.block_count", 1)
      .u32_key("llama.feed_forward_length", kFf)
      .u32_key("llama.attention.head_count", 2);
  gguf.key("llama.attention.layer_norm_rms_epsilon", MetaType::kF32).f32_value(1e-5f);
  gguf.text_key("tokenizer.ggml.model", "gpt2").text_key("tokenizer.ggml.pre", "gpt-2");
  gguf.key("tokenizer.ggml.tokens", MetaType::kArray).array(MetaType::kString, n_vocab);
  for (u32 byte = 0; byte < 256; ++byte) {
    char utf8[4];
    gguf.text({utf8, encode_utf8(byte_character(byte), utf8)});
  }
  for (const Str piece : control) gguf.text(piece);
  for (const Str piece : model.more_tokens) gguf.text(piece);
  gguf.key("tokenizer.ggml.token_type", MetaType::kArray).array(MetaType::kI32, n_vocab);
  for (u32 id = 0; id < n_vocab; ++id) gguf.u32_value(id < 256 ? 1 : id < kTinyVocab ? 3 : 4);
  gguf.key("tokenizer.ggml.merges", MetaType::kArray).array(MetaType::kString, 0);
  gguf.u32_key("tokenizer.ggml.eos_token_id", model.has_chatml ? 258 : 256)
      .u32_key("tokenizer.ggml.bos_token_id", 256);
  if (!model.chat_template.empty()) gguf.text_key("tokenizer.chat_template", model.chat_template);
  u64 offset = 0;
  for (const Entry& tensor : used) {
    gguf.tensor(tensor.name, tensor.n_col, tensor.n_row, DType::kF32, offset);
    offset += u64{tensor.n_col} * (tensor.n_row == 0 ? 1 : tensor.n_row) *
              4;  // multiples of the alignment, 32
  }
  gguf.pad(32);
  Pcg32 random(model.seed, 9);
  static f32 embedding[(kTinyVocab + 64) * kEmbd];
  for (const Entry& tensor : used) {
    const Str name = tensor.name;
    const u32 n = tensor.n_col * (tensor.n_row == 0 ? 1 : tensor.n_row);
    // A scripted model has only its embedding and the output: the row of a token is the embedding
    // of the one before it.
    const bool is_silent = is_scripted && name.starts_with("blk.");
    for (u32 i = 0; i < n; ++i) {
      f32 value = static_cast<f32>(random.next_unit() - 0.5) + (tensor.n_row == 0 ? 1.0f : 0.0f);
      if (is_silent && tensor.n_row != 0) value = 0;
      if (name == "token_embd.weight") embedding[i] = value;
      if (name == "output.weight") {
        value = 0;
        for (u32 k = 1; k < model.script.size(); ++k) {
          if (model.script[k] == i / kEmbd)
            value = embedding[model.script[k - 1] * kEmbd + i % kEmbd];
        }
      }
      gguf.f32_value(value);
    }
  }
  return gguf.bytes();
}

inline Span<const u8> make_tiny_model(Span<u8> out, Str architecture = "llama", u64 seed = 1) {
  TinyModel model;
  model.architecture = architecture;
  model.seed = seed;
  return make_tiny_model(out, model);
}

}  // namespace lbm::test
