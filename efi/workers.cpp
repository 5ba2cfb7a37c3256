// The other cores at work (workers.h).
#include "efi/workers.h"

#include <cpuid.h>

#include "core/base/arith.h"
#include "core/base/check.h"
#include "efi/firmware.h"
#include "efi/stack.h"

namespace lbm::efi {
namespace {

constexpr u64 kCheckInUs = 200'000;
constexpr u64 kLeaveUs = 500'000;
// A gap between two jobs of a token is far shorter; after it, a person is typing.
constexpr u32 kSpins = 2'000;

// Under an emulator that runs all cores in turn this also hands on the turn.
void pause() { __asm__ volatile("pause"); }

u32 load(const u32& value) { return __atomic_load_n(&value, __ATOMIC_ACQUIRE); }
void store(u32& to, u32 value) { __atomic_store_n(&to, value, __ATOMIC_RELEASE); }

bool has_monitor() {
  u32 eax = 0;
  u32 ebx = 0;
  u32 ecx = 0;
  u32 edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & (1u << 3)) != 0;
}

// Where the stacks of the other cores are, and what broke on one of them.
constinit Span<const u8> g_stacks;
struct Panic {
  u32 is_set = 0;
  const char* what = nullptr;
  const char* file = nullptr;
  u32 line = 0;
};
constinit Panic g_panic;

void panic_for_others() {
  if (load(g_panic.is_set) != 0) panic(g_panic.what, g_panic.file, g_panic.line);
}

}  // namespace

bool hand_panic_to_boot_core(const char* what, const char* file, u32 line) {
  const u8* here = static_cast<const u8*>(__builtin_frame_address(0));
  if (here < g_stacks.data() || here >= g_stacks.end()) return false;
  g_panic.what = what;
  g_panic.file = file;
  g_panic.line = line;
  store(g_panic.is_set, 1);
  return true;
}

// ---- starting -----------------------------------------------------------------------------------

// Fills in the indices of up to n_other cores: first of each physical core one, then their twins.
u32 CoreWorkers::choose(MpServices& mp, u32 n_other) {
  UINTN n_processor = 0;
  UINTN n_enabled = 0;
  if (failed(mp.get_number_of_processors(&mp, &n_processor, &n_enabled))) return 0;
  const bool physical_only = n_other == 0;
  const u32 n_most = physical_only ? kMaxCores : min_u32(n_other, kMaxCores);
  u32 n = 0;
  for (u32 round = 0; round < (physical_only ? 1u : 2u); ++round) {
    const bool twins = round == 1;
    for (UINTN i = 0; i < n_processor && n < n_most; ++i) {
      ProcessorInformation info = {};
      if (failed(mp.get_processor_info(&mp, i, &info))) continue;
      const bool usable =
          (info.status & (kProcessorIsBoot | kProcessorEnabled | kProcessorHealthy)) ==
          (kProcessorEnabled | kProcessorHealthy);
      if (usable && (info.location.thread != 0) == twins) cores_[n++].index = i;
    }
  }
  return n;
}

// Starts the chosen cores; returns how many the firmware accepted.
u32 CoreWorkers::launch(MpServices& mp, u32 n_other) {
  u32 n_accepted = 0;
  for (u32 i = 0; i < n_other; ++i) {
    Core& core = cores_[i];
    core.workers = this;
    core.stack = stacks_.slice(i * kStackBytes, kStackBytes);
    core.state = kStarted;
    const bool accepted =
        !failed(boot_services().CreateEvent(0, TPL_APPLICATION, nullptr, nullptr, &core.done)) &&
        !failed(mp.startup_this_ap(&mp, enter, core.index, core.done, 0, &core, nullptr));
    if (accepted) {
      ++n_accepted;
    } else {
      core.state = kIdle;
    }
  }
  return n_accepted;
}

