// Pages from the firmware, and the arithmetic over its memory map.
#include "efi/memory.h"

#include "core/base/pcg32.h"
#include "efi/firmware.h"
#include "tests/bare/machine.h"
#include "tests/test.h"

namespace {

using namespace lbm;
using efi::MemoryTotals;
using efi::sum_memory_map;

constexpr usize kStride = sizeof(EFI_MEMORY_DESCRIPTOR) + 8;  // firmware may append fields

struct MapBuilder {
  u8 bytes[64 * kStride] = {};
  usize size = 0;

  void add(u32 type, u64 start, u64 n_page) {
    EFI_MEMORY_DESCRIPTOR descriptor = {};
    descriptor.Type = type;
    descriptor.PhysicalStart = start;
    descriptor.NumberOfPages = n_page;
    __builtin_memcpy(bytes + size, &descriptor, sizeof(descriptor));
    size += kStride;
  }
  [[nodiscard]] MemoryTotals sum() const { return sum_memory_map({bytes, size}, kStride); }
};

}  // namespace

TEST_CASE("only conventional memory counts", "[efi]") {
  MapBuilder map;
  map.add(EfiConventionalMemory, 0x1000, 100);
  map.add(EfiReservedMemoryType, 0x100000, 5000);
  map.add(EfiConventionalMemory, 0x200000, 300);
  map.add(EfiBootServicesData, 0x1000000, 7000);
  CHECK(map.sum().total_bytes == 400 * efi::kPageBytes);
  CHECK(map.sum().largest_bytes == 300 * efi::kPageBytes);
}

TEST_CASE("descriptors that make no sense are left out", "[efi]") {
  MapBuilder map;
  map.add(EfiConventionalMemory, 0x1000, 10);
  map.add(EfiConventionalMemory, 0x1000, ~u64{0});     // the size overflows
  map.add(EfiConventionalMemory, ~u64{0} - 0xFFF, 2);  // the end overflows
  CHECK(map.sum().total_bytes == 10 * efi::kPageBytes);
  CHECK(sum_memory_map({map.bytes, kStride - 1}, kStride).total_bytes == 0);  // half a descriptor
  CHECK(sum_memory_map({map.bytes, kStride}, 0).total_bytes == 0);
  CHECK(sum_memory_map({}, kStride).total_bytes == 0);
}

TEST_CASE("pages are aligned, writable and of the size that was asked", "[efi]") {
  const u64 before = bare::pages().bytes_free();
  Result<Span<u8>> taken = bare::pages().take(1'000'001, "test");
  REQUIRE(taken.ok());
  Span<u8> range = taken.value();
  CHECK(reinterpret_cast<usize>(range.data()) % efi::kPageBytes == 0);
  CHECK(range.size() == 245 * efi::kPageBytes);
  for (usize i = 0; i < range.size(); i += 512) range[i] = static_cast<u8>(i / 512);
  bool kept = true;
  for (usize i = 0; i < range.size(); i += 512) kept = kept && range[i] == static_cast<u8>(i / 512);
  CHECK(kept);
  CHECK(bare::pages().bytes_free() <= before - range.size());
  bare::pages().give_back(range);
  CHECK(bare::pages().bytes_free() + 64 * kKiB >= before);
}

TEST_CASE("ranges do not overlap", "[efi]") {
  Span<u8> ranges[8];
  Pcg32 random(1, 2);
  for (Span<u8>& range : ranges) {
    Result<Span<u8>> taken = bare::pages().take(1 + random.next() % 300'000, "test");
    REQUIRE(taken.ok());
    range = taken.value();
  }
  for (u32 i = 0; i < 8; ++i) {
    for (u32 k = 0; k < i; ++k)
      CHECK((ranges[i].end() <= ranges[k].begin() || ranges[k].end() <= ranges[i].begin()));
  }
  for (const Span<u8>& range : ranges) bare::pages().give_back(range);
}

TEST_CASE("the firmware keeps its reserve", "[efi]") {
  const u64 largest = bare::pages().largest_free();
  CHECK(largest <= bare::pages().bytes_free());
  const Result<Span<u8>> too_much = bare::pages().take(largest + 1, "everything");
  REQUIRE(!too_much.ok());
  CHECK(too_much.error().code == ErrorCode::kOutOfMemory);
  CHECK(too_much.error().limit == largest);
  const Result<Span<u8>> absurd = bare::pages().take(~u64{0} - 5, "more than there is");
  REQUIRE(!absurd.ok());
  CHECK(absurd.error().code == ErrorCode::kOverflow);
}

TEST_CASE("the memory functions of the compiler are right at every size and overlap", "[efi]") {
  u8 expected[96];
  u8 actual[96];
  for (u32 from = 0; from < 40; from += 3) {
    for (u32 to = 0; to < 40; to += 3) {
      for (u32 n = 0; n < 50; n += 7) {
        for (u32 i = 0; i < 96; ++i) expected[i] = actual[i] = static_cast<u8>(i * 37 + 11);
        u8 kept[50];
        for (u32 i = 0; i < n; ++i) kept[i] = expected[from + i];
        for (u32 i = 0; i < n; ++i) expected[to + i] = kept[i];
        __builtin_memmove(actual + to, actual + from, n);
        bool same = true;
        for (u32 i = 0; i < 96; ++i) same = same && expected[i] == actual[i];
        CHECK(same);
        CHECK(__builtin_memcmp(expected, actual, sizeof(actual)) == 0);
      }
    }
  }
  u8 filled[33];
  volatile usize n = 31;  // not known to the compiler: the function is called
  __builtin_memset(filled, 0xEE, sizeof(filled));
  __builtin_memset(filled + 1, 0x80, n);
  CHECK((filled[0] == 0xEE && filled[1] == 0x80 && filled[31] == 0x80 && filled[32] == 0xEE));
  const char a[] = "abc\x80";
  const char b[] = "abc\x01";
  volatile usize four = 4;
  CHECK(__builtin_memcmp(a, b, four) > 0);  // bytes compare unsigned
}
