#include "core/chat/template_number.h"

namespace lbm {
namespace {

// An unsigned integer of at most 2048 bits, enough for 2^1074 * 10^20 and 10^400 * 2^64.
class BigNumber {
 public:
  explicit BigNumber(u64 v) {
    limb_[0] = static_cast<u32>(v);
    limb_[1] = static_cast<u32>(v >> 32);
    n_ = 2;
    trim();
  }

  void multiply(u32 factor) {
    u64 carry = 0;
    for (u32 i = 0; i < n_; ++i) {
      carry += u64{limb_[i]} * factor;
      limb_[i] = static_cast<u32>(carry);
      carry >>= 32;
    }
    if (carry != 0) push(static_cast<u32>(carry));
  }
  void multiply_power_of_ten(u32 exponent) {
    for (; exponent >= 9; exponent -= 9) multiply(1'000'000'000);
    for (; exponent > 0; --exponent) multiply(10);
  }
  void shift_left(u32 n_bit) {
    const u32 words = n_bit / 32;
    for (u32 i = n_; i-- > 0 && words > 0;) set(i + words, limb_[i]);
    for (u32 i = 0; i < words; ++i) set(i, 0);
    if (n_ != 0) n_ += words;
    if (n_bit % 32 != 0) multiply(1u << (n_bit % 32));
  }
  // this -= other, which must not be larger.
  void subtract(const BigNumber& other) {
    i64 borrow = 0;
    for (u32 i = 0; i < n_; ++i) {
      const i64 d = i64{limb_[i]} - (i < other.n_ ? i64{other.limb_[i]} : 0) + borrow;
      limb_[i] = static_cast<u32>(d);
      borrow = d < 0 ? -1 : 0;
    }
    trim();
  }
  // -1, 0, 1 as this is less than, equal to or greater than `other`.
  [[nodiscard]] i32 compare(const BigNumber& other) const {
    if (n_ != other.n_) return n_ < other.n_ ? -1 : 1;
    for (u32 i = n_; i-- > 0;) {
      if (limb_[i] != other.limb_[i]) return limb_[i] < other.limb_[i] ? -1 : 1;
    }
    return 0;
  }
  [[nodiscard]] bool zero() const { return n_ == 0; }
  [[nodiscard]] i32 n_bit() const {
    return n_ == 0 ? 0 : static_cast<i32>(n_ * 32) - __builtin_clz(limb_[n_ - 1]);
  }

 private:
  static constexpr u32 kLimbs = 64;
  void set(u32 index, u32 v) {
    LBM_CHECK(index < kLimbs);
    limb_[index] = v;
  }
  void push(u32 v) {
    set(n_, v);
    ++n_;
  }
  void trim() {
    while (n_ > 0 && limb_[n_ - 1] == 0) --n_;
  }
  u32 limb_[kLimbs];
  u32 n_ = 0;
};

struct FloatParts {
  u64 mantissa;
  i32 exponent;  // v = mantissa * 2^exponent
};

FloatParts split_float(f64 v) {
  u64 bits = 0;
  __builtin_memcpy(&bits, &v, sizeof bits);
  const u64 fraction = bits & ((u64{1} << 52) - 1);
  const i32 biased = static_cast<i32>((bits >> 52) & 0x7FF);
  if (biased == 0) return {fraction, -1074};
  return {fraction | (u64{1} << 52), biased - 1075};
}

// The fraction top / bottom = v / 10^exponent10, for v > 0.
struct Fraction {
  BigNumber top;
  BigNumber bottom;
};

Fraction scaled_fraction(f64 v, i32 exponent10) {
  const FloatParts parts = split_float(v);
  Fraction out{BigNumber(parts.mantissa), BigNumber(1)};
  if (parts.exponent > 0) out.top.shift_left(static_cast<u32>(parts.exponent));
  if (parts.exponent < 0) out.bottom.shift_left(static_cast<u32>(-parts.exponent));
  if (exponent10 > 0) out.bottom.multiply_power_of_ten(static_cast<u32>(exponent10));
  if (exponent10 < 0) out.top.multiply_power_of_ten(static_cast<u32>(-exponent10));
  return out;
}

// The decimal exponent of the first digit of v > 0.
i32 leading_exponent(f64 v) {
  const FloatParts parts = split_float(v);
  const i32 n_bit = 64 - __builtin_clzll(parts.mantissa) + parts.exponent;
  i32 estimate =
      (n_bit - 1) * 30103 / 100000;  // log10(2); truncation and the lost bits are put right below
  if (n_bit < 1) --estimate;
  for (;; ++estimate) {
    Fraction f = scaled_fraction(v, estimate + 1);
    if (f.top.compare(f.bottom) < 0) break;
  }
  for (;; --estimate) {
    Fraction f = scaled_fraction(v, estimate);
    if (f.top.compare(f.bottom) >= 0) return estimate;
  }
}

// `n_digit` digits of v > 0, the first of weight 10^exponent10, rounded half to even. v <
// 10^(exponent10 + 1). True when rounding carried out of the first digit: the digits are then
// 1000... of weight 10^(exponent10 + 1).
bool generate_digits(f64 v, i32 exponent10, u32 n_digit, char* digits) {
  Fraction f = scaled_fraction(v, exponent10);
  for (u32 i = 0; i < n_digit; ++i) {
    if (i != 0) f.top.multiply(10);
    char digit = '0';
    while (f.top.compare(f.bottom) >= 0) {
      f.top.subtract(f.bottom);
      ++digit;
    }
    digits[i] = digit;
  }
  f.top.multiply(2);
  const i32 side = f.top.compare(f.bottom);
  if (side < 0 || (side == 0 && (digits[n_digit - 1] - '0') % 2 == 0)) return false;
  u32 i = n_digit;
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i > 0) {
    ++digits[i - 1];
    return false;
  }
  digits[0] = '1';
  return true;
}

// top / bottom (both > 0) as the nearest f64, half to even.
f64 nearest_float(BigNumber top, BigNumber bottom) {
  i32 exponent = top.n_bit() - bottom.n_bit();
  if (exponent > 0) bottom.shift_left(static_cast<u32>(exponent));
  if (exponent < 0) top.shift_left(static_cast<u32>(-exponent));
  if (top.compare(bottom) < 0) {
    top.multiply(2);
    --exponent;
  }
  if (exponent > 1023) return __builtin_inf();
  // 1 <= top / bottom < 2. Subnormals have fewer bits than 53.
  i32 n_bit = 53;
  if (exponent < -1022) n_bit -= -1022 - exponent;
  if (n_bit < 0) return 0.0;
  u64 mantissa = 0;
  for (i32 i = 0; i < n_bit; ++i) {
    mantissa <<= 1;
    if (top.compare(bottom) >= 0) {
      top.subtract(bottom);
      mantissa |= 1;
    }
    top.multiply(2);
  }
  const i32 side = top.compare(bottom);
  if (side > 0 || (side == 0 && (mantissa & 1) != 0)) ++mantissa;
  u64 bits = mantissa;  // a subnormal is its mantissa; a carry makes it the smallest normal
  if (exponent >= -1022) bits += static_cast<u64>(exponent + 1022) << 52;
  f64 out = 0;
  __builtin_memcpy(&out, &bits, sizeof out);
  return out;
}

// digits * 10^exponent10 for the digits of a decimal number.
f64 decimal_to_float(u64 digits, i32 exponent10) {
  if (digits == 0 || exponent10 < -360) return 0.0;
  if (exponent10 > 330) return __builtin_inf();
  BigNumber top(digits);
  BigNumber bottom(1);
  if (exponent10 > 0) top.multiply_power_of_ten(static_cast<u32>(exponent10));
  if (exponent10 < 0) bottom.multiply_power_of_ten(static_cast<u32>(-exponent10));
  return nearest_float(top, bottom);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool equals_ignoring_case(Str text, const char* lower) {
  const Str other(lower);
  if (text.size() != other.size()) return false;
  for (usize i = 0; i < text.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
    if (c != other[i]) return false;
  }
  return true;
}

// Digits with single underscores between them, from `at` on. False where there is none.
struct DigitRun {
  u64 value = 0;
  i32 n_kept = 0;
  i32 n_dropped = 0;
};

bool read_digits(Str text, usize& at, DigitRun& run) {
  const usize begin = at;
  while (at < text.size()) {
    if (text[at] == '_') {
      if (at == begin || at + 1 == text.size() || !is_digit(text[at + 1])) return false;
      ++at;
      continue;
    }
    if (!is_digit(text[at])) break;
    const u64 digit = static_cast<u64>(text[at++] - '0');
    if (run.value >= 1'000'000'000'000'000'000) {
      ++run.n_dropped;
    } else {
      run.value = run.value * 10 + digit;
      ++run.n_kept;
    }
  }
  return at != begin;
}

}  // namespace

Str format_float(f64 v, char (&buffer)[kNumberTextBytes]) {
  if (v != v) return "nan";
  if (!is_finite(v)) return v > 0 ? "inf" : "-inf";
  const bool negative = __builtin_signbit(v) != 0;
  if (v == 0) return negative ? "-0.0" : "0.0";
  const f64 magnitude = negative ? -v : v;
  char digits[17];
  i32 point = leading_exponent(magnitude);
  const i32 leading = point;
  u32 n_digit = 1;
  for (;; ++n_digit) {
    point = generate_digits(magnitude, leading, n_digit, digits) ? leading + 1 : leading;
    u64 value = 0;
    for (u32 i = 0; i < n_digit; ++i) value = value * 10 + static_cast<u64>(digits[i] - '0');
    if (n_digit == 17 ||
        decimal_to_float(value, point - static_cast<i32>(n_digit) + 1) == magnitude)
      break;
  }
  usize at = 0;
  if (negative) buffer[at++] = '-';
  if (point >= -4 && point < 16) {
    for (i32 weight = point < 0 ? 0 : point;
         weight >= 0 || point - weight < static_cast<i32>(n_digit); --weight) {
      if (weight == -1) buffer[at++] = '.';
      const i32 index = point - weight;
      buffer[at++] = index < 0 || index >= static_cast<i32>(n_digit) ? '0' : digits[index];
    }
    if (point + 1 >= static_cast<i32>(n_digit)) {
      buffer[at++] = '.';
      buffer[at++] = '0';
    }
    return {buffer, at};
  }
  buffer[at++] = digits[0];
  if (n_digit > 1) buffer[at++] = '.';
  for (u32 i = 1; i < n_digit; ++i) buffer[at++] = digits[i];
  buffer[at++] = 'e';
  buffer[at++] = point < 0 ? '-' : '+';
  const u32 exponent = static_cast<u32>(point < 0 ? -point : point);
  if (exponent >= 100) buffer[at++] = static_cast<char>('0' + exponent / 100);
  buffer[at++] = static_cast<char>('0' + exponent / 10 % 10);
  buffer[at++] = static_cast<char>('0' + exponent % 10);
  return {buffer, at};
}

Str format_fixed(f64 v, u32 n_decimal, char (&buffer)[kNumberTextBytes]) {
  LBM_CHECK(n_decimal <= kMaxDecimals);
  if (v != v) return "nan";
  if (!is_finite(v)) return v > 0 ? "inf" : "-inf";
  const bool negative = __builtin_signbit(v) != 0;
  const f64 magnitude = negative ? -v : v;
  i32 leading = magnitude == 0 ? 0 : leading_exponent(magnitude);
  if (leading < 0) leading = 0;
  char digits[310 + kMaxDecimals];
  const u32 n_digit = static_cast<u32>(leading) + 1 + n_decimal;
  bool carried = false;
  if (magnitude == 0) {
    __builtin_memset(digits, '0', n_digit);
  } else {
    carried = generate_digits(magnitude, leading, n_digit, digits);
  }
  usize at = 0;
  if (negative) buffer[at++] = '-';
  for (u32 i = 0; i < n_digit; ++i) {
    if (i == static_cast<u32>(leading) + 1) {
      if (carried) buffer[at++] = '0';
      buffer[at++] = '.';
    }
    buffer[at++] = digits[i];
  }
  if (carried && n_decimal == 0) buffer[at++] = '0';
  return {buffer, at};
}

Str format_magnitude(i64 v, u32 base, bool upper, char (&buffer)[kNumberTextBytes]) {
  u64 rest = v < 0 ? ~static_cast<u64>(v) + 1 : static_cast<u64>(v);
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  usize at = kNumberTextBytes;
  do {
    buffer[--at] = digits[rest % base];
    rest /= base;
  } while (rest != 0);
  return {buffer + at, kNumberTextBytes - at};
}

Str format_integer(i64 v, char (&buffer)[kNumberTextBytes]) {
  const Str magnitude = format_magnitude(v, 10, false, buffer);
  if (v >= 0) return magnitude;
  buffer[kNumberTextBytes - magnitude.size() - 1] = '-';
  return {magnitude.data() - 1, magnitude.size() + 1};
}

bool parse_float_text(Str text, f64& out) {
  text = text.trimmed();
  usize at = 0;
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) negative = text[at++] == '-';
  const Str rest = text.from(at);
  f64 value = 0;
  if (equals_ignoring_case(rest, "inf") || equals_ignoring_case(rest, "infinity")) {
    value = __builtin_inf();
  } else if (equals_ignoring_case(rest, "nan")) {
    value = __builtin_nan("");
  } else {
    DigitRun run;
    const bool whole = read_digits(text, at, run);
    i32 exponent = run.n_dropped;
    bool fraction = false;
    if (at < text.size() && text[at] == '.') {
      const i32 before = run.n_kept;
      fraction = read_digits(text, ++at, run);
      exponent -= run.n_kept - before;
      if (at > 0 && !fraction && at < text.size() && text[at] == '_') return false;
    }
    if (!whole && !fraction) return false;
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
      bool down = false;
      if (++at < text.size() && (text[at] == '-' || text[at] == '+')) down = text[at++] == '-';
      DigitRun power;
      if (!read_digits(text, at, power)) return false;
      const i32 amount = power.value > 100'000 ? 100'000 : static_cast<i32>(power.value);
      exponent += down ? -amount : amount;
    }
    if (at != text.size()) return false;
    value = decimal_to_float(run.value, exponent);
  }
  out = negative ? -value : value;
  return true;
}

