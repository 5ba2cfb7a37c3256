#include "tools/thread_pool.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <chrono>
#include <fstream>
#include <set>
#include <string>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace lbm::cli {
namespace {

// How long a worker looks for the next job: longer than the gap between two tokens (picking one of
// 50,000 takes 50 to 150 us), shorter than anything a person or a power meter notices.
constexpr std::chrono::microseconds kLookForJob{1000};
// How long the caller looks for the end of a job. When a task of it takes much longer, its thread
// has lost its core to another program: leaving ours lets the scheduler move it here.
constexpr std::chrono::microseconds kLookForEnd{50};
// Looks before the core is offered to others, about 5 us. Where other programs keep cores busy, two
// of our threads can share one; what one of them looks for is then what the other would do.
constexpr u32 kLooksBeforeYield = 32;
constexpr u32 kPausesPerLook = 4;

void pause_briefly() {
#if defined(__x86_64__)
  for (u32 i = 0; i < kPausesPerLook; ++i) _mm_pause();
#else
  std::this_thread::yield();
#endif
}

// Rule R1 (docs/numerics.md): round to nearest even, denormals kept, exceptions masked.
void set_numeric_state() {
#if defined(__x86_64__)
  _mm_setcsr(0x1F80);
#endif
}

// Looks until `ready` or for `time`; true if ready.
template <class Ready>
bool look_until(const Ready& ready, std::chrono::microseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  for (;;) {
    for (u32 i = 0; i < kLooksBeforeYield; ++i) {
      if (ready()) return true;
      pause_briefly();
    }
    if (std::chrono::steady_clock::now() >= end) return ready();
    std::this_thread::yield();
  }
}

}  // namespace

ThreadPool::ThreadPool(u32 n_thread) : n_worker_(std::clamp(n_thread, u32{1}, kMaxThreads)) {
  set_numeric_state();
  for (u32 i = 1; i < n_worker_; ++i) {
    threads_.emplace_back([this] {
      set_numeric_state();
      serve();
    });
  }
}

ThreadPool::~ThreadPool() {
  stopping_.store(true, std::memory_order_relaxed);
  n_started_.fetch_add(1, std::memory_order_release);
  n_started_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

// Takes tasks and runs them until none is left; false if there was none to take.
bool ThreadPool::work() {
  bool any = false;
  u32 remaining = n_remaining_.load(std::memory_order_relaxed);
  while (remaining != 0) {
    // Half of a fair share: pieces shrink towards the end, where balance matters.
    const u32 n = std::max(u32{1}, remaining / (2 * n_worker_));
    // Success means: these tasks are ours, so the job stays as it is until we report them. (The
    // count may belong to a newer job than the one we saw first; then we own tasks of that one.)
    if (!n_remaining_.compare_exchange_weak(remaining, remaining - n, std::memory_order_acq_rel,
                                            std::memory_order_relaxed)) {
      continue;
    }
    any = true;
    const u32 n_task = n_task_;
    const u32 first = n_task - remaining;
    for (u32 i = 0; i < n; ++i) task_(job_, first + i);
    if (n_done_.fetch_add(n, std::memory_order_acq_rel) + n == n_task) n_done_.notify_one();
    remaining = n_remaining_.load(std::memory_order_relaxed);
  }
  return any;
}

void ThreadPool::serve() {
  for (;;) {
    // Read before looking for work: a job that starts after the look changes it, and wait() returns
    // at once.
    const u32 seen = n_started_.load(std::memory_order_acquire);
    if (stopping_.load(std::memory_order_relaxed)) return;
    if (work()) continue;
    const auto woken = [&] { return n_started_.load(std::memory_order_relaxed) != seen; };
    if (!look_until(woken, kLookForJob)) n_started_.wait(seen, std::memory_order_acquire);
  }
}

void ThreadPool::run(Task task, void* job, u32 n_task) {
  if (n_worker_ == 1 || n_task <= 1) {
    for (u32 i = 0; i < n_task; ++i) task(job, i);
    return;
  }
  task_ = task;
  job_ = job;
  n_task_ = n_task;
  n_done_.store(0, std::memory_order_relaxed);
  n_remaining_.store(n_task, std::memory_order_release);
  n_started_.fetch_add(1, std::memory_order_release);
  n_started_.notify_all();
  work();
  const auto all_done = [&] { return n_done_.load(std::memory_order_acquire) == n_task; };
  if (look_until(all_done, kLookForEnd)) return;
  for (u32 done = n_done_.load(std::memory_order_acquire); done != n_task;
       done = n_done_.load(std::memory_order_acquire)) {
    n_done_.wait(done, std::memory_order_acquire);
  }
}

// ---- how many -----------------------------------------------------------------------------------

namespace {

// CPUs' worth of time that the control group grants, or 0 for no limit. "max 100000" or "150000
// 100000".
u32 control_group_quota() {
  std::ifstream in("/sys/fs/cgroup/cpu.max");
  f64 quota = 0;
  f64 period = 0;
  if (!(in >> quota >> period) || period <= 0) return 0;
  return static_cast<u32>(std::max(1.0, std::ceil(quota / period)));
}

}  // namespace

u32 count_physical_cores() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
    return std::max(1u, std::thread::hardware_concurrency());
  // Twins list the same siblings, so the number of different lists is the number of cores.
  std::set<std::string> cores;
  for (u32 cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    std::string siblings = std::to_string(cpu);
    std::ifstream in("/sys/devices/system/cpu/cpu" + siblings + "/topology/thread_siblings_list");
    std::string line;
    if (std::getline(in, line) && !line.empty()) siblings = line;
    cores.insert(siblings);
  }
  u32 n = std::max<u32>(1, static_cast<u32>(cores.size()));
  const u32 quota = control_group_quota();
  if (quota != 0) n = std::min(n, quota);
  return std::min(n, ThreadPool::kMaxThreads);
}

}  // namespace lbm::cli
