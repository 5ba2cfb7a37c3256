// Special tokens in running text: spellings that become one token before anything else is looked
// at.
//
// User-defined tokens are found in all text; control and unknown tokens only in markup, that is in
// text from a chat template or where the caller asked for it. At each place the longest spelling
// wins, from left to right, as in Hugging Face tokenizers. (llama.cpp looks for the longest
// spelling in all the text first; the two differ only where two special tokens overlap.)
#pragma once

#include "core/base/result.h"
#include "core/tokenizer/vocab.h"

namespace lbm {

class SpecialTokens {
 public:
  // The longest spelling that is looked for; a longer special token is refused.
  static constexpr u32 kMaxBytes = 1024;

  struct Match {
    u32 id = Vocab::kNoToken;
    u32 n_byte = 0;
  };

  // `vocab` must outlive this. Errors: kLimit  a special token is longer than kMaxBytes.
  [[nodiscard]] Status load(const Vocab& vocab);

  // The longest special token that `text` starts with. A restricted one must end within the first
  // n_markup bytes.
  [[nodiscard]] Match match(Str text, usize n_markup) const;

 private:
  // Which lengths occur at all, and the longest one for each first byte: enough to reject nearly
  // every place at once and to ask the vocabulary only where a token can end.
  const Vocab* vocab_ = nullptr;
  u16 max_bytes_[256] = {};
  u64 lengths_[kMaxBytes / 64 + 1] = {};
};

}  // namespace lbm
