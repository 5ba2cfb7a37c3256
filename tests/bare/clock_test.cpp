// The clock against the firmware's Stall().
#include "efi/firmware.h"
#include "tests/bare/machine.h"
#include "tests/test.h"

using namespace lbm;

TEST_CASE("the clock advances and never goes back", "[efi]") {
  u64 last = bare::clock().now_us();
  bool monotonic = true;
  for (u32 i = 0; i < 1000; ++i) {
    const u64 now = bare::clock().now_us();
    monotonic = monotonic && now >= last;
    last = now;
  }
  CHECK(monotonic);
  CHECK(bare::clock().hertz() > 100'000'000);
}

TEST_CASE("twenty milliseconds of Stall are twenty milliseconds of clock", "[efi]") {
  const u64 begin = bare::clock().now_us();
  efi::boot_services().Stall(20'000);
  const u64 us = bare::clock().now_us() - begin;
  CHECK(us >= 15'000);
  CHECK(us < 2'000'000);  // a busy host only lengthens it
}
