// Listing and opening files through SimpleFileSystem (files.h).
#include "efi/files.h"

#include "core/base/fmt.h"
#include "core/base/utf8.h"
#include "efi/cpu_state.h"
#include "efi/fat_names.h"

namespace lbm::efi {
namespace {

// A broken driver may list one entry for ever.
constexpr u32 kMaxEntries = 20'000;
constexpr u32 kMaxNameUnits = 255;
constexpr u32 kMaxDepth = 8;
constexpr EFI_GUID kBlockIoGuid = EFI_BLOCK_IO_PROTOCOL_GUID;
constexpr EFI_GUID kDiskIoGuid = EFI_DISK_IO_PROTOCOL_GUID;
constexpr EFI_GUID kFileSystemInfoGuid = EFI_FILE_SYSTEM_INFO_ID;

struct FolderEntry {
  char name[FileEntry::kMaxPath + 1];  // UTF-8
  u32 name_size;
  u16 units[kMaxNameUnits + 1];  // as the firmware spells it
  u64 size_bytes;
  bool is_folder;

  [[nodiscard]] Str text() const { return {name, name_size}; }
};

// False when the name does not fit, or is not UTF-16.
bool to_utf8(const u16* units, char (&name)[FileEntry::kMaxPath + 1], u32& name_size) {
  name_size = 0;
  for (u32 i = 0; units[i] != 0; ++i) {
    u32 codepoint = units[i];
    if (codepoint >= 0xD800 && codepoint <= 0xDBFF && units[i + 1] >= 0xDC00 &&
        units[i + 1] <= 0xDFFF) {
      codepoint = 0x10000 + ((codepoint - 0xD800) << 10) + (units[++i] - 0xDC00u);
    } else if (codepoint >= 0xD800 && codepoint <= 0xDFFF) {
      return false;
    }
    char bytes[4];
    const u32 n = encode_utf8(codepoint, bytes);
    if (name_size + n > FileEntry::kMaxPath) return false;
    __builtin_memcpy(name + name_size, bytes, n);
    name_size += n;
  }
  return name_size > 0;
}

bool to_utf16(Str text, u16 (&out)[kMaxNameUnits + 1]) {
  u32 n = 0;
  while (!text.empty()) {
    const Utf8Char character = decode_utf8(text);
    text = text.from(character.n_byte);
    const u32 need = character.codepoint >= 0x10000 ? 2 : 1;
    if (!character.valid || n + need > kMaxNameUnits) return false;
    if (need == 2) {
      out[n++] = static_cast<u16>(0xD800 + ((character.codepoint - 0x10000) >> 10));
      out[n++] = static_cast<u16>(0xDC00 + ((character.codepoint - 0x10000) & 0x3FF));
    } else {
      out[n++] = static_cast<u16>(character.codepoint);
    }
  }
  out[n] = 0;
  return n > 0;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(Str a, Str b) {
  if (a.size() != b.size()) return false;
  for (usize i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

bool is_model_name(Str name) {
  // macOS leaves a "._name" of its own beside every file it copies to a FAT volume.
  if (name.starts_with(".")) return false;
  constexpr Str kExtensions[] = {".gguf", ".bin", ".slm"};
  for (const Str extension : kExtensions) {
    if (name.size() > extension.size() &&
        equal_ignoring_case(name.from(name.size() - extension.size()), extension)) {
      return true;
    }
  }
  return false;
}

// Calls visit(entry) for every entry of an open folder until it returns false.
template <class Visit>
void for_each_entry(EFI_FILE_HANDLE folder, const Visit& visit) {
  (void)folder->SetPosition(folder, 0);
  alignas(8) u8 buffer[sizeof(EFI_FILE_INFO) + (kMaxNameUnits + 1) * sizeof(CHAR16)];
  FolderEntry entry;
  for (u32 i = 0; i < kMaxEntries; ++i) {
    UINTN size = sizeof(buffer) - sizeof(CHAR16);
    if (failed(folder->Read(folder, &size, buffer)) || size < SIZE_OF_EFI_FILE_INFO) break;
    if (size > sizeof(buffer) - sizeof(CHAR16)) break;
    // The terminator is the firmware's duty; ours is not to run past it.
    buffer[size] = 0;
    buffer[size + 1] = 0;
    EFI_FILE_INFO info;
    __builtin_memcpy(&info, buffer, SIZE_OF_EFI_FILE_INFO);
    const usize n_unit = (size - SIZE_OF_EFI_FILE_INFO) / sizeof(CHAR16);
    const usize n_kept = n_unit < kMaxNameUnits ? n_unit : kMaxNameUnits;
    __builtin_memcpy(entry.units, buffer + SIZE_OF_EFI_FILE_INFO, n_kept * sizeof(CHAR16));
    entry.units[n_kept] = 0;
    entry.size_bytes = info.FileSize;
    entry.is_folder = (info.Attribute & EFI_FILE_DIRECTORY) != 0;
    if (!to_utf8(entry.units, entry.name, entry.name_size)) continue;
    if (!visit(entry)) break;
  }
  restore_float_state();
}

EFI_FILE_HANDLE open_child(EFI_FILE_HANDLE folder, u16* units) {
  EFI_FILE_HANDLE child = nullptr;
  // gnu-efi 4 spells CHAR16 wchar_t, which has 16 bits on this target; gnu-efi 3 spells it as we
  // do.
  CHAR16* name = reinterpret_cast<CHAR16*>(units);
  if (failed(folder->Open(folder, &child, name, EFI_FILE_MODE_READ, 0))) return nullptr;
  return child;
}

// Opens the entry of `folder` that is called `name`, under its own spelling. A name that no entry
// has goes to the firmware as it is: it may be a short (8.3) name, which listings do not show.
// nullptr when there is neither.
EFI_FILE_HANDLE open_entry(EFI_FILE_HANDLE folder, Str name) {
  EFI_FILE_HANDLE found = nullptr;
  for_each_entry(folder, [&](FolderEntry& entry) {
    if (!equal_ignoring_case(entry.text(), name)) return true;
    found = open_child(folder, entry.units);
    return false;
  });
  if (found != nullptr) return found;
  u16 units[kMaxNameUnits + 1];
  return to_utf16(name, units) ? open_child(folder, units) : nullptr;
}

// The sectors below a file system.
class DiskBytes final : public VolumeBytes {
 public:
  DiskBytes(EFI_DISK_IO& disk, u32 media) : disk_(disk), media_(media) {}
  bool read(u64 offset, Span<u8> out) override {
    const EFI_STATUS status = disk_.ReadDisk(&disk_, media_, offset, out.size(), out.data());
    restore_float_state();
    return !failed(status);
  }

 private:
  EFI_DISK_IO& disk_;
  u32 media_;
};

struct FileFacts {
  u64 size_bytes = 0;
  bool is_folder = false;
  char name[FileEntry::kMaxPath + 1] = {};  // the long one, whichever the file was opened by
  u32 name_size = 0;                        // 0 where the firmware does not tell it
};

Result<FileFacts> file_facts(EFI_FILE_HANDLE file, Str path) {
  alignas(8) u8 buffer[sizeof(EFI_FILE_INFO) + (kMaxNameUnits + 1) * sizeof(CHAR16)];
  EFI_GUID guid = kFileInfoGuid;
  UINTN size = sizeof(buffer) - sizeof(CHAR16);
  if (failed(file->GetInfo(file, &guid, &size, buffer)) || size < SIZE_OF_EFI_FILE_INFO) {
    return fail(ErrorCode::kIo, "the firmware does not tell its size").about(path);
  }
  EFI_FILE_INFO info;
  __builtin_memcpy(&info, buffer, SIZE_OF_EFI_FILE_INFO);
  FileFacts facts;
  facts.size_bytes = info.FileSize;
  facts.is_folder = (info.Attribute & EFI_FILE_DIRECTORY) != 0;
  u16 units[kMaxNameUnits + 1] = {};
  const usize n_unit = (size - SIZE_OF_EFI_FILE_INFO) / sizeof(CHAR16);
  const usize n_kept = n_unit < kMaxNameUnits ? n_unit : kMaxNameUnits;
  __builtin_memcpy(units, buffer + SIZE_OF_EFI_FILE_INFO, n_kept * sizeof(CHAR16));
  if (!to_utf8(units, facts.name, facts.name_size)) facts.name_size = 0;
  return facts;
}

}  // namespace

void FirmwareVolume::start(Clock* clock) {
  clock_ = clock;
  n_volume_ = 0;
  const EFI_LOADED_IMAGE* image = protocol<EFI_LOADED_IMAGE>(image_handle(), kLoadedImageGuid);
  if (image != nullptr &&
      protocol<EFI_FILE_IO_INTERFACE>(image->DeviceHandle, kFileSystemGuid) != nullptr) {
    handles_[n_volume_++] = image->DeviceHandle;
  }
  add_volumes();
}

// Appends volumes that appeared since; those that are known keep their number.
void FirmwareVolume::add_volumes() {
  EFI_HANDLE found[kMaxVolumes];
  const u32 n_found = handles_with(kFileSystemGuid, found);
  for (u32 i = 0; i < n_found && n_volume_ < kMaxVolumes; ++i) {
    bool known = false;
    for (u32 k = 0; k < n_volume_ && !known; ++k) known = handles_[k] == found[i];
    if (!known) handles_[n_volume_++] = found[i];
  }
}

EFI_FILE_HANDLE FirmwareVolume::open_root(u32 volume) {
  if (volume >= n_volume_) return nullptr;
  EFI_FILE_IO_INTERFACE* system =
      protocol<EFI_FILE_IO_INTERFACE>(handles_[volume], kFileSystemGuid);
  EFI_FILE_HANDLE root = nullptr;
  if (system == nullptr || failed(system->OpenVolume(system, &root))) return nullptr;
  return root;
}

u32 FirmwareVolume::list_folder(EFI_FILE_HANDLE folder, u32 volume, Str prefix,
                                Span<FileEntry> out) {
  u32 n = 0;
  for_each_entry(folder, [&](const FolderEntry& entry) {
    if (n == out.size()) return false;
    if (entry.is_folder || !is_model_name(entry.text())) return true;
    if (prefix.size() + entry.name_size > FileEntry::kMaxPath) return true;
    FileEntry& file = out[n++];
    file = {};
    __builtin_memcpy(file.path, prefix.data(), prefix.size());
    __builtin_memcpy(file.path + prefix.size(), entry.name, entry.name_size);
    file.path_size = static_cast<u32>(prefix.size()) + entry.name_size;
    file.size_bytes = entry.size_bytes;
    file.volume = volume;
    return true;
  });
  return n;
}

u32 FirmwareVolume::list_all(Span<FileEntry> out) {
  u32 n = 0;
  for (u32 volume = 0; volume < n_volume_ && n < out.size(); ++volume) {
    EFI_FILE_HANDLE root = open_root(volume);
    if (root == nullptr)
      continue;  // no file system that is understood, or a medium that was taken out
    n += list_folder(root, volume, "", out.from(n));
    if (EFI_FILE_HANDLE models = open_entry(root, "models"); models != nullptr) {
      const Result<FileFacts> facts = file_facts(models, "models");
      if (facts.ok() && facts.value().is_folder)
        n += list_folder(models, volume, "models/", out.from(n));
      (void)models->Close(models);
    }
    (void)root->Close(root);
  }
  return n;
}

u32 FirmwareVolume::list_models(Span<FileEntry> out) {
  add_volumes();
  u32 n = list_all(out);
  if (n == 0 && !connected_all_ && !out.empty()) {
    // Fast boot attaches drivers only to what it boots from; the models may be on a disk it left
    // out. Slow, so only now.
    connected_all_ = true;
    connect_all_devices();
    add_volumes();
    n = list_all(out);
  }
  return n;
}

// Through its short names where the firmware does not find it, or where that is set.
Result<EFI_FILE_HANDLE> FirmwareVolume::open_path(u32 volume, Str path) {
  if (!short_names_) {
    Result<EFI_FILE_HANDLE> opened = open_names(volume, path);
    if (opened.ok() || opened.error().code != ErrorCode::kNotFound) return opened;
  }
  TextBuffer<FileEntry::kMaxPath + 1> alias;
  if (read_short_path(volume, path, alias)) {
    Result<EFI_FILE_HANDLE> opened = open_names(volume, alias.text());
    if (opened.ok()) {
      TextBuffer<2 * FileEntry::kMaxPath + 80> line;
      line.print("[fat] open fallback ok ({}): {} -> {}",
                 short_names_ ? "fat83_force" : "long name not found", path, alias.text());
      if (notice_.tell != nullptr) notice_.tell(notice_.context, line.text());
      return opened;
    }
  }
  if (short_names_) return open_names(volume, path);
  return fail(ErrorCode::kNotFound, "no such file on this volume").about(path);
}

bool FirmwareVolume::read_short_path(u32 volume, Str path, TextWriter& out) {
  if (volume >= n_volume_) return false;
  EFI_BLOCK_IO* block = protocol<EFI_BLOCK_IO>(handles_[volume], kBlockIoGuid);
  EFI_DISK_IO* disk = protocol<EFI_DISK_IO>(handles_[volume], kDiskIoGuid);
  if (block == nullptr || block->Media == nullptr || disk == nullptr) return false;
  DiskBytes bytes(*disk, block->Media->MediaId);
  return short_path(bytes, path, out).ok();
}

bool FirmwareVolume::facts(u32 volume, VolumeFacts& out) {
  EFI_FILE_HANDLE root = open_root(volume);
  if (root == nullptr) return false;
  alignas(8) u8 buffer[sizeof(EFI_FILE_SYSTEM_INFO) + (kMaxNameUnits + 1) * sizeof(CHAR16)] = {};
  EFI_GUID guid = kFileSystemInfoGuid;
  UINTN size = sizeof(buffer) - sizeof(CHAR16);
  const bool told =
      !failed(root->GetInfo(root, &guid, &size, buffer)) && size >= SIZE_OF_EFI_FILE_SYSTEM_INFO;
  (void)root->Close(root);
  if (!told) return false;
  EFI_FILE_SYSTEM_INFO info;
  __builtin_memcpy(&info, buffer, SIZE_OF_EFI_FILE_SYSTEM_INFO);
  out.size_bytes = info.VolumeSize;
  out.free_bytes = info.FreeSpace;
  out.is_read_only = info.ReadOnly != 0;
  u16 units[kMaxNameUnits + 1] = {};
  __builtin_memcpy(units, buffer + SIZE_OF_EFI_FILE_SYSTEM_INFO, kMaxNameUnits * sizeof(u16));
  char label[FileEntry::kMaxPath + 1];
  u32 n = 0;
  if (!to_utf8(units, label, n) || n >= sizeof(out.label)) n = 0;
  __builtin_memcpy(out.label, label, n);
  out.label[n] = 0;
  return true;
}

Result<EFI_FILE_HANDLE> FirmwareVolume::open_names(u32 volume, Str path) {
  EFI_FILE_HANDLE current = open_root(volume);
  if (current == nullptr)
    return fail(ErrorCode::kIo, "the volume does not open").about(path).with(volume);
  Str rest = path;
  for (u32 depth = 0; !rest.empty(); ++depth) {
    usize n = 0;
    while (n < rest.size() && rest[n] != '/' && rest[n] != '\\') ++n;
    const Str name = rest.first(n);
    rest = rest.from(n < rest.size() ? n + 1 : n);
    if (name.empty()) continue;
    EFI_FILE_HANDLE next =
        depth < kMaxDepth && name != "." && name != ".." ? open_entry(current, name) : nullptr;
    (void)current->Close(current);
    if (next == nullptr)
      return fail(ErrorCode::kNotFound, "no such file on this volume").about(path);
    current = next;
  }
  return current;
}

Result<ByteSource*> FirmwareVolume::open(u32 volume, Str path) {
  OpenFile* slot = nullptr;
  for (OpenFile& file : files_) {
    if (!file.source.attached()) slot = &file;
  }
  if (slot == nullptr)
    return fail(ErrorCode::kLimit, "too many open files").about(path).with(kMaxOpenFiles);
  if (path.size() > FileEntry::kMaxPath)
    return fail(ErrorCode::kNotFound, "the path is too long").about(path);
  Result<EFI_FILE_HANDLE> file = open_path(volume, path);
  if (!file.ok()) return file.error();
  const Result<FileFacts> facts = file_facts(file.value(), path);
  if (!facts.ok() || facts.value().is_folder) {
    (void)file.value()->Close(file.value());
    if (!facts.ok()) return facts.error();
    return fail(ErrorCode::kNotFound, "this is a folder, not a file").about(path);
  }
  slot->volume = volume;
  slot->opened = nullptr;
  keep_path(*slot, path, {facts.value().name, facts.value().name_size});
  slot->source.attach(file.value(), facts.value().size_bytes,
                      slot->path_text().from(slot->folder_size), *this);
  return static_cast<ByteSource*>(&slot->source);
}

// `path` with the name of the file in its long form, where that is known and fits.
void FirmwareVolume::keep_path(OpenFile& slot, Str path, Str name) {
  usize folder = path.size();
  while (folder != 0 && path[folder - 1] != '/' && path[folder - 1] != '\\') --folder;
  if (name.empty() || folder + name.size() > FileEntry::kMaxPath) name = path.from(folder);
  __builtin_memcpy(slot.path, path.data(), folder);
  __builtin_memcpy(slot.path + folder, name.data(), name.size());
  slot.folder_size = static_cast<u32>(folder);
  slot.path_size = static_cast<u32>(folder + name.size());
}

Result<ByteSource*> FirmwareVolume::open_neighbour(const FileSource& source, Str neighbour) {
  for (const OpenFile& file : files_) {
    if (&file.source != &source) continue;
    TextBuffer<FileEntry::kMaxPath + 1> path;
    path.print("{}{}", file.path_text().first(file.folder_size), neighbour);
    Result<ByteSource*> opened = open(file.volume, path.text());
    if (!opened.ok()) return opened;
    for (OpenFile& other : files_) {
      if (&other.source == opened.value()) other.opened = &source;
    }
    return opened;
  }
  return fail(ErrorCode::kIo, "the file is not open").about(neighbour);
}

EFI_FILE_HANDLE FirmwareVolume::open_again(const FileSource& source) {
  for (OpenFile& file : files_) {
    if (&file.source != &source) continue;
    Result<EFI_FILE_HANDLE> opened = open_path(file.volume, {file.path, file.path_size});
    if (!opened.ok()) return nullptr;
    // The medium may have been exchanged. Another file of the same name is not this one.
    const Result<FileFacts> facts = file_facts(opened.value(), {file.path, file.path_size});
    if (facts.ok() && facts.value().size_bytes == source.size()) return opened.value();
    (void)opened.value()->Close(opened.value());
  }
  return nullptr;
}

void FirmwareVolume::close(ByteSource* source) {
  for (OpenFile& file : files_) {
    const bool is_neighbour = file.opened != nullptr && file.opened == source;
    if (&file.source != source && !is_neighbour) continue;
    file.source.detach();
    file.opened = nullptr;
  }
}

}  // namespace lbm::efi
