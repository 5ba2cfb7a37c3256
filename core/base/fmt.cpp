#include "core/base/fmt.h"

namespace lbm {
namespace {

constexpr u32 kNumberCapacity = 96;

// Digits of `value`, most significant first, into the end of `buffer`.
Str digits(u64 value, u32 base, char (&buffer)[kNumberCapacity]) {
  usize at = kNumberCapacity;
  do {
    buffer[--at] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value != 0);
  return {buffer + at, kNumberCapacity - at};
}

struct Spec {
  u32 width = 0;
  i32 decimals = -1;
  bool hex = false;
};

Spec parse_spec(Str spec) {
  Spec out;
  usize i = 0;
  while (i < spec.size() && spec[i] >= '0' && spec[i] <= '9') {
    out.width = out.width * 10 + static_cast<u32>(spec[i++] - '0');
  }
  if (i < spec.size() && spec[i] == '.') {
    out.decimals = 0;
    for (++i; i < spec.size() && spec[i] >= '0' && spec[i] <= '9'; ++i) {
      out.decimals = out.decimals * 10 + (spec[i] - '0');
    }
  }
  if (i < spec.size() && spec[i] == 'x') out.hex = true;
  if (out.width > 64) out.width = 64;
  if (out.decimals > 9) out.decimals = 9;
  return out;
}

// A finite value below 2^63 with `decimals` places, rounded half up; larger ones as inf.
Str decimal(f64 value, i32 decimals, char (&buffer)[kNumberCapacity]) {
  if (value != value) return "nan";
  const bool negative = value < 0;
  if (negative) value = -value;
  u64 scale = 1;
  for (i32 i = 0; i < decimals; ++i) scale *= 10;
  if (value > 9.0e18 / static_cast<f64>(scale)) return negative ? "-inf" : "inf";
  const u64 scaled = static_cast<u64>(value * static_cast<f64>(scale) + 0.5);
  usize at = kNumberCapacity;
  u64 rest = scaled;
  for (i32 i = 0; i < decimals; ++i) {
    buffer[--at] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  }
  if (decimals > 0) buffer[--at] = '.';
  do {
    buffer[--at] = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (negative) buffer[--at] = '-';
  return {buffer + at, kNumberCapacity - at};
}

}  // namespace

TextWriter& TextWriter::append(Str text) {
  if (truncated_) return *this;  // a cut text ends at the cut; nothing later may close the gap
  usize n = text.size();
  if (n > out_.size() - size_) {
    n = out_.size() - size_;
    // Never end inside a UTF-8 sequence.
    while (n > 0 && (static_cast<u8>(text[n]) & 0xC0) == 0x80) --n;
    truncated_ = true;
  }
  __builtin_memcpy(out_.data() + size_, text.data(), n);
  size_ += n;
  return *this;
}

void TextWriter::print_list(Str pattern, Span<const FormatArg> args) {
  usize next_arg = 0;
  usize plain = 0;
  for (usize i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') continue;
    append(pattern.slice(plain, i - plain));
    if (i + 1 < pattern.size() && pattern[i + 1] == '{') {
      plain = ++i;
      continue;
    }
    usize close = i + 1;
    while (close < pattern.size() && pattern[close] != '}') ++close;
    Str spec = pattern.slice(i + 1, close - i - 1);
    if (spec.starts_with(":")) spec = spec.from(1);
    LBM_CHECK(next_arg < args.size());
    print_arg(args[next_arg++], spec);
    i = close;
    plain = close + 1;
  }
  if (plain < pattern.size()) append(pattern.from(plain));
}

void TextWriter::print_arg(const FormatArg& arg, Str spec_text) {
  const Spec spec = parse_spec(spec_text);
  char buffer[kNumberCapacity];
  Str text;
  bool pad_left = true;
  switch (arg.kind) {
    case FormatArg::Kind::kSigned: {
      const bool negative = arg.as_signed < 0;
      const u64 magnitude =
          negative ? ~static_cast<u64>(arg.as_signed) + 1 : static_cast<u64>(arg.as_signed);
      text = digits(magnitude, 10, buffer);
      if (negative) {
        buffer[kNumberCapacity - text.size() - 1] = '-';
        text = {text.data() - 1, text.size() + 1};
      }
      break;
    }
    case FormatArg::Kind::kUnsigned:
      text = digits(arg.as_unsigned, spec.hex ? 16 : 10, buffer);
      break;
    case FormatArg::Kind::kFloat:
      text = decimal(arg.as_float, spec.decimals < 0 ? 3 : spec.decimals, buffer);
      break;
    case FormatArg::Kind::kChar:
      buffer[0] = arg.as_char;
      text = {buffer, 1};
      break;
    case FormatArg::Kind::kText:
      text = arg.text;
      pad_left = false;
      break;
  }
  if (pad_left) {
    for (usize i = text.size(); i < spec.width; ++i) append(" ");
  }
  append(text);
  if (!pad_left) {
    for (usize i = text.size(); i < spec.width; ++i) append(" ");
  }
}

bool parse_u64(Str text, u64& out) {
  if (text.empty()) return false;
  u64 value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    const u64 digit = static_cast<u64>(c - '0');
    if (value > (~u64{0} - digit) / 10) return false;
    value = value * 10 + digit;
  }
  out = value;
  return true;
}

bool parse_i64(Str text, i64& out) {
  const bool negative = text.starts_with("-");
  u64 magnitude = 0;
  if (!parse_u64(negative || text.starts_with("+") ? text.from(1) : text, magnitude)) return false;
  const u64 limit = negative ? u64{1} << 63 : (u64{1} << 63) - 1;
  if (magnitude > limit) return false;
  out = negative ? static_cast<i64>(~magnitude + 1) : static_cast<i64>(magnitude);
  return true;
}

bool parse_f64(Str text, f64& out) {
  usize i = 0;
  const bool negative = text.starts_with("-");
  if (negative || text.starts_with("+")) ++i;
  u64 mantissa = 0;
  i32 exponent = 0;
  bool any_digit = false;
  bool in_fraction = false;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && !in_fraction) {
      in_fraction = true;
    } else if (c >= '0' && c <= '9') {
      any_digit = true;
      if (mantissa < 100'000'000'000'000'000u) {  // 17 digits carry all of an f64
        mantissa = mantissa * 10 + static_cast<u64>(c - '0');
        if (in_fraction) --exponent;
      } else if (!in_fraction) {
        ++exponent;
      }
      if (exponent > 400) return false;
    } else {
      break;
    }
  }
  if (!any_digit) return false;
  if (i < text.size()) {
    if (text[i] != 'e' && text[i] != 'E') return false;
    i64 written = 0;
    if (!parse_i64(text.from(i + 1), written) || written > 400 || written < -400) return false;
    exponent += static_cast<i32>(written);
  }
  f64 value = static_cast<f64>(mantissa);
  f64 power = 1.0;
  const i32 steps = exponent < 0 ? -exponent : exponent;
  // Powers of ten up to 22 are exact in f64, so one division or product rounds once in the usual
  // range.
  for (i32 k = 0; k < steps && k < 22; ++k) power *= 10.0;
  value = exponent < 0 ? value / power : value * power;
  for (i32 k = 22; k < steps; ++k) value = exponent < 0 ? value / 10.0 : value * 10.0;
  if (value > 1.7976931348623157e308) return false;
  out = negative ? -value : value;
  return true;
}

}  // namespace lbm
