// The EFI test application: runs every TEST_CASE that was linked in, and ends the machine with the
// result.
//
// Text goes to screen, serial port and debug console. The last line is "N passed, N failed", and
// QEMU's exit code says the same. fw_cfg opt/lbm/tests holds a part of a name or tag: only test
// cases that contain it run.
#include "core/base/check.h"
#include "core/base/fmt.h"
#include "efi/cpu_state.h"
#include "efi/debug_devices.h"
#include "efi/firmware.h"
#include "efi/memory.h"
#include "efi/panic.h"
#include "efi/stack.h"
#include "tests/bare/machine.h"
#include "tests/bare/save_point.h"
#include "tests/test.h"

namespace lbm::test {
namespace {

// The two ends of the list of test cases: the linker sorts $a, $b (one entry per TEST_CASE) and $z.
[[gnu::section(".lbmtest$a"), gnu::used]] const TestCase* const g_first = nullptr;
[[gnu::section(".lbmtest$z"), gnu::used]] const TestCase* const g_last = nullptr;

// Where a failed REQUIRE continues. Nothing between has a destructor that matters: the core owns no
// resources.
constinit SavePoint g_after_case = {};

struct Counters {
  u32 n_check = 0;
  u32 n_failed_check = 0;
  u32 n_failed_case = 0;
  u32 n_case = 0;
};
constinit Counters g_counters;
constinit const TestCase* g_running = nullptr;

void show_failure(const char* kind, const char* expression, const char* file, u32 line) {
  TextBuffer<1024> text;
  text.print("{}:{}: FAILED in \"{}\":\n  {}( {} )\n", file, line,
             g_running == nullptr ? "?" : g_running->name, kind, expression);
  bare::console().write(text.text());
}

bool is_chosen(const TestCase& test, Str filter) {
  return filter.empty() || Str(test.name).contains(filter) || Str(test.tags).contains(filter);
}

void run_case(const TestCase& test) {
  const u32 n_failed_before = g_counters.n_failed_check;
  const u64 begin_us = bare::clock().now_us();
  g_running = &test;
  efi::restore_float_state();
  if (lbm_save_point(&g_after_case) == 0) test.body();
  g_running = nullptr;
  ++g_counters.n_case;
  const bool passed = g_counters.n_failed_check == n_failed_before;
  if (!passed) ++g_counters.n_failed_case;
  TextBuffer<256> line;
  line.print("[{}] {} {} ({} ms)\n", passed ? "ok" : "FAILED", test.tags, test.name,
             (bare::clock().now_us() - begin_us) / 1000);
  efi::debug_write(line.text());
}

}  // namespace

void check(bool passed, const char* expression, const char* file, u32 line) {
  ++g_counters.n_check;
  if (passed) return;
  ++g_counters.n_failed_check;
  show_failure("CHECK", expression, file, line);
}

void require(bool passed, const char* expression, const char* file, u32 line) {
  ++g_counters.n_check;
  if (passed) return;
  ++g_counters.n_failed_check;
  show_failure("REQUIRE", expression, file, line);
  lbm_return_to(&g_after_case);
}

static void run_all() {
  char filter_bytes[128];
  const Str filter(filter_bytes, efi::read_fw_cfg("opt/lbm/tests", filter_bytes));
  // Volatile, because the compiler may reason that a pointer into one object never reaches another.
  const TestCase* const* volatile first = &g_first;
  const TestCase* const* volatile last = &g_last;
  for (const TestCase* const* entry = first; entry < last; ++entry) {
    if (*entry != nullptr && is_chosen(**entry, filter)) run_case(**entry);
  }
}

static void show_result() {
  TextBuffer<128> text;
  text.print("{} checks in {} ms\n", g_counters.n_check, bare::clock().now_us() / 1000);
  text.print("{} passed, {} failed\n", g_counters.n_case - g_counters.n_failed_case,
             g_counters.n_failed_case);
  bare::console().write(text.text());
}

static void run_application(void*) {
  using namespace efi;
  bare::start();
  run_all();
  show_result();
  // No test at all is a build that lost its tests, not a success.
  debug_exit(g_counters.n_failed_case == 0 && g_counters.n_case > 0 ? DebugExit::kPassed
                                                                    : DebugExit::kFailed);
  bare::console().write("Press a key to restart the machine.\n");
  (void)bare::console().wait_key();
  reset_machine(/*power_off=*/false);
}

}  // namespace lbm::test

extern "C" EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE* system) {
  using namespace lbm;
  (void)system->BootServices->SetWatchdogTimer(0, 0, 0, nullptr);
  efi::set_firmware(image, system);
  const Result<Span<u8>> stack = efi::FirmwarePages().take(efi::kStackBytes, "stack");
  if (!stack.ok()) return EFI_OUT_OF_RESOURCES;
  efi::run_on_stack(stack.value(), test::run_application, nullptr);
  return EFI_SUCCESS;
}
