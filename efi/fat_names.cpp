// See fat_names.h. Layout: Microsoft FAT specification of 2005, ECMA-107.
#include "efi/fat_names.h"

#include "core/base/utf8.h"

namespace lbm::efi {
namespace {

constexpr usize kEntryBytes = 32;
constexpr u32 kMaxEntries = 65'536;  // of a folder: what FAT allows
constexpr u32 kMaxDepth = 8;
constexpr u32 kLongUnits = 13;  // UTF-16 units of one entry
constexpr u32 kMaxLongEntries = 20;
constexpr u8 kLongAttribute = 0x0F;
constexpr u8 kVolumeLabel = 0x08;
constexpr u8 kFolder = 0x10;
constexpr u8 kDeleted = 0xE5;

u32 u16_at(const u8* at) { return at[0] | static_cast<u32>(at[1]) << 8; }
u32 u32_at(const u8* at) { return u16_at(at) | u16_at(at + 2) << 16; }

bool is_power_of_two(u32 n) { return n != 0 && (n & (n - 1)) == 0; }

struct Geometry {
  u32 sector_bytes = 0;
  u32 cluster_bytes = 0;
  u32 fat_bits = 0;
  u64 fat_start = 0;   // byte offsets
  u64 root_start = 0;  // FAT12 and FAT16: the root folder is no chain
  u64 root_bytes = 0;
  u64 data_start = 0;
  u32 n_cluster = 0;
  u32 root_cluster = 0;
};

bool read_geometry(VolumeBytes& volume, Geometry& out) {
  u8 boot[512];
  if (!volume.read(0, boot)) return false;
  out.sector_bytes = u16_at(boot + 11);
  const u32 n_sector_in_cluster = boot[13];
  const u32 n_reserved = u16_at(boot + 14);
  const u32 n_fat = boot[16];
  const u32 n_root = u16_at(boot + 17);
  const u32 n_sector = u16_at(boot + 19) != 0 ? u16_at(boot + 19) : u32_at(boot + 32);
  const u32 n_fat_sector = u16_at(boot + 22) != 0 ? u16_at(boot + 22) : u32_at(boot + 36);
  const bool sane = boot[510] == 0x55 && boot[511] == 0xAA && is_power_of_two(out.sector_bytes) &&
                    out.sector_bytes >= 512 && out.sector_bytes <= 4096 &&
                    is_power_of_two(n_sector_in_cluster) && n_reserved != 0 && n_fat >= 1 &&
                    n_fat <= 2 && n_fat_sector != 0;
  if (!sane) return false;
  out.cluster_bytes = out.sector_bytes * n_sector_in_cluster;
  out.fat_start = u64{n_reserved} * out.sector_bytes;
  out.root_start = out.fat_start + u64{n_fat} * n_fat_sector * out.sector_bytes;
  out.root_bytes = u64{n_root} * kEntryBytes;
  const u64 n_root_sector = (out.root_bytes + out.sector_bytes - 1) / out.sector_bytes;
  out.data_start = out.root_start + n_root_sector * out.sector_bytes;
  const u64 first_data_sector = out.data_start / out.sector_bytes;
  if (first_data_sector >= n_sector) return false;
  out.n_cluster = static_cast<u32>((n_sector - first_data_sector) / n_sector_in_cluster);
  // The number of clusters, and nothing else, tells the types apart.
  out.fat_bits = out.n_cluster < 4085 ? 12 : out.n_cluster < 65'525 ? 16 : 32;
  out.root_cluster = out.fat_bits == 32 ? u32_at(boot + 44) : 0;
  return true;
}

// The entries of one folder, one after the other.
class Folder {
 public:
  // Cluster 0 is the root.
  Folder(VolumeBytes& volume, const Geometry& geometry, u32 cluster)
      : volume_(volume), geometry_(geometry) {
    if (cluster == 0 && geometry.fat_bits != 32) {
      at_ = geometry.root_start;
      n_left_ = geometry.root_bytes;
    } else {
      enter(cluster == 0 ? geometry.root_cluster : cluster);
    }
  }

  // False at the end, or where the disk or the chain is broken.
  bool next(u8 (&entry)[kEntryBytes]) {
    if (n_entry_++ >= kMaxEntries) return false;
    if (n_left_ < kEntryBytes && !enter(next_cluster())) return false;
    if (!volume_.read(at_, entry)) return false;
    at_ += kEntryBytes;
    n_left_ -= kEntryBytes;
    return entry[0] != 0;
  }

 private:
  bool enter(u32 cluster) {
    cluster_ = cluster;
    n_left_ = 0;
    if (cluster < 2 || cluster - 2 >= geometry_.n_cluster) return false;
    at_ = geometry_.data_start + u64{cluster - 2} * geometry_.cluster_bytes;
    n_left_ = geometry_.cluster_bytes;
    return true;
  }
  // 0 where there is none: the root that is no chain, the end of one, or a disk that fails.
  u32 next_cluster() {
    if (cluster_ < 2) return 0;
    u8 bytes[4] = {};
    const u64 offset = u64{cluster_} * geometry_.fat_bits / 8;
    const usize n = geometry_.fat_bits == 32 ? 4 : 2;
    if (!volume_.read(geometry_.fat_start + offset, Span<u8>(bytes).first(n))) return 0;
    if (geometry_.fat_bits == 32) return u32_at(bytes) & 0x0FFFFFFF;
    if (geometry_.fat_bits == 16) return u16_at(bytes);
    return cluster_ % 2 == 1 ? u16_at(bytes) >> 4 : u16_at(bytes) & 0xFFF;
  }

