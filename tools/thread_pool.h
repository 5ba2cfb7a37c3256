// Workers over POSIX threads.
//
// A token is a few hundred short jobs (one per matrix), tens of microseconds each, so the pool is
// built around the cost of starting and ending a job:
//   - Threads live as long as the pool. Between jobs they spin for a moment, then sleep on a futex.
//   - Work is a count of remaining tasks that threads take from by compare-and-swap, big pieces
//   first and single tasks at the
//     end. A core that something else keeps busy therefore costs its share, not a wait of all
//     others.
//   - The caller works too, and waits for tasks to be done, never for threads to report: a thread
//   that wakes up late finds
//     nothing left and goes back to sleep.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

#include "core/platform.h"

namespace lbm::cli {

class ThreadPool final : public Workers {
 public:
  static constexpr u32 kMaxThreads = 256;

  // `n_thread` threads in all, the caller among them; clamped to 1..kMaxThreads.
  explicit ThreadPool(u32 n_thread);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] u32 n_worker() const override { return n_worker_; }
  // Not reentrant: a task must not call run().
  void run(Task task, void* job, u32 n_task) override;

 private:
  void serve();
  bool work();

  static constexpr usize kLine =
      64;  // counters that different cores write stay on different cache lines

  u32 n_worker_;
  // The job. Written by run() while n_remaining_ is 0, read only by a thread that holds tasks of
  // it.
  Task task_ = nullptr;
  void* job_ = nullptr;
  u32 n_task_ = 0;

  alignas(kLine) std::atomic<u32> n_remaining_{0};  // tasks nobody has taken yet
  alignas(kLine) std::atomic<u32> n_done_{0};       // tasks that have returned
  alignas(kLine) std::atomic<u32> n_started_{0};    // jobs so far; what sleepers wait on
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> threads_;
};

// Physical cores this process may use: its affinity mask without hyper-thread twins, and not more
// than a control group's quota of CPU time. At least 1.
[[nodiscard]] u32 count_physical_cores();

}  // namespace lbm::cli
