// One open file of the firmware, as a ByteSource.
//
// Firmware has drivers that fail on reads above some size, that return less than was asked, and
// that never report an end of file. Reads therefore come in chunks: 1 MiB at first, doubled while
// they succeed, halved when one fails; a chunk that can not get any smaller is tried three times.
// Before it is tried again the file is closed and opened: EDK2's FAT driver lets every later read
// of a file fail once one did. Every step either advances or uses up one of a bounded number of
// failures, so a read always ends.
//
// A read that fails slowly has been tried again and again by the firmware itself: OVMF takes 50 s
// to give up a USB stick that was taken out, and 10 s for each read after that. Then the smallest
// chunk is tried at once, and only once.
#pragma once

#include "core/platform.h"
#include "efi/firmware.h"

namespace lbm::efi {

class FileSource;

// What a source asks of the volume that it came from.
class FileOpener {
 public:
  // Opens the file of a source once more, after its handle was closed. nullptr when it is not to be
  // had.
  virtual EFI_FILE_HANDLE open_again(const FileSource& source) = 0;
  // Opens a file of the same folder, which closes with `source`. Errors: as ByteSource.
  [[nodiscard]] virtual Result<ByteSource*> open_neighbour(const FileSource&, Str neighbour) {
    return fail(ErrorCode::kNotFound, "no such file beside it").about(neighbour);
  }
  // Microseconds of a clock; one that stands still calls no failure slow.
  [[nodiscard]] virtual u64 now_us() { return 0; }

 protected:
  ~FileOpener() = default;
};

class FileSource final : public ByteSource {
 public:
  static constexpr u32 kFirstChunk = 1u << 20;
  static constexpr u32 kLargestChunk = 4u << 20;
  static constexpr u32 kSmallestChunk = 16u << 10;
  static constexpr u32 kMaxFailures = 3;     // in a row, at the smallest chunk
  static constexpr u64 kSlowUs = 3'000'000;  // a failure that took this long is slow

  // Takes over `file`, which has `size` bytes. `name` is that of the file without its folders; it
  // is kept by the opener, which outlives the source.
  void attach(EFI_FILE_HANDLE file, u64 size, Str name, FileOpener& opener);
  // Closes the file. The source can be attached again.
  void detach();
  [[nodiscard]] bool attached() const { return opener_ != nullptr; }

  [[nodiscard]] u64 size() const override { return size_; }
  [[nodiscard]] Status read(u64 offset, Span<u8> out) override;
  [[nodiscard]] Str name() const override { return name_; }
  [[nodiscard]] Result<ByteSource*> open_beside(Str neighbour) override;
  // Bytes of the next read, for messages and tests.
  [[nodiscard]] u32 chunk() const { return chunk_; }

 private:
  // One read at the file pointer `at`, of at most one chunk. False when it failed; `got` is then
  // meaningless.
  [[nodiscard]] bool read_once(u64 at, Span<u8> out, usize& got);
  // After a failed read, slow or not: makes chunks smaller and opens the file again. False when
  // there is nothing left to try.
  [[nodiscard]] bool recover(bool was_slow);

  EFI_FILE_HANDLE file_ = nullptr;  // nullptr while attached: could not be opened again
  FileOpener* opener_ = nullptr;
  u64 size_ = 0;
  u64 position_ = 0;  // of the firmware's file pointer
  u32 chunk_ = kFirstChunk;
  u32 ceiling_ = kLargestChunk;  // a size that failed is not tried again
  u32 n_failure_ = 0;
  Str name_;
};

}  // namespace lbm::efi
