// The volumes of the machine, and the model files on them.
//
// Volume 0 is the one the program was started from; the others follow in the order of the firmware.
// Names are compared without regard to case, as FAT does. Nothing here writes.
#pragma once

#include "core/platform.h"
#include "efi/file_source.h"
#include "efi/firmware.h"

namespace lbm::efi {

class FirmwareVolume final : public Volume, private FileOpener {
 public:
  static constexpr u32 kMaxVolumes = 32;
  static constexpr u32 kMaxOpenFiles = 4;

  // Finds the volumes. Until then there are none.
  void start();

  [[nodiscard]] u32 list_models(Span<FileEntry> out) override;
  [[nodiscard]] Result<ByteSource*> open(u32 volume, Str path) override;
  void close(ByteSource* source) override;

  // Reads a small file of volume 0 whole. Errors: kNotFound, kIo, kLimit when it does not fit.
  [[nodiscard]] Result<Str> read_small_file(Str path, Span<char> out);

  [[nodiscard]] u32 n_volume() const { return n_volume_; }

 private:
  void add_volumes();
  [[nodiscard]] EFI_FILE_HANDLE open_root(u32 volume);
  [[nodiscard]] u32 list_all(Span<FileEntry> out);
  [[nodiscard]] u32 list_folder(EFI_FILE_HANDLE folder, u32 volume, Str prefix,
                                Span<FileEntry> out);
  [[nodiscard]] Result<EFI_FILE_HANDLE> open_path(u32 volume, Str path);
  EFI_FILE_HANDLE open_again(const FileSource& source) override;

  EFI_HANDLE handles_[kMaxVolumes] = {};
  u32 n_volume_ = 0;
  bool connected_all_ = false;
  struct OpenFile {
    FileSource source;
    u32 volume = 0;
    char path[FileEntry::kMaxPath + 1] = {};
    u32 path_size = 0;
  };
  OpenFile files_[kMaxOpenFiles];
};

}  // namespace lbm::efi
