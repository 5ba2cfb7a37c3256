// The normalization rules of a SentencePiece model: which byte sequences become which.
//
// The file keeps them as SentencePiece compiled them (tokenizer.ggml.precompiled_charsmap): a
// double-array trie over the sequences, and the replacements as terminated strings. A unit of the
// array is 32 bits: the label in bits 0 to 7, "a sequence ends here" in bit 8, the distance to the
// children in bits 10 to 30, times 256 where bit 9 is set; units with bit 31 hold where a
// replacement starts. Source: Kanda, "Space- and Time-Efficient String Dictionaries", 2018; the
// layout is that of the Darts-clone library.
//
// The array is hostile until load() has walked through all of it: every index that a walk can reach
// lies within, and no walk is endless. find() then needs no check.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/format/model_file.h"

namespace lbm {

class Charsmap {
 public:
  // The longest sequence that is replaced, and how many bytes one byte of it may become at most,
  // spaces counted as three.
  static constexpr u32 kMaxKeyBytes = 64;
  static constexpr u32 kMaxGrowth = 64;
  static constexpr u64 kMaxBytes = 4 * kMiB;  // SentencePiece's largest has 0.3

  // Reads the array under `key`; an absent or empty one replaces nothing. The metadata must outlive
  // this; `arena` is used for the check only. Errors: kBadType, kTruncated, kBadOffset, kBadValue,
  // kLimit, kOutOfMemory.
  [[nodiscard]] Status load(Arena& arena, const ModelFile& file, Str key);

  struct Match {
    Str replacement;
    u32 n_byte = 0;  // 0: nothing is replaced here
  };
  // The longest sequence that `text` starts with.
  [[nodiscard]] Match find(Str text) const;

  // Bytes that one byte of text may become at most, spaces counted as three; at least 1.
  [[nodiscard]] u32 growth() const { return growth_; }

 private:
  class Graph;  // charsmap.cpp

  [[nodiscard]] u32 unit(u32 index) const;
  [[nodiscard]] Str replacement(u32 offset) const;

  Span<const u8> units_;
  Str texts_;
  u32 growth_ = 1;
};

}  // namespace lbm
