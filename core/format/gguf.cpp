#include "core/format/gguf.h"

#include "core/base/arith.h"
#include "core/base/utf8.h"

namespace lbm {
namespace {

constexpr u32 kVersionMin = 2;
constexpr u32 kVersionMax = 3;

// Each read from the source takes at least this much, and as much again as was read so far, up to the second figure.
constexpr u64 kFirstChunkBytes = 64 * kKiB;
constexpr u64 kMaxChunkBytes = 1 * kMiB;

// What people hand to a model loader by mistake, by its first bytes.
struct KnownFile {
  Str start;
  const char* what;
};
constexpr KnownFile kKnownFiles[] = {
    {"<!", "not a model but a web page; the download went wrong"},
    {"<h", "not a model but a web page; the download went wrong"},
    {"vers", "not a model but a Git LFS pointer; fetch the file it points to"},
    {"PK\x03\x04", "not a GGUF file but a zip archive or PyTorch checkpoint; convert it to GGUF"},
    {"lmgg", "an old ggml file; convert the model to GGUF again"},
    {"fmgg", "an old ggmf file; convert the model to GGUF again"},
    {"tjgg", "an old ggjt file; convert the model to GGUF again"},
    {"algg", "a LoRA adapter in an old ggml format, not a model"},
};

const char* describe_start(Str head) {
  for (const KnownFile& known : kKnownFiles) {
    if (head.starts_with(known.start)) return known.what;
  }
  return "not a GGUF file: it does not start with GGUF";
}

// Bytes of one element; 0 for a string or array.
u64 scalar_bytes(MetaType type) {
  switch (type) {
    case MetaType::kU8:
    case MetaType::kI8:
    case MetaType::kBool: return 1;
    case MetaType::kU16:
    case MetaType::kI16: return 2;
    case MetaType::kU32:
    case MetaType::kI32:
    case MetaType::kF32: return 4;
    case MetaType::kU64:
    case MetaType::kI64:
    case MetaType::kF64: return 8;
    case MetaType::kString:
    case MetaType::kArray: return 0;
  }
  return 0;
}

bool is_clean_name(Str name) {
  for (const char c : name) {
    if (c == '\0') return false;
  }
  return is_valid_utf8(name);
}

// Tensor types that the format once had, by id.
const char* removed_type(u32 id) {
  switch (id) {
    case 4:
    case 5: return "tensor type Q4_2 or Q4_3 was removed from the format; quantize the model again";
    case 31:
    case 32:
    case 33: return "tensor type Q4_0_4_4, Q4_0_4_8 or Q4_0_8_8 was removed from the format; use Q4_0";
    case 36:
    case 37:
    case 38: return "tensor type IQ4_NL_4_4, IQ4_NL_4_8 or IQ4_NL_8_8 was removed from the format; use IQ4_NL";
    default: return "unknown tensor type";
  }
}

}  // namespace

Result<ModelFile> GgufReader::read() {
  if (Status s = read_header(); !s.ok()) return s.error();
  for (u32 i = 0; i < n_meta_; ++i) {
    if (Status s = read_meta(i); !s.ok()) return s.error();
  }
  metas_.set_end(static_cast<u32>(position_));
  for (u32 i = 0; i < n_tensor_; ++i) {
    if (Status s = read_tensor(i); !s.ok()) return s.error();
  }
  tensors_.set_end(static_cast<u32>(position_));

  // What was read ahead goes back to the arena.
  Result<Span<u8>> metadata = arena_.grow(loaded_, position_, "model metadata");
  if (!metadata.ok()) return metadata.error();
  loaded_ = metadata.value();
  if (Status s = metas_.sort(loaded_); !s.ok()) return s.error();
  if (Status s = tensors_.sort(loaded_); !s.ok()) return s.error();
  if (Status s = check_data_end(); !s.ok()) return s.error();

  ModelFile file;
  file.metadata_ = loaded_;
  file.metas_ = metas_;
  file.tensors_ = tensors_;
  file.file_size_ = file_size_;
  file.alignment_ = alignment_;
  file.data_offset_ = align_up(position_, alignment_);
  file.version_ = version_;
  return file;
}

// ---- header

Status GgufReader::read_header() {
  u8 header[kHeaderBytes] = {};
  const Span<u8> present = Span<u8>(header).first(static_cast<usize>(min_u64(file_size_, kHeaderBytes)));
  if (!present.empty()) {
    if (Status s = source_.read(0, present); !s.ok()) return s;
  }
  if (Status s = check_magic(present); !s.ok()) return s;
  if (present.size() < kHeaderBytes) {
    return fail(ErrorCode::kTruncated, "the file ends inside its header; bytes needed").with(kHeaderBytes, file_size_).at(0);
  }
  ByteReader in(header);
  in.skip(8);
  n_tensor_ = in.read_u64();
  n_meta_ = in.read_u64();
  if (Status s = check_counts(); !s.ok()) return s;
  return take_memory(header);
}

// Magic and version, as far as a short file shows them.
Status GgufReader::check_magic(Span<const u8> head) const {
  ByteReader in(head);
  const Str magic = in.read_text(4);
  if (!in.ok()) return fail(ErrorCode::kTruncated, "the file is too short to be a model; bytes").with(file_size_).at(0);
  const u32 version = in.read_u32();
  const u32 swapped = __builtin_bswap32(version);
  // Writers for big-endian machines keep the magic and swap the version; some swap both.
  const bool is_swapped = in.ok() && swapped >= 1 && swapped <= kVersionMax;
  if (is_swapped && (magic == "GGUF" || magic == "FUGG")) {
    return fail(ErrorCode::kBadEndian, "a big-endian GGUF file; convert it to little-endian").at(4);
  }
  if (!(magic == "GGUF")) return fail(ErrorCode::kBadMagic, describe_start(Str(head))).at(0);
  if (!in.ok()) return {};  // read_header() reports the missing rest
  if (version == 1) {
    return fail(ErrorCode::kBadVersion, "GGUF version 1 is obsolete; convert the model again").with(version).at(4);
  }
  if (version < kVersionMin || version > kVersionMax) {
    return fail(ErrorCode::kBadVersion, "this build reads GGUF versions 2 and 3, not version").with(version).at(4);
  }
  return {};
}

Status GgufReader::check_counts() const {
  constexpr u64 kTensorCountAt = 8;
  constexpr u64 kMetaCountAt = 16;
  const u64 rest = file_size_ - kHeaderBytes;
  if (n_tensor_ > kMaxTensorCount) {
    return fail(ErrorCode::kLimit, "too many tensors").with(n_tensor_, kMaxTensorCount).at(kTensorCountAt);
  }
  if (n_meta_ > kMaxMetaCount) {
    return fail(ErrorCode::kLimit, "too many metadata keys").with(n_meta_, kMaxMetaCount).at(kMetaCountAt);
  }
  if (n_tensor_ > rest / kMinTensorBytes) {
    return fail(ErrorCode::kTruncated, "the file is too short for its number of tensors")
        .with(n_tensor_, rest / kMinTensorBytes)
        .at(kTensorCountAt);
  }
  if (n_meta_ > rest / kMinMetaBytes) {
    return fail(ErrorCode::kTruncated, "the file is too short for its number of metadata keys")
        .with(n_meta_, rest / kMinMetaBytes)
        .at(kMetaCountAt);
  }
  return {};
}

// The tables first, since their sizes are known; then the metadata, which grows as the newest allocation. It is taken as large
// as it may become and cut back at once, so that it starts in a memory range that can hold it.
Status GgufReader::take_memory(Span<const u8> header) {
  version_ = ByteReader(header.from(4)).read_u32();
  Result<NameTable> metas = NameTable::create(arena_, static_cast<u32>(n_meta_), "table of metadata keys");
  if (!metas.ok()) return metas.error();
  metas_ = metas.value();
  Result<NameTable> tensors = NameTable::create(arena_, static_cast<u32>(n_tensor_), "table of tensors");
  if (!tensors.ok()) return tensors.error();
  tensors_ = tensors.value();

  const u64 most = min_u64(min_u64(file_size_, kMaxMetadataBytes), arena_.largest_free());
  Result<Span<u8>> room = arena_.take_raw(max_u64(most, kHeaderBytes), "model metadata");
  if (!room.ok()) return room.error();
  Result<Span<u8>> start = arena_.grow(room.value(), kHeaderBytes, "model metadata");
  if (!start.ok()) return start.error();
  loaded_ = start.value();
  __builtin_memcpy(loaded_.data(), header.data(), kHeaderBytes);
  position_ = kHeaderBytes;
  return {};
}

Status GgufReader::require(u64 n) {
  if (n <= loaded_.size() - position_) return {};
  return load(n);
}

Status GgufReader::load(u64 n) {
  if (n > kMaxMetadataBytes - position_) {
    return fail(ErrorCode::kLimit, "the metadata is too large; bytes to come").with(n, kMaxMetadataBytes - position_).at(position_);
  }
  if (n > file_size_ - position_) {
    return fail(ErrorCode::kTruncated, "the file is cut short, get it again; bytes to come")
        .with(n, file_size_ - position_)
        .at(position_);
  }
  const u64 chunk = min_u64(max_u64(loaded_.size(), kFirstChunkBytes), kMaxChunkBytes);
  const u64 end = max_u64(position_ + n, loaded_.size() + chunk);
  const u64 target = min_u64(min_u64(end, file_size_), kMaxMetadataBytes);
  const usize have = loaded_.size();
  Result<Span<u8>> grown = arena_.grow(loaded_, target, "model metadata");
  if (!grown.ok()) return grown.error();
  loaded_ = grown.value();
  return source_.read(have, loaded_.from(have));
}

// ---- metadata

Status GgufReader::read_meta(u32 index) {
  const usize entry = position_;
  if (Status s = require(8); !s.ok()) return s;
  const u64 key_bytes = here().read_u64();
  if (key_bytes == 0) return fail(ErrorCode::kBadName, "a metadata key is empty").at(entry);
  if (key_bytes > kMaxKeyBytes) {
    return fail(ErrorCode::kLimit, "a metadata key is too long; bytes").with(key_bytes, kMaxKeyBytes).at(entry);
  }
  position_ += 8;
  if (Status s = require(key_bytes + 4); !s.ok()) return s;
  ByteReader in = here();
  const Str key = in.read_text(key_bytes);
  const u32 type = in.read_u32();
  if (!is_clean_name(key)) {
    return fail(ErrorCode::kBadName, "a metadata key is not UTF-8 text").about(key).at(position_);
  }
  position_ += static_cast<usize>(key_bytes);
  if (type >= kMetaTypeCount) {
    return fail(ErrorCode::kBadType, "unknown value type").about(key).with(type, kMetaTypeCount - 1).at(position_);
  }
  position_ += 4;
  metas_.set(index, static_cast<u32>(entry), key);

  const bool is_template = key.starts_with("tokenizer.chat_template");
  Status value = key == "general.alignment"
                     ? read_alignment(type)
                     : read_value(static_cast<MetaType>(type), is_template ? kMaxTemplateBytes : kMaxStringBytes);
  if (value.ok()) return {};
  Error error = value.error();
  return error.about(key);
}

Status GgufReader::read_value(MetaType type, u64 max_string) {
  if (type == MetaType::kString) return read_string(max_string);
  if (type == MetaType::kArray) return read_array(max_string);
  const u64 n_byte = scalar_bytes(type);
  if (Status s = require(n_byte); !s.ok()) return s;
  if (type == MetaType::kBool) return check_bools(1);
  position_ += static_cast<usize>(n_byte);
  return {};
}

// Also the inner loop of arrays of strings: a vocabulary has 10^5 of them.
Status GgufReader::read_string(u64 max_string) {
  if (Status s = require(8); !s.ok()) return s;
  const u64 n_byte = here().read_u64();
  if (n_byte > max_string) {
    return fail(ErrorCode::kLimit, "a text is too long; bytes").with(n_byte, max_string).at(position_);
  }
  position_ += 8;
  if (Status s = require(n_byte); !s.ok()) return s;
  position_ += static_cast<usize>(n_byte);
  return {};
}

Status GgufReader::read_array(u64 max_string) {
  if (Status s = require(12); !s.ok()) return s;
  ByteReader in = here();
  const u32 type_id = in.read_u32();
  const u64 count = in.read_u64();
  if (type_id >= kMetaTypeCount) {
    return fail(ErrorCode::kBadType, "unknown element type").with(type_id, kMetaTypeCount - 1).at(position_);
  }
  const MetaType type = static_cast<MetaType>(type_id);
  if (type == MetaType::kArray) return fail(ErrorCode::kBadType, "an array of arrays is not allowed").at(position_);
  position_ += 4;
  // A string takes at least its length field.
  const u64 element = type == MetaType::kString ? 8 : scalar_bytes(type);
  u64 least = 0;
  if (!checked_mul(count, element, least) || least > kMaxMetadataBytes) {
    return fail(ErrorCode::kLimit, "too many array elements").with(count, kMaxMetadataBytes / element).at(position_);
  }
  position_ += 8;
  if (type != MetaType::kString) {
    if (Status s = require(least); !s.ok()) return s;
    if (type == MetaType::kBool) return check_bools(count);
    position_ += static_cast<usize>(least);
    return {};
  }
  // Refused before anything is loaded for it.
  if (least > file_size_ - position_) {
    return fail(ErrorCode::kTruncated, "the file is cut short, get it again; bytes to come")
        .with(least, file_size_ - position_)
        .at(position_);
  }
  for (u64 i = 0; i < count; ++i) {
    if (Status s = read_string(max_string); !s.ok()) return s;
  }
  return {};
}

// `count` bools that are loaded; passes over them.
Status GgufReader::check_bools(u64 count) {
  for (u64 i = 0; i < count; ++i, ++position_) {
    if (loaded_[position_] > 1) {
      return fail(ErrorCode::kBadType, "a bool is neither 0 nor 1").with(loaded_[position_], 1).at(position_);
    }
  }
  return {};
}

Status GgufReader::read_alignment(u32 type) {
  if (static_cast<MetaType>(type) != MetaType::kU32) {
    return fail(ErrorCode::kBadAlignment, "the alignment must be a u32; value type").with(type).at(position_ - 4);
  }
  if (alignment_given_) return fail(ErrorCode::kBadAlignment, "the alignment was given before").at(position_);
  if (Status s = require(4); !s.ok()) return s;
  const u64 value = here().read_u32();
  if (!is_power_of_two(value) || value > kMaxAlignment) {
    return fail(ErrorCode::kBadAlignment, "the alignment must be a power of two").with(value, kMaxAlignment).at(position_);
  }
  alignment_ = value;
  alignment_given_ = true;
  position_ += 4;
  return {};
}

// ---- tensors

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
    return fail(ErrorCode::kBadName, "a tensor name is not UTF-8 text").about(tensor.name).at(position_);
  }
  position_ += static_cast<usize>(name_bytes);
  if (tensor.n_dim == 0 || tensor.n_dim > kMaxDims) {
    return fail(ErrorCode::kBadShape, "number of dimensions").about(tensor.name).with(tensor.n_dim, kMaxDims).at(position_);
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
    return fail(ErrorCode::kBadType, removed_type(type)).about(tensor.name).with(type).at(type_at);
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

// Tensors lie one after the other in the order of the table, each at the next multiple of the alignment. That is what every
// writer does and llama.cpp demands, and it leaves no room for overlaps, gaps or hidden bytes.
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
  if (!checked_align(tensor.n_byte, alignment_, padded) || !checked_add(data_end_, padded, data_end_)) {
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
    if (dim > kMaxDim) return fail(ErrorCode::kOverflow, "a dimension is too large").with(dim, kMaxDim);
    if (!checked_mul(n_element, dim, n_element)) {
      return fail(ErrorCode::kOverflow, "the dimensions multiply beyond 64 bits").with(dim);
    }
  }
  if (tensor.dims[0] % traits.block_size != 0) {
    return fail(ErrorCode::kBadShape, "a row is not a whole number of blocks; columns").with(tensor.dims[0], traits.block_size);
  }
  if (!checked_mul(n_element / traits.block_size, traits.block_bytes, tensor.n_byte)) {
    return fail(ErrorCode::kOverflow, "the tensor is too large; elements").with(n_element);
  }
  return {};
}

}  // namespace lbm
