// The unigram model: of all ways to cut a text into pieces, the one whose scores add up to most.
//
// Scores are logarithms of probabilities. best[p] is the sum for the text up to byte p; from each
// place that is reached, every piece that begins there is tried, so the work is a table with one
// row a byte and one walk a character (Viterbi's algorithm). A character that is no piece by itself
// may be the unknown token, ten below the worst piece. Source: arXiv:1804.10959, sec. 3.2. Sums are
// f64, and of equal sums the first one found stays, as in SentencePiece.
#pragma once

#include "core/base/span.h"
#include "core/tokenizer/piece_index.h"
#include "core/tokenizer/vocab.h"

namespace lbm {

// How the text up to a byte is cut best.
struct UnigramCut {
  f64 score;
  u32 id;    // of the last piece
  u32 link;  // where it begins; after cut_unigram(): where it ends
};

struct UnigramModel {
  const Vocab* vocab = nullptr;
  const PieceIndex* index = nullptr;
  u32 unknown = Vocab::kNoToken;
  f64 unknown_score = 0;
};

// Cuts `text` (not empty). cuts has text.size() + 1 elements. Afterwards the pieces are cuts[p].id
// from p to cuts[p].link for p = 0 and every link up to the end of the text. Returns the number of
// steps of all walks: at most text.size() * (longest piece).
u64 cut_unigram(const UnigramModel& model, Str text, Span<UnigramCut> cuts);

}  // namespace lbm
