// Page ranges from the firmware (memory.h).
#include "efi/memory.h"

#include "core/base/arith.h"
#include "efi/firmware.h"

namespace lbm::efi {
namespace {

// Taking the pool for the map splits descriptors, so a map that just fitted does not fit any more:
// leave some room.
constexpr usize kSpareDescriptors = 16;
constexpr u32 kMapTries = 4;

u64 less_reserve(u64 bytes) {
  return bytes > FirmwarePages::kReserveBytes ? bytes - FirmwarePages::kReserveBytes : 0;
}

}  // namespace

MemoryTotals sum_memory_map(Span<const u8> map, usize descriptor_size) {
  MemoryTotals totals;
  if (descriptor_size < sizeof(EFI_MEMORY_DESCRIPTOR)) return totals;
  for (usize at = 0; map.size() - at >= descriptor_size; at += descriptor_size) {
    EFI_MEMORY_DESCRIPTOR descriptor;
    __builtin_memcpy(&descriptor, map.data() + at, sizeof(descriptor));
    u64 bytes = 0;
    u64 end = 0;
    if (descriptor.Type != EfiConventionalMemory) continue;
    if (!checked_mul(descriptor.NumberOfPages, kPageBytes, bytes)) continue;
    if (!checked_add(descriptor.PhysicalStart, bytes, end)) continue;
    u64 total = 0;
    if (!checked_add(totals.total_bytes, bytes, total)) continue;
    totals.total_bytes = total;
    totals.largest_bytes = max_u64(totals.largest_bytes, bytes);
  }
  return totals;
}

MemoryTotals FirmwarePages::totals() const {
  EFI_BOOT_SERVICES& services = boot_services();
  UINTN size = 0;
  UINTN key = 0;
  UINTN descriptor_size = 0;
  UINT32 version = 0;
  for (u32 i = 0; i < kMapTries; ++i) {
    // The first call fails by intent: it tells the size.
    (void)services.GetMemoryMap(&size, nullptr, &key, &descriptor_size, &version);
    if (descriptor_size == 0) return {};
    size += kSpareDescriptors * descriptor_size;
    void* buffer = nullptr;
    if (failed(services.AllocatePool(EfiLoaderData, size, &buffer))) return {};
    const EFI_STATUS status = services.GetMemoryMap(
        &size, static_cast<EFI_MEMORY_DESCRIPTOR*>(buffer), &key, &descriptor_size, &version);
    MemoryTotals sum;
    if (!failed(status))
      sum = sum_memory_map({static_cast<const u8*>(buffer), size}, descriptor_size);
    services.FreePool(buffer);
    if (!failed(status)) return sum;
    size = 0;
  }
  return {};
}

Result<Span<u8>> FirmwarePages::take(u64 bytes, const char* what) {
  u64 rounded = 0;
  if (!checked_align(max_u64(bytes, 1), kPageBytes, rounded))
    return fail(ErrorCode::kOverflow, what).with(bytes);
  const u64 largest = largest_free();
  if (rounded > largest) return fail(ErrorCode::kOutOfMemory, what).with(rounded, largest);
  EFI_PHYSICAL_ADDRESS address = 0;
  const EFI_STATUS status = boot_services().AllocatePages(AllocateAnyPages, EfiLoaderData,
                                                          rounded / kPageBytes, &address);
  if (failed(status) || address == 0)
    return fail(ErrorCode::kOutOfMemory, what).with(rounded, largest);
  return Span<u8>(reinterpret_cast<u8*>(address), rounded);
}

void FirmwarePages::give_back(Span<u8> range) {
  if (range.empty()) return;
  (void)boot_services().FreePages(reinterpret_cast<EFI_PHYSICAL_ADDRESS>(range.data()),
                                  align_up(range.size(), kPageBytes) / kPageBytes);
}

u64 FirmwarePages::bytes_free() const { return less_reserve(totals().total_bytes); }

u64 FirmwarePages::largest_free() const {
  const MemoryTotals now = totals();
  return min_u64(now.largest_bytes, less_reserve(now.total_bytes));
}

}  // namespace lbm::efi
