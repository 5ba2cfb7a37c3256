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

  // Ids that a text of n bytes has at most, BOS and EOS included.
  [[nodiscard]] static u64 max_ids(const Tokenizer::Impl& model, u64 n_byte);

  // The number of ids. Errors: kLimit  there were more than `out` holds.
  [[nodiscard]] Result<u32> finish() const;

 private:
  [[nodiscard]] Status encode_joined(Str text, Span<const TextSegment> segments);
  // Text without special tokens.
  [[nodiscard]] Status encode_plain(Str text);
  [[nodiscard]] Status encode_words(Str text);    // BPE
  [[nodiscard]] Status encode_pieces(Str text);   // SentencePiece
  [[nodiscard]] Status encode_unigram(Str text);  // encoder_index.cpp
  void emit_cuts(Str text, Span<UnigramCut> cuts);
  [[nodiscard]] Status encode_wordpiece(Str text);  // encoder_index.cpp
  // Whether `text`, which begins with a space or not, gets one in front.
  [[nodiscard]] bool wants_space(bool begins_with_space) const;
  // `text` with the space in front where the model wants one, and spaces as the vocabulary spells
  // them.
  [[nodiscard]] Result<Str> spell_spaces(Str text);
  [[nodiscard]] Status take_work_memory(usize n_symbol);
  void encode_word(Str word);
  [[nodiscard]] u32 find_word(Str word);
  // One symbol for each byte; for each character of `text`. Return how many.
  [[nodiscard]] u32 take_bytes(Str word);
  [[nodiscard]] u32 take_characters(Str text);
  // What no piece spells.
  void emit_bytes(Str bytes);

  const Tokenizer::Impl& model_;
  Span<u32> out_;
  Arena& scratch_;
  u32 n_out_ = 0;
  bool at_start_ = true;  // of the text, with nothing before
  Span<Symbol> symbols_;
  Span<u64> heap_;
  Span<char> spelling_;  // of a word in the byte-level alphabet
};

}  // namespace lbm
