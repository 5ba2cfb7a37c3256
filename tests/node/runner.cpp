// The test module: every TEST_CASE that was linked in, one call of JavaScript each.
//
// A failed REQUIRE traps: JavaScript catches it, puts the stack pointer back and goes on with the
// next case. Nothing between has a destructor that matters: the core owns no resources.
#include "core/base/fmt.h"
#include "tests/test.h"
#include "web/export.h"

// The ends of the list of test cases; the linker defines them.
extern "C" const lbm::test::TestCase* const __start_lbmtest[];
extern "C" const lbm::test::TestCase* const __stop_lbmtest[];

namespace lbm::test {
namespace {

constinit u32 g_n_check = 0;
constinit u32 g_n_failed = 0;
constinit char g_failures[4096] = {};  // of the running case, ends with a zero
constinit usize g_failures_size = 0;

void keep_failure(const char* kind, const char* expression, const char* file, u32 line) {
  ++g_n_failed;
  TextWriter text({g_failures + g_failures_size, sizeof(g_failures) - 1 - g_failures_size});
  text.print("{}:{}: FAILED:\n  {}( {} )\n", file, line, kind, expression);
  g_failures_size += text.text().size();
}

}  // namespace

void check(bool passed, const char* expression, const char* file, u32 line) {
  ++g_n_check;
  if (!passed) keep_failure("CHECK", expression, file, line);
}

void require(bool passed, const char* expression, const char* file, u32 line) {
  ++g_n_check;
  if (passed) return;
  keep_failure("REQUIRE", expression, file, line);
  __builtin_trap();
}

LBM_EXPORT(test_count) u32 test_count() {
  return static_cast<u32>(__stop_lbmtest - __start_lbmtest);
}
LBM_EXPORT(test_name) const char* test_name(u32 index) { return __start_lbmtest[index]->name; }
LBM_EXPORT(test_tags) const char* test_tags(u32 index) { return __start_lbmtest[index]->tags; }

// The number of failed checks. test_failures() has their text, after a trap, too.
LBM_EXPORT(test_run) u32 test_run(u32 index) {
  g_n_failed = 0;
  g_failures_size = 0;
  __builtin_memset(g_failures, 0, sizeof(g_failures));
  __start_lbmtest[index]->body();
  return g_n_failed;
}
LBM_EXPORT(test_failures) const char* test_failures() { return g_failures; }
LBM_EXPORT(test_n_check) u32 test_n_check() { return g_n_check; }

}  // namespace lbm::test