// Waits for the cores that were started; those that are late are told to go away when they come.
void CoreWorkers::await_check_in(Clock& clock) {
  const u64 end_us = clock.now_us() + kCheckInUs;
  for (u32 i = 0; i < n_core_; ++i) {
    Core& core = cores_[i];
    while (load(core.state) == kStarted && clock.now_us() < end_us) pause();
    u32 expected = kStarted;
    __atomic_compare_exchange_n(&core.state, &expected, kAbandoned, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
    if (load(core.state) == kServing) ++n_worker_;
  }
}

void CoreWorkers::start(u32 n_core, const CpuState& state, Pages& pages, Clock& clock) {
  if (n_core == 1 || n_core_ != 0) return;
  EFI_GUID guid = kMpServicesGuid;
  void* found = nullptr;
  if (failed(boot_services().LocateProtocol(&guid, nullptr, &found)) || found == nullptr) {
    notice_ = "the firmware has no MP services; one core computes";
    return;
  }
  MpServices& mp = *static_cast<MpServices*>(found);
  u32 n_other = choose(mp, n_core == 0 ? 0 : n_core - 1);
  if (n_other == 0) return;
  for (; n_other != 0; n_other /= 2) {
    const Result<Span<u8>> stacks = pages.take(n_other * kStackBytes, "stacks of the cores");
    if (!stacks.ok()) continue;
    stacks_ = stacks.value();
    break;
  }
  if (n_other == 0) {
    notice_ = "no memory for the stacks of other cores; one core computes";
    return;
  }
  g_stacks = stacks_;
  boot_state_ = state;
  stopping_ = 0;
  n_core_ = n_other;
  const u32 n_accepted = launch(mp, n_other);
  restore_float_state();
  await_check_in(clock);
  if (n_worker_ < n_other + 1) {
    notice_ = n_accepted < n_other ? "the firmware did not start every core"
                                   : "a core did not answer in time, or lacks vector state";
  }
}

void CoreWorkers::stop(Pages& pages, Clock& clock) {
  if (n_core_ == 0) return;
  n_worker_ = 1;
  store(stopping_, 1);
  __atomic_fetch_add(&n_started_, 1, __ATOMIC_RELEASE);
  const u64 end_us = clock.now_us() + kLeaveUs;
  bool all_left = true;
  for (u32 i = 0; i < n_core_; ++i) {
    Core& core = cores_[i];
    while (load(core.state) == kServing && clock.now_us() < end_us) pause();
    // The firmware looks every 100 ms whether a core has returned.
    while (core.state != kIdle && clock.now_us() < end_us &&
           boot_services().CheckEvent(core.done) == EFI_NOT_READY) {
      pause();
    }
    const u32 state = load(core.state);
    all_left = all_left && (state == kLeft || state == kIdle);
    if (core.done != nullptr) (void)boot_services().CloseEvent(core.done);
    core = Core{};
  }
  n_core_ = 0;
  // A core that may still come keeps the stack it may still use.
  if (all_left) {
    g_stacks = {};
    pages.give_back(stacks_);
  }
  stacks_ = {};
}

// ---- on the other cores -------------------------------------------------------------------------

void EFIAPI CoreWorkers::enter(void* argument) {
  Core& core = *static_cast<Core*>(argument);
  const CpuState state = enable_simd();
  const CpuState& wanted = core.workers->boot_state_;
  if (state.xcr0 != wanted.xcr0) {
    store(core.state, kLeft);
    return;
  }
  u32 expected = kStarted;
  if (!__atomic_compare_exchange_n(&core.state, &expected, kServing, false, __ATOMIC_ACQ_REL,
                                   __ATOMIC_ACQUIRE)) {
    return;
  }
  run_on_stack(core.stack, serve, &core);
  store(core.state, kLeft);
}

void CoreWorkers::serve(void* argument) {
  CoreWorkers& workers = *static_cast<Core*>(argument)->workers;
  for (;;) {
    // Read before looking for work: a job that starts after the look changes it.
    const u32 seen = load(workers.n_started_);
    if (load(workers.stopping_) != 0) return;
    if (!workers.work()) workers.idle(seen);
  }
}

// Returns when there may be work: a moment of spinning, then the processor sleeps on the counter's
// cache line where it can.
void CoreWorkers::idle(u32 seen) const {
  for (u32 i = 0; i < kSpins; ++i) {
    if (load(n_started_) != seen) return;
    pause();
  }
  if (!has_monitor()) return;
  while (load(n_started_) == seen) {
    __asm__ volatile("monitor" : : "a"(&n_started_), "c"(0), "d"(0));
    if (load(n_started_) != seen) return;
    __asm__ volatile("mwait" : : "a"(0), "c"(0) : "memory");
  }
}

// ---- everywhere ---------------------------------------------------------------------------------

// Takes tasks and runs them until none is left; false if there was none to take.
bool CoreWorkers::work() {
  bool any = false;
  u32 remaining = __atomic_load_n(&n_remaining_, __ATOMIC_RELAXED);
  while (remaining != 0) {
    // Half of a fair share: pieces shrink towards the end, where balance matters.
    const u32 share = remaining / (2 * n_worker_);
    const u32 n = share == 0 ? 1 : share;
    // Success means: these tasks are ours, so the job stays as it is until we report them.
    if (!__atomic_compare_exchange_n(&n_remaining_, &remaining, remaining - n, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
      continue;
    }
    any = true;
    const u32 first = n_task_ - remaining;
    for (u32 i = 0; i < n; ++i) task_(job_, first + i);
    __atomic_fetch_add(&n_done_, n, __ATOMIC_ACQ_REL);
    remaining = __atomic_load_n(&n_remaining_, __ATOMIC_RELAXED);
  }
  return any;
}

void CoreWorkers::run(Task task, void* job, u32 n_task) {
  if (n_worker_ == 1 || n_task <= 1) {
    for (u32 i = 0; i < n_task; ++i) task(job, i);
    return;
  }
  task_ = task;
  job_ = job;
  n_task_ = n_task;
  __atomic_store_n(&n_done_, 0, __ATOMIC_RELAXED);
  store(n_remaining_, n_task);
  __atomic_fetch_add(&n_started_, 1, __ATOMIC_RELEASE);
  (void)work();
  while (load(n_done_) != n_task) {
    panic_for_others();
    pause();
  }
}

}  // namespace lbm::efi
