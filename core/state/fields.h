// The grammar of texts in records: a word, the number of bytes, and the bytes.
//
//   word 5\nHello\n
//
// A word has up to 24 of a-z, 0-9, '-' and '_'; the bytes are any. `end 0\n\n` is the last field,
// and nothing follows it. A text begins with a line of its own, "lbm-session 1\n": kind and
// version.
#pragma once

#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/base/span.h"

namespace lbm {

struct Field {
  Str word;
  Str bytes;
};

class FieldWriter {
 public:
  static constexpr u64 kMostPerField = 24 + 1 + 20 + 2;  // beside its bytes

  // `kind` like "lbm-session 1".
  FieldWriter(Span<char> out, Str kind) : out_(out) { out_.append(kind).append("\n"); }
  void add(Str word, Str bytes);
  // Ends the text. Errors: kLimit  it did not fit.
  [[nodiscard]] Result<Str> finish();

 private:
  TextWriter out_;
};

class FieldReader {
 public:
  // Errors: kBadMagic  of another kind.   kBadVersion  of another version.
  [[nodiscard]] static Result<FieldReader> open(Str text, Str kind, Str version);

  // The next field, the end included. Errors, with the offset: kTruncated, kBadSyntax.
  [[nodiscard]] Result<Field> next();
  [[nodiscard]] usize position() const { return at_; }
  void go_to(usize position) { at_ = position; }
  // True behind the last byte.
  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }

 private:
  explicit FieldReader(Str text) : text_(text) {}
  Str text_;
  usize at_ = 0;
};

}  // namespace lbm
