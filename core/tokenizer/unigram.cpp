#include "core/tokenizer/unigram.h"

#include "core/base/utf8.h"

namespace lbm {

u64 cut_unigram(const UnigramModel& model, Str text, Span<UnigramCut> cuts) {
  constexpr f64 kUnreached = -1.7976931348623157e308;
  const u32 n = static_cast<u32>(text.size());
  for (UnigramCut& cut : cuts) cut = {kUnreached, model.unknown, 0};
  cuts[0].score = 0;
  const auto offer = [&](u32 begin, u32 end, u32 id, f64 score) {
    const f64 sum = cuts[begin].score + score;
    if (sum > cuts[end].score) cuts[end] = {sum, id, begin};
  };
  u64 n_step = 0;
  for (u32 begin = 0; begin < n;) {
    const u32 next = begin + decode_utf8(text.from(begin)).n_byte;
    bool has_character = false;
    PieceIndex::Walk walk(*model.index);
    for (u32 end = begin; end < n;) {
      ++n_step;
      if (!walk.step(static_cast<u8>(text[end++]))) break;
      const u32 id = walk.id();
      if (id == Vocab::kNoToken) continue;
      has_character |= end == next;
      // A user-defined piece wins over every other way to write it.
      const bool user_defined = model.vocab->type(id) == TokenType::kUserDefined;
      offer(begin, end, id, user_defined ? 0.0 : static_cast<f64>(model.vocab->score(id)));
    }
    if (!has_character) offer(begin, next, model.unknown, model.unknown_score);
    begin = next;
  }
  // Turn the chain round: where a piece ends, its begin is known; put its end where it begins.
  UnigramCut piece = cuts[n];
  for (u32 end = n;;) {
    const u32 begin = piece.link;
    const UnigramCut before = cuts[begin];
    cuts[begin] = {before.score, piece.id, end};
    if (begin == 0) break;
    end = begin;
    piece = before;
  }
  return n_step;
}

}  // namespace lbm
