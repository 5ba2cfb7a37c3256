// The STATE partition: its map, which may have been written by anybody, and its blocks; and records
// in a folder of the volume that scripts/qemu.py attaches.
#include "efi/state_partition.h"

#include "core/base/sha256.h"
#include "core/state/record.h"
#include "efi/debug_devices.h"
#include "efi/state_folder.h"
#include "tests/bare/machine.h"
#include "tests/test.h"

namespace {

using namespace lbm;
using efi::StateFolder;
using efi::StatePartition;

constexpr u64 kLine = 64 * kKiB;
constexpr u64 kDiskBytes = 28 * kLine;

// A disk in memory. The interfaces come first in their structs, so that `This` is the object.
struct FakeDisk {
  struct Block {
    EFI_BLOCK_IO interface = {};
    FakeDisk* disk = nullptr;
  };
  struct Bytes {
    EFI_DISK_IO interface = {};
    FakeDisk* disk = nullptr;
  };
  EFI_BLOCK_IO_MEDIA media = {};
  Block block;
  Bytes bytes;
  Span<u8> memory;
  u32 n_read_failure = 0;  // the next so many reads fail
  bool fails_write = false;
  bool fails_flush = false;
  u32 n_flush = 0;

  FakeDisk() {
    static u8 g_memory[kDiskBytes];
    memory = g_memory;
    __builtin_memset(g_memory, 0, sizeof(g_memory));
    media.BlockSize = 512;
    media.LastBlock = kDiskBytes / 512 - 1;
    block.disk = this;
    block.interface.Media = &media;
    block.interface.FlushBlocks = [](EFI_BLOCK_IO* self) EFIAPI -> EFI_STATUS {
      FakeDisk& disk = *reinterpret_cast<Block*>(self)->disk;
      ++disk.n_flush;
      return disk.fails_flush ? EFI_DEVICE_ERROR : EFI_SUCCESS;
    };
    bytes.disk = this;
    bytes.interface.ReadDisk = [](EFI_DISK_IO* self, UINT32, UINT64 at, UINTN n, void* out)
                                   EFIAPI -> EFI_STATUS {
      FakeDisk& disk = *reinterpret_cast<Bytes*>(self)->disk;
      if (disk.n_read_failure != 0) {
        --disk.n_read_failure;
        return EFI_DEVICE_ERROR;
      }
      if (at + n > kDiskBytes) return EFI_INVALID_PARAMETER;
      __builtin_memcpy(out, disk.memory.data() + at, n);
      return EFI_SUCCESS;
    };
    bytes.interface.WriteDisk = [](EFI_DISK_IO* self, UINT32, UINT64 at, UINTN n, void* in)
                                    EFIAPI -> EFI_STATUS {
      FakeDisk& disk = *reinterpret_cast<Bytes*>(self)->disk;
      if (disk.fails_write || at + n > kDiskBytes) return EFI_DEVICE_ERROR;
      __builtin_memcpy(disk.memory.data() + at, in, n);
      return EFI_SUCCESS;
    };
  }
  FakeDisk(const FakeDisk&) = delete;
  FakeDisk& operator=(const FakeDisk&) = delete;

