#include "tools/token_metrics.h"

#include <cmath>
#include <map>

#include "core/base/unicode_tables.h"
#include "core/base/utf8.h"

namespace lbm::cli {
namespace {

Json share(f64 part, u64 whole) {
  return whole == 0 ? Json() : Json(part / static_cast<f64>(whole));
}

}  // namespace

void TokenMetrics::add(const Tokenizer& tokenizer, const std::string& text, Span<const u32> ids) {
  ++n_text_;
  n_byte_ += text.size();
  n_token_ += ids.size();
  for (const u32 id : ids) {
    ++counts_[id];
    n_fallback_ += tokenizer.is_fallback(id) ? 1u : 0u;
  }
  bool within_word = false;
  const Str all = to_str(text);
  for (usize at = 0; at < all.size();) {
    const Utf8Char c = decode_utf8(all.from(at));
    const bool space = char_info(c.codepoint).char_class == CharClass::kWhiteSpace;
    n_word_ += !space && !within_word ? 1u : 0u;
    within_word = !space;
    ++n_character_;
    at += c.n_byte;
  }
}

Json TokenMetrics::report(const Tokenizer& tokenizer) const {
  // In the order of the ids, so that the sum is the same everywhere.
  const std::map<u32, u64> counts(counts_.begin(), counts_.end());
  f64 entropy = 0;
  for (const auto& [id, count] : counts) {
    const f64 p = static_cast<f64>(count) / static_cast<f64>(n_token_);
    entropy -= p * std::log2(p);
  }
  Json out;
  out["texts"] = n_text_;
  out["characters"] = n_character_;
  out["bytes"] = n_byte_;
  out["words"] = n_word_;
  out["tokens"] = n_token_;
  out["fertility"] = share(static_cast<f64>(n_token_), n_word_);
  out["bytes_per_token"] = share(static_cast<f64>(n_byte_), n_token_);
  out["characters_per_token"] = share(static_cast<f64>(n_character_), n_token_);
  out["coverage"] = share(static_cast<f64>(n_token_ - n_fallback_), n_token_);
  out["distinct_tokens"] = counts.size();
  out["vocabulary"] = tokenizer.n_vocab();
  out["vocabulary_used"] = share(static_cast<f64>(counts.size()), tokenizer.n_vocab());
  out["entropy_bits"] = n_token_ == 0 ? Json() : Json(entropy);
  return out;
}

std::string format_metrics(const Json& report) {
  std::string out;
  for (const auto& [name, value] : report.items()) {
    const std::string text = value.is_null()           ? "-"
                             : value.is_number_float() ? format("%.4f", value.get<f64>())
                                                       : value.dump();
    out += format("%-21s %s\n", name.c_str(), text.c_str());
  }
  return out;
}

}  // namespace lbm::cli
