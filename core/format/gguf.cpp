// The GGUF reader: header, memory, and the window that grows over the file.
// gguf_metadata.cpp and gguf_tensors.cpp read what the window shows.
#include "core/format/gguf.h"

#include "core/base/arith.h"
#include "core/base/utf8.h"

namespace lbm {
namespace {

constexpr u32 kVersionMin = 2;
constexpr u32 kVersionMax = 3;

// Each read from the source takes at least this much, and as much again as was read so far, up to
// the second figure.
constexpr u64 kFirstChunkBytes = 64 * kKiB;
constexpr u64 kMaxChunkBytes = 1 * kMiB;

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
  loaded_ = arena_.grow(loaded_, position_, "model metadata").value();
  if (Status s = metas_.sort(loaded_); !s.ok()) return s.error();
  if (Status s = tensors_.sort(loaded_); !s.ok()) return s.error();
  if (Status s = check_data_end(); !s.ok()) return s.error();

  ModelFile file;
  file.metadata_ = loaded_;
  file.tensor_table_ = loaded_;
  file.header_ = loaded_;
  file.data_ = &source_;
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
  const Span<u8> present =
      Span<u8>(header).first(static_cast<usize>(min_u64(file_size_, kHeaderBytes)));
  if (!present.empty()) {
    if (Status s = source_.read(0, present); !s.ok()) return s;
  }
  if (Status s = check_magic(present); !s.ok()) return s;
  if (present.size() < kHeaderBytes) {
    return fail(ErrorCode::kTruncated, "the file ends inside its header; bytes needed")
        .with(kHeaderBytes, file_size_)
        .at(0);
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
  if (!in.ok()) {
    return fail(ErrorCode::kTruncated, "the file is too short to be a model; bytes")
        .with(file_size_)
        .at(0);
  }
  const u32 version = in.read_u32();
  const u32 swapped = __builtin_bswap32(version);
  // Writers for big-endian machines keep the magic and swap the version; some swap both.
  const bool is_swapped = in.ok() && swapped >= 1 && swapped <= kVersionMax;
  if (is_swapped && (magic == "GGUF" || magic == "FUGG")) {
    return fail(ErrorCode::kBadEndian, "a big-endian GGUF file; convert it to little-endian").at(4);
  }
  if (!(magic == "GGUF"))
    return fail(ErrorCode::kBadMagic, "not a GGUF file: it does not start with GGUF").at(0);
  if (!in.ok()) return {};  // read_header() reports the missing rest
  if (version == 1) {
    return fail(ErrorCode::kBadVersion, "GGUF version 1 is obsolete; convert the model again")
        .with(version)
        .at(4);
  }
  if (version < kVersionMin || version > kVersionMax) {
    return fail(ErrorCode::kBadVersion, "this build reads GGUF versions 2 and 3, not version")
        .with(version)
        .at(4);
  }
  return {};
}

Status GgufReader::check_counts() const {
  constexpr u64 kTensorCountAt = 8;
  constexpr u64 kMetaCountAt = 16;
  const u64 rest = file_size_ - kHeaderBytes;
  if (n_tensor_ > kMaxTensorCount) {
    return fail(ErrorCode::kLimit, "too many tensors")
        .with(n_tensor_, kMaxTensorCount)
        .at(kTensorCountAt);
  }
  if (n_meta_ > kMaxMetaCount) {
    return fail(ErrorCode::kLimit, "too many metadata keys")
        .with(n_meta_, kMaxMetaCount)
        .at(kMetaCountAt);
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

// The tables first, since their sizes are known; then the metadata, which grows as the newest
// allocation. It is taken as large as it may become and cut back at once, so that it starts in a
// memory range that can hold it.
Status GgufReader::take_memory(Span<const u8> header) {
  version_ = ByteReader(header.from(4)).read_u32();
  Result<NameTable> metas =
      NameTable::create(arena_, static_cast<u32>(n_meta_), "table of metadata keys");
  if (!metas.ok()) return metas.error();
  metas_ = metas.value();
  Result<NameTable> tensors =
      NameTable::create(arena_, static_cast<u32>(n_tensor_), "table of tensors");
  if (!tensors.ok()) return tensors.error();
  tensors_ = tensors.value();

  const u64 most = min_u64(min_u64(file_size_, kMaxMetadataBytes), arena_.largest_free());
  Result<Span<u8>> room = arena_.take_raw(max_u64(most, kHeaderBytes), "model metadata");
  if (!room.ok()) return room.error();
  loaded_ = arena_.grow(room.value(), kHeaderBytes, "model metadata").value();
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
    return fail(ErrorCode::kLimit, "the metadata is too large; bytes to come")
        .with(n, kMaxMetadataBytes - position_)
        .at(position_);
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

bool is_clean_name(Str name) {
  for (const char c : name) {
    if (c == '\0') return false;
  }
  return is_valid_utf8(name);
}

}  // namespace lbm
