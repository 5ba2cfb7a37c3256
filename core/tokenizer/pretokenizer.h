// Pre-tokenizers: where byte-level BPE may not merge across.
//
// A vocabulary was trained on words that regular expressions had cut out of the text, and only the
// same cuts give the same tokens. The file names its expressions (`tokenizer.ggml.pre`). They are
// few and their parts recur, so here each name is a list of steps, and a step is data for one of a
// few hand-written matchers: there is no regular expression engine, no backtracking and no
// recursion, and the time is linear in the text.
//
// Steps nest, as successive Split rules do in tokenizer.json: the first cuts the text into its
// matches and the gaps between them, the next cuts each of those pieces, and look-ahead sees the
// end of its piece as the end of the text.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

struct SplitStep;  // split_step.h

struct Pretokenizer {
  Str name;
  Span<const SplitStep> steps;
  // A word that is a vocabulary entry is that token, whatever the merges would give.
  bool ignore_merges = false;
  bool add_bos = false;     // where the file has no tokenizer.ggml.add_bos_token
  bool always_bos = false;  // even where the file says no: early files of Gemma 4 are wrong
  // Decoding drops the spaces before punctuation that its training data had.
  bool clean_spaces = false;
  // False: pieces are spelled in plain UTF-8 with U+2581 for the space, and what they do not spell
  // becomes tokens <0x00> to <0xFF>, as in SentencePiece.
  bool byte_level = true;
  bool newline_tokens = false;   // a run of newlines that is a vocabulary entry is that token
  bool merges_optional = false;  // a file without merges is taken for one with none
};

// Null for a name that this build does not know.
[[nodiscard]] const Pretokenizer* find_pretokenizer(Str name);

// Cuts `text` into words, in order; together they are the text. Malformed bytes count as U+FFFD,
// one each.
class WordSplitter {
 public:
  static constexpr u32 kMaxSteps = 6;

  // `text` is shorter than 2^32 bytes.
  WordSplitter(const Pretokenizer& pretokenizer, Str text);

  // False after the last word.
  [[nodiscard]] bool next(Str& word);

 private:
  Span<const SplitStep> steps_;
  Str text_;
  u32 position_ = 0;
  u32 ends_[kMaxSteps + 1] = {};  // ends_[k]: the end of the piece that holds position_ after k
                                  // steps; ends_[0] is the text's
};

}  // namespace lbm
