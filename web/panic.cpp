#include "web/panic.h"

#include "core/base/check.h"
#include "core/base/fmt.h"
#include "web/export.h"

namespace lbm {
namespace web {
namespace {

constexpr usize kMessageBytes = 512;
constinit char g_message[kMessageBytes] = {};  // ends with a zero
constinit u32 g_panicked = 0;
constinit void (*g_hook)() = nullptr;

void raise_alarm() {
  __atomic_store_n(&g_panicked, 1, __ATOMIC_SEQ_CST);
  if (g_hook != nullptr) g_hook();
}

}  // namespace

bool has_panicked() { return __atomic_load_n(&g_panicked, __ATOMIC_SEQ_CST) != 0; }
void set_panic_hook(void (*hook)()) { g_hook = hook; }

}  // namespace web

void panic(const char* what, const char* file, u32 line) {
  using namespace web;
  // The first message counts: what follows is what it leads to.
  if (!has_panicked()) {
    TextWriter text({g_message, kMessageBytes - 1});
    text.print("{}:{}: {}", file, line, what);
    raise_alarm();
  }
  __builtin_trap();
}

// Of the last panic, empty before.
LBM_EXPORT(lbm_panic_message) const char* lbm_panic_message() { return web::g_message; }

// For JavaScript, when a thread has ended with an error that was no panic (a trap of the engine).
LBM_EXPORT(lbm_thread_failed) void lbm_thread_failed() { web::raise_alarm(); }

}  // namespace lbm
