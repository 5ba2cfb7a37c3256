// See state_partition.h.
#include "efi/state_partition.h"

#include "core/base/arith.h"
#include "core/base/byte_reader.h"
#include "core/base/sha256.h"
#include "core/state/record.h"
#include "efi/cpu_state.h"

namespace lbm::efi {
namespace {

constexpr EFI_GUID kBlockIoGuid = EFI_BLOCK_IO_PROTOCOL_GUID;
constexpr EFI_GUID kDiskIoGuid = EFI_DISK_IO_PROTOCOL_GUID;
constexpr Str kMagic = "LBMSLOT1";
constexpr usize kHeadBytes = 48;
constexpr usize kEntryBytes = 32;
constexpr u32 kNameBytes = SlotFiles::kMaxName;
constexpr u64 kLine = 64 * kKiB;
constexpr u32 kMaxPathNodes = 64;
constexpr u32 kTries = 3;           // of a read
constexpr usize kChunk = 1u << 20;  // of one call of the firmware (file_source.h)

// Bytes of the device path of `handle` up to the node of its partition: what two partitions of one
// disk have in common.
Span<const u8> disk_path(EFI_HANDLE handle) {
  const u8* const start =
      reinterpret_cast<const u8*>(protocol<EFI_DEVICE_PATH>(handle, kDevicePathGuid));
  if (start == nullptr) return {};
  usize at = 0;
  for (u32 i = 0; i < kMaxPathNodes; ++i) {
    const EFI_DEVICE_PATH* node = reinterpret_cast<const EFI_DEVICE_PATH*>(start + at);
    const u32 length = static_cast<u32>(node->Length[0]) | static_cast<u32>(node->Length[1]) << 8;
    const u8 type = node->Type & EFI_DP_TYPE_MASK;
    if (type == MEDIA_DEVICE_PATH && node->SubType == MEDIA_HARDDRIVE_DP) return {start, at};
    if (type == END_DEVICE_PATH_TYPE || length < sizeof(EFI_DEVICE_PATH)) break;
    at += length;
  }
  return {};
}

bool on_same_disk(EFI_HANDLE a, EFI_HANDLE b) {
  const Span<const u8> x = disk_path(a);
  const Span<const u8> y = disk_path(b);
  return !x.empty() && x.size() == y.size() && __builtin_memcmp(x.data(), y.data(), x.size()) == 0;
}

}  // namespace

// --- Finding it ------------------------------------------------------------------------------

bool StatePartition::start(EFI_HANDLE boot_volume) {
  EFI_HANDLE found[16];
  const u32 n = handles_with(kStatePartitionGuid, found);
  // First those on the disk that the program came from.
  for (u32 pass = 0; pass < 2; ++pass) {
    for (u32 i = 0; i < n; ++i) {
      if (on_same_disk(found[i], boot_volume) != (pass == 0)) continue;
      EFI_BLOCK_IO* block = protocol<EFI_BLOCK_IO>(found[i], kBlockIoGuid);
      EFI_DISK_IO* disk = protocol<EFI_DISK_IO>(found[i], kDiskIoGuid);
      if (disk == nullptr) {
        // Fast boot attaches drivers only to what it boots from.
        (void)boot_services().ConnectController(found[i], nullptr, nullptr, TRUE);
        disk = protocol<EFI_DISK_IO>(found[i], kDiskIoGuid);
      }
      if (block == nullptr || disk == nullptr || !start_on(block, disk)) continue;
      handle_ = found[i];
      return true;
    }
  }
  return false;
}

bool StatePartition::start_on(EFI_BLOCK_IO* block, EFI_DISK_IO* disk) {
  block_ = block;
  disk_ = disk;
  for (const u64 offset : kMapOffsets) {
    if (read_map(offset)) return true;
  }
  block_ = nullptr;
  disk_ = nullptr;
  return false;
}

bool StatePartition::read_map(u64 offset) {
  n_place_ = 0;
  u8 bytes[kHeadBytes + kMaxRecords * kEntryBytes];
  if (!read_disk(offset, bytes)) return false;
  if (Str(Span<const u8>(bytes, kMagic.size())) != kMagic) return false;
  ByteReader head(bytes);
  head.skip(kMagic.size());
  const u32 n = head.read_u32();
  head.skip(4);
  if (n > kMaxRecords) return false;
  const Span<const u8> entries(bytes + kHeadBytes, n * kEntryBytes);
  Sha256 hash;
  hash.update(entries);
  if (__builtin_memcmp(hash.finish().bytes, bytes + 16, sizeof(Sha256Digest::bytes)) != 0)
    return false;
  if (take_places(entries, n)) return true;
  n_place_ = 0;
  return false;
}

bool StatePartition::take_places(Span<const u8> entries, u32 n) {
  ByteReader reader(entries);
  for (u32 i = 0; i < n; ++i) {
    Place place;
    Str name = reader.read_text(kNameBytes);
    while (!name.empty() && name[name.size() - 1] == '\0') name = name.first(name.size() - 1);
    place.offsets[0] = reader.read_u64();
    place.offsets[1] = reader.read_u64();
    place.entry.slot_bytes = reader.read_u64();
    if (!is_record_name(name) || find(name) != nullptr) return false;
    __builtin_memcpy(place.entry.name, name.data(), name.size());
    place.entry.name_size = static_cast<u32>(name.size());
    for (const u64 offset : place.offsets) {
      if (!is_free(offset, place.entry.slot_bytes)) return false;
    }
    const u64 apart = place.offsets[0] < place.offsets[1] ? place.offsets[1] - place.offsets[0]
                                                          : place.offsets[0] - place.offsets[1];
    if (apart < place.entry.slot_bytes) return false;
    u32 at = n_place_++;
    for (; at > 0 && name < places_[at - 1].entry.text(); --at) places_[at] = places_[at - 1];
    places_[at] = place;
  }
  return true;
}

// True when a slot of whole lines can lie there: on the partition, behind the maps, on no other.
bool StatePartition::is_free(u64 offset, u64 bytes) const {
  const u64 end_of_maps = kMapOffsets[1] + kLine;
  const u64 n_byte = (block_->Media->LastBlock + 1) * block_->Media->BlockSize;
  if (bytes == 0 || bytes % kLine != 0 || offset % kLine != 0 || offset < end_of_maps) return false;
  if (offset > n_byte || bytes > n_byte - offset) return false;
  for (u32 i = 0; i < n_place_; ++i) {
    for (const u64 other : places_[i].offsets) {
      if (offset < other + places_[i].entry.slot_bytes && other < offset + bytes) return false;
    }
  }
  return true;
}

const StatePartition::Place* StatePartition::find(Str name) const {
  for (u32 i = 0; i < n_place_; ++i) {
    if (places_[i].entry.text() == name) return &places_[i];
  }
  return nullptr;
}

// --- Slots -----------------------------------------------------------------------------------

// A handle that is gone is known to the firmware as no handle, so asking is safe.
bool StatePartition::is_gone() const {
  return handle_ != nullptr && (protocol<EFI_BLOCK_IO>(handle_, kBlockIoGuid) != block_ ||
                                protocol<EFI_DISK_IO>(handle_, kDiskIoGuid) != disk_);
}

Str StatePartition::why_read_only() const {
  if (block_ == nullptr) return "there is no STATE partition";
  if (is_gone()) return "the disk was taken out";
  if (block_->Media->ReadOnly != 0) return "the disk is write-protected";
  return {};
}

u32 StatePartition::list(Str prefix, Span<Entry> out) {
  u32 n = 0;
  for (u32 i = 0; i < n_place_; ++i) {
    if (!places_[i].entry.text().starts_with(prefix)) continue;
    if (n < out.size()) out[n] = places_[i].entry;
    ++n;
  }
  return n;
}

Result<u64> StatePartition::slot_bytes(Str name) {
  const Place* place = find(name);
  if (place == nullptr) return fail(ErrorCode::kNotFound, "no such record").about(name);
  return place->entry.slot_bytes;
}

bool StatePartition::read_disk(u64 offset, Span<u8> out) {
  for (usize done = 0; done < out.size();) {
    const usize n = static_cast<usize>(min_u64(kChunk, out.size() - done));
    EFI_STATUS status = EFI_SUCCESS;
    u32 n_try = 0;
    do {
      if (is_gone()) return false;
      status = disk_->ReadDisk(disk_, block_->Media->MediaId, offset + done, n, out.data() + done);
    } while (failed(status) && ++n_try < kTries);
    restore_float_state();
    if (failed(status)) return false;
    done += n;
  }
  return true;
}

Status StatePartition::read(Str name, u32 slot, u64 offset, Span<u8> out) {
  const Place* place = find(name);
  if (place == nullptr || slot >= kSlots)
    return fail(ErrorCode::kNotFound, "no such record").about(name);
  if (offset > place->entry.slot_bytes || out.size() > place->entry.slot_bytes - offset)
    return fail(ErrorCode::kTruncated, "read beyond the end of a slot").about(name).at(offset);
  if (!read_disk(place->offsets[slot] + offset, out))
    return fail(ErrorCode::kIo, "the device does not read").about(name).at(offset);
  return {};
}

Status StatePartition::write(Str name, u32 slot, u64 offset, Span<const u8> bytes) {
  const Place* place = find(name);
  if (place == nullptr || slot >= kSlots)
    return fail(ErrorCode::kNotFound, "no such record").about(name);
  if (is_gone()) return fail(ErrorCode::kIo, "the disk was taken out").about(name);
  if (!why_read_only().empty())
    return fail(ErrorCode::kReadOnly, "the disk is write-protected").about(name);
  if (offset > place->entry.slot_bytes || bytes.size() > place->entry.slot_bytes - offset)
    return fail(ErrorCode::kLimit, "write beyond the end of a slot").about(name).at(offset);
  EFI_STATUS status = EFI_SUCCESS;
  for (usize done = 0; done < bytes.size() && !failed(status);) {
    const usize n = static_cast<usize>(min_u64(kChunk, bytes.size() - done));
    // The interface is not const-correct; the firmware only reads.
    status = disk_->WriteDisk(disk_, block_->Media->MediaId, place->offsets[slot] + offset + done,
                              n, const_cast<u8*>(bytes.data() + done));
    done += n;
    restore_float_state();
    if (is_gone()) return fail(ErrorCode::kIo, "the disk was taken out").about(name).at(offset);
  }
  // Also after a write that failed: what did arrive shall not stay in a cache.
  const EFI_STATUS flushed = block_->FlushBlocks(block_);
  restore_float_state();
  if (status == EFI_WRITE_PROTECTED)
    return fail(ErrorCode::kReadOnly, "the disk is write-protected").about(name);
  if (failed(status) || failed(flushed))
    return fail(ErrorCode::kIo, "the device does not write").about(name).at(offset);
  return {};
}

Status StatePartition::reserve(Str name, u64 bytes, ProgressObserver*) {
  const Place* place = find(name);
  if (place != nullptr && place->entry.slot_bytes >= bytes) return {};
  return fail(ErrorCode::kLimit, "the STATE partition has no place of this size")
      .about(name)
      .with(place != nullptr ? place->entry.slot_bytes : 0, bytes);
}

}  // namespace lbm::efi