IntegerParse parse_integer_text(Str text, u32 base, i64& out) {
  text = text.trimmed();
  usize at = 0;
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) negative = text[at++] == '-';
  bool prefixed = false;
  if (at + 1 < text.size() && text[at] == '0') {
    const char mark = static_cast<char>(text[at + 1] | 0x20);
    const u32 named = mark == 'b' ? 2 : mark == 'o' ? 8 : mark == 'x' ? 16 : 0;
    if (named != 0 && (base == 0 || base == named)) {
      base = named;
      at += 2;
      prefixed = true;
    }
  }
  const bool plain_base_0 = base == 0;
  if (plain_base_0) base = 10;
  const usize begin = at;
  u64 value = 0;
  bool too_large = false;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '_') {
      if ((at == begin && !prefixed) || at + 1 == text.size() || text[at + 1] == '_')
        return IntegerParse::kMalformed;
      continue;
    }
    u32 digit = 99;
    if (is_digit(c)) digit = static_cast<u32>(c - '0');
    if (c >= 'a' && c <= 'z') digit = static_cast<u32>(c - 'a') + 10;
    if (c >= 'A' && c <= 'Z') digit = static_cast<u32>(c - 'A') + 10;
    if (digit >= base) return IntegerParse::kMalformed;
    if (plain_base_0 && at == begin && digit == 0 && text.size() - at > 1) {
      // Python refuses 012 in base 0, but takes 000.
      for (usize i = at; i < text.size(); ++i) {
        if (text[i] != '0' && text[i] != '_') return IntegerParse::kMalformed;
      }
    }
    if (value > (~u64{0} - digit) / base) too_large = true;
    value = value * base + digit;
  }
  if (at == begin) return IntegerParse::kMalformed;
  const u64 bound = (u64{1} << 63) - (negative ? 0 : 1);
  if (too_large || value > bound) return IntegerParse::kTooLarge;
  out = static_cast<i64>(negative ? ~value + 1 : value);
  return IntegerParse::kOk;
}

}  // namespace lbm
