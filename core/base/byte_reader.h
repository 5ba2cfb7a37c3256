// ByteReader: little-endian numbers from a bounded run of bytes.
//
// The error is sticky: a read that would pass the end returns zero (or an empty span), consumes
// nothing and clears ok() for good. A parser may therefore read a whole record and ask once, and
// can never touch a byte outside its input.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

class ByteReader {
 public:
  explicit constexpr ByteReader(Span<const u8> bytes) : bytes_(bytes) {}

  [[nodiscard]] constexpr bool ok() const { return ok_; }
  [[nodiscard]] constexpr usize position() const { return position_; }
  [[nodiscard]] constexpr usize remaining() const { return bytes_.size() - position_; }

  constexpr u8 read_u8() { return static_cast<u8>(read_le(1)); }
  constexpr u16 read_u16() { return static_cast<u16>(read_le(2)); }
  constexpr u32 read_u32() { return static_cast<u32>(read_le(4)); }
  constexpr u64 read_u64() { return read_le(8); }
  constexpr i8 read_i8() { return static_cast<i8>(read_u8()); }
  constexpr i16 read_i16() { return static_cast<i16>(read_u16()); }
  constexpr i32 read_i32() { return static_cast<i32>(read_u32()); }
  constexpr i64 read_i64() { return static_cast<i64>(read_u64()); }
  // The bits as they are, NaN payloads included.
  constexpr f32 read_f32() { return __builtin_bit_cast(f32, read_u32()); }
  constexpr f64 read_f64() { return __builtin_bit_cast(f64, read_u64()); }

  // The next `n` bytes, in place.
  constexpr Span<const u8> read_bytes(u64 n) {
    if (!has(n)) return {};
    const Span<const u8> run = bytes_.slice(position_, static_cast<usize>(n));
    position_ += static_cast<usize>(n);
    return run;
  }
  Str read_text(u64 n) { return Str(read_bytes(n)); }
  constexpr void skip(u64 n) { static_cast<void>(read_bytes(n)); }

 private:
  // Compares in u64, so that a length from a file is never narrowed before it is known to be small.
  constexpr bool has(u64 n) {
    if (n > remaining()) ok_ = false;
    return ok_;
  }

  constexpr u64 read_le(u32 n) {
    if (!has(n)) return 0;
    u64 value = 0;
    for (u32 i = 0; i < n; ++i) value |= u64{bytes_.data()[position_ + i]} << (8 * i);
    position_ += n;
    return value;
  }

  Span<const u8> bytes_;
  usize position_ = 0;
  bool ok_ = true;
};

}  // namespace lbm
