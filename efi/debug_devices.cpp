// Port I/O to QEMU's debug devices (debug_devices.h). Source: QEMU, docs/specs/fw_cfg;
// hw/char/debugcon.c; hw/misc/debugexit.c.
#include "efi/debug_devices.h"

#include "efi/firmware.h"

namespace lbm::efi {
namespace {

constexpr u16 kDebugConsolePort = 0xE9;
constexpr u8 kDebugConsoleReadback = 0xE9;  // what the port answers when the device is there
constexpr u16 kDebugExitPort = 0xF4;
constexpr u16 kFwCfgSelectPort = 0x510;
constexpr u16 kFwCfgDataPort = 0x511;

constexpr u16 kFwCfgSignature = 0x0000;
constexpr u16 kFwCfgDirectory = 0x0019;
constexpr u32 kFwCfgMaxFiles = 1024;

struct Devices {
  bool fw_cfg = false;
  bool console = false;
  bool harness = false;
};
constinit Devices g_devices;

void out_byte(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
void out_word(u16 port, u16 value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }
u8 in_byte(u16 port) {
  u8 value = 0;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}
void in_bytes(u16 port, void* to, usize n) {
  __asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(port) : "memory");
}

// An entry of the directory; numbers are big-endian.
struct FwCfgFile {
  u32 size;
  u16 select;
  u16 reserved;
  char name[56];
};
static_assert(sizeof(FwCfgFile) == 64);

// Finds the first file whose name is `name`, or starts with it when `prefix`.
bool find_fw_cfg(Str name, bool prefix, FwCfgFile& out) {
  out_word(kFwCfgSelectPort, kFwCfgDirectory);
  u32 n_file = 0;
  in_bytes(kFwCfgDataPort, &n_file, sizeof(n_file));
  n_file = __builtin_bswap32(n_file);
  for (u32 i = 0; i < n_file && i < kFwCfgMaxFiles; ++i) {
    FwCfgFile file;
    in_bytes(kFwCfgDataPort, &file, sizeof(file));
    file.name[sizeof(file.name) - 1] = 0;
    const Str found(file.name);
    if (found == name || (prefix && found.starts_with(name))) {
      out = file;
      out.size = __builtin_bswap32(file.size);
      out.select = __builtin_bswap16(file.select);
      return true;
    }
  }
  return false;
}

}  // namespace

void find_debug_devices() {
  if (!under_hypervisor() || secure_boot()) return;
  char signature[4] = {};
  out_word(kFwCfgSelectPort, kFwCfgSignature);
  in_bytes(kFwCfgDataPort, signature, sizeof(signature));
  g_devices.fw_cfg = Str(signature, 4) == "QEMU";
  if (!g_devices.fw_cfg) return;
  g_devices.console = in_byte(kDebugConsolePort) == kDebugConsoleReadback;
  FwCfgFile file;
  g_devices.harness = find_fw_cfg("opt/lbm/", true, file);
}

bool has_harness() { return g_devices.harness; }

void debug_write(Str text) {
  if (!g_devices.console) return;
  const char* from = text.data();
  usize n = text.size();
  __asm__ volatile("rep outsb" : "+S"(from), "+c"(n) : "d"(kDebugConsolePort) : "memory");
}

void debug_exit(DebugExit value) {
  if (g_devices.fw_cfg) out_byte(kDebugExitPort, static_cast<u8>(value));
}

usize read_fw_cfg(Str name, Span<char> out) {
  FwCfgFile file;
  if (!g_devices.fw_cfg || !find_fw_cfg(name, false, file)) return 0;
  const usize n = file.size < out.size() ? file.size : out.size();
  out_word(kFwCfgSelectPort, file.select);
  in_bytes(kFwCfgDataPort, out.data(), n);
  return n;
}

}  // namespace lbm::efi
