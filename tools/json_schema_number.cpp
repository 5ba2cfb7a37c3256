// Ranges of integers as grammars: the digits that numbers between two bounds have.
#include "tools/json_schema_parts.h"

namespace lbm::cli {
namespace {

std::string digit_class(char low, char high) {
  if (low == high) return std::string("\"") + low + "\"";
  return std::string("[") + low + "-" + high + "]";
}

std::string any_digits(usize n) {
  return n == 0 ? "" : n == 1 ? " [0-9]" : " [0-9]{" + std::to_string(n) + "}";
}

bool is_all(const std::string& digits, char digit) {
  return digits.find_first_not_of(digit) == std::string::npos;
}

// Digits as many as `low` has, from low up; and those up to `high`. Empty for no digits.
std::string digits_from(const std::string& low) {
  if (low.empty()) return "";
  const std::string rest = low.substr(1);
  if (is_all(rest, '0')) return digit_class(low[0], '9') + any_digits(rest.size());
  std::string out = "(" + digit_class(low[0], low[0]) + " " + digits_from(rest);
  if (low[0] != '9')
    out += " | " + digit_class(static_cast<char>(low[0] + 1), '9') + any_digits(rest.size());
  return out + ")";
}

std::string digits_up_to(const std::string& high) {
  if (high.empty()) return "";
  const std::string rest = high.substr(1);
  if (is_all(rest, '9')) return digit_class('0', high[0]) + any_digits(rest.size());
  std::string out = "(" + digit_class(high[0], high[0]) + " " + digits_up_to(rest);
  if (high[0] != '0')
    out += " | " + digit_class('0', static_cast<char>(high[0] - 1)) + any_digits(rest.size());
  return out + ")";
}

// Of equal length.
std::string digits_between(const std::string& low, const std::string& high) {
  if (low == high) return "\"" + low + "\"";
  usize same = 0;
  while (low[same] == high[same]) ++same;
  const std::string rest_low = low.substr(same + 1);
  const std::string rest_high = high.substr(same + 1);
  std::string out = same == 0 ? "" : "\"" + low.substr(0, same) + "\" ";
  char first = low[same];
  char last = high[same];
  std::string ends;
  if (!is_all(rest_low, '0')) {
    ends += digit_class(first, first) + " " + digits_from(rest_low) + " | ";
    ++first;
  }
  if (!is_all(rest_high, '9')) {
    ends += digit_class(last, last) + " " + digits_up_to(rest_high) + " | ";
    --last;
  }
  if (first <= last) {
    ends += digit_class(first, last) + any_digits(rest_low.size());
  } else {
    ends.resize(ends.size() - 3);
  }
  return out + "(" + ends + ")";
}

// low <= high, both without sign.
std::string magnitudes(u64 low, u64 high) {
  std::string out;
  for (u64 from = low;;) {
    u64 to = 9;  // the largest of that many digits
    while (to < from && to <= ~u64{0} / 10 - 1) to = to * 10 + 9;
    if (to < from || to > high) to = high;
    out += (out.empty() ? "" : " | ") + digits_between(std::to_string(from), std::to_string(to));
    if (to == high) return out;
    from = to + 1;
  }
}

u64 magnitude(i64 value) {
  return value < 0 ? ~static_cast<u64>(value) + 1 : static_cast<u64>(value);
}

}  // namespace

std::string integer_range(i64 low, i64 high) {
  std::string out;
  if (low < 0) {
    const i64 nearest = high < 0 ? high : -1;
    out = "\"-\" (" + magnitudes(magnitude(nearest), magnitude(low)) + ")";
  }
  if (high >= 0) {
    if (!out.empty()) out += " | ";
    out += magnitudes(low < 0 ? 0 : static_cast<u64>(low), static_cast<u64>(high));
  }
  return "(" + out + ")";
}

}  // namespace lbm::cli
