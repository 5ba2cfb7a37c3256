#include "core/tokenizer/merge.h"

#include "core/base/pcg32.h"
#include "tests/test.h"

namespace lbm {
namespace {

constexpr u32 kMaxSymbols = 64;

// A merge table over few ids in which every pair has a rank, an equal one, or none: ids grow, so
// merging ends.
PairRank made_up_pair(u32 seed, u32 left, u32 right) {
  const u32 hash = (left * 2654435761u ^ right * 40503u ^ seed * 97u) * 2246822519u >> 20;
  if (hash % 3 == 0 || left + right > 200) return {};
  return {hash % 7, left + right + 1};
}

// The definition: of all pairs the lowest rank, the leftmost among equals, until there is none.
u32 merge_by_definition(u32 seed, Span<u32> ids) {
  u32 n = static_cast<u32>(ids.size());
  for (;;) {
    u32 best = n;
    PairRank best_pair;
    for (u32 i = 0; i + 1 < n; ++i) {
      const PairRank pair = made_up_pair(seed, ids[i], ids[i + 1]);
      if (pair.rank < best_pair.rank) {
        best = i;
        best_pair = pair;
      }
    }
    if (best == n) return n;
    ids[best] = best_pair.merged;
    for (u32 i = best + 1; i + 1 < n; ++i) ids[i] = ids[i + 1];
    --n;
  }
}

}  // namespace

TEST_CASE("merge heap: comes out in order", "[tokenizer]") {
  Pcg32 random(11, 2);
  u64 storage[100];
  MergeHeap heap(storage);
  for (u32 i = 0; i < 100; ++i) heap.push(random.next() % 50);
  u64 last = 0;
  u32 n_wrong = 0;
  for (u32 i = 0; i < 100; ++i) {
    const u64 key = heap.pop();
    n_wrong += key < last ? 1u : 0u;
    last = key;
  }
  CHECK(n_wrong == 0);
  CHECK(heap.empty());
}

TEST_CASE("merging equals its definition on random chains", "[tokenizer]") {
  Pcg32 random(5, 9);
  u32 n_wrong = 0;
  u64 most_lookups = 0;
  for (u32 round = 0; round < 300; ++round) {
    const u32 n = 1 + random.next() % kMaxSymbols;
    Symbol symbols[kMaxSymbols] = {};
    u32 expected[kMaxSymbols];
    u64 heap[merge_heap_entries(kMaxSymbols)];
    for (u32 i = 0; i < n; ++i) {
      expected[i] = symbols[i].id = random.next() % 4;
      symbols[i].begin = i;
    }
    const u64 n_lookup =
        merge_symbols({symbols, n}, heap, [&](const Symbol& left, const Symbol& right) {
          return made_up_pair(round, left.id, right.id);
        });
    if (n_lookup * 100 / n > most_lookups) most_lookups = n_lookup * 100 / n;
    const u32 n_expected = merge_by_definition(round, {expected, n});
    u32 k = 0;
    for (u32 i = 0; i != Symbol::kNone; i = symbols[i].next, ++k) {
      n_wrong += k < n_expected && symbols[i].id == expected[k] ? 0u : 1u;
    }
    n_wrong += k == n_expected ? 0u : 1u;
  }
  CHECK(n_wrong == 0);
  CHECK(most_lookups <= 300);  // 3 n
}

TEST_CASE("merging: the work grows with the length of the chain, not with its square",
          "[tokenizer]") {
  constexpr u32 kLong = 20000;
  static Symbol symbols[kLong];
  static u64 heap[merge_heap_entries(kLong)];
  for (u32 n = kLong / 4; n <= kLong; n *= 2) {
    for (u32 i = 0; i < n; ++i) symbols[i] = {i, 0, 0, 0, 0, 0};
    // Equal characters, of which 2^k join: every pair is a candidate, all of the same rank.
    const u64 n_lookup =
        merge_symbols({symbols, n}, heap, [](const Symbol& left, const Symbol& right) {
          return left.id == right.id && left.id < 10 ? PairRank{left.id, left.id + 1} : PairRank{};
        });
    CHECK(n_lookup <= u64{3} * n);
  }
}

}  // namespace lbm
