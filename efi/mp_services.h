// EFI_MP_SERVICES_PROTOCOL, as far as we call it; gnu-efi does not have it.
// Source: UEFI Platform Initialization Specification 1.8, volume 2, section 13.4.
#pragma once

#include <efi.h>

namespace lbm::efi {

struct ProcessorLocation {
  UINT32 package;
  UINT32 core;
  UINT32 thread;
};
struct ProcessorInformation {
  UINT64 id;  // of the local APIC
  UINT32 status;
  ProcessorLocation location;
  UINT32 extended_location[6];
  UINT64 reserved[4];  // room for what later versions add
};
static_assert(sizeof(ProcessorLocation) == 12 &&
              __builtin_offsetof(ProcessorInformation, location) == 12);

inline constexpr UINT32 kProcessorIsBoot = 1;
inline constexpr UINT32 kProcessorEnabled = 2;
inline constexpr UINT32 kProcessorHealthy = 4;

using ApProcedure = void(EFIAPI*)(void* argument);

struct MpServices {
  EFI_STATUS(EFIAPI* get_number_of_processors)(MpServices* self, UINTN* n, UINTN* n_enabled);
  EFI_STATUS(EFIAPI* get_processor_info)(MpServices* self, UINTN index, ProcessorInformation* out);
  EFI_STATUS(EFIAPI* startup_all_aps)(MpServices* self, ApProcedure procedure, BOOLEAN one_by_one,
                                      EFI_EVENT done, UINTN timeout_us, void* argument,
                                      UINTN** failed);
  // With `done`, returns at once; it is signalled when the procedure has returned.
  EFI_STATUS(EFIAPI* startup_this_ap)(MpServices* self, ApProcedure procedure, UINTN index,
                                      EFI_EVENT done, UINTN timeout_us, void* argument,
                                      BOOLEAN* finished);
  EFI_STATUS(EFIAPI* switch_bsp)(MpServices* self, UINTN index, BOOLEAN enable_old);
  EFI_STATUS(EFIAPI* enable_disable_ap)(MpServices* self, UINTN index, BOOLEAN enable,
                                        UINT32* health);
  EFI_STATUS(EFIAPI* who_am_i)(MpServices* self, UINTN* index);
};

inline constexpr EFI_GUID kMpServicesGuid = {
    0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};

}  // namespace lbm::efi
