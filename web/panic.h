// The last words of a module.
//
// A panic leaves its message where lbm_panic_message() finds it and traps, which JavaScript sees as
// a WebAssembly.RuntimeError. In a module with several threads the others have to hear of it: one
// that waits for the work of a thread that is gone would wait for ever.
#pragma once

#include "core/base/types.h"

namespace lbm::web {

// True after a panic of any thread, and after lbm_thread_failed().
[[nodiscard]] bool has_panicked();

// Called once when that happens; wakes those who wait. One function, null for none.
void set_panic_hook(void (*hook)());

}  // namespace lbm::web
