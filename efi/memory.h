// Pages over the firmware's page allocator.
//
// The memory of a PC has holes, so one range is never larger than the largest descriptor of the
// memory map; arenas take several. Ranges are taken once and kept: freeing is slow on firmware that
// fills freed pages (1.65 ms/MiB under emulation).
#pragma once

#include "core/platform.h"

namespace lbm::efi {

inline constexpr u64 kPageBytes = 4096;

// Conventional memory of a memory map: in all, and the largest piece.
struct MemoryTotals {
  u64 total_bytes = 0;
  u64 largest_bytes = 0;
};

// Adds up a memory map as GetMemoryMap() writes it; a descriptor takes `descriptor_size` bytes,
// which may be more than the structure this build knows. Descriptors that make no sense are left
// out.
[[nodiscard]] MemoryTotals sum_memory_map(Span<const u8> map, usize descriptor_size);

class FirmwarePages final : public Pages {
 public:
  // What stays for the firmware's own drivers and pools; take() never goes below it.
  static constexpr u64 kReserveBytes = 24 * kMiB;

  [[nodiscard]] Result<Span<u8>> take(u64 bytes, const char* what) override;
  void give_back(Span<u8> range) override;
  [[nodiscard]] u64 bytes_free() const override;
  [[nodiscard]] u64 largest_free() const override;

 private:
  [[nodiscard]] MemoryTotals totals() const;
};

}  // namespace lbm::efi
