// Writes GGUF files, good and bad ones, into a buffer of the test. Nothing is checked: that is the
// reader's work.
#pragma once

#include "core/base/span.h"
#include "core/format/model_file.h"
#include "core/platform.h"

namespace lbm::test {

class GgufBuilder {
 public:
  explicit GgufBuilder(Span<u8> out) : out_(out) {}

  GgufBuilder& header(u64 n_tensor, u64 n_meta, u32 version = 3) {
    return raw("GGUF").u32_value(version).u64_value(n_tensor).u64_value(n_meta);
  }
  GgufBuilder& key(Str name, MetaType type) { return text(name).u32_value(static_cast<u32>(type)); }
  GgufBuilder& array(MetaType type, u64 count) {
    return u32_value(static_cast<u32>(type)).u64_value(count);
  }
  GgufBuilder& text_key(Str name, Str value) { return key(name, MetaType::kString).text(value); }
  GgufBuilder& u32_key(Str name, u32 value) { return key(name, MetaType::kU32).u32_value(value); }

  // A tensor of one or two dimensions (n_row 0: one).
  GgufBuilder& tensor(Str name, u64 n_col, u64 n_row, DType type, u64 offset) {
    text(name).u32_value(n_row == 0 ? 1 : 2).u64_value(n_col);
    if (n_row != 0) u64_value(n_row);
    return u32_value(static_cast<u32>(type)).u64_value(offset);
  }

  GgufBuilder& text(Str value) { return u64_value(value.size()).raw(value); }
  GgufBuilder& u8_value(u8 value) { return number(value, 1); }
  GgufBuilder& u16_value(u16 value) { return number(value, 2); }
  GgufBuilder& u32_value(u32 value) { return number(value, 4); }
  GgufBuilder& u64_value(u64 value) { return number(value, 8); }
  GgufBuilder& f32_value(f32 value) { return number(__builtin_bit_cast(u32, value), 4); }
  GgufBuilder& f64_value(f64 value) { return number(__builtin_bit_cast(u64, value), 8); }
  GgufBuilder& raw(Str bytes) {
    for (const char c : bytes) number(static_cast<u8>(c), 1);
    return *this;
  }
  GgufBuilder& zeros(u64 n) {
    const Span<u8> run = out_.slice(size_, static_cast<usize>(n));
    if (n != 0) __builtin_memset(run.data(), 0, run.size());
    size_ += run.size();
    return *this;
  }
  GgufBuilder& pad(u64 alignment) {
    while (size_ % alignment != 0) number(0, 1);
    return *this;
  }

  [[nodiscard]] usize size() const { return size_; }
  [[nodiscard]] Span<const u8> bytes() const { return out_.first(size_); }

 private:
  GgufBuilder& number(u64 value, u32 n_byte) {
    for (u32 i = 0; i < n_byte; ++i) out_[size_++] = static_cast<u8>(value >> (8 * i));
    return *this;
  }

  Span<u8> out_;
  usize size_ = 0;
};

// A buffer as a file. It can claim a size that it has not, and hand out its bytes in small pieces
// inside.
class BufferSource final : public ByteSource {
 public:
  explicit BufferSource(Span<const u8> bytes) : bytes_(bytes), claimed_(bytes.size()) {}
  BufferSource(Span<const u8> bytes, u64 claimed) : bytes_(bytes), claimed_(claimed) {}

  [[nodiscard]] u64 size() const override { return claimed_; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override {
    ++n_read_;
    if (fail_at_ != 0 && n_read_ == fail_at_)
      return fail(ErrorCode::kIo, "the disk failed").at(offset);
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return fail(ErrorCode::kTruncated, "the source ends early").at(bytes_.size());
    }
    __builtin_memcpy(out.data(), bytes_.data() + offset, out.size());
    if (offset + out.size() > highest_) highest_ = offset + out.size();
    return {};
  }
  // The nth read fails.
  void fail_read(u32 nth) { fail_at_ = nth; }
  [[nodiscard]] u32 n_read() const { return n_read_; }
  // One past the last byte that was asked for.
  [[nodiscard]] u64 highest() const { return highest_; }

 private:
  Span<const u8> bytes_;
  u64 claimed_;
  u64 highest_ = 0;
  u32 n_read_ = 0;
  u32 fail_at_ = 0;
};

}  // namespace lbm::test
