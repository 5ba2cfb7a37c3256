// Stacks of our own.
#include "efi/stack.h"

#include "tests/bare/machine.h"
#include "tests/test.h"

namespace {

using namespace lbm;

struct Visit {
  Span<u8> stack;
  bool on_stack = false;
  bool aligned = false;
  u32 sum = 0;
};

void visit(void* argument) {
  Visit& result = *static_cast<Visit*>(argument);
  alignas(16) volatile u8 local[3000];
  for (u32 i = 0; i < sizeof(local); ++i) local[i] = static_cast<u8>(i);
  const u8* here = const_cast<const u8*>(&local[0]);
  result.on_stack = here >= result.stack.begin() && here < result.stack.end();
  result.aligned = reinterpret_cast<usize>(here) % 16 == 0;
  for (u32 i = 0; i < 10; ++i) result.sum += local[i];
  bare::console().write("");  // the firmware works on it, too
}

}  // namespace

TEST_CASE("a body runs on the stack it was given, and comes back", "[efi]") {
  Result<Span<u8>> taken = bare::pages().take(64 * kKiB, "stack");
  REQUIRE(taken.ok());
  Visit result;
  result.stack = taken.value();
  efi::run_on_stack(result.stack, visit, &result);
  CHECK(result.on_stack);
  CHECK(result.aligned);
  CHECK(result.sum == 45);
  const usize used = efi::stack_high_water(result.stack);
  CHECK(used >= 3000);
  CHECK(used < result.stack.size());
  bare::pages().give_back(taken.value());
}