  [[nodiscard]] bool start(StatePartition& state) {
    return state.start_on(&block.interface, &bytes.interface);
  }
};

struct MapEntry {
  Str name;
  u64 first, second, n_byte;
};

void put(u8* out, u64 value, u32 n) {
  for (u32 i = 0; i < n; ++i) out[i] = static_cast<u8>(value >> (8 * i));
}

void write_map(FakeDisk& disk, u64 offset, Span<const MapEntry> entries) {
  u8* const map = disk.memory.data() + offset;
  __builtin_memcpy(map, "LBMSLOT1", 8);
  put(map + 8, entries.size(), 4);
  u8* at = map + 48;
  for (const MapEntry& entry : entries) {
    __builtin_memcpy(at, entry.name.data(), entry.name.size());
    put(at + 8, entry.first, 8);
    put(at + 16, entry.second, 8);
    put(at + 24, entry.n_byte, 8);
    at += 32;
  }
  Sha256 hash;
  hash.update({map + 48, 32 * entries.size()});
  const Sha256Digest digest = hash.finish();
  __builtin_memcpy(map + 16, digest.bytes, sizeof(digest.bytes));
}

constexpr u64 kFirstMap = StatePartition::kMapOffsets[0];
constexpr u64 kSecondMap = StatePartition::kMapOffsets[1];
const MapEntry kTwo[] = {{"SETTINGS", 20 * kLine, 22 * kLine, kLine},
                         {"LOG00", 24 * kLine, 26 * kLine, 2 * kLine}};

TEST_CASE("slots are found by either copy of the map", "[state]") {
  for (const u64 offset : StatePartition::kMapOffsets) {
    FakeDisk disk;
    StatePartition state;
    CHECK(!disk.start(state));
    CHECK(!state.why_read_only().empty());
    write_map(disk, offset, kTwo);
    REQUIRE(disk.start(state));
    CHECK(state.why_read_only().empty());
    CHECK(state.slot_bytes("LOG00").value() == 2 * kLine);
    CHECK(state.slot_bytes("LOG01").error().code == ErrorCode::kNotFound);
    SlotFiles::Entry entries[4];
    CHECK(state.list("", entries) == 2);
    CHECK(entries[0].text() == "LOG00");
    CHECK(state.list("SET", entries) == 1);
    CHECK(state.reserve("LOG00", 2 * kLine, nullptr).ok());
    CHECK(state.reserve("LOG00", 3 * kLine, nullptr).error().code == ErrorCode::kLimit);
    CHECK(state.reserve("LOG01", 1, nullptr).error().code == ErrorCode::kLimit);
  }
}

TEST_CASE("a damaged first map leaves the second", "[state]") {
  FakeDisk disk;
  write_map(disk, kFirstMap, kTwo);
  write_map(disk, kSecondMap, kTwo);
  disk.memory[kFirstMap + 60] ^= 1;
  StatePartition state;
  CHECK(disk.start(state));
  disk.memory[kSecondMap + 60] ^= 1;
  CHECK(!disk.start(state));
}

TEST_CASE("a map that would lead elsewhere is refused", "[state]") {
  const MapEntry bad[][2] = {
      {{"A", 20 * kLine, 20 * kLine, kLine}, {"B", 22 * kLine, 23 * kLine, kLine}},  // one place
      {{"A", 20 * kLine, 21 * kLine, 2 * kLine}, {"B", 24 * kLine, 25 * kLine, kLine}},
      {{"A", 20 * kLine, 21 * kLine, kLine}, {"B", 21 * kLine, 23 * kLine, kLine}},  // of another
      {{"A", 20 * kLine, 28 * kLine, kLine}, {"B", 22 * kLine, 23 * kLine, kLine}},  // behind it
      {{"A", ~u64{0} - kLine + 1, 21 * kLine, kLine}, {"B", 22 * kLine, 23 * kLine, kLine}},
      {{"A", 20 * kLine, 21 * kLine, ~u64{0} - kLine + 1}, {"B", 22 * kLine, 23 * kLine, kLine}},
      {{"A", 0, 21 * kLine, kLine}, {"B", 22 * kLine, 23 * kLine, kLine}},           // boot sector
      {{"A", 19 * kLine, 21 * kLine, kLine}, {"B", 22 * kLine, 23 * kLine, kLine}},  // the map
      {{"A", 20 * kLine + 1, 22 * kLine, kLine}, {"B", 24 * kLine, 25 * kLine, kLine}},
      {{"A", 20 * kLine, 21 * kLine, 0}, {"B", 22 * kLine, 23 * kLine, kLine}},
      {{"A", 20 * kLine, 21 * kLine, kLine}, {"A", 22 * kLine, 23 * kLine, kLine}},
      {{"", 20 * kLine, 21 * kLine, kLine}, {"B", 22 * kLine, 23 * kLine, kLine}},
      {{"../A", 20 * kLine, 21 * kLine, kLine}, {"B", 22 * kLine, 23 * kLine, kLine}},
  };
  for (const auto& entries : bad) {
    FakeDisk disk;
    write_map(disk, kFirstMap, entries);
    StatePartition state;
    CHECK(!disk.start(state));
  }
  FakeDisk disk;
  write_map(disk, kFirstMap, kTwo);
  put(disk.memory.data() + kFirstMap + 8, StatePartition::kMaxRecords + 1, 4);
  StatePartition state;
  CHECK(!disk.start(state));
}

TEST_CASE("a write changes the bytes of its slot and is flushed", "[state]") {
  FakeDisk disk;
  write_map(disk, kFirstMap, kTwo);
  StatePartition state;
  REQUIRE(disk.start(state));
  const u8 bytes[] = {1, 2, 3};
  REQUIRE(state.write("SETTINGS", 1, 5, bytes).ok());
  CHECK(disk.n_flush == 1);
  CHECK(disk.memory[22 * kLine + 5] == 1);
  CHECK(disk.memory[22 * kLine + 8] == 0);
  u8 back[3] = {};
  REQUIRE(state.read("SETTINGS", 1, 5, back).ok());
  CHECK(back[2] == 3);
  CHECK(state.write("SETTINGS", 0, kLine - 2, bytes).error().code == ErrorCode::kLimit);
  CHECK(state.write("SETTINGS", 0, ~u64{0}, bytes).error().code == ErrorCode::kLimit);
  CHECK(state.read("SETTINGS", 0, kLine - 2, back).error().code == ErrorCode::kTruncated);
  CHECK(state.write("SETTINGS", 2, 0, bytes).error().code == ErrorCode::kNotFound);
}

TEST_CASE("errors of the device have their names, and a read is tried again", "[state]") {
  FakeDisk disk;
  write_map(disk, kFirstMap, kTwo);
  StatePartition state;
  REQUIRE(disk.start(state));
  u8 byte[1] = {};
  disk.n_read_failure = 2;
  CHECK(state.read("SETTINGS", 0, 0, byte).ok());
  disk.n_read_failure = 100;
  CHECK(state.read("SETTINGS", 0, 0, byte).error().code == ErrorCode::kIo);
  disk.n_read_failure = 0;
  disk.fails_flush = true;
  CHECK(state.write("SETTINGS", 0, 0, byte).error().code == ErrorCode::kIo);
  disk.fails_flush = false;
  disk.fails_write = true;
  CHECK(state.write("SETTINGS", 0, 0, byte).error().code == ErrorCode::kIo);
  disk.media.ReadOnly = TRUE;
  CHECK(state.write("SETTINGS", 0, 0, byte).error().code == ErrorCode::kReadOnly);
  CHECK(state.why_read_only() == "the disk is write-protected");
}

// The volume that scripts/qemu.py attaches for tests, where it does: it is writable.
EFI_FILE_IO_INTERFACE* test_volume() {
  char answer[4];
  if (efi::read_fw_cfg("opt/lbm/volume", answer) == 0) return nullptr;
  efi::connect_all_devices();  // a program started without a disk finds none attached
  EFI_HANDLE handles[8];
  const u32 n = efi::handles_with(efi::kFileSystemGuid, handles);
  static char16_t name[] = u"LbmTest.BIN";
  for (u32 i = 0; i < n; ++i) {
    auto* system = efi::protocol<EFI_FILE_IO_INTERFACE>(handles[i], efi::kFileSystemGuid);
    EFI_FILE_HANDLE root = nullptr;
    EFI_FILE_HANDLE file = nullptr;
    if (system == nullptr || efi::failed(system->OpenVolume(system, &root))) continue;
    const bool is_there = !efi::failed(
        root->Open(root, &file, reinterpret_cast<CHAR16*>(name), EFI_FILE_MODE_READ, 0));
    if (is_there) (void)file->Close(file);
    (void)root->Close(root);
    if (is_there) return system;
  }
  return nullptr;
}

class Patience final : public ProgressObserver {
 public:
  explicit Patience(u32 n_most) : n_most_(n_most) {}
  bool on_progress(u64 done, u64 total) override {
    n_done = done;
    n_total = total;
    return ++n_call < n_most_;
  }
  u32 n_call = 0;
  u64 n_done = 0;
  u64 n_total = 0;

