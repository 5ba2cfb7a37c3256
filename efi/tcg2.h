// EFI_TCG2_PROTOCOL, as far as we call it; gnu-efi does not have it.
// Source: TCG EFI Protocol Specification, family 2.0, level 00 revision 00.13, section 6.
#pragma once

#include <efi.h>

namespace lbm::efi {

// The 14 bytes that stand before the data of an event.
struct [[gnu::packed]] Tcg2EventHeader {
  UINT32 event_bytes;  // of all of it, this header included
  UINT32 header_bytes;
  UINT16 header_version;
  UINT32 pcr;
  UINT32 type;
};
static_assert(sizeof(Tcg2EventHeader) == 18);
inline constexpr UINT32 kTcg2HeaderBytes = 14;  // as header_bytes counts: without event_bytes
inline constexpr UINT16 kTcg2HeaderVersion = 1;

struct Tcg2Capability {
  UINT8 size;
  UINT8 structure_version[2];
  UINT8 protocol_version[2];
  UINT32 hash_algorithms;
  UINT32 event_logs;
  BOOLEAN tpm_present;
  UINT16 max_command_bytes;
  UINT16 max_response_bytes;
  UINT32 manufacturer;
  UINT32 n_pcr_bank;
  UINT32 active_pcr_banks;
};
static_assert(sizeof(Tcg2Capability) == 36 &&
              __builtin_offsetof(Tcg2Capability, tpm_present) == 16);

struct Tcg2 {
  EFI_STATUS(EFIAPI* get_capability)(Tcg2* self, Tcg2Capability* out);
  void* get_event_log;
  // The firmware hashes `data` in every bank of the TPM, extends the PCR, and appends the event.
  EFI_STATUS(EFIAPI* hash_log_extend_event)(Tcg2* self, UINT64 flags, EFI_PHYSICAL_ADDRESS data,
                                            UINT64 data_bytes, Tcg2EventHeader* event);
  EFI_STATUS(EFIAPI* submit_command)(Tcg2* self, UINT32 command_bytes, UINT8* command,
                                     UINT32 response_bytes, UINT8* response);
  void* get_active_pcr_banks;
  void* set_active_pcr_banks;
  void* get_result_of_set_active_pcr_banks;
};

inline constexpr EFI_GUID kTcg2Guid = {
    0x607f766c, 0x7455, 0x42be, {0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f}};

}  // namespace lbm::efi
