// One open file of the firmware, as a ByteSource.
//
// Firmware has drivers that fail on reads above some size, that return less than was asked, and that never report an end of file.
// Reads therefore come in chunks: 1 MiB at first, doubled while they succeed, halved when one fails; a chunk that can not get any
// smaller is tried three times. Every step either advances or uses up one of a bounded number of failures, so a read always ends.
#pragma once

#include "core/platform.h"
#include "efi/firmware.h"

namespace lbm::efi {

class FileSource final : public ByteSource {
 public:
  static constexpr u32 kFirstChunk = 1u << 20;
  static constexpr u32 kLargestChunk = 4u << 20;
  static constexpr u32 kSmallestChunk = 16u << 10;
  static constexpr u32 kMaxFailures = 3;  // in a row, at the smallest chunk

  // Takes over `file`, which has `size` bytes; `name` is kept, cut, for messages.
  void attach(EFI_FILE_HANDLE file, u64 size, Str name);
  // Closes the file. The source can be attached again.
  void detach();
  [[nodiscard]] bool attached() const { return file_ != nullptr; }

  [[nodiscard]] u64 size() const override { return size_; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override;
  // Bytes of the next read, for messages and tests.
  [[nodiscard]] u32 chunk() const { return chunk_; }

 private:
  [[nodiscard]] Str name() const { return {name_, name_size_}; }
  // Makes chunks smaller after a failed read. False when there is nothing left to try.
  bool shrink();

  EFI_FILE_HANDLE file_ = nullptr;
  u64 size_ = 0;
  u64 position_ = 0;  // of the firmware's file pointer
  u32 chunk_ = kFirstChunk;
  u32 ceiling_ = kLargestChunk;  // a size that failed is not tried again
  u32 n_failure_ = 0;
  char name_[Error::kSubjectCapacity] = {};
  u32 name_size_ = 0;
};

}  // namespace lbm::efi
