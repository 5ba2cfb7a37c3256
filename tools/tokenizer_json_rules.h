// What a tokenizer.json does to text before and beside its model, in the words that the core has.
#pragma once

#include <string>
#include <vector>

#include "tools/json_node.h"

namespace lbm::cli {

enum class TokenizerModel : u8 { kBytePairs, kUnigram, kWordPiece };

struct TokenizerRules {
  std::string pre;           // BPE: tokenizer.ggml.pre
  std::string space_prefix;  // tokenizer.lbm.space_prefix; empty: none
  std::string normalizer;    // tokenizer.lbm.normalizer; empty: none
  std::vector<u8> charsmap;
  bool escaped_spaces = false;     // spaces are U+2581
  bool merge_spaces = false;       // runs of spaces are one, those at the ends none
  bool split_words = false;        // no piece goes on over a space
  bool split_white_space = false;  // any white space is a space
  bool lowercase = false;          // WordPiece
  bool strip_accents = false;
};

// Reads /normalizer and /pre_tokenizer of the file whose root is `root`. Throws CommandError
// (kModel) for whatever the core has not.
[[nodiscard]] TokenizerRules read_tokenizer_rules(const JsonNode& root, TokenizerModel model);

// Ids that /post_processor puts before and after a text; kNone where there are none.
struct TokenizerFrame {
  static constexpr u32 kNone = ~u32{0};
  bool known = false;  // the file says, if only that there are none
  u32 before = kNone;
  u32 after = kNone;
};
[[nodiscard]] TokenizerFrame read_tokenizer_frame(const JsonNode& root, u32 n_token);

}  // namespace lbm::cli
