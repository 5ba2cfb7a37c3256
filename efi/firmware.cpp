// Access to the firmware's tables (firmware.h).
#include "efi/firmware.h"

#include <cpuid.h>

namespace lbm::efi {
namespace {

// The only mutable global of the host besides the debug devices: it is what the firmware itself
// calls "the system table".
constinit EFI_HANDLE g_image = nullptr;
constinit EFI_SYSTEM_TABLE* g_system = nullptr;

constexpr u32 kMaxHandles = 1024;

// Names of UEFI variables are UTF-16; a literal u"" has char16_t, the headers want CHAR16.
CHAR16* variable_name(const char16_t* name) {
  return reinterpret_cast<CHAR16*>(const_cast<char16_t*>(name));
}

}  // namespace

void set_firmware(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
  g_image = image;
  g_system = system;
}

EFI_HANDLE image_handle() { return g_image; }
EFI_SYSTEM_TABLE& system_table() { return *g_system; }
EFI_BOOT_SERVICES& boot_services() { return *g_system->BootServices; }
EFI_RUNTIME_SERVICES& runtime_services() { return *g_system->RuntimeServices; }

u32 handles_with(const EFI_GUID& guid, Span<EFI_HANDLE> out) {
  EFI_GUID key = guid;
  UINTN n_found = 0;
  EFI_HANDLE* found = nullptr;
  if (failed(boot_services().LocateHandleBuffer(ByProtocol, &key, nullptr, &n_found, &found)) ||
      found == nullptr)
    return 0;
  u32 n = 0;
  while (n < n_found && n < out.size()) {
    out[n] = found[n];
    ++n;
  }
  boot_services().FreePool(found);
  return n;
}

bool is_on_serial_port(EFI_HANDLE handle) {
  const EFI_DEVICE_PATH* node = protocol<EFI_DEVICE_PATH>(handle, kDevicePathGuid);
  // The bound keeps a malformed path (a node of length 0, a missing end) from holding us.
  for (u32 i = 0; node != nullptr && i < 64; ++i) {
    const u32 length = static_cast<u32>(node->Length[0]) | static_cast<u32>(node->Length[1]) << 8;
    const u8 type = node->Type & EFI_DP_TYPE_MASK;
    if (type == END_DEVICE_PATH_TYPE || length < sizeof(EFI_DEVICE_PATH)) return false;
    if (type == MESSAGING_DEVICE_PATH && node->SubType == MSG_UART_DP) return true;
    node = reinterpret_cast<const EFI_DEVICE_PATH*>(reinterpret_cast<const u8*>(node) + length);
  }
  return false;
}

bool secure_boot() {
  EFI_GUID guid = kGlobalVariableGuid;
  u8 value = 0;
  UINTN size = sizeof(value);
  UINT32 attributes = 0;
  const EFI_STATUS status = runtime_services().GetVariable(variable_name(u"SecureBoot"), &guid,
                                                           &attributes, &size, &value);
  return !failed(status) && value == 1;
}

bool under_hypervisor() {
  u32 eax = 0;
  u32 ebx = 0;
  u32 ecx = 0;
  u32 edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 31)) != 0;
}

void connect_all_devices() {
  UINTN n_handle = 0;
  EFI_HANDLE* handles = nullptr;
  if (failed(boot_services().LocateHandleBuffer(AllHandles, nullptr, nullptr, &n_handle, &handles)))
    return;
  for (UINTN i = 0; i < n_handle && i < kMaxHandles; ++i) {
    // Most handles are not devices; the firmware answers NOT_FOUND for them, and that is fine.
    (void)boot_services().ConnectController(handles[i], nullptr, nullptr, TRUE);
  }
  boot_services().FreePool(handles);
}

void reset_machine(bool power_off) {
  runtime_services().ResetSystem(power_off ? EfiResetShutdown : EfiResetCold, EFI_SUCCESS, 0,
                                 nullptr);
  for (;;) __asm__ volatile("hlt");
}

}  // namespace lbm::efi
