// A record: a few bytes under a name that survive a power cut at any moment.
//
// A record has two slots (SlotFiles, core/platform.h), of which the newest valid one counts.
// Writing goes into the other one and is read back; until that is done, what was there before stays
// where it was. There is no moment without a valid slot, no file grows, and nothing is renamed:
// UEFI has no atomic replace, and its FAT driver rewrites whole lines of 64 KiB around a write
// (docs/state.md has the measurements and the layout).
//
// A slot is a header of 64 bytes and the payload. Little-endian:
//    0  "LBMREC1\0"    8  generation    16  bytes of payload    24  zero
//   32  SHA-256 of the payload, the name of the record, and bytes 0..31
// The name is in the hash so that a file under another record's name is no record, and so is the
// generation: a header that was torn can not pass for a newer one.
//
// Order of generations: a follows b when a - b (mod 2^64) is in 1 .. 2^63 - 1, so the wrap from
// 2^64 - 1 to 1 is a step like any other; 0 is never written. Equal ones, and those exactly half
// the circle apart: slot 0 counts.
#pragma once

#include "core/base/result.h"
#include "core/base/sha256.h"
#include "core/platform.h"

namespace lbm {

// Names of records are those of files on any FAT: 1 to 8 of A-Z, 0-9, '-' and '_'.
[[nodiscard]] bool is_record_name(Str name);

class Record {
 public:
  static constexpr usize kHeaderBytes = 64;

  Record() = default;  // of no files; nothing may be called
  // `name` is a literal or outlives the record. Nothing is read yet.
  Record(SlotFiles& files, Str name, Sha256BlockFn blocks = sha256_blocks_portable)
      : files_(&files), name_(name), blocks_(blocks) {}

  // Reads and hashes both slots. A slot that can not be read counts as not valid.
  // Errors: kNotFound  there is no such record (reserve() of SlotFiles makes one).   kIo.
  [[nodiscard]] Status open();

  // The following need open().
  [[nodiscard]] bool present() const { return newest_ != kNone; }
  // True when something is there, and no slot of it is valid: for one notice.
  [[nodiscard]] bool damaged() const { return !present() && n_dirty_ != 0; }
  [[nodiscard]] u64 generation() const { return generation_; }  // 0: not present()
  [[nodiscard]] u64 size() const { return size_; }              // bytes of payload
  // Bytes of payload that fit.
  [[nodiscard]] u64 capacity() const { return capacity_; }
  [[nodiscard]] Str name() const { return name_; }

  // Bytes of the payload; out.size() may be less than all.
  // Errors: kMissing (not present), kTruncated, kIo.
  [[nodiscard]] Status read(u64 offset, Span<u8> out) const;
  // All of it. Errors: those of read(); kLimit  it is longer than `out`.
  [[nodiscard]] Result<Span<u8>> read_all(Span<u8> out) const;

  // Makes `size` bytes the payload, in one write. They stand in `bytes` behind kHeaderBytes of
  // room. On return the medium has them and gave them back as they are. On an error the record is
  // what it was before. Errors: kLimit  larger than capacity().   kReadOnly, kIo.   kBadHash  it
  // reads back otherwise.
  [[nodiscard]] Status write(Span<u8> bytes, usize size);

  // The same piece by piece, for what is larger than memory to spare: begin(), append() over and
  // over, commit(). Until commit() returned, the record is what it was before.
  // Errors: as write().
  void begin();
  [[nodiscard]] Status append(Span<const u8> bytes);
  [[nodiscard]] Status commit();

 private:
  static constexpr u32 kNone = ~u32{0};
  struct Header {
    u64 generation = 0;
    u64 size = 0;
    Sha256Digest digest;
  };
  enum class Slot : u8 { kBlank, kValid, kDirty };
  [[nodiscard]] Slot read_slot(u32 slot, Header& header) const;
  void seal(Sha256& payload, u64 size, u8* header) const;
  [[nodiscard]] Status check_written(const u8* header);
  [[nodiscard]] u32 target() const { return newest_ == kNone ? 0 : 1 - newest_; }

  SlotFiles* files_ = nullptr;
  Str name_;
  Sha256BlockFn blocks_ = sha256_blocks_portable;
  u32 newest_ = kNone;
  u32 n_dirty_ = 0;  // slots with something in them that is not valid
  u64 generation_ = 0;
  u64 size_ = 0;
  u64 capacity_ = 0;
  u64 n_appended_ = 0;
  Sha256 appended_;  // of what was appended
};

}  // namespace lbm
