// Span: a view of n elements. Str: a view of UTF-8 bytes, not terminated. Neither owns.
#pragma once

#include "core/base/check.h"
#include "core/base/types.h"

namespace lbm {

template <class T>
class Span {
 public:
  constexpr Span() = default;
  constexpr Span(T* data, usize size) : data_(data), size_(size) {}
  template <usize kN>
  constexpr Span(T (&array)[kN]) : data_(array), size_(kN) {}  // NOLINT: implicit by intent
  // A view of mutable elements is also a view of const ones.
  constexpr operator Span<const T>() const { return {data_, size_}; }  // NOLINT

  [[nodiscard]] constexpr T* data() const { return data_; }
  [[nodiscard]] constexpr usize size() const { return size_; }
  [[nodiscard]] constexpr usize size_bytes() const { return size_ * sizeof(T); }
  [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
  [[nodiscard]] constexpr T* begin() const { return data_; }
  [[nodiscard]] constexpr T* end() const { return data_ + size_; }

  constexpr T& operator[](usize index) const {
    LBM_CHECK(index < size_);
    return data_[index];
  }
  [[nodiscard]] constexpr Span first(usize n) const {
    LBM_CHECK(n <= size_);
    return {data_, n};
  }
  [[nodiscard]] constexpr Span from(usize offset) const {
    LBM_CHECK(offset <= size_);
    return {data_ + offset, size_ - offset};
  }
  [[nodiscard]] constexpr Span slice(usize offset, usize n) const { return from(offset).first(n); }

 private:
  T* data_ = nullptr;
  usize size_ = 0;
};

class Str {
 public:
  static constexpr usize kNone = static_cast<usize>(-1);

  constexpr Str() = default;
  constexpr Str(const char* data, usize size) : data_(data), size_(size) {}
  constexpr Str(const char* text)
      : data_(text), size_(__builtin_strlen(text)) {}  // NOLINT: literals
  explicit Str(Span<const u8> bytes)
      : data_(reinterpret_cast<const char*>(bytes.data())), size_(bytes.size()) {}

  [[nodiscard]] constexpr const char* data() const { return data_; }
  [[nodiscard]] constexpr usize size() const { return size_; }
  [[nodiscard]] constexpr bool empty() const { return size_ == 0; }
  [[nodiscard]] constexpr const char* begin() const { return data_; }
  [[nodiscard]] constexpr const char* end() const { return data_ + size_; }
  [[nodiscard]] Span<const u8> bytes() const { return {reinterpret_cast<const u8*>(data_), size_}; }

  constexpr char operator[](usize index) const {
    LBM_CHECK(index < size_);
    return data_[index];
  }
  [[nodiscard]] constexpr Str first(usize n) const {
    LBM_CHECK(n <= size_);
    return {data_, n};
  }
  [[nodiscard]] constexpr Str from(usize offset) const {
    LBM_CHECK(offset <= size_);
    return {data_ + offset, size_ - offset};
  }
  [[nodiscard]] constexpr Str slice(usize offset, usize n) const { return from(offset).first(n); }

  [[nodiscard]] constexpr bool starts_with(Str prefix) const {
    return size_ >= prefix.size_ && first(prefix.size_) == prefix;
  }
  [[nodiscard]] constexpr bool ends_with(Str suffix) const {
    return size_ >= suffix.size_ && from(size_ - suffix.size_) == suffix;
  }
  // Index of the first `needle` at or after `start`, or kNone.
  [[nodiscard]] constexpr usize find(Str needle, usize start = 0) const {
    for (usize i = start; needle.size_ <= size_ && i <= size_ - needle.size_; ++i) {
      if (Str(data_ + i, needle.size_) == needle) return i;
    }
    return kNone;
  }
  [[nodiscard]] constexpr bool contains(Str needle) const { return find(needle) != kNone; }
  // Without ASCII white space at both ends.
  [[nodiscard]] constexpr Str trimmed() const {
    usize b = 0;
    usize e = size_;
    while (b < e && is_space(data_[b])) ++b;
    while (e > b && is_space(data_[e - 1])) --e;
    return {data_ + b, e - b};
  }

  friend constexpr bool operator==(Str a, Str b) {
    if (a.size_ != b.size_) return false;
    for (usize i = 0; i < a.size_; ++i) {
      if (a.data_[i] != b.data_[i]) return false;
    }
    return true;
  }
  // Byte order, the shorter first: the order of memcmp.
  friend constexpr bool operator<(Str a, Str b) {
    const usize n = a.size_ < b.size_ ? a.size_ : b.size_;
    for (usize i = 0; i < n; ++i) {
      const u8 x = static_cast<u8>(a.data_[i]);
      const u8 y = static_cast<u8>(b.data_[i]);
      if (x != y) return x < y;
    }
    return a.size_ < b.size_;
  }

  static constexpr bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
  }

 private:
  const char* data_ = "";
  usize size_ = 0;
};

}  // namespace lbm
