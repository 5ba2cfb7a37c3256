// Records in a folder of somebody's FAT volume (SlotFiles, core/platform.h), and files for the user
// to take away.
//
// A stick that the user made by unzipping has no STATE partition (state_partition.h). Writing is
// off there until make_folder(), which is asked for by a command, and remembered by the folder lbm;
// slot S of record NAME then is the file lbm\SLOTs\NAME.s. They are preallocated, and a write into
// one is: open, write, Flush, Close. Nothing is kept open for writing, nothing that holds a record
// grows, nothing is renamed; firmware drops what it has in its cache when a program ends
// (docs/state.md).
#pragma once

#include "core/base/fmt.h"
#include "core/platform.h"
#include "efi/firmware.h"

namespace lbm::efi {

class StateFolder final : public SlotFiles {
 public:
  // Looks for the folder on `volume`, which may be null. `place` names it, for messages; a literal.
  void start(EFI_HANDLE volume, Str place);
  // The same on a file system that the caller chose.
  void start_on(EFI_FILE_IO_INTERFACE* system, bool is_write_protected);
  // Makes the folder. Errors: kReadOnly, kIo.
  [[nodiscard]] Status make_folder();

  [[nodiscard]] Str why_read_only() const override { return reason_; }
  [[nodiscard]] u32 list(Str prefix, Span<Entry> out) override;
  [[nodiscard]] Result<u64> slot_bytes(Str name) override;
  [[nodiscard]] Status read(Str name, u32 slot, u64 offset, Span<u8> out) override;
  [[nodiscard]] Status write(Str name, u32 slot, u64 offset, Span<const u8> bytes) override;
  [[nodiscard]] Status reserve(Str name, u64 bytes, ProgressObserver* progress) override;

  // ReplHost::export_file(): into the folder lbm, which is made where it is not there: the user
  // asked for a file.
  [[nodiscard]] Result<Str> export_file(Str name, Span<const u8> bytes);

 private:
  static constexpr usize kMaxPath = 96;
  // A path as the firmware takes it.
  struct Path {
    TextBuffer<kMaxPath> text;
    CHAR16 units[kMaxPath + 1] = {};
  };
  static void make_path(Path& out, Str pattern, Str name);
  void slot_path(Path& out, Str name, u32 slot) const;
  [[nodiscard]] EFI_FILE_HANDLE open(Path& path, u64 mode, u64 attributes, EFI_STATUS& status);
  [[nodiscard]] Status open_slot(Str name, u32 slot, u64 mode, EFI_FILE_HANDLE& file, u64& size);
  // How far reserve() is with both slots of a record.
  struct Making {
    Str name;
    u64 slot_size = 0;
    u64 n_done = 0;
    ProgressObserver* progress = nullptr;
  };
  [[nodiscard]] Status make_file(Path& path, Making& making);
  [[nodiscard]] u64 free_bytes();
  void close_reading();
  // The volume; nullptr when there is none, and from when its disk was taken out: the firmware has
  // freed its interface then.
  [[nodiscard]] EFI_FILE_IO_INTERFACE* system();

  EFI_HANDLE volume_ = nullptr;  // nullptr also where start_on() was given an interface alone
  EFI_FILE_IO_INTERFACE* system_ = nullptr;
  bool is_write_protected_ = false;
  Str place_;
  Str reason_ = "there is no volume to keep it on";
  // The slot that was read last stays open: a record is read in many pieces.
  EFI_FILE_HANDLE reading_ = nullptr;
  char reading_name_[kMaxName + 1] = {};
  u32 reading_slot_ = 0;
  u64 reading_size_ = 0;
  TextBuffer<kMaxPath + 48> exported_;
};

}  // namespace lbm::efi
