// See smbios.h.
#include "efi/smbios.h"

namespace lbm::efi {
namespace {

constexpr usize kHeaderBytes = 4;
constexpr u32 kMaxStructures = 4096;
constexpr u8 kTypeBios = 0;
constexpr u8 kTypeSystem = 1;
constexpr u8 kTypeBoard = 2;
constexpr u8 kTypeProcessor = 4;
constexpr u8 kTypeMemoryDevice = 17;
constexpr u8 kTypeEnd = 127;

// One structure: its formatted part, and the strings behind it.
class Structure {
 public:
  explicit Structure(Span<const u8> bytes) {
    if (bytes.size() < kHeaderBytes || bytes[1] < kHeaderBytes || bytes[1] > bytes.size()) return;
    formatted_ = bytes.first(bytes[1]);
    const Span<const u8> rest = bytes.from(bytes[1]);
    // Strings end in a zero each, their set in another; a set of none is two zeros.
    usize end = 0;
    while (end + 1 < rest.size() && (rest[end] != 0 || rest[end + 1] != 0)) ++end;
    if (end + 2 > rest.size()) return;
    strings_ = rest.first(end + 1);
    n_byte_ = formatted_.size() + end + 2;
  }

  // 0: the table ends here, whole or not.
  [[nodiscard]] usize n_byte() const { return n_byte_; }
  [[nodiscard]] u8 type() const { return formatted_[0]; }
  [[nodiscard]] u32 byte_at(usize offset) const {
    return offset < formatted_.size() ? formatted_[offset] : 0u;
  }
  [[nodiscard]] u32 u16_at(usize offset) const {
    return byte_at(offset) | byte_at(offset + 1) << 8;
  }
  [[nodiscard]] u32 u32_at(usize offset) const { return u16_at(offset) | u16_at(offset + 2) << 16; }
  // The string whose number stands at `offset`.
  [[nodiscard]] Str text_at(usize offset) const {
    u32 number = byte_at(offset);
    usize at = 0;
    while (number > 0 && at < strings_.size()) {
      usize end = at;
      while (end < strings_.size() && strings_[end] != 0) ++end;
      if (--number == 0) return Str(strings_.slice(at, end - at)).trimmed();
      at = end + 1;
    }
    return {};
  }

 private:
  Span<const u8> formatted_;
  Span<const u8> strings_;
  usize n_byte_ = 0;
};

void add_memory(const Structure& device, SmbiosFacts& facts) {
  u64 mib = device.u16_at(0x0C);
  if (mib == 0 || mib == 0xFFFF) return;  // an empty slot, or not known
  if (mib == 0x7FFF) {
    mib = device.u32_at(0x1C) & 0x7FFFFFFFu;
  } else if ((mib & 0x8000) != 0) {
    mib = (mib & 0x7FFF) / 1024;  // in KiB
  }
  ++facts.n_memory_module;
  facts.memory_mib += mib;
  u32 speed = device.u16_at(0x20);  // as configured; older tables have only what the module can do
  if (speed == 0) speed = device.u16_at(0x15);
  if (speed != 0 && speed != 0xFFFF && (facts.memory_mt_s == 0 || speed < facts.memory_mt_s))
    facts.memory_mt_s = speed;
}

void add(const Structure& structure, SmbiosFacts& facts) {
  switch (structure.type()) {
    case kTypeBios:
      facts.bios_vendor = structure.text_at(4);
      facts.bios_version = structure.text_at(5);
      facts.bios_date = structure.text_at(8);
      break;
    case kTypeSystem:
      facts.maker = structure.text_at(4);
      facts.product = structure.text_at(5);
      break;
    case kTypeBoard:
      facts.board_maker = structure.text_at(4);
      facts.board = structure.text_at(5);
      break;
    case kTypeProcessor:
      if ((structure.byte_at(0x18) & 0x40) == 0) break;  // an empty socket
      ++facts.n_processor;
      facts.processor = structure.text_at(0x10);
      break;
    case kTypeMemoryDevice: add_memory(structure, facts); break;
    default: break;
  }
}

}  // namespace

SmbiosFacts read_smbios(Span<const u8> table) {
  SmbiosFacts facts;
  for (u32 i = 0; i < kMaxStructures; ++i) {
    const Structure structure(table);
    if (structure.n_byte() == 0 || structure.type() == kTypeEnd) break;
    add(structure, facts);
    table = table.from(structure.n_byte());
  }
  return facts;
}

}  // namespace lbm::efi
