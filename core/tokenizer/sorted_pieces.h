// All pieces of a vocabulary in the order of their bytes.
//
// A walk over them goes from one to the next by what the two begin with in common, as down and up
// the branches of a trie, without the memory of its nodes. Made once for a model, shared by all who
// walk (core/chat/grammar_filter.h).
#pragma once

#include "core/tokenizer/tokenizer.h"

namespace lbm {

class SortedPieces {
 public:
  // Longer pieces, which no text needs, are left out.
  static constexpr u32 kMaxPieceBytes = 1024;

  // What create() takes from `scratch`, which is another arena and gets it back.
  [[nodiscard]] static u64 scratch_bytes(const Tokenizer& tokenizer) {
    return u64{tokenizer.n_vocab()} * 32 + tokenizer.max_piece_bytes() + kKiB;
  }
  // About 20 bytes for each token of `arena`.
  // Errors: kOutOfMemory.
  [[nodiscard]] static Result<SortedPieces*> create(Arena& arena, const Tokenizer& tokenizer,
                                                    Arena& scratch);

  [[nodiscard]] u32 n_vocab() const { return static_cast<u32>(first_.size() - 1); }
  // The bytes of a token as text; empty for control tokens and the like.
  [[nodiscard]] Str piece(u32 id) const {
    return {text_.data() + first_[id], first_[usize{id} + 1] - first_[id]};
  }
  [[nodiscard]] u32 size() const { return static_cast<u32>(order_.size()); }
  // The token at `rank`, of those with text.
  [[nodiscard]] u32 id(u32 rank) const { return order_[rank]; }
  // How many bytes it has in common with the one before, or 255 where they are more.
  [[nodiscard]] u32 n_common(u32 rank) const { return n_common_[rank]; }
  [[nodiscard]] Span<const u32> end_tokens() const { return ends_; }
  [[nodiscard]] bool is_end(u32 id) const;

 private:
  friend class Arena;
  SortedPieces() = default;
  struct Entry {
    u64 head;  // the first eight bytes, big-endian: most comparisons need no others
    u32 id;
  };
  [[nodiscard]] Status load(Arena& arena, const Tokenizer& tokenizer, Arena& scratch);
  [[nodiscard]] Status sort(Arena& arena, Arena& scratch);
  [[nodiscard]] bool before(const Entry& a, const Entry& b) const;

  Span<char> text_;
  Span<u32> first_;  // [n_vocab + 1]
  Span<u32> order_;
  Span<u8> n_common_;
  Span<u32> ends_;
};

}  // namespace lbm