 private:
  u32 n_most_;
};

TEST_CASE("records in a folder of a stick, which is asked for", "[state]") {
  EFI_FILE_IO_INTERFACE* const system = test_volume();
  if (system == nullptr) return;
  StateFolder folder;
  folder.start_on(system, false);
  CHECK(folder.why_read_only().contains("/save here"));
  CHECK(folder.reserve("CHAT00", kLine, nullptr).error().code == ErrorCode::kReadOnly);
  REQUIRE(folder.make_folder().ok());
  CHECK(folder.why_read_only().empty());
  CHECK(folder.slot_bytes("CHAT00").error().code == ErrorCode::kNotFound);
  // Making it can be stopped, and is gone on with where it was.
  Patience patience(5);
  CHECK(folder.reserve("CHAT00", kLine, &patience).error().code == ErrorCode::kCancelled);
  CHECK(patience.n_done == 5 * 16 * kKiB);
  CHECK(patience.n_total == 4 * kLine);  // a slot has 64 KiB behind it
  patience = Patience(100);
  REQUIRE(folder.reserve("CHAT00", kLine, &patience).ok());
  CHECK(patience.n_call == 16 - 5);
  CHECK(patience.n_done == patience.n_total);
  REQUIRE(folder.reserve("CHAT00", kLine, &patience).ok());
  CHECK(patience.n_call == 16 - 5);
  CHECK(folder.slot_bytes("CHAT00").value() == kLine);
  CHECK(folder.reserve("CHAT00", 1000 * kMiB, nullptr).error().code == ErrorCode::kLimit);
  Record record(folder, "CHAT00");
  REQUIRE(record.open().ok());
  CHECK(!record.present());
  CHECK(!record.damaged());
  static u8 bytes[Record::kHeaderBytes + 5000];
  for (u32 i = 0; i < 5000; ++i) bytes[Record::kHeaderBytes + i] = static_cast<u8>(i * 13);
  REQUIRE(record.write(bytes, 5000).ok());
  REQUIRE(record.write(bytes, 4000).ok());
  StateFolder again;  // the folder is remembered
  again.start_on(system, false);
  CHECK(again.why_read_only().empty());
  Record reopened(again, "CHAT00");
  REQUIRE(reopened.open().ok());
  CHECK(reopened.generation() == 2);
  CHECK(reopened.size() == 4000);
  SlotFiles::Entry entries[4];
  CHECK(again.list("CHAT", entries) == 1);
  CHECK(again.write("CHAT00", 0, 3 * kLine, Span<const u8>(bytes, 1)).error().code ==
        ErrorCode::kLimit);
  CHECK(again.read("../X", 0, 0, Span<u8>(bytes, 1)).error().code == ErrorCode::kNotFound);
  const Result<Str> place = again.export_file("report.txt", Str("hello").bytes());
  REQUIRE(place.ok());
  CHECK(place.value().starts_with("lbm/report.txt"));
  CHECK(again.export_file("report.txt", Str("bye").bytes()).ok());
  CHECK(again.export_file("..\\x", Str("bye").bytes()).error().code == ErrorCode::kBadName);
  StateFolder guarded;
  guarded.start_on(system, true);
  CHECK(guarded.export_file("report.txt", Str("x").bytes()).error().code == ErrorCode::kReadOnly);
  CHECK(guarded.make_folder().error().code == ErrorCode::kReadOnly);
}

}  // namespace
