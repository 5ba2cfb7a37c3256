// The .bin files of llama2.c, with the tokenizer.bin that belongs to them.
//
//   legacy  i32 dim, hidden, layers, heads, KV heads, vocabulary (negative: untied), context;
//           f32 weights; tables of cos and sin, which nobody reads
//   v1      "24ka", i32 1, the seven numbers, u8 tied, zeros up to 256; f32 norms, f32 weights
//   v2      the same with 2 and, after the u8, i32 group size; weights in int8, each tensor
//   followed
//           by its f32 scales, one for each group
//
// Source: export.py and run.c of github.com/karpathy/llama2.c. The reader of there checks none of
// the numbers; here each is, and the file has to have exactly the size that they ask for.
// docs/formats/llama2c.md
#pragma once

#include "core/base/arena.h"
#include "core/base/byte_reader.h"
#include "core/format/header_builder.h"
#include "core/format/scaled_source.h"

namespace lbm {

// tokenizer.bin: i32 max_token_length, then for each token f32 score, i32 length, bytes.
class Llama2cTokenizer {
 public:
  // Reads and checks the records of `n_vocab` tokens; the bytes stay in `arena`.
  // Errors, all about `source.name()`: kTruncated, kBadValue, kNumeric, kMismatch, kLimit.
  [[nodiscard]] Status read(ByteSource& source, u32 n_vocab, Arena& arena);
  // Writes the keys tokenizer.*
  void put(HeaderBuilder& out) const;

 private:
  [[nodiscard]] Status check_records(u32 n_vocab) const;
  // The token at the front of `in`, in the spelling of SentencePiece's own files.
  struct Token {
    f32 score = 0;
    Str text;
  };
  [[nodiscard]] static Token next(ByteReader& in);

  Span<u8> bytes_;
  u32 n_vocab_ = 0;
};

class Llama2cReader {
 public:
  Llama2cReader(ByteSource& source, Arena& arena, const OpenOptions& options)
      : source_(source), arena_(arena), options_(options), file_size_(source.size()) {}

  // Used once.
  [[nodiscard]] Result<ModelFile> read();

 private:
  static constexpr u32 kHeaderBytes = 256;  // of versions 1 and 2
  static constexpr u32 kLegacyHeaderBytes = 28;
  static constexpr u32 kMagicBytes = 8;  // and the version

  [[nodiscard]] Status read_header();
  [[nodiscard]] Status read_flags(ByteReader in);
  [[nodiscard]] Status check_shape(ByteReader in, u32 at);
  [[nodiscard]] Status take_tables();
  void lay_out();
  void place(const char* name, u32 n_col, u32 n_row, u32 n_copy, bool is_weight);
  [[nodiscard]] Status check_size() const;
  [[nodiscard]] Status open_tokenizer(ByteSource*& out) const;
  [[nodiscard]] Result<ModelFile> build(const Llama2cTokenizer* tokenizer);

  ByteSource& source_;
  Arena& arena_;
  const OpenOptions& options_;
  u64 file_size_;
  u32 version_ = 0;  // 0: legacy
  bool is_tied_ = false;
  u32 group_ = 0;  // version 2: weights that share a scale
  LlamaShape shape_;
  u64 position_ = 0;  // of the next tensor
  struct Placed {
    const char* name;  // with a place for the layer where there are several
    u32 layer;
    u32 n_row;  // 0: a vector
  };
  Span<Placed> placed_;         // in file order
  Span<ScaledTensor> tensors_;  // the same
  u32 n_tensor_ = 0;
};

}  // namespace lbm
