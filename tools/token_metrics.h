// How well a vocabulary fits a text.
#pragma once

#include <string>
#include <unordered_map>

#include "core/tokenizer/tokenizer.h"
#include "tools/output.h"

namespace lbm::cli {

class TokenMetrics {
 public:
  // Counts one text and its ids.
  void add(const Tokenizer& tokenizer, const std::string& text, Span<const u32> ids);

  // texts, characters, bytes, words, tokens; then, null where there is nothing to divide by:
  //   fertility           tokens per word (words are what white space separates)
  //   bytes_per_token, characters_per_token
  //   coverage            share of tokens that are neither unknown nor a byte of a character
  //   distinct_tokens, vocabulary_used (their share of all tokens there are)
  //   entropy_bits        -sum p log2 p over the tokens, p their share of the text
  [[nodiscard]] Json report(const Tokenizer& tokenizer) const;

 private:
  u64 n_text_ = 0;
  u64 n_character_ = 0;
  u64 n_byte_ = 0;
  u64 n_word_ = 0;
  u64 n_token_ = 0;
  u64 n_fallback_ = 0;
  std::unordered_map<u32, u64> counts_;
};

// The same for a person, one line each.
[[nodiscard]] std::string format_metrics(const Json& report);

}  // namespace lbm::cli
