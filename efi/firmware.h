// The firmware's tables, and the few questions every part of the host asks of them.
//
// Boot services stay alive for as long as the program runs: the firmware brings the drivers of
// disk, keyboard and screen, and leaving it would mean writing them. One processor at a time may
// call it, at TPL_APPLICATION (docs/uefi.md).
#pragma once

#include <efi.h>

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm::efi {

// Called once by efi_main, before anything else of this folder.
void set_firmware(EFI_HANDLE image, EFI_SYSTEM_TABLE* system);

[[nodiscard]] EFI_HANDLE image_handle();
[[nodiscard]] EFI_SYSTEM_TABLE& system_table();
[[nodiscard]] EFI_BOOT_SERVICES& boot_services();
[[nodiscard]] EFI_RUNTIME_SERVICES& runtime_services();

[[nodiscard]] inline bool failed(EFI_STATUS status) { return static_cast<INTN>(status) < 0; }

// The protocol of `handle`, or nullptr.
template <class T>
[[nodiscard]] T* protocol(EFI_HANDLE handle, const EFI_GUID& guid) {
  EFI_GUID key = guid;  // the interface is not const-correct
  void* found = nullptr;
  if (handle == nullptr || failed(boot_services().HandleProtocol(handle, &key, &found)))
    return nullptr;
  return static_cast<T*>(found);
}

// Writes the handles that have a protocol into `out`; returns how many, at most out.size().
u32 handles_with(const EFI_GUID& guid, Span<EFI_HANDLE> out);

// True when the device path of `handle` passes through a serial port.
[[nodiscard]] bool is_on_serial_port(EFI_HANDLE handle);

// True when the firmware enforces Secure Boot. Then nothing in this program listens to the virtual
// machine around it.
[[nodiscard]] bool secure_boot();

// True when CPUID says that a hypervisor runs this machine.
[[nodiscard]] bool under_hypervisor();

// Asks the firmware to attach drivers to every device. Fast boot leaves out those it did not boot
// from.
void connect_all_devices();

// Neither returns.
[[noreturn]] void reset_machine(bool power_off);

inline constexpr EFI_GUID kTextOutputGuid = EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL_GUID;
inline constexpr EFI_GUID kSerialIoGuid = EFI_SERIAL_IO_PROTOCOL_GUID;
inline constexpr EFI_GUID kFileSystemGuid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
inline constexpr EFI_GUID kLoadedImageGuid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
inline constexpr EFI_GUID kDevicePathGuid = EFI_DEVICE_PATH_PROTOCOL_GUID;
inline constexpr EFI_GUID kFileInfoGuid = EFI_FILE_INFO_ID;
inline constexpr EFI_GUID kGlobalVariableGuid = EFI_GLOBAL_VARIABLE;
// Marks the text outputs that are part of the console; EDK2's ConPlatformDxe puts it on them.
// gnu-efi does not have it.
inline constexpr EFI_GUID kConsoleOutDeviceGuid = {
    0xd3b36f2c, 0xd551, 0x11d4, {0x9a, 0x46, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};

}  // namespace lbm::efi
