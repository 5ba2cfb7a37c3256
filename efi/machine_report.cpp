// What /diag and /report tell about a bare machine (host.h).
#include "core/base/arith.h"
#include "efi/cpu_state.h"
#include "efi/firmware.h"
#include "efi/host.h"
#include "efi/smbios.h"

namespace lbm::efi {
namespace {

constexpr EFI_GUID kSmbiosGuid = SMBIOS_TABLE_GUID;
constexpr EFI_GUID kSmbios3Guid = SMBIOS3_TABLE_GUID;
constexpr EFI_GUID kGraphicsGuid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;
constexpr u64 kMaxSmbiosBytes = 1 << 20;
constexpr u32 kMaxModes = 64;

// UTF-16 of the firmware as ASCII; what is beyond is a '?'.
template <usize kCapacity>
Str ascii(const CHAR16* text, TextBuffer<kCapacity>& out) {
  for (u32 i = 0; text != nullptr && i < kCapacity && text[i] != 0; ++i) {
    const char c = text[i] >= 0x20 && text[i] < 0x7F ? static_cast<char>(text[i]) : '?';
    out.append({&c, 1});
  }
  return out.text();
}

const u8* find_table(const EFI_GUID& guid) {
  const EFI_SYSTEM_TABLE& system = system_table();
  for (UINTN i = 0; i < system.NumberOfTableEntries; ++i) {
    const EFI_CONFIGURATION_TABLE& entry = system.ConfigurationTable[i];
    if (__builtin_memcmp(&entry.VendorGuid, &guid, sizeof(guid)) == 0)
      return static_cast<const u8*>(entry.VendorTable);
  }
  return nullptr;
}

template <class T>
T read_at(const u8* at) {
  T value;
  __builtin_memcpy(&value, at, sizeof(value));
  return value;
}

// The structures, wherever the entry point says they are. Only their size is checked: that they are
// there is the firmware's word.
Span<const u8> smbios_table() {
  if (const u8* entry = find_table(kSmbios3Guid); entry != nullptr) {
    const u64 size = min_u64(read_at<u32>(entry + 0x0C), kMaxSmbiosBytes);
    return {reinterpret_cast<const u8*>(read_at<u64>(entry + 0x10)), static_cast<usize>(size)};
  }
  if (const u8* entry = find_table(kSmbiosGuid); entry != nullptr) {
    return {reinterpret_cast<const u8*>(static_cast<u64>(read_at<u32>(entry + 0x18))),
            read_at<u16>(entry + 0x16)};
  }
  return {};
}

void describe_smbios(ConsolePrinter& out) {
  const Span<const u8> table = smbios_table();
  if (table.data() == nullptr) return;  // none, or an entry point that says so
  const SmbiosFacts facts = read_smbios(table);
  out.line("machine    {} {}", facts.maker, facts.product);
  if (!facts.board_maker.empty() || !facts.board.empty())
    out.line("board      {} {}", facts.board_maker, facts.board);
  out.line("bios       {} {} {}", facts.bios_vendor, facts.bios_version, facts.bios_date);
  out.line("processor  {} x {}", facts.n_processor, facts.processor);
  out.print("modules    {} of memory, {} MiB", facts.n_memory_module, facts.memory_mib);
  if (facts.memory_mt_s != 0) out.print(", {} MT/s", facts.memory_mt_s);
  out.line("");
}

void describe_modes(ConsolePrinter& out) {
  EFI_HANDLE handles[4];
  const u32 n_handle = handles_with(kGraphicsGuid, handles);
  if (n_handle == 0) out.line("graphics   none");
  for (u32 i = 0; i < n_handle; ++i) {
    auto* gop = protocol<EFI_GRAPHICS_OUTPUT_PROTOCOL>(handles[i], kGraphicsGuid);
    if (gop == nullptr || gop->Mode == nullptr) continue;
    out.print("graphics  ");
    for (u32 mode = 0; mode < gop->Mode->MaxMode && mode < kMaxModes; ++mode) {
      UINTN size = 0;
      EFI_GRAPHICS_OUTPUT_MODE_INFORMATION* info = nullptr;
      if (failed(gop->QueryMode(gop, mode, &size, &info)) || info == nullptr) continue;
      out.print(" {}x{}{}", info->HorizontalResolution, info->VerticalResolution,
                mode == gop->Mode->Mode ? "*" : "");
      (void)boot_services().FreePool(info);
    }
    out.line("");
    return;  // the others are the same displays once more, under the console's own handle
  }
}

}  // namespace

void UefiHost::describe_machine(ConsolePrinter& out) {
  const EFI_SYSTEM_TABLE& system = system_table();
  TextBuffer<96> vendor;
  out.line("firmware   {} {:x}, UEFI {}.{}, Secure Boot {}{}", ascii(system.FirmwareVendor, vendor),
           system.FirmwareRevision, system.Hdr.Revision >> 16, (system.Hdr.Revision & 0xFFFF) / 10,
           secure_boot() ? "on" : "off", under_hypervisor() ? ", in a virtual machine" : "");
  out.line("cpu        {}{}{}{}{}", features_.brand, features_.avx2 ? ", avx2" : "",
           features_.avx512 ? ", avx512" : "", features_.amx ? ", amx" : "",
           features_.sha ? ", sha" : "");
  if (!workers_.notice().empty()) out.line("cores      {}", workers_.notice());
  if (const Result<Sha256Digest> pcr = measured_boot_.pcr(); pcr.ok())
    out.line("tpm        PCR {} {}", MeasuredBoot::kPcr, to_hex(pcr.value()).str());
  describe_smbios(out);
  describe_modes(out);
  out.line("serial     ports {}", console_.n_serial_port());
  for (u32 i = 0; i < volume_.n_volume(); ++i) {
    VolumeFacts facts;
    if (volume_.facts(i, facts)) {
      out.line("volume {}   {:.0} MiB, {:.0} MiB free{}: {}", i, mib(facts.size_bytes),
               mib(facts.free_bytes), facts.is_read_only ? ", read-only" : "", facts.label);
    } else {
      out.line("volume {}   can not be opened", i);
    }
  }
  restore_float_state();
}

}  // namespace lbm::efi
