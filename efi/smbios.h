// What the firmware says about the machine in its SMBIOS tables (DMTF DSP0134): names for a report.
// Serial numbers and identifiers are left alone.
//
// Nothing here calls the firmware, and every byte is as hostile as a file's: firmware has wrong
// lengths and missing strings.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm::efi {

// Views into the table; empty where it does not say.
struct SmbiosFacts {
  Str bios_vendor, bios_version, bios_date;
  Str maker, product;  // of the machine
  Str board_maker, board;
  Str processor;
  u32 n_processor = 0;      // sockets in use
  u32 n_memory_module = 0;  // in use
  u64 memory_mib = 0;       // of all modules
  u32 memory_mt_s = 0;      // of the slowest that says it
};

// `table` is a run of structures, which ends where it says so or where it ends.
[[nodiscard]] SmbiosFacts read_smbios(Span<const u8> table);

}  // namespace lbm::efi
