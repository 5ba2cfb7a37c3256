// The GGUF reader: the table of tensors, and where their data lies.
#include "core/format/gguf.h"

#include "core/base/arith.h"
#include "core/base/fmt.h"
#include "core/format/foreign_types.h"

namespace lbm {
namespace {

Error refused_type(Str tensor, u32 id, u64 offset) {
  const ForeignType foreign = foreign_type(id);
  TextBuffer<Error::kSubjectCapacity> subject;
  subject.print("{}", tensor);
  if (foreign.name != nullptr) subject.print(" ({})", foreign.name);
  return fail(ErrorCode::kBadType, foreign.what).about(subject.text()).with(id).at(offset);
}

}  // namespace

Status GgufReader::read_tensor(u32 index) {
  const usize entry = position_;
  if (Status s = require(8); !s.ok()) return s;
  const u64 name_bytes = here().read_u64();
  if (name_bytes == 0 || name_bytes > kMaxTensorNameBytes) {
    return fail(ErrorCode::kBadName, "a tensor name is empty or too long; bytes")
        .with(name_bytes, kMaxTensorNameBytes)
        .at(entry);
  }
  position_ += 8;
  if (Status s = require(name_bytes + 4); !s.ok()) return s;
  ByteReader in = here();
  TensorInfo tensor;
  tensor.name = in.read_text(name_bytes);
  tensor.n_dim = in.read_u32();
  if (!is_clean_name(tensor.name)) {
    return fail(ErrorCode::kBadName, "a tensor name is not UTF-8 text")
        .about(tensor.name)
        .at(position_);
  }
  position_ += static_cast<usize>(name_bytes);
  if (tensor.n_dim == 0 || tensor.n_dim > kMaxDims) {
    return fail(ErrorCode::kBadShape, "number of dimensions")
        .about(tensor.name)
        .with(tensor.n_dim, kMaxDims)
        .at(position_);
  }
  position_ += 4;
  const u64 rest = 8 * u64{tensor.n_dim} + 4 + 8;
  if (Status s = require(rest); !s.ok()) {
    Error error = s.error();
    return error.about(tensor.name);
  }
  in = here();
  for (u32 i = 0; i < tensor.n_dim; ++i) tensor.dims[i] = in.read_u64();
  const u32 type = in.read_u32();
  const u64 offset = in.read_u64();
  const usize type_at = position_ + 8 * usize{tensor.n_dim};
  if (type >= kDTypeLimit || dtype_traits(static_cast<DType>(type)).name == nullptr) {
    return refused_type(tensor.name, type, type_at);
  }
  tensor.dtype = static_cast<DType>(type);
  if (Status s = measure_tensor(tensor); !s.ok()) {
    Error error = s.error();
    return error.about(tensor.name).at(position_);
  }
  position_ += static_cast<usize>(rest);
  tensors_.set(index, static_cast<u32>(entry), tensor.name);
  return place_tensor(tensor, offset, type_at + 4);
}

// Tensors lie one after the other in the order of the table, each at the next multiple of the
// alignment. That is what every writer does and llama.cpp demands, and it leaves no room for
// overlaps, gaps or hidden bytes.
Status GgufReader::place_tensor(const TensorInfo& tensor, u64 offset, u64 offset_at) {
  if (offset % alignment_ != 0) {
    return fail(ErrorCode::kBadOffset, "the tensor's offset is not a multiple of the alignment")
        .about(tensor.name)
        .with(offset, alignment_)
        .at(offset_at);
  }
  if (offset < data_end_ && offset >= last_offset_) {
    return fail(ErrorCode::kOverlap, "the tensor starts inside the one before it; offset")
        .about(tensor.name)
        .with(offset, data_end_)
        .at(offset_at);
  }
  if (offset != data_end_) {
    return fail(ErrorCode::kBadOffset, "the tensor does not follow the one before it; offset")
        .about(tensor.name)
        .with(offset, data_end_)
        .at(offset_at);
  }
  u64 padded = 0;
  if (!checked_align(tensor.n_byte, alignment_, padded) ||
      !checked_add(data_end_, padded, data_end_)) {
    return fail(ErrorCode::kOverflow, "the tensors together are too large; bytes")
        .about(tensor.name)
        .with(tensor.n_byte)
        .at(offset_at);
  }
  last_offset_ = offset;
  last_bytes_ = tensor.n_byte;
  return {};
}

// The last tensor must be in the file. Its padding need not be, and bytes after it are ignored.
Status GgufReader::check_data_end() const {
  if (n_tensor_ == 0) return {};
  const u64 data_offset = align_up(position_, alignment_);
  u64 end = 0;
  if (!checked_add(data_offset, last_offset_ + last_bytes_, end)) {
    return fail(ErrorCode::kOverflow, "the tensors together are too large").at(data_offset);
  }
  if (end <= file_size_) return {};
  return fail(ErrorCode::kTruncated, "the file is cut short, get it again; bytes needed")
      .about(tensors_.name(static_cast<u32>(n_tensor_ - 1)))
      .with(end, file_size_)
      .at(file_size_);
}

Status measure_tensor(TensorInfo& tensor) {
  const DTypeTraits traits = dtype_traits(tensor.dtype);
  u64 n_element = 1;
  for (u32 i = 0; i < kMaxDims; ++i) {
    const u64 dim = tensor.dims[i];
    if (dim == 0) return fail(ErrorCode::kBadShape, "a dimension is 0; number").with(i);
    if (dim > kMaxDim) {
      return fail(ErrorCode::kOverflow, "a dimension is too large").with(dim, kMaxDim);
    }
    if (!checked_mul(n_element, dim, n_element)) {
      return fail(ErrorCode::kOverflow, "the dimensions multiply beyond 64 bits").with(dim);
    }
  }
  if (tensor.dims[0] % traits.block_size != 0) {
    return fail(ErrorCode::kBadShape, "a row is not a whole number of blocks; columns")
        .with(tensor.dims[0], traits.block_size);
  }
  if (!checked_mul(n_element / traits.block_size, traits.block_bytes, tensor.n_byte)) {
    return fail(ErrorCode::kOverflow, "the tensor is too large; elements").with(n_element);
  }
  return {};
}

}  // namespace lbm
