// A grammar over the tokens of a model: which of them may come next.
//
// A token may come where the grammar takes all of its bytes. One walk over the pieces in their
// order answers that for the whole vocabulary, each common beginning once; and an answer keeps
// coming back to the same places of a grammar (inside of a string, above all), so the newest
// results are kept.
#pragma once

#include "core/infer/grammar_matcher.h"
#include "core/infer/token_filter.h"
#include "core/tokenizer/sorted_pieces.h"

namespace lbm {

class GrammarFilter final : public TokenFilter {
 public:
  // Bytes that create() takes for a vocabulary of n_vocab tokens.
  [[nodiscard]] static u64 bytes_needed(u32 n_vocab, const GrammarMatcherLimits& limits = {});

  // At the beginning of an answer. `grammar` and `pieces` outlive the filter.
  // Errors: kOutOfMemory; kLimit  the grammar has too many beginnings.
  [[nodiscard]] static Result<GrammarFilter*> create(Arena& arena, const Grammar& grammar,
                                                     const SortedPieces& pieces,
                                                     const GrammarMatcherLimits& limits = {});

  void reset() override;
  [[nodiscard]] Result<bool> allows(u32 token) override;
  [[nodiscard]] Result<Span<const u32>> allowed() override;
  [[nodiscard]] Status accept(u32 token) override;
  [[nodiscard]] bool can_end() const override { return ended_ || matcher_->can_end(set_); }
  [[nodiscard]] bool must_end() const override {
    return ended_ || (matcher_->can_end(set_) && !matcher_->can_go_on(set_));
  }

 private:
  friend class Arena;
  // Places looked at for one question: a second's work, where usual grammars need a millisecond's.
  static constexpr u64 kMaxWork = 50'000'000;
  static constexpr u32 kKeptMasks = 16;
  static constexpr u32 kMaxDepth = SortedPieces::kMaxPieceBytes + 1;

  explicit GrammarFilter(const SortedPieces& pieces) : pieces_(pieces) {}
  [[nodiscard]] Status take_memory(Arena& arena, const Grammar& grammar,
                                   const GrammarMatcherLimits& limits);
  [[nodiscard]] Status begin();
  [[nodiscard]] Status step(u32 depth, u8 byte);
  [[nodiscard]] Result<u32> after(Str piece);
  [[nodiscard]] Status fill(Span<u32> mask);
  [[nodiscard]] Span<u32> mask(u32 number) const { return masks_.slice(number * n_word_, n_word_); }

  const SortedPieces& pieces_;
  GrammarMatcher* matcher_ = nullptr;
  u32 set_ = GrammarMatcher::kDead;
  bool ended_ = false;  // by an end token
  u64 work_before_ = 0;
  usize n_word_ = 0;
  Span<u32> path_;                // sets after the first bytes of a piece; [0] is set_
  Span<u32> masks_;               // [kKeptMasks + 1][n_word_]; the last has the end tokens alone
  u32 mask_of_[kKeptMasks] = {};  // the set that a mask is of; kDead: none
  u32 next_mask_ = 0;
};

}  // namespace lbm
