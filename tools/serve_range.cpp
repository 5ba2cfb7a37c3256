// See serve_range.h.
#include "tools/serve_range.h"

#include <algorithm>

namespace lbm::cli {
namespace {

// Digits alone, and few enough for 64 bits.
bool parse_number(std::string_view text, u64& out) {
  if (text.empty() || text.size() > 18) return false;
  out = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    out = out * 10 + static_cast<u64>(c - '0');
  }
  return true;
}

}  // namespace

ByteRange parse_range(std::string_view range, std::string_view if_range, u64 size,
                      std::string_view tag) {
  constexpr std::string_view kUnit = "bytes=";
  const ByteRange whole = {ByteRange::Kind::kWhole, 0, size};
  const ByteRange not_there = {ByteRange::Kind::kNotThere, 0, 0};
  if (range.substr(0, kUnit.size()) != kUnit) return whole;
  if (!if_range.empty() && if_range != tag) return whole;
  range.remove_prefix(kUnit.size());
  const usize dash = range.find('-');
  if (dash == std::string_view::npos) return whole;
  const std::string_view low = range.substr(0, dash);
  const std::string_view high = range.substr(dash + 1);
  u64 first = 0;
  u64 last = 0;
  if (low.empty()) {  // the last so many
    if (!parse_number(high, last)) return whole;
    const u64 n = std::min(last, size);
    return n == 0 ? not_there : ByteRange{ByteRange::Kind::kPart, size - n, n};
  }
  if (!parse_number(low, first)) return whole;
  if (high.empty()) {
    last = size == 0 ? 0 : size - 1;
  } else if (!parse_number(high, last) || last < first) {
    return whole;
  }
  if (first >= size) return not_there;
  last = std::min(last, size - 1);
  return {ByteRange::Kind::kPart, first, last - first + 1};
}

}  // namespace lbm::cli
