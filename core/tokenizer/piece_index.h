// All pieces that text may become, sorted by their bytes: which of them begin a text?
//
// Unigram and WordPiece try every piece at a place, not one spelling. The sorted order does what a
// trie does with four bytes a piece: the pieces that share a beginning are neighbours, and each
// further byte narrows them down by halves. A walk ends where no piece goes on.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/tokenizer/vocab.h"

namespace lbm {

class PieceIndex {
 public:
  // A longer piece is refused: a walk takes as many steps as the longest piece has bytes, at every
  // place of a text.
  static constexpr u32 kMaxPieceBytes = 1024;

  // Takes the pieces for which `accepts(id)` holds. `vocab` must outlive this.
  // Errors: kLimit, kOutOfMemory.
  template <class Accepts>
  [[nodiscard]] Status load(Arena& arena, const Vocab& vocab, const Accepts& accepts) {
    u32 n = 0;
    for (u32 id = 0; id < vocab.size(); ++id)
      n += accepts(id) && !vocab.piece(id).empty() ? 1u : 0u;
    Result<Span<u32>> ids = arena.take<u32>(n, "sorted vocabulary");
    if (!ids.ok()) return ids.error();
    n = 0;
    for (u32 id = 0; id < vocab.size(); ++id) {
      if (accepts(id) && !vocab.piece(id).empty()) ids.value()[n++] = id;
    }
    return sort(vocab, ids.value());
  }

  // The pieces that begin with the bytes walked so far.
  class Walk {
   public:
    explicit Walk(const PieceIndex& index)
        : index_(index), high_(static_cast<u32>(index.ids_.size())) {}

    // Goes one byte on; false where no piece does.
    [[nodiscard]] bool step(u8 byte);
    // The piece that is exactly the bytes walked, or kNoToken.
    [[nodiscard]] u32 id() const;

   private:
    // The first of [low_, high_) whose byte at n_byte_ is not below `byte`.
    [[nodiscard]] u32 lower_bound(u32 byte) const;

    const PieceIndex& index_;
    u32 low_ = 0;
    u32 high_;
    u32 n_byte_ = 0;
  };

 private:
  [[nodiscard]] Status sort(const Vocab& vocab, Span<u32> ids);
  void sift_down(u32 root, u32 n);

  const Vocab* vocab_ = nullptr;
  Span<u32> ids_;
  u32 first_[257] = {};  // where the pieces with each first byte begin
};

}  // namespace lbm
