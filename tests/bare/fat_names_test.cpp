// Short names from the directory of a FAT volume that is made here, and of broken ones.
#include "efi/fat_names.h"

#include "tests/test.h"

using namespace lbm;
using namespace lbm::efi;

namespace {

// FAT16 or FAT32 in memory: sectors of 512 bytes, clusters of one sector. Only the sectors that are
// written exist; the rest is zeros.
class Disk final : public VolumeBytes {
 public:
  static constexpr u32 kSector = 512;
  static constexpr usize kBytes = 700 * kSector;

  explicit Disk(bool fat32) : fat32_(fat32) {
    __builtin_memset(bytes_, 0, sizeof(bytes_));
    put16(11, kSector);
    bytes_[13] = 1;
    put16(14, 1);
    bytes_[16] = 1;
    if (fat32) {
      put32(32, 80'000);
      put32(36, 626);
      put32(44, 2);
      data_ = 1 + 626;
    } else {
      put16(17, 32);  // two sectors of root
      put16(19, 10'000);
      put16(22, 40);
      data_ = 1 + 40 + 2;
    }
    bytes_[510] = 0x55;
    bytes_[511] = 0xAA;
    if (fat32) chain(2, 0x0FFFFFFF);
  }

  bool read(u64 offset, Span<u8> out) override {
    if (fails) return false;
    for (usize i = 0; i < out.size(); ++i)
      out[i] = offset + i < kBytes ? bytes_[offset + i] : u8{0};
    return true;
  }

  void chain(u32 cluster, u32 next) {
    if (fat32_) {
      put32(kSector + cluster * 4, next);
    } else {
      put16(kSector + cluster * 2, next);
    }
  }
  // The offset of entry `i` of a folder: 0 is the root.
  [[nodiscard]] usize entry(u32 cluster, u32 i) const {
    if (cluster == 0 && !fat32_) return (1 + 40) * kSector + i * 32;
    return (data_ + (cluster == 0 ? 2 : cluster) - 2) * kSector + i * 32;
  }
  // Writes the pieces of a long name and its short entry from entry `i` on; returns the next free.
  u32 add(u32 cluster, u32 i, const char* long_name, const char* short_name, u32 first = 0,
          bool folder = false) {
    const usize n = __builtin_strlen(long_name);
    const u32 n_piece = static_cast<u32>((n + 12) / 13);
    u32 sum = 0;
    for (u32 k = 0; k < 11; ++k)
      sum = (((sum & 1) << 7) + (sum >> 1) + static_cast<u8>(short_name[k])) & 0xFF;
    for (u32 piece = n_piece; piece > 0; --piece, ++i) {
      u8* at = bytes_ + entry(cluster, i);
      at[0] = static_cast<u8>(piece | (piece == n_piece ? 0x40u : 0u));
      at[11] = 0x0F;
      at[13] = static_cast<u8>(sum);
      constexpr u8 kOffsets[] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
      for (u32 k = 0; k < 13; ++k) {
        const usize c = (piece - 1) * 13 + k;
        const u32 unit = c < n ? static_cast<u8>(long_name[c]) : c == n ? 0u : 0xFFFFu;
        at[kOffsets[k]] = static_cast<u8>(unit);
        at[kOffsets[k] + 1] = static_cast<u8>(unit >> 8);
      }
    }
    u8* at = bytes_ + entry(cluster, i);
    __builtin_memcpy(at, short_name, 11);
    at[11] = folder ? 0x10 : 0x20;
    at[26] = static_cast<u8>(first);
    at[27] = static_cast<u8>(first >> 8);
    return i + 1;
  }
  [[nodiscard]] u8* bytes() { return bytes_; }

  bool fails = false;

 private:
  void put16(usize at, u32 value) {
    bytes_[at] = static_cast<u8>(value);
    bytes_[at + 1] = static_cast<u8>(value >> 8);
  }
  void put32(usize at, u32 value) {
    put16(at, value & 0xFFFF);
    put16(at + 2, value >> 16);
  }

  bool fat32_;
  u32 data_ = 0;  // sector of cluster 2
  u8 bytes_[kBytes];
};

Disk& new_disk(bool fat32) {
  alignas(Disk) static u8 memory[sizeof(Disk)];
  return *new (PlaceAt{memory}) Disk(fat32);
}

struct Alias {
  explicit Alias(Disk& disk, Str path) {
    const Result<Str> found = short_path(disk, path, out);
    code = found.ok() ? ErrorCode::kOk : found.error().code;
  }
  [[nodiscard]] Str text() const { return out.text(); }
  TextBuffer<64> out;
  ErrorCode code;
};

}  // namespace

TEST_CASE("fat names: the short name is the one of the directory, on FAT16 and FAT32", "[fat]") {
  for (const bool fat32 : {false, true}) {
    Disk& disk = new_disk(fat32);
    // Two files whose names begin alike: by rule both would be STORIE~1.
    u32 next = disk.add(0, 0, "stories15M.gguf", "STORIE~2GGU");
    next = disk.add(0, next, "stories110M.gguf", "STORIE~1GGU");
    next = disk.add(0, next, "models", "MODELS     ", 5, true);
    disk.chain(5, fat32 ? 6 : 6);
    disk.chain(6, fat32 ? 0x0FFFFFFF : 0xFFFF);
    // The second cluster of the folder.
    u32 inner = 0;
    for (u32 i = 0; i < 15; ++i) inner = disk.add(5, inner, "", "FILL    TXT");
    disk.add(6, 0, "Qwen3-0.6B-Q8_0.gguf", "QWEN3-~1GGU");
    disk.bytes()[disk.entry(5, 15)] = 0xE5;  // deleted
    CHECK(Alias(disk, "stories15M.gguf").text() == "STORIE~2.GGU");
    CHECK(Alias(disk, "STORIES110m.GGUF").text() == "STORIE~1.GGU");
    CHECK(Alias(disk, "storie~1.ggu").text() == "STORIE~1.GGU");
    CHECK(Alias(disk, "models\\Qwen3-0.6B-Q8_0.gguf").text() == "MODELS/QWEN3-~1.GGU");
    CHECK(Alias(disk, "models").text() == "MODELS");
    CHECK(Alias(disk, "stories.gguf").code == ErrorCode::kNotFound);
    CHECK(Alias(disk, "stories15M.gguf/x").code == ErrorCode::kNotFound);  // no folder
    CHECK(Alias(disk, "").code == ErrorCode::kNotFound);
  }
}

TEST_CASE("fat names: a long name that does not belong to its entry does not count", "[fat]") {
  Disk& disk = new_disk(false);
  disk.add(0, 0, "stories15M.gguf", "STORIE~1GGU");
  disk.bytes()[disk.entry(0, 2)] = 'X';  // the checksum says otherwise now
  CHECK(Alias(disk, "stories15M.gguf").code == ErrorCode::kNotFound);
  CHECK(Alias(disk, "XTORIE~1.GGU").text() == "XTORIE~1.GGU");
}

TEST_CASE("fat names: what is no FAT, a disk that fails, and chains that never end", "[fat]") {
  Disk& disk = new_disk(true);
  disk.fails = true;
  CHECK(Alias(disk, "a").code == ErrorCode::kUnsupported);
  disk.fails = false;
  disk.bytes()[510] = 0;
  CHECK(Alias(disk, "a").code == ErrorCode::kUnsupported);
  disk.bytes()[510] = 0x55;
  // The root is a ring of clusters, full of files.
  disk.chain(2, 2);
  for (u32 i = 0; i < 16; ++i) disk.add(0, i, "", "FILL    TXT");
  CHECK(Alias(disk, "a.txt").code == ErrorCode::kNotFound);
  disk.chain(2, 0x0FFFFFF0);
  CHECK(Alias(disk, "a.txt").code == ErrorCode::kNotFound);
  // Every byte of the boot sector, one after the other: no crash, no endless walk.
  u32 n_checked = 0;
  for (usize i = 11; i < 48; ++i) {
    const u8 kept = disk.bytes()[i];
    for (const u32 value : {0u, 1u, 0x7Fu, 0xFFu}) {
      disk.bytes()[i] = static_cast<u8>(value);
      CHECK(Alias(disk, "a.txt").code != ErrorCode::kOk);
      ++n_checked;
    }
    disk.bytes()[i] = kept;
  }
  CHECK(n_checked == 37 * 4);
}
