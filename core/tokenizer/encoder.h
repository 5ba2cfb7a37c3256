// One encoding: text in, ids out. Holds what changes while a Tokenizer::Impl is read.
#pragma once

#include "core/tokenizer/merge.h"
#include "core/tokenizer/tokenizer_impl.h"

namespace lbm {

class Encoder {
 public:
  // Texts are at most this long, so that positions in their escaped form fit into 32 bits.
  static constexpr u64 kMaxTextBytes = u64{1} << 30;

  Encoder(const Tokenizer::Impl& model, Span<u32> out, Arena& scratch)
      : model_(model), out_(out), scratch_(scratch) {}

  // Bytes of scratch for texts of n bytes. See the allocations in encoder.cpp.
  [[nodiscard]] static u64 scratch_bytes(const Tokenizer::Impl& model, u64 n_byte);

  // Encodes the segments as one text. Special tokens are found in markup. Errors: kLimit,
  // kOutOfMemory.
  [[nodiscard]] Status encode(Span<const TextSegment> segments);
  void emit(u32 id) {
    if (n_out_ < out_.size()) out_[n_out_] = id;
    ++n_out_;
  }

  // The number of ids. Errors: kLimit  there were more than `out` holds.
  [[nodiscard]] Result<u32> finish() const;

 private:
  [[nodiscard]] Status encode_joined(Str text, Span<const TextSegment> segments);
  // Text without special tokens.
  [[nodiscard]] Status encode_plain(Str text);
  [[nodiscard]] Status encode_words(Str text);
  [[nodiscard]] Status encode_pieces(Str text);
  [[nodiscard]] Status take_work_memory(usize n_symbol);
  void encode_word(Str word);
  [[nodiscard]] u32 find_word(Str word);

  const Tokenizer::Impl& model_;
  Span<u32> out_;
  Arena& scratch_;
  u32 n_out_ = 0;
  Span<Symbol> symbols_;
  Span<u64> heap_;
  Span<char> spelling_;  // of a word in the byte-level alphabet
};

}  // namespace lbm
