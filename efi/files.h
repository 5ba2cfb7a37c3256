// The volumes of the machine, and the model files on them.
//
// Volume 0 is the one the program was started from; the others follow in the order of the firmware.
// Names are compared without regard to case, as FAT does, and a short (8.3) name opens its file
// too; what is open is known by its long name, so that the parts of a split model find each other.
// Nothing here writes.
#pragma once

#include "core/platform.h"
#include "efi/file_source.h"
#include "efi/firmware.h"

namespace lbm::efi {

class FirmwareVolume final : public Volume, private FileOpener {
 public:
  static constexpr u32 kMaxVolumes = 32;
  static constexpr u32 kMaxOpenFiles = 4 + 64;  // as many parts as a split model has (kMaxParts)

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
  Result<ByteSource*> open_neighbour(const FileSource& source, Str neighbour) override;

  EFI_HANDLE handles_[kMaxVolumes] = {};
  u32 n_volume_ = 0;
  bool connected_all_ = false;
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
