// The merges of byte-level BPE: which two tokens join into which third, and in what order.
//
// The file lists merges as text, "left right", the most frequent first. They are checked and turned
// into ids once; merging itself then never touches a string. Source: arXiv:1508.07909, sec. 3.2.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/tokenizer/merge.h"
#include "core/tokenizer/vocab.h"

namespace lbm {

class BytePairs {
 public:
  // Reads tokenizer.ggml.merges. `vocab` is only read here.
  // Errors: kMissing, kBadType, kLimit (more than 4 per token, or made to collide), kBadValue (not
  // two pieces),
  //         kMismatch (a piece or the result is no token), kDuplicate, kOutOfMemory.
  [[nodiscard]] Status load(Arena& arena, const ModelFile& file, const Vocab& vocab);

  // The rank of a pair is its place in the file.
  [[nodiscard]] PairRank find(u32 left, u32 right) const;

 private:
  struct Slot {
    u32 left;
    u32 right;
    u32 rank;
    u32 merged_plus_one;  // 0: empty
  };

  // `expected` is where the result is looked for first; it becomes where the next one is likely to
  // be.
  [[nodiscard]] Status add(Str merge, u32 rank, const Vocab& vocab, u32& expected);
  [[nodiscard]] Status insert(const Slot& merge, Str text);
  [[nodiscard]] u32 slot_of(u32 left, u32 right) const;

  Span<Slot> slots_;  // at most half full, as the vocabulary's
};

}  // namespace lbm
