// Workers over the threads of a module with shared memory.
//
// The pool is that of tools/thread_pool.h: a count of remaining tasks that threads take from by
// compare-and-swap, big pieces first and single tasks at the end; the caller works too and waits
// for tasks, never for threads. What differs is who makes the threads: JavaScript starts workers
// with an instance of the same module on the same memory, gives each a stack of its own, and has it
// call serve(), which never returns. Threads that come late, or never, cost only time.
//
// Waiting is memory.atomic.wait32, which traps on memory that is not shared: a pool of one thread
// never waits.
#pragma once

#include "core/platform.h"

namespace lbm::web {

class SharedWorkers final : public Workers {
 public:
  static constexpr u32 kMaxThreads = 64;

  // `n_thread` threads in all, the caller among them; clamped to 1..kMaxThreads. Not during run().
  void set_n_thread(u32 n_thread);

  [[nodiscard]] u32 n_worker() const override { return n_worker_; }
  // Not reentrant: a task must not call run().
  void run(Task task, void* job, u32 n_task) override;

  // Takes part in every job, for ever. For all threads but the one that calls run().
  [[noreturn]] void serve();

  // Wakes everybody who waits, since a thread is gone (panic.h).
  void wake_all();

  // Tasks that serve() has run.
  [[nodiscard]] u32 n_task_served() const;

 private:
  [[nodiscard]] u32 work();

  static constexpr usize kLine = 64;  // counters that different threads write stay apart

  u32 n_worker_ = 1;
  // The job. Written by run() while remaining_ is 0, read only by a thread that holds tasks of it.
  Task task_ = nullptr;
  void* job_ = nullptr;
  u32 n_task_ = 0;

  alignas(kLine) u32 remaining_ = 0;  // tasks nobody has taken yet
  alignas(kLine) u32 n_done_ = 0;     // tasks that have returned
  alignas(kLine) u32 n_started_ = 0;  // jobs so far; what sleepers wait on
  u32 n_sleeper_ = 0;                 // threads that sleep, or are about to
  u32 n_served_ = 0;
  u32 caller_sleeps_ = 0;
};

}  // namespace lbm::web
