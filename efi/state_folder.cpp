// See state_folder.h.
#include "efi/state_folder.h"

#include "core/base/arith.h"
#include "core/state/record.h"
#include "efi/cpu_state.h"

namespace lbm::efi {
namespace {

constexpr EFI_GUID kBlockIoGuid = EFI_BLOCK_IO_PROTOCOL_GUID;
constexpr EFI_GUID kFileSystemInfoGuid = EFI_FILE_SYSTEM_INFO_ID;
constexpr UINTN kChunk = 1u << 20;  // of one call of the firmware (file_source.h)
// In a folder on somebody's FAT nobody knows where clusters lie. A tail of this size behind each
// slot keeps the firmware's lines of the next file away from what is in use.
constexpr u64 kLine = 64 * kKiB;
constexpr u32 kMaxFolderEntries = 1024;  // a broken driver may list one entry for ever
constexpr u64 kWrite = EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE;
constexpr u64 kCreate = kWrite | EFI_FILE_MODE_CREATE;

bool is_file_name(Str name) {
  if (name.empty() || name.size() > 48 || name[0] == '.') return false;
  for (const char c : name) {
    const bool fits = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.';
    if (!fits) return false;
  }
  return true;
}

u64 size_of(EFI_FILE_HANDLE file) {
  alignas(8) u8 buffer[sizeof(EFI_FILE_INFO) + 256 * sizeof(CHAR16)];
  EFI_GUID guid = kFileInfoGuid;
  UINTN size = sizeof(buffer);
  if (failed(file->GetInfo(file, &guid, &size, buffer)) || size < SIZE_OF_EFI_FILE_INFO) return 0;
  EFI_FILE_INFO info;
  __builtin_memcpy(&info, buffer, SIZE_OF_EFI_FILE_INFO);
  return info.FileSize;
}

bool is_write_protected(EFI_HANDLE handle) {
  const EFI_BLOCK_IO* block = protocol<EFI_BLOCK_IO>(handle, kBlockIoGuid);
  return block != nullptr && block->Media != nullptr && block->Media->ReadOnly != 0;
}

}  // namespace

// --- Finding it ------------------------------------------------------------------------------

void StateFolder::start(EFI_HANDLE volume, Str place) {
  place_ = place;
  start_on(protocol<EFI_FILE_IO_INTERFACE>(volume, kFileSystemGuid),
           volume != nullptr && is_write_protected(volume));
  volume_ = system_ != nullptr ? volume : nullptr;
}

void StateFolder::start_on(EFI_FILE_IO_INTERFACE* system, bool is_write_protected) {
  close_reading();
  system_ = system;
  is_write_protected_ = is_write_protected;
  reason_ = {};
  if (system == nullptr) {
    reason_ = "there is no volume to keep it on";
  } else if (is_write_protected) {
    reason_ = "the disk is write-protected";
  } else {
    Path path;
    make_path(path, "lbm", {});
    EFI_STATUS status = EFI_SUCCESS;
    EFI_FILE_HANDLE folder = open(path, EFI_FILE_MODE_READ, 0, status);
    if (folder == nullptr) {
      reason_ = "this stick has no place for it (\"/save here\" makes one, the folder lbm)";
    } else {
      (void)folder->Close(folder);
    }
  }
}

Status StateFolder::make_folder() {
  if (reason_.empty()) return {};
  if (system_ == nullptr || is_write_protected_)
    return fail(ErrorCode::kReadOnly, "nothing can be kept here");
  static constexpr const char* kFolders[] = {"lbm", "lbm\\SLOT0", "lbm\\SLOT1"};
  for (const char* folder : kFolders) {
    Path path;
    make_path(path, "{}", folder);
    EFI_STATUS status = EFI_SUCCESS;
    EFI_FILE_HANDLE made = open(path, kCreate, EFI_FILE_DIRECTORY, status);
    if (made == nullptr) {
      return fail(status == EFI_WRITE_PROTECTED ? ErrorCode::kReadOnly : ErrorCode::kIo,
                  "the folder can not be made")
          .about(folder);
    }
    (void)made->Flush(made);
    (void)made->Close(made);
  }
  reason_ = {};
  return {};
}

// --- Files -----------------------------------------------------------------------------------

void StateFolder::make_path(Path& out, Str pattern, Str name) {
  out.text.clear();
  out.text.print(pattern, name);
  const Str text = out.text.text();
  for (usize i = 0; i < text.size(); ++i) out.units[i] = static_cast<CHAR16>(text[i]);
  out.units[text.size()] = 0;
}

void StateFolder::slot_path(Path& out, Str name, u32 slot) const {
  TextBuffer<kMaxPath> text;
  text.print("lbm\\SLOT{}\\{}.{}", slot, name, slot);
  make_path(out, "{}", text.text());
}

EFI_FILE_IO_INTERFACE* StateFolder::system() {
  if (volume_ != nullptr && protocol<EFI_FILE_IO_INTERFACE>(volume_, kFileSystemGuid) != system_) {
    system_ = nullptr;
    reason_ = "the disk was taken out";
  }
  return system_;
}

EFI_FILE_HANDLE StateFolder::open(Path& path, u64 mode, u64 attributes, EFI_STATUS& status) {
  EFI_FILE_HANDLE root = nullptr;
  EFI_FILE_HANDLE file = nullptr;
  status = system() == nullptr ? EFI_NO_MEDIA : system_->OpenVolume(system_, &root);
  if (!failed(status)) {
    status = root->Open(root, &file, path.units, mode, attributes);
    (void)root->Close(root);
  }
  restore_float_state();
  return failed(status) ? nullptr : file;
}

void StateFolder::close_reading() {
  if (reading_ != nullptr) (void)reading_->Close(reading_);
  reading_ = nullptr;
}

Status StateFolder::open_slot(Str name, u32 slot, u64 mode, EFI_FILE_HANDLE& file, u64& size) {
  if (!is_record_name(name) || slot >= kSlots)
    return fail(ErrorCode::kNotFound, "no such record").about(name);
  Path path;
  slot_path(path, name, slot);
  EFI_STATUS status = EFI_SUCCESS;
  file = open(path, mode, 0, status);
  if (file == nullptr) {
    if (system_ == nullptr && volume_ != nullptr)
      return fail(ErrorCode::kIo, "the disk was taken out").about(name);
    if (status == EFI_NOT_FOUND || system_ == nullptr)
      return fail(ErrorCode::kNotFound, "no such record").about(name);
    if (status == EFI_WRITE_PROTECTED || status == EFI_ACCESS_DENIED)
      return fail(ErrorCode::kReadOnly, "the file can not be written").about(path.text.text());
    return fail(ErrorCode::kIo, "the file does not open").about(path.text.text()).with(status);
  }
  size = size_of(file);
  return {};
}

u32 StateFolder::list(Str prefix, Span<Entry> out) {
  Path path;
  make_path(path, "lbm\\SLOT0", {});
  EFI_STATUS status = EFI_SUCCESS;
  EFI_FILE_HANDLE folder = open(path, EFI_FILE_MODE_READ, 0, status);
  if (folder == nullptr) return 0;
  alignas(8) u8 buffer[sizeof(EFI_FILE_INFO) + 256 * sizeof(CHAR16)];
  u32 n = 0;
  for (u32 i = 0; i < kMaxFolderEntries; ++i) {
    UINTN size = sizeof(buffer);
    if (failed(folder->Read(folder, &size, buffer)) || size < SIZE_OF_EFI_FILE_INFO) break;
    EFI_FILE_INFO info;
    __builtin_memcpy(&info, buffer, SIZE_OF_EFI_FILE_INFO);
    Entry entry;
    // "NAME.0"; a name of another form is not one of ours.
    const CHAR16* units = reinterpret_cast<const CHAR16*>(buffer + SIZE_OF_EFI_FILE_INFO);
    while (entry.name_size < kMaxName && units[entry.name_size] > ' ' &&
           units[entry.name_size] != '.' && units[entry.name_size] < 0x7F) {
      entry.name[entry.name_size] = static_cast<char>(units[entry.name_size]);
      ++entry.name_size;
    }
    if (units[entry.name_size] != '.' || !is_record_name(entry.text()) ||
        !entry.text().starts_with(prefix))
      continue;
    entry.slot_bytes = info.FileSize;
    u32 at = static_cast<u32>(min_u64(n++, out.size()));
    // In order of the names; what does not fit falls off the end.
    for (; at > 0 && entry.text() < out[at - 1].text(); --at) {
      if (at < out.size()) out[at] = out[at - 1];
    }
    if (at < out.size()) out[at] = entry;
  }
  (void)folder->Close(folder);
  restore_float_state();
  return n;
}

Result<u64> StateFolder::slot_bytes(Str name) {
  u64 smallest = ~u64{0};
  for (u32 slot = 0; slot < kSlots; ++slot) {
    EFI_FILE_HANDLE file = nullptr;
    u64 size = 0;
    const Status opened = open_slot(name, slot, EFI_FILE_MODE_READ, file, size);
    if (!opened.ok()) return opened.error();
    (void)file->Close(file);
    smallest = min_u64(smallest, size);
  }
  return smallest < kLine ? 0 : smallest - kLine;
}

Status StateFolder::read(Str name, u32 slot, u64 offset, Span<u8> out) {
  const bool is_open = reading_ != nullptr && reading_slot_ == slot && Str(reading_name_) == name;
  if (!is_open) {
    close_reading();
    const Status opened = open_slot(name, slot, EFI_FILE_MODE_READ, reading_, reading_size_);
    if (!opened.ok()) return opened;
    __builtin_memset(reading_name_, 0, sizeof(reading_name_));
    __builtin_memcpy(reading_name_, name.data(), name.size());
    reading_slot_ = slot;
  }
  if (offset > reading_size_ || out.size() > reading_size_ - offset)
    return fail(ErrorCode::kTruncated, "read beyond the end of a slot").about(name).at(offset);
  for (usize done = 0; done < out.size();) {
    UINTN n = static_cast<UINTN>(min_u64(kChunk, out.size() - done));
    const UINTN wanted = n;
    const bool ok = !failed(reading_->SetPosition(reading_, offset + done)) &&
                    !failed(reading_->Read(reading_, &n, out.data() + done)) && n != 0 &&
                    n <= wanted;
    restore_float_state();
    if (!ok) {
      close_reading();  // the next try opens it anew: EDK2 fails every read after one that failed
      return fail(ErrorCode::kIo, "the device does not read").about(name).at(offset + done);
    }
    done += n;
  }
  return {};
}

namespace {

// Writes, flushes and closes `file`; false when any of it failed.
bool write_out(EFI_FILE_HANDLE file, u64 offset, Span<const u8> bytes) {
  bool ok = !failed(file->SetPosition(file, offset));
  for (usize done = 0; ok && done < bytes.size();) {
    UINTN n = static_cast<UINTN>(min_u64(kChunk, bytes.size() - done));
    const UINTN wanted = n;
    // The interface is not const-correct; the firmware only reads.
    ok = !failed(file->Write(file, &n, const_cast<u8*>(bytes.data() + done))) && n == wanted;
    done += wanted;
  }
  ok = !failed(file->Flush(file)) && ok;
  ok = !failed(file->Close(file)) && ok;
  restore_float_state();
  return ok;
}

}  // namespace

Status StateFolder::write(Str name, u32 slot, u64 offset, Span<const u8> bytes) {
  if (!reason_.empty()) return fail(ErrorCode::kReadOnly, "nothing is written here").about(name);
  close_reading();
  EFI_FILE_HANDLE file = nullptr;
  u64 size = 0;
  const Status opened = open_slot(name, slot, kWrite, file, size);
  if (!opened.ok()) return opened;
  if (offset > size || bytes.size() > size - offset) {
    (void)file->Close(file);
    return fail(ErrorCode::kLimit, "write beyond the end of a slot").about(name).with(size);
  }
  if (!write_out(file, offset, bytes))
    return fail(ErrorCode::kIo, "the device does not write").about(name).at(offset);
  return {};
}

u64 StateFolder::free_bytes() {
  EFI_FILE_HANDLE root = nullptr;
  if (system() == nullptr || failed(system_->OpenVolume(system_, &root))) return 0;
  alignas(8) u8 buffer[sizeof(EFI_FILE_SYSTEM_INFO) + 64 * sizeof(CHAR16)];
  EFI_GUID guid = kFileSystemInfoGuid;
  UINTN size = sizeof(buffer);
  EFI_FILE_SYSTEM_INFO info = {};
  if (!failed(root->GetInfo(root, &guid, &size, buffer)) && size >= SIZE_OF_EFI_FILE_SYSTEM_INFO)
    __builtin_memcpy(&info, buffer, SIZE_OF_EFI_FILE_SYSTEM_INFO);
  (void)root->Close(root);
  restore_float_state();
  return info.ReadOnly != 0 ? 0 : info.FreeSpace;
}

// A file of zeros: what was on the medium before must not pass for a record. There is no quicker
// way: firmware that is told of a new size writes the zeros itself, and can not be stopped.
Status StateFolder::make_file(Path& path, Making& making) {
  static constexpr u8 kZeros[16 * kKiB] = {};
  EFI_STATUS status = EFI_SUCCESS;
  EFI_FILE_HANDLE file = open(path, kCreate, 0, status);
  if (file == nullptr) {
    return fail(status == EFI_WRITE_PROTECTED ? ErrorCode::kReadOnly : ErrorCode::kIo,
                "the file can not be made")
        .about(path.text.text());
  }
  // What an earlier call has made stays.
  u64 size = size_of(file);
  making.n_done += min_u64(size, making.slot_size);
  bool ok = !failed(file->SetPosition(file, size));
  bool goes_on = true;
  while (ok && goes_on && size < making.slot_size) {
    UINTN n = static_cast<UINTN>(min_u64(sizeof(kZeros), making.slot_size - size));
    const UINTN wanted = n;
    ok = !failed(file->Write(file, &n, const_cast<u8*>(kZeros))) && n == wanted;
    size += wanted;
    making.n_done += wanted;
    if (!ok || making.progress == nullptr) continue;
    restore_float_state();
    goes_on = making.progress->on_progress(making.n_done, kSlots * making.slot_size);
  }
  ok = !failed(file->Flush(file)) && ok;
  ok = !failed(file->Close(file)) && ok;
  restore_float_state();
  if (!ok) {
    return fail(ErrorCode::kLimit, "there is no room for it")
        .about(making.name)
        .with(making.slot_size);
  }
  if (!goes_on) return fail(ErrorCode::kCancelled, "stopped").about(making.name);
  return {};
}

Status StateFolder::reserve(Str name, u64 bytes, ProgressObserver* progress) {
  if (!reason_.empty()) return fail(ErrorCode::kReadOnly, "nothing is written here").about(name);
  if (!is_record_name(name)) return fail(ErrorCode::kLimit, "no name of a record").about(name);
  if (const Result<u64> have = slot_bytes(name); have.ok() && have.value() >= bytes) return {};
  close_reading();
  Making making = {name, bytes + kLine, 0, progress};
  u64 missing = 0;
  for (u32 slot = 0; slot < kSlots; ++slot) {
    EFI_FILE_HANDLE file = nullptr;
    u64 size = 0;
    if (open_slot(name, slot, EFI_FILE_MODE_READ, file, size).ok()) (void)file->Close(file);
    missing += making.slot_size - min_u64(size, making.slot_size);
  }
  if (const u64 free = free_bytes(); free < missing)
    return fail(ErrorCode::kLimit, "there is no room for it").about(name).with(free, missing);
  for (u32 slot = 0; slot < kSlots; ++slot) {
    Path path;
    slot_path(path, name, slot);
    const Status made = make_file(path, making);
    if (!made.ok()) return made;
  }
  return {};
}

// --- Files for the user ----------------------------------------------------------------------

Result<Str> StateFolder::export_file(Str name, Span<const u8> bytes) {
  if (system_ == nullptr || is_write_protected_)
    return fail(ErrorCode::kReadOnly, "nothing is written here").about(name);
  if (!is_file_name(name)) return fail(ErrorCode::kBadName, "no name of a file").about(name);
  if (free_bytes() < bytes.size() + kLine)
    return fail(ErrorCode::kLimit, "there is no room for it").about(name).with(bytes.size());
  Path path;
  EFI_STATUS status = EFI_SUCCESS;
  make_path(path, "lbm", {});
  EFI_FILE_HANDLE folder = open(path, kCreate, EFI_FILE_DIRECTORY, status);
  if (folder != nullptr) (void)folder->Close(folder);
  make_path(path, "lbm\\{}", name);
  // There is no truncation: a file of that name goes first.
  if (EFI_FILE_HANDLE old = open(path, kWrite, 0, status); old != nullptr) (void)old->Delete(old);
  EFI_FILE_HANDLE file = open(path, kCreate, 0, status);
  if (file == nullptr || !write_out(file, 0, bytes))
    return fail(ErrorCode::kIo, "the device does not write").about(name);
  exported_.clear();
  exported_.print("lbm/{} of {}", name, place_);
  return exported_.text();
}

}  // namespace lbm::efi
