// Text from values, into a buffer of the caller: no allocation, no locale, never past the end.
//
//   char line[80];
//   TextWriter out(line);
//   out.print("{} tokens, {:.1} tok/s", n_token, rate);
//
// Fields: {} default, {:x} hexadecimal, {:.N} N decimals of a floating-point value, {:N} at least N
// columns wide (right-aligned for numbers, left-aligned for text). "{{" is a brace.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

// One value of print(), by kind.
struct FormatArg {
  enum class Kind : u8 { kSigned, kUnsigned, kFloat, kText, kChar };
  Kind kind = Kind::kUnsigned;
  union {
    i64 as_signed;
    u64 as_unsigned;
    f64 as_float;
    char as_char;
  };
  Str text;

  FormatArg(bool v) : kind(Kind::kText), as_unsigned(0), text(v ? "yes" : "no") {}  // NOLINT
  FormatArg(char v) : kind(Kind::kChar), as_char(v) {}                              // NOLINT
  FormatArg(int v) : kind(Kind::kSigned), as_signed(v) {}                           // NOLINT
  FormatArg(long v) : kind(Kind::kSigned), as_signed(v) {}                          // NOLINT
  FormatArg(long long v) : kind(Kind::kSigned), as_signed(v) {}                     // NOLINT
  FormatArg(unsigned v) : as_unsigned(v) {}                                         // NOLINT
  FormatArg(unsigned long v) : as_unsigned(v) {}                                    // NOLINT
  FormatArg(unsigned long long v) : as_unsigned(v) {}                               // NOLINT
  FormatArg(u8 v) : as_unsigned(v) {}                                               // NOLINT
  FormatArg(u16 v) : as_unsigned(v) {}                                              // NOLINT
  FormatArg(f64 v) : kind(Kind::kFloat), as_float(v) {}                             // NOLINT
  FormatArg(f32 v) : kind(Kind::kFloat), as_float(static_cast<f64>(v)) {}           // NOLINT
  FormatArg(Str v) : kind(Kind::kText), as_unsigned(0), text(v) {}                  // NOLINT
  FormatArg(const char* v) : kind(Kind::kText), as_unsigned(0), text(v) {}          // NOLINT
};

class TextWriter {
 public:
  explicit TextWriter(Span<char> out) : out_(out) {}

  template <class... Args>
  TextWriter& print(Str pattern, const Args&... args) {
    const FormatArg list[sizeof...(Args) + 1] = {FormatArg(args)..., FormatArg(0)};
    print_list(pattern, {list, sizeof...(Args)});
    return *this;
  }
  TextWriter& append(Str text);

  // What was written so far. `truncated` tells whether something did not fit.
  [[nodiscard]] Str text() const { return {out_.data(), size_}; }
  [[nodiscard]] bool truncated() const { return truncated_; }
  void clear() {
    size_ = 0;
    truncated_ = false;
  }

 private:
  void print_list(Str pattern, Span<const FormatArg> args);
  void print_arg(const FormatArg& arg, Str spec);

  Span<char> out_;
  usize size_ = 0;
  bool truncated_ = false;
};

// A TextWriter with its buffer.
template <usize kCapacity>
class TextBuffer : public TextWriter {
 public:
  TextBuffer() : TextWriter(Span<char>(storage_, kCapacity)) {}
  TextBuffer(const TextBuffer&) = delete;
  TextBuffer& operator=(const TextBuffer&) = delete;

 private:
  char storage_[kCapacity];
};

// Whole-string parses; false, and `out` untouched, when the text is anything but one number in
// range.
[[nodiscard]] bool parse_u64(Str text, u64& out);
[[nodiscard]] bool parse_i64(Str text, i64& out);
// Decimal with optional fraction and exponent. Correct to 1 ulp of f64, which is enough for
// settings, not for weights.
[[nodiscard]] bool parse_f64(Str text, f64& out);

}  // namespace lbm
