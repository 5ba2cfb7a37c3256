#include "core/format/scaled_source.h"

#include "core/base/arith.h"
#include "core/tensor/f16.h"

namespace lbm {
namespace {

constexpr u32 kBlock = 32;  // columns of a block of Q8_0 and Q4_0
constexpr u64 kPlaceAlignment = 32;

f32 load_f32(const u8* bytes) {
  u32 bits = 0;
  for (u32 i = 0; i < 4; ++i) bits |= u32{bytes[i]} << (8 * i);
  return __builtin_bit_cast(f32, bits);
}

bool is_exact_f16(f32 value) {
  const u16 half = f32_to_f16(value);
  return f16_is_finite(half) &&
         __builtin_bit_cast(u32, f16_to_f32(half)) == __builtin_bit_cast(u32, value);
}

// Bytes of the file as they are asked for, mostly forwards, read some KiB at a time.
class Window {
 public:
  Window(ByteSource& file, u64 end) : file_(file), end_(end) {}

  // `n` bytes at `offset`, or nullptr: status() says why. They lie before the end.
  [[nodiscard]] const u8* at(u64 offset, u32 n) {
    if (offset < start_ || offset + n > start_ + size_) {
      start_ = offset;
      size_ = static_cast<u32>(min_u64(sizeof(bytes_), end_ - offset));
      status_ = file_.read(offset, {bytes_, size_});
      if (!status_.ok()) size_ = 0;
    }
    return status_.ok() ? bytes_ + (offset - start_) : nullptr;
  }
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  ByteSource& file_;
  u64 end_;
  u64 start_ = 0;
  u32 size_ = 0;
  Status status_;
  u8 bytes_[4096];
};

// Shows one tensor. Its units are what the layout can not be cut below: a block, or an element.
class Translator {
 public:
  Translator(ByteSource& file, const ScaledTensor& tensor)
      : tensor_(tensor),
        quants_(file, tensor.quants + tensor.quants_bytes()),
        scales_(file, tensor.scales + tensor.n_scale() * sizeof(f32)) {}

  [[nodiscard]] u32 unit_bytes() const { return dtype_traits(tensor_.dtype).block_bytes; }

  // Unit `index` of the tensor into `out`, which has unit_bytes().
  [[nodiscard]] Status unit(u64 index, u8* out) {
    const u32 n = dtype_traits(tensor_.dtype).block_size;
    const u64 element = index * n;
    const u64 row = element / tensor_.n_col;
    const u32 col = static_cast<u32>(element % tensor_.n_col);
    const u8* bytes = scales_.at(
        tensor_.scales + (row * tensor_.n_group_of_row() + col / tensor_.group) * sizeof(f32), 4);
    if (bytes == nullptr) return scales_.status();
    const f32 scale = load_f32(bytes);
    i8 q[kBlock];
    if (Status s = integers(row, col, n, q); !s.ok()) return s;
    if (tensor_.dtype == DType::kF32) {
      const u32 bits = __builtin_bit_cast(u32, static_cast<f32>(q[0]) * scale);
      for (u32 i = 0; i < 4; ++i) out[i] = static_cast<u8>(bits >> (8 * i));
      return {};
    }
    if (!is_exact_f16(scale)) {
      return fail(ErrorCode::kMismatch, "the file changed while it was read").at(tensor_.scales);
    }
    const u16 half = f32_to_f16(scale);
    out[0] = static_cast<u8>(half);
    out[1] = static_cast<u8>(half >> 8);
    if (tensor_.dtype == DType::kQ8_0) {
      __builtin_memcpy(out + 2, q, kBlock);
      return {};
    }
    // Q4_0: columns 0 to 15 of the block in the low bits, 16 to 31 in the high ones.
    for (u32 i = 0; i < kBlock / 2; ++i) {
      out[2 + i] = static_cast<u8>((q[i] + 8) | ((q[i + kBlock / 2] + 8) << 4));
    }
    return {};
  }

 private:
  // `n` integers of row `row` from column `col`, which starts a byte where n is more than one.
  [[nodiscard]] Status integers(u64 row, u32 col, u32 n, i8* out) {
    if (tensor_.form == ScaledTensor::Form::kInt8) {
      const u8* bytes = quants_.at(tensor_.quants + row * tensor_.n_col + col, n);
      if (bytes == nullptr) return quants_.status();
      __builtin_memcpy(out, bytes, n);
      return {};
    }
    const u64 row_bytes = (u64{tensor_.n_col} + 1) / 2;
    const u8* bytes = quants_.at(tensor_.quants + row * row_bytes + col / 2, (n + 1) / 2);
    if (bytes == nullptr) return quants_.status();
    for (u32 i = 0; i < n; ++i) {
      const u32 packed = bytes[i / 2];
      const bool is_odd = (col + i) % 2 != 0;
      out[i] = static_cast<i8>(static_cast<i32>(is_odd ? packed >> 4 : packed & 15) - 8);
    }
    return {};
  }

