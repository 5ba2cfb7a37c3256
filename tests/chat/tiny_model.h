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

// Writes the model into `out`, kTinyModelBytes long. `architecture` other than "llama" makes one
// that no build runs.
inline Span<const u8> make_tiny_model(Span<u8> out, Str architecture = "llama", u64 seed = 1) {
  constexpr u32 kEmbd = 32;
  constexpr u32 kFf = 64;
  struct Entry {
    const char* name;
    u32 n_col, n_row;
  };
  constexpr Entry kTensors[] = {
      {"token_embd.weight", kEmbd, kTinyVocab}, {"blk.0.attn_norm.weight", kEmbd, 0},
      {"blk.0.attn_q.weight", kEmbd, kEmbd},    {"blk.0.attn_k.weight", kEmbd, kEmbd},
      {"blk.0.attn_v.weight", kEmbd, kEmbd},    {"blk.0.attn_output.weight", kEmbd, kEmbd},
      {"blk.0.ffn_norm.weight", kEmbd, 0},      {"blk.0.ffn_gate.weight", kEmbd, kFf},
      {"blk.0.ffn_up.weight", kEmbd, kFf},      {"blk.0.ffn_down.weight", kFf, kEmbd},
      {"output_norm.weight", kEmbd, 0},
  };
  const Str control[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

  GgufBuilder gguf(out);
  gguf.header(sizeof(kTensors) / sizeof(kTensors[0]), 15);
  gguf.text_key("general.architecture", architecture).text_key("general.name", "tiny");
  gguf.u32_key("llama.context_length", kTinyContext).u32_key("llama.embedding_length", kEmbd);
  gguf.u32_key("llama.block_count", 1)
      .u32_key("llama.feed_forward_length", kFf)
      .u32_key("llama.attention.head_count", 2);
  gguf.key("llama.attention.layer_norm_rms_epsilon", MetaType::kF32).f32_value(1e-5f);
  gguf.text_key("tokenizer.ggml.model", "gpt2").text_key("tokenizer.ggml.pre", "gpt-2");
  gguf.key("tokenizer.ggml.tokens", MetaType::kArray).array(MetaType::kString, kTinyVocab);
  for (u32 byte = 0; byte < 256; ++byte) {
    char utf8[4];
    gguf.text({utf8, encode_utf8(byte_character(byte), utf8)});
  }
  for (const Str piece : control) gguf.text(piece);
  gguf.key("tokenizer.ggml.token_type", MetaType::kArray).array(MetaType::kI32, kTinyVocab);
  for (u32 id = 0; id < kTinyVocab; ++id) gguf.u32_value(id < 256 ? 1 : 3);
  gguf.key("tokenizer.ggml.merges", MetaType::kArray).array(MetaType::kString, 0);
  gguf.u32_key("tokenizer.ggml.eos_token_id", 258).u32_key("tokenizer.ggml.bos_token_id", 256);
  u64 offset = 0;
  for (const Entry& tensor : kTensors) {
    gguf.tensor(tensor.name, tensor.n_col, tensor.n_row, DType::kF32, offset);
    offset += u64{tensor.n_col} * (tensor.n_row == 0 ? 1 : tensor.n_row) *
              4;  // multiples of the alignment, 32
  }
  gguf.pad(32);
  Pcg32 random(seed, 9);
  for (const Entry& tensor : kTensors) {
    const u32 n = tensor.n_col * (tensor.n_row == 0 ? 1 : tensor.n_row);
    for (u32 i = 0; i < n; ++i)
      gguf.f32_value(static_cast<f32>(random.next_unit() - 0.5) +
                     (tensor.n_row == 0 ? 1.0f : 0.0f));
  }
  return gguf.bytes();
}

}  // namespace lbm::test
