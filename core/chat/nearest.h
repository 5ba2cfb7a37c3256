// The word that someone may have meant: the nearest by edit distance, or nothing when none is near.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

class NearestWord {
 public:
  static constexpr usize kMaxWord = 32;  // longer ones are never near

  explicit NearestWord(Str typed) : typed_(typed) {}
  // Considers `word`, which must outlive this. Of equally near ones the first offered stays.
  void offer(Str word);
  // Empty when nothing was within a third of the typed length (at least 1).
  [[nodiscard]] Str best() const { return best_; }

  // Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`; ASCII case
  // does not count. Words longer than kMaxWord are kMaxWord apart.
  [[nodiscard]] static u32 distance(Str a, Str b);

 private:
  Str typed_;
  Str best_;
  u32 best_distance_ = kMaxWord;
};

}  // namespace lbm
