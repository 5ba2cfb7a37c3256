#include "web/workers.h"

#include "core/base/check.h"
#include "web/panic.h"

namespace lbm::web {
namespace {

// Loads of a counter before a thread goes to sleep: some tens of microseconds, longer than the gaps
// between the jobs of a token. There is no instruction for a pause.
constexpr u32 kSpinLoads = 20000;

constexpr i64 kNoTimeout = -1;

// All atomic instructions of WebAssembly are sequentially consistent.
u32 load(const u32& value) { return __atomic_load_n(&value, __ATOMIC_SEQ_CST); }
void store(u32& value, u32 now) { __atomic_store_n(&value, now, __ATOMIC_SEQ_CST); }
u32 add(u32& value, u32 n) { return __atomic_add_fetch(&value, n, __ATOMIC_SEQ_CST); }

// Sleeps until somebody wakes this address, unless the value has changed before.
void sleep_while(u32& value, u32 seen) {
  static_cast<void>(__builtin_wasm_memory_atomic_wait32(reinterpret_cast<i32*>(&value),
                                                        static_cast<i32>(seen), kNoTimeout));
}
void wake(u32& value, u32 n_thread) {
  static_cast<void>(__builtin_wasm_memory_atomic_notify(reinterpret_cast<i32*>(&value), n_thread));
}

template <class Ready>
bool spin_until(const Ready& ready) {
  for (u32 i = 0; i < kSpinLoads; ++i) {
    if (ready()) return true;
  }
  return false;
}

}  // namespace

void SharedWorkers::set_n_thread(u32 n_thread) {
  n_worker_ = n_thread < 1 ? 1 : n_thread < kMaxThreads ? n_thread : kMaxThreads;
}

// Takes tasks and runs them until none is left; how many.
u32 SharedWorkers::work() {
  u32 n_run = 0;
  u32 remaining = load(remaining_);
  while (remaining != 0) {
    // Half of a fair share: pieces shrink towards the end, where balance matters.
    const u32 share = remaining / (2 * n_worker_);
    const u32 n = share < 1 ? 1 : share;
    // Success means: these tasks are ours, so the job stays as it is until we report them. (The
    // count may belong to a newer job than the one we saw first; then we own tasks of that one.)
    if (!__atomic_compare_exchange_n(&remaining_, &remaining, remaining - n, false,
                                     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
      continue;
    }
    const u32 n_task = n_task_;
    const u32 first = n_task - remaining;
    for (u32 i = 0; i < n; ++i) task_(job_, first + i);
    n_run += n;
    if (add(n_done_, n) == n_task && load(caller_sleeps_) != 0) wake(n_done_, 1);
    remaining = load(remaining_);
  }
  return n_run;
}

void SharedWorkers::serve() {
  for (;;) {
    // Read before looking for work: a job that starts after the look changes it, and sleep_while()
    // returns at once.
    const u32 seen = load(n_started_);
    if (const u32 n = work(); n != 0) {
      add(n_served_, n);
      continue;
    }
    LBM_CHECK(!has_panicked());
    if (spin_until([&] { return load(n_started_) != seen; })) continue;
    add(n_sleeper_, 1);
    sleep_while(n_started_, seen);
    add(n_sleeper_, static_cast<u32>(-1));
  }
}

void SharedWorkers::run(Task task, void* job, u32 n_task) {
  if (n_worker_ == 1 || n_task <= 1) {
    for (u32 i = 0; i < n_task; ++i) task(job, i);
    return;
  }
  task_ = task;
  job_ = job;
  n_task_ = n_task;
  store(n_done_, 0);
  store(remaining_, n_task);
  add(n_started_, 1);
  if (load(n_sleeper_) != 0) wake(n_started_, n_worker_);
  static_cast<void>(work());
  const auto is_done = [&] { return load(n_done_) == n_task; };
  if (spin_until(is_done)) return;
  store(caller_sleeps_, 1);
  for (u32 done = load(n_done_); done != n_task; done = load(n_done_)) {
    LBM_CHECK(!has_panicked());  // a thread may be gone with tasks of this job
    sleep_while(n_done_, done);
  }
  store(caller_sleeps_, 0);
}

void SharedWorkers::wake_all() {
  // The caller of run() may be between its look at has_panicked() and its sleep, where nothing but
  // a change of the value keeps it awake. The count is of no use to a job that can not end.
  add(n_done_, 1u << 31);
  add(n_started_, 1);
  wake(n_done_, kMaxThreads);
  wake(n_started_, kMaxThreads);
}

u32 SharedWorkers::n_task_served() const { return load(n_served_); }

}  // namespace lbm::web
