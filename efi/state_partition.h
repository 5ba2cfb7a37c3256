// Records on the STATE partition of our images (SlotFiles, core/platform.h), where writing is on.
//
// The partition is a FAT volume for people, but its slots are read and written as what they are:
// runs of blocks of their own, which never move. The firmware's FAT driver would rewrite the
// folders with every write, and with them, in lines of 64 KiB, what finds the slots of other
// records. Here a write is the blocks of one slot and a flush, and nothing else on the disk changes
// (docs/state.md).
//
// A map says where the slots lie: in sector 32 and, should that be damaged, in line 19 (of 64 KiB),
// written once by scripts/fat_volume.py. Little-endian:
//    0  "LBMSLOT1"    8  u32 records    12  zero    16  SHA-256 of all entries
//   48  entries of 32 bytes: name (8, filled up with zeros), offset of slot 0, offset of slot 1,
//       bytes of a slot; offsets count from the start of the partition
// Every byte of it is a stranger's until checked.
#pragma once

#include "core/platform.h"
#include "efi/firmware.h"

namespace lbm::efi {

// Type of the partition in a GPT: 6C6D6261-7265-4D65-8461-6C2D73746174 (scripts/make_image.py). The
// firmware puts the type on the handle of each partition (UEFI specification 2.10, section 13.3.1).
inline constexpr EFI_GUID kStatePartitionGuid = {
    0x6C6D6261, 0x7265, 0x4D65, {0x84, 0x61, 0x6C, 0x2D, 0x73, 0x74, 0x61, 0x74}};

class StatePartition final : public SlotFiles {
 public:
  static constexpr u32 kMaxRecords = 64;
  static constexpr u64 kMapOffsets[] = {32 * 512, 19 * 64 * kKiB};

  // Looks for the partition, best on the disk of `boot_volume`. False: there is none that has a
  // map.
  [[nodiscard]] bool start(EFI_HANDLE boot_volume);
  // The same on devices that the caller chose; both outlive this.
  [[nodiscard]] bool start_on(EFI_BLOCK_IO* block, EFI_DISK_IO* disk);
  // Of the partition that start() found.
  [[nodiscard]] EFI_HANDLE handle() const { return handle_; }

  [[nodiscard]] Str why_read_only() const override;
  [[nodiscard]] u32 list(Str prefix, Span<Entry> out) override;
  [[nodiscard]] Result<u64> slot_bytes(Str name) override;
  [[nodiscard]] Status read(Str name, u32 slot, u64 offset, Span<u8> out) override;
  [[nodiscard]] Status write(Str name, u32 slot, u64 offset, Span<const u8> bytes) override;
  // The records are those of the image. Errors: kLimit.
  [[nodiscard]] Status reserve(Str name, u64 bytes, ProgressObserver* progress) override;

 private:
  struct Place {
    Entry entry;
    u64 offsets[kSlots] = {};
  };
  // The disk was taken out: the firmware has freed its interfaces, and none may be called any more.
  [[nodiscard]] bool is_gone() const;
  [[nodiscard]] bool read_map(u64 offset);
  [[nodiscard]] bool take_places(Span<const u8> entries, u32 n);
  [[nodiscard]] bool is_free(u64 offset, u64 bytes) const;
  [[nodiscard]] const Place* find(Str name) const;
  [[nodiscard]] bool read_disk(u64 offset, Span<u8> out);

  EFI_HANDLE handle_ = nullptr;
  EFI_BLOCK_IO* block_ = nullptr;
  EFI_DISK_IO* disk_ = nullptr;
  Place places_[kMaxRecords];  // in order of their names
  u32 n_place_ = 0;
};

}  // namespace lbm::efi
