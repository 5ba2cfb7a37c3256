// Merging: the loop that byte-level BPE and SentencePiece share.
//
// A word starts as a chain of small symbols. Of all neighbours that form a piece, the pair with the
// lowest rank is merged, the leftmost one among equals, until no pair is left. A heap holds the
// pairs as keys (rank, left symbol); an entry whose pair has changed meanwhile is recognised when
// it comes up, because each symbol knows the rank of the pair that it heads now. Every merge
// removes a symbol and makes at most two new pairs, so the heap never holds more than two entries
// per symbol and the time is O(n log n) for any text.
#pragma once

#include "core/base/check.h"
#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

struct Symbol {
  static constexpr u32 kNone = ~u32{0};
  u32 begin;  // first byte in the text
  u32 id;     // token, or kNone: a character that no piece spells
  u32 prev;   // neighbours, or kNone
  u32 next;
  u32 rank;    // of the pair this symbol heads; kNone where that is no piece
  u32 merged;  // the token that the pair forms
};

// What a pair is worth: the answer of the look-up that merge_symbols() is given.
struct PairRank {
  u32 rank = Symbol::kNone;  // lower is merged first; kNone: not at all
  u32 merged = Symbol::kNone;
};

// A binary heap, smallest first, in memory of the caller's.
class MergeHeap {
 public:
  explicit MergeHeap(Span<u64> storage) : entries_(storage) {}

  [[nodiscard]] bool empty() const { return n_ == 0; }

  void push(u64 key) {
    usize hole = n_++;
    LBM_CHECK(n_ <= entries_.size());
    u64* const heap = entries_.data();
    for (usize parent = (hole - 1) / 2; hole > 0 && heap[parent] > key; parent = (hole - 1) / 2) {
      heap[hole] = heap[parent];
      hole = parent;
    }
    heap[hole] = key;
  }

  [[nodiscard]] u64 pop() {
    LBM_CHECK(n_ > 0);
    u64* const heap = entries_.data();
    const u64 top = heap[0];
    const u64 key = heap[--n_];
    usize hole = 0;
    for (usize child = 1; child < n_; child = 2 * hole + 1) {
      if (child + 1 < n_ && heap[child + 1] < heap[child]) ++child;
      if (heap[child] >= key) break;
      heap[hole] = heap[child];
      hole = child;
    }
    heap[hole] = key;
    return top;
  }

 private:
  Span<u64> entries_;
  usize n_ = 0;
};

constexpr usize merge_heap_entries(usize n_symbol) { return 2 * n_symbol; }

// Merges the chain symbols[0..n), whose begin and id are set; the rest is set here. What is left is
// the chain from symbols[0] by `next`. `rank_pair(left, right)` gives the PairRank of two
// neighbours. `heap_storage` holds merge_heap_entries(n). Returns how many pairs were looked up: at
// most 3 n.
template <class RankPair>
u64 merge_symbols(Span<Symbol> symbols, Span<u64> heap_storage, const RankPair& rank_pair) {
  MergeHeap heap(heap_storage);
  Symbol* const chain = symbols.data();
  const u32 n = static_cast<u32>(symbols.size());
  u64 n_lookup = 0;
  const auto consider = [&](u32 left) {
    Symbol& symbol = chain[left];
    PairRank pair;
    if (symbol.next != Symbol::kNone) {
      pair = rank_pair(symbol, chain[symbol.next]);
      ++n_lookup;
    }
    symbol.rank = pair.rank;
    symbol.merged = pair.merged;
    if (pair.rank != Symbol::kNone) heap.push(u64{pair.rank} << 32 | left);
  };
  for (u32 i = 0; i < n; ++i) {
    chain[i].prev = i == 0 ? Symbol::kNone : i - 1;
    chain[i].next = i + 1 == n ? Symbol::kNone : i + 1;
  }
  for (u32 i = 0; i < n; ++i) consider(i);
  while (!heap.empty()) {
    const u64 key = heap.pop();
    const u32 left = static_cast<u32>(key);
    Symbol& symbol = chain[left];
    if (symbol.rank != static_cast<u32>(key >> 32)) continue;  // the pair has changed since
    Symbol& right = chain[symbol.next];
    right.rank = Symbol::kNone;
    symbol.id = symbol.merged;
    symbol.next = right.next;
    if (symbol.next != Symbol::kNone) chain[symbol.next].prev = left;
    if (symbol.prev != Symbol::kNone) consider(symbol.prev);
    consider(left);
  }
  return n_lookup;
}

}  // namespace lbm
