// The volumes of the machine, and the model files on them.
//
// Volume 0 is the one the program was started from; the others follow in the order of the firmware.
// Names are compared without regard to case, as FAT does, and a short (8.3) name opens its file
// too; what is open is known by its long name, so that the parts of a split model find each other.
// A long name that the firmware does not find is looked up on the disk itself, and the file opened
// by the short name that is written there: never by one that is made up.
// Nothing here writes.
#pragma once

#include "core/base/fmt.h"
#include "core/platform.h"
#include "efi/file_source.h"
#include "efi/firmware.h"

namespace lbm::efi {

// What the firmware says of a volume, for a report.
struct VolumeFacts {
  u64 size_bytes = 0;
  u64 free_bytes = 0;
  bool is_read_only = false;
  char label[64] = {};  // UTF-8, terminated
};

class FirmwareVolume final : public Volume, private FileOpener {
 public:
  static constexpr u32 kMaxVolumes = 32;
  static constexpr u32 kMaxOpenFiles = 4 + 64;  // as many parts as a split model has (kMaxParts)

  // Finds the volumes. Until then there are none. The clock, calibrated, tells slow failures from
  // quick ones; without one all are quick.
  void start(Clock* clock = nullptr);

  [[nodiscard]] u32 list_models(Span<FileEntry> out) override;
  [[nodiscard]] Result<ByteSource*> open(u32 volume, Str path) override;
  void close(ByteSource* source) override;

  // Told, in a line for the user, when a file was opened by its short name.
  struct Notice {
    void (*tell)(void* context, Str line) = nullptr;
    void* context = nullptr;
  };
  void set_notice(Notice notice) { notice_ = notice; }
  // Files are opened by their short (8.3) names, which are read from the disk (fat_names.h); by
  // their own where that fails.
  void set_short_names(bool wanted) { short_names_ = wanted; }

  [[nodiscard]] u32 n_volume() const { return n_volume_; }
  // False where the volume does not open, or does not tell.
  [[nodiscard]] bool facts(u32 volume, VolumeFacts& out);

 private:
  void add_volumes();
  [[nodiscard]] EFI_FILE_HANDLE open_root(u32 volume);
  [[nodiscard]] u32 list_all(Span<FileEntry> out);
  [[nodiscard]] u32 list_folder(EFI_FILE_HANDLE folder, u32 volume, Str prefix,
                                Span<FileEntry> out);
  [[nodiscard]] Result<EFI_FILE_HANDLE> open_path(u32 volume, Str path);
  [[nodiscard]] Result<EFI_FILE_HANDLE> open_names(u32 volume, Str path);
  [[nodiscard]] bool read_short_path(u32 volume, Str path, TextWriter& out);
  EFI_FILE_HANDLE open_again(const FileSource& source) override;
  Result<ByteSource*> open_neighbour(const FileSource& source, Str neighbour) override;
  u64 now_us() override { return clock_ == nullptr ? 0 : clock_->now_us(); }

  Clock* clock_ = nullptr;
  EFI_HANDLE handles_[kMaxVolumes] = {};
  u32 n_volume_ = 0;
  bool connected_all_ = false;
  bool short_names_ = false;
  Notice notice_;
  struct OpenFile {
    FileSource source;
    u32 volume = 0;
    char path[FileEntry::kMaxPath + 1] = {};
    u32 path_size = 0;
    u32 folder_size = 0;                 // of the path, with the '/'
    const FileSource* opened = nullptr;  // the source that this one stands beside

    [[nodiscard]] Str path_text() const { return {path, path_size}; }
  };
  static void keep_path(OpenFile& slot, Str path, Str name);

  OpenFile files_[kMaxOpenFiles];
};

}  // namespace lbm::efi
