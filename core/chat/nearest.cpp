// Edit distance with swaps (optimal string alignment), over words of at most 32 bytes. See
// nearest.h.
#include "core/chat/nearest.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

}  // namespace

u32 NearestWord::distance(Str a, Str b) {
  if (a.size() > kMaxWord || b.size() > kMaxWord) return kMaxWord;
  u32 rows[3][kMaxWord + 1];  // rows i - 2, i - 1 and i of the table, by i modulo 3
  for (u32 j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (u32 i = 1; i <= a.size(); ++i) {
    u32* row = rows[i % 3];
    const u32* above = rows[(i + 2) % 3];
    const u32* above2 = rows[(i + 1) % 3];
    row[0] = i;
    for (u32 j = 1; j <= b.size(); ++j) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      u32 best = min_u32(above[j] + 1, row[j - 1] + 1);
      best = min_u32(best, above[j - 1] + (same ? 0 : 1));
      if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
          lower(a[i - 2]) == lower(b[j - 1])) {
        best = min_u32(best, above2[j - 2] + 1);
      }
      row[j] = best;
    }
  }
  return rows[a.size() % 3][b.size()];
}

void NearestWord::offer(Str word) {
  const u32 d = distance(typed_, word);
  const u32 allowed = max_u32(1, static_cast<u32>(typed_.size()) / 3);
  if (d > allowed || d >= best_distance_) return;
  best_distance_ = d;
  best_ = word;
}

}  // namespace lbm