  const ScaledTensor& tensor_;
  Window quants_;
  Window scales_;
};

// `out` is the part of the tensor's bytes that starts at `from`.
Status read_part(ByteSource& file, const ScaledTensor& tensor, u64 from, Span<u8> out) {
  if (tensor.form == ScaledTensor::Form::kPlain) return file.read(tensor.quants + from, out);
  Translator translator(file, tensor);
  const u32 n_unit_byte = translator.unit_bytes();
  u8 unit[64];
  for (usize done = 0; done < out.size();) {
    const u64 at = from + done;
    const u32 skip = static_cast<u32>(at % n_unit_byte);
    const usize n = static_cast<usize>(min_u64(n_unit_byte - skip, out.size() - done));
    if (Status s = translator.unit(at / n_unit_byte, unit); !s.ok()) return s;
    __builtin_memcpy(out.data() + done, unit + skip, n);
    done += n;
  }
  return {};
}

}  // namespace

u64 ScaledTensor::quants_bytes() const {
  switch (form) {
    case Form::kPlain: return n_row * n_col * sizeof(f32);
    case Form::kInt8: return n_row * n_col;
    case Form::kInt4: break;
  }
  return n_row * ((u64{n_col} + 1) / 2);
}

Status choose_dtype(ByteSource& file, ScaledTensor& tensor, bool as_vector) {
  tensor.dtype = DType::kF32;
  if (tensor.form == ScaledTensor::Form::kPlain) return {};
  bool is_exact = !as_vector && tensor.n_col % kBlock == 0 && tensor.group % kBlock == 0;
  const u64 end = tensor.scales + tensor.n_scale() * sizeof(f32);
  Window window(file, end);
  for (u64 at = tensor.scales; at < end; at += sizeof(f32)) {
    const u8* bytes = window.at(at, sizeof(f32));
    if (bytes == nullptr) return window.status();
    const f32 scale = load_f32(bytes);
    if (!(scale - scale == 0.0f)) {
      return fail(ErrorCode::kNumeric, "a scale is not a finite number").at(at);
    }
    is_exact = is_exact && is_exact_f16(scale);
  }
  if (is_exact)
    tensor.dtype = tensor.form == ScaledTensor::Form::kInt8 ? DType::kQ8_0 : DType::kQ4_0;
  return {};
}

ScaledSource::ScaledSource(ByteSource& file, Span<ScaledTensor> tensors)
    : file_(file), tensors_(tensors) {
  for (ScaledTensor& tensor : tensors_) {
    const DTypeTraits traits = dtype_traits(tensor.dtype);
    tensor.offset = size_;
    tensor.n_byte = tensor.n_row * tensor.n_col / traits.block_size * traits.block_bytes;
    size_ = align_up(size_ + tensor.n_byte, kPlaceAlignment);
  }
}

Status ScaledSource::read(u64 offset, Span<u8> out) {
  if (offset > size_ || out.size() > size_ - offset) {
    return fail(ErrorCode::kTruncated, "read beyond the last tensor").at(size_);
  }
  // The last tensor that starts at or before `offset`.
  usize low = 0;
  usize high = tensors_.size();
  while (low + 1 < high) {
    const usize middle = low + (high - low) / 2;
    (tensors_[middle].offset <= offset ? low : high) = middle;
  }
  for (usize i = low; i < tensors_.size() && !out.empty(); ++i) {
    const ScaledTensor& tensor = tensors_[i];
    const u64 next = i + 1 < tensors_.size() ? tensors_[i + 1].offset : size_;
    const u64 from = offset - tensor.offset;
    if (from < tensor.n_byte) {  // mutants: a part of no bytes is read, which does nothing
      const usize n = static_cast<usize>(min_u64(out.size(), tensor.n_byte - from));
      if (Status s = read_part(file_, tensor, from, out.first(n)); !s.ok()) return s;
      out = out.from(n);
      offset += n;
    }
    const usize n_padding = static_cast<usize>(min_u64(out.size(), next - offset));
    if (n_padding != 0) __builtin_memset(out.data(), 0, n_padding);
    out = out.from(n_padding);
    offset += n_padding;
  }
  return {};
}

}  // namespace lbm
