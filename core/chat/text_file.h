// A text file of a volume as UTF-8: what /read sends to a model and /autorun types.
#pragma once

#include "core/base/result.h"
#include "core/base/span.h"
#include "core/platform.h"

namespace lbm {

// UTF-8 of what an editor may have saved: UTF-8 with or without a byte order mark, or UTF-16 with
// one. `out` has room for text_capacity(bytes.size()).
// Errors: kBadValue  it is no text: a NUL, or malformed UTF-8 or UTF-16, with the offset.
[[nodiscard]] constexpr u64 text_capacity(u64 n_byte) { return n_byte + n_byte / 2 + 4; }
[[nodiscard]] Result<Str> decode_text(Span<const u8> bytes, Span<char> out);

// A file that was read; its pages go back with it.
class TextFile {
 public:
  static constexpr u64 kMaxBytes = 64 * kMiB;

  // What the bytes must be. A configuration may be of an older code page in its comments: what is
  // no UTF-16 is taken as it is.
  enum class Expect : u8 { kText, kAnyBytes };

  explicit TextFile(Pages& pages) : pages_(pages) {}
  ~TextFile() { release(); }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;

  // `path` may begin with the number of a volume and a colon.
  // Errors: kNotFound, kIo, kOutOfMemory, kLimit (larger than kMaxBytes), and decode_text's; the
  // subject is the path.
  [[nodiscard]] Status read(Volume& volume, Str path, Expect expect = Expect::kText);
  // Gives the pages back; text() is empty then.
  void release();

  [[nodiscard]] Str text() const { return text_; }
  [[nodiscard]] u64 n_byte() const { return n_byte_; }  // of the file
  // The file as it lies on the medium; empty where it was not read.
  [[nodiscard]] Span<const u8> bytes() const {
    return range_.empty() ? range_ : range_.first(static_cast<usize>(n_byte_));
  }

 private:
  Pages& pages_;
  Span<u8> range_;
  Str text_;
  u64 n_byte_ = 0;
};

}  // namespace lbm
