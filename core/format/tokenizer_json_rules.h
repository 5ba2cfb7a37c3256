// What a tokenizer.json does to text before and beside its model, in the words that the core has.
#pragma once

#include "core/base/json_reader.h"

namespace lbm {

enum class TokenizerModel : u8 { kBytePairs, kUnigram, kWordPiece };

struct TokenizerRules {
  Str pre;           // BPE: tokenizer.ggml.pre
  Str space_prefix;  // tokenizer.lbm.space_prefix; empty: none
  Str normalizer;    // tokenizer.lbm.normalizer; empty: none
  Str charsmap;
  bool escaped_spaces = false;     // spaces are U+2581
  bool merge_spaces = false;       // runs of spaces are one, those at the ends none
  bool split_words = false;        // no piece goes on over a space
  bool split_white_space = false;  // any white space is a space
  bool lowercase = false;          // WordPiece
  bool strip_accents = false;
};

// Reads /normalizer and /pre_tokenizer of the file whose root is `root`. What the core has not is
// an error of the document.
[[nodiscard]] TokenizerRules read_tokenizer_rules(const JsonValue& root, TokenizerModel model);

// Ids that /post_processor puts before and after a text; kNone where there are none.
struct TokenizerFrame {
  static constexpr u32 kNone = ~u32{0};
  bool known = false;  // the file says, if only that there are none
  u32 before = kNone;
  u32 after = kNone;
};
[[nodiscard]] TokenizerFrame read_tokenizer_frame(const JsonValue& root, u32 n_token);

// The steps of a component that may be a Sequence, in order.
class TokenizerSteps {
 public:
  static constexpr u32 kMost = 64;

  // `members` is the key of a Sequence that has them.
  TokenizerSteps(const JsonValue& component, Str members) { add(component, members, 0); }

  [[nodiscard]] u32 size() const { return n_; }
  [[nodiscard]] const JsonValue& operator[](u32 index) const {
    LBM_CHECK(index < n_);
    return steps_[index];
  }
  [[nodiscard]] const JsonValue* begin() const { return steps_; }
  [[nodiscard]] const JsonValue* end() const { return steps_ + n_; }
  // Whether step `index` is there and of this type.
  [[nodiscard]] bool is(u32 index, Str type) const;

 private:
  void add(const JsonValue& component, Str members, u32 depth);

  JsonValue steps_[kMost];
  u32 n_ = 0;
};

// The name of llama.cpp for what the pre-tokenizers of a byte-level model do together; an error of
// the document where there is none.
[[nodiscard]] Str find_pre(const JsonValue& pre_tokenizer, const TokenizerSteps& steps);

}  // namespace lbm