  VolumeBytes& volume_;
  const Geometry& geometry_;
  u64 at_ = 0;
  u64 n_left_ = 0;  // bytes of this cluster, or of the fixed root
  u32 cluster_ = 0;
  u32 n_entry_ = 0;
};

// The long name that stands before a short entry, in pieces from its end to its beginning.
class LongName {
 public:
  void add(const u8 (&entry)[kEntryBytes]) {
    const u32 order = entry[0] & 0x1Fu;
    if ((entry[0] & 0x40) != 0) {
      n_piece_ = order <= kMaxLongEntries ? order : 0;
      next_ = n_piece_;
      checksum_ = entry[13];
    }
    if (order == 0 || order != next_ || entry[13] != checksum_) {
      clear();
      return;
    }
    constexpr u8 kOffsets[kLongUnits] = {1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30};
    for (u32 i = 0; i < kLongUnits; ++i)
      units_[(order - 1) * kLongUnits + i] = static_cast<u16>(u16_at(entry + kOffsets[i]));
    --next_;
  }
  void clear() { n_piece_ = next_ = 0; }

  // Whether it belongs to the short entry `name` and spells `wanted`.
  [[nodiscard]] bool spells(const u8* name, Str wanted) const {
    if (n_piece_ == 0 || next_ != 0 || checksum(name) != checksum_) return false;
    u32 n = 0;
    while (!wanted.empty()) {
      const Utf8Char c = decode_utf8(wanted);
      wanted = wanted.from(c.n_byte);
      if (c.codepoint < 0x10000) {
        if (!is(n++, c.codepoint)) return false;
      } else if (!is(n, 0xD800 + ((c.codepoint - 0x10000) >> 10)) ||
                 !is(n + 1, 0xDC00 + ((c.codepoint - 0x10000) & 0x3FF))) {
        return false;
      } else {
        n += 2;
      }
    }
    return n == n_piece_ * kLongUnits || units_[n] == 0;
  }

 private:
  static u32 lower(u32 c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; }
  [[nodiscard]] bool is(u32 i, u32 unit) const {
    return i < n_piece_ * kLongUnits && lower(units_[i]) == lower(unit);
  }
  static u8 checksum(const u8* name) {
    u32 sum = 0;
    for (u32 i = 0; i < 11; ++i) sum = (((sum & 1) << 7) + (sum >> 1) + name[i]) & 0xFF;
    return static_cast<u8>(sum);
  }

  u16 units_[kMaxLongEntries * kLongUnits] = {};
  u32 n_piece_ = 0;
  u32 next_ = 0;  // order of the piece that comes next; 0: complete
  u8 checksum_ = 0;
};

// "STORIE~1.GGU" of the eleven bytes of an entry.
Str short_name(const u8* name, char (&out)[13]) {
  usize n = 0;
  for (u32 i = 0; i < 11; ++i) {
    if (i == 8 && name[8] != ' ') out[n++] = '.';
    if (name[i] != ' ') out[n++] = static_cast<char>(i == 0 && name[0] == 0x05 ? 0xE5 : name[i]);
  }
  return {out, n};
}

bool same_name(Str a, Str b) {
  if (a.size() != b.size()) return false;
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (usize i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

struct Found {
  char name[13];
  Str text;
  u32 cluster = 0;
  bool is_folder = false;
};

bool find(Folder folder, Str wanted, u32 fat_bits, Found& out) {
  LongName long_name;
  u8 entry[kEntryBytes];
  while (folder.next(entry)) {
    if (entry[0] == kDeleted) {
      long_name.clear();
      continue;
    }
    if ((entry[11] & 0x3F) == kLongAttribute) {
      long_name.add(entry);
      continue;
    }
    out.text = short_name(entry, out.name);
    const bool is_it = (entry[11] & kVolumeLabel) == 0 &&
                       (long_name.spells(entry, wanted) || same_name(out.text, wanted));
    long_name.clear();
    if (!is_it) continue;
    out.cluster = u16_at(entry + 26) | (fat_bits == 32 ? u16_at(entry + 20) << 16 : 0u);
    out.is_folder = (entry[11] & kFolder) != 0;
    return true;
  }
  return false;
}

}  // namespace

Result<Str> short_path(VolumeBytes& volume, Str path, TextWriter& out) {
  Geometry geometry;
  if (!read_geometry(volume, geometry))
    return fail(ErrorCode::kUnsupported, "this is no FAT volume").about(path);
  out.clear();
  Str rest = path;
  u32 cluster = 0;
  bool is_folder = true;
  for (u32 depth = 0; !rest.empty();) {
    usize n = 0;
    while (n < rest.size() && rest[n] != '/' && rest[n] != '\\') ++n;
    const Str name = rest.first(n);
    rest = rest.from(n < rest.size() ? n + 1 : n);
    if (name.empty()) continue;
    Found found;
    if (!is_folder || ++depth > kMaxDepth ||
        !find(Folder(volume, geometry, cluster), name, geometry.fat_bits, found)) {
      return fail(ErrorCode::kNotFound, "no such entry in the folder on the disk").about(path);
    }
    out.append(out.text().empty() ? "" : "/").append(found.text);
    cluster = found.cluster;
    is_folder = found.is_folder;
  }
  if (out.truncated()) return fail(ErrorCode::kLimit, "the path is too long").about(path);
  if (out.text().empty()) return fail(ErrorCode::kNotFound, "the path is empty").about(path);
  return out.text();
}

}  // namespace lbm::efi
