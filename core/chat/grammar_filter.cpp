#include "core/chat/grammar_filter.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

Error too_ambiguous() {
  return fail(ErrorCode::kLimit,
              "the grammar can be read in too many ways here; say less with 'or'");
}

void add(Span<u32> mask, u32 id) { mask[id / 32] |= u32{1} << (id % 32); }

}  // namespace

u64 GrammarFilter::bytes_needed(u32 n_vocab, const GrammarMatcherLimits& limits) {
  return sizeof(GrammarFilter) + GrammarMatcher::bytes_needed(limits) + kMaxDepth * sizeof(u32) +
         u64{kKeptMasks + 1} * ((u64{n_vocab} + 31) / 32) * sizeof(u32) +
         4 * Arena::kDefaultAlignment;
}

Result<GrammarFilter*> GrammarFilter::create(Arena& arena, const Grammar& grammar,
                                             const SortedPieces& pieces,
                                             const GrammarMatcherLimits& limits) {
  const Arena::Mark mark = arena.mark();
  Result<GrammarFilter*> filter = arena.make<GrammarFilter>("grammar filter", pieces);
  if (!filter.ok()) return filter;
  Status status = filter.value()->take_memory(arena, grammar, limits);
  if (status.ok()) status = filter.value()->begin();
  if (status.ok()) return filter;
  arena.rewind(mark);
  return status.error();
}

Status GrammarFilter::take_memory(Arena& arena, const Grammar& grammar,
                                  const GrammarMatcherLimits& limits) {
  Result<GrammarMatcher*> matcher = GrammarMatcher::create(arena, grammar, limits);
  if (!matcher.ok()) return matcher.error();
  n_word_ = (usize{pieces_.n_vocab()} + 31) / 32;
  Result<Span<u32>> path = arena.take<u32>(kMaxDepth, "grammar filter");
  if (!path.ok()) return path.error();
  Result<Span<u32>> masks = arena.take<u32>(u64{kKeptMasks + 1} * n_word_, "grammar filter");
  if (!masks.ok()) return masks.error();
  matcher_ = matcher.value();
  path_ = path.value();
  masks_ = masks.value();
  for (const u32 id : pieces_.end_tokens()) add(mask(kKeptMasks), id);
  return {};
}

// From nothing, so that what an answer was before does not show in what limits this one.
Status GrammarFilter::begin() {
  ended_ = false;
  for (u32& set : mask_of_) set = GrammarMatcher::kDead;
  static_cast<void>(matcher_->collect({}));
  set_ = matcher_->start();
  if (set_ != GrammarMatcher::kFull) return {};
  set_ = GrammarMatcher::kDead;
  return fail(ErrorCode::kLimit, "the grammar has too many beginnings");
}

void GrammarFilter::reset() { LBM_CHECK(begin().ok()); }

// path_[depth + 1] from path_[depth]. Sets are renumbered where room has to be made.
Status GrammarFilter::step(u32 depth, u8 byte) {
  if (matcher_->work() - work_before_ > kMaxWork) return too_ambiguous();
  u32 next = matcher_->step(path_[depth], byte);
  if (next == GrammarMatcher::kFull) {
    for (u32& set : mask_of_) set = GrammarMatcher::kDead;
    static_cast<void>(matcher_->collect(path_.first(usize{depth} + 1)));
    set_ = path_[0];
    next = matcher_->step(path_[depth], byte);
    if (next == GrammarMatcher::kFull) return too_ambiguous();
  }
  path_[usize{depth} + 1] = next;
  return {};
}

// The set behind `piece`, which is not empty.
Result<u32> GrammarFilter::after(Str piece) {
  work_before_ = matcher_->work();
  path_[0] = set_;
  for (u32 i = 0; i < piece.size(); ++i) {
    if (const Status s = step(i, static_cast<u8>(piece[i])); !s.ok()) return s.error();
    if (path_[usize{i} + 1] == GrammarMatcher::kDead) return GrammarMatcher::kDead;
  }
  return path_[piece.size()];
}

Result<bool> GrammarFilter::allows(u32 token) {
  if (token >= pieces_.n_vocab()) return false;
  if (pieces_.is_end(token)) return can_end();
  const Str piece = pieces_.piece(token);
  if (piece.empty() || ended_) return false;
  const Result<u32> set = after(piece);
  if (!set.ok()) return set.error();
  return set.value() != GrammarMatcher::kDead;
}

Status GrammarFilter::accept(u32 token) {
  const Result<bool> is_allowed = allows(token);
  if (!is_allowed.ok()) return is_allowed.error();
  if (!is_allowed.value())
    return fail(ErrorCode::kBadValue, "the grammar does not allow this token").with(token);
  if (pieces_.is_end(token)) {
    ended_ = true;
  } else {
    set_ = path_[pieces_.piece(token).size()];
  }
  return {};
}

// Goes from piece to piece: back to where they part, and on from there. What follows a beginning
// that the grammar refuses is passed over.
Status GrammarFilter::fill(Span<u32> mask) {
  constexpr u32 kNothing = ~u32{0};
  work_before_ = matcher_->work();
  path_[0] = set_;
  u32 n_good = 0;            // bytes of the last piece that were taken
  u32 n_refused = kNothing;  // so many bytes of it are refused
  for (u32 rank = 0; rank < pieces_.size(); ++rank) {
    const u32 n_common = pieces_.n_common(rank);
    if (n_common >= n_refused) continue;
    const Str piece = pieces_.piece(pieces_.id(rank));
    n_refused = kNothing;
    for (n_good = min_u32(n_good, n_common); n_good < piece.size(); ++n_good) {
      if (const Status s = step(n_good, static_cast<u8>(piece[n_good])); !s.ok()) return s;
      if (path_[usize{n_good} + 1] == GrammarMatcher::kDead) {
        n_refused = n_good + 1;
        break;
      }
    }
    if (n_refused == kNothing) add(mask, pieces_.id(rank));
  }
  return {};
}

Result<Span<const u32>> GrammarFilter::allowed() {
  if (ended_) return Span<const u32>(mask(kKeptMasks));
  for (u32 i = 0; i < kKeptMasks; ++i) {
    if (mask_of_[i] == set_ && set_ != GrammarMatcher::kDead) return Span<const u32>(mask(i));
  }
  const u32 number = next_mask_;
  const Span<u32> fresh = mask(number);
  mask_of_[number] = GrammarMatcher::kDead;
  for (usize i = 0; i < n_word_; ++i) {
    fresh[i] = matcher_->can_end(set_) ? mask(kKeptMasks)[i] : 0;
  }
  if (const Status s = fill(fresh); !s.ok()) return s.error();
  mask_of_[number] = set_;  // its number now
  next_mask_ = (number + 1) % kKeptMasks;
  return Span<const u32>(fresh);
}

}  // namespace lbm
