// Workers over the processor's other cores.
//
// The firmware starts each of them once, into a loop of ours that it leaves when the program ends.
// Such a core has its own stack and its own vector state, and never calls the firmware, which is
// not made for two callers. The boot core goes on using console and files meanwhile; its timer
// interrupts are nothing to the others, which run with interrupts off.
//
// Work is taken as in tools/thread_pool.h: from a count of remaining tasks, by compare-and-swap, in
// pieces that shrink. The boot core takes part and waits for tasks, never for cores. That also
// makes an emulator that runs all cores in turn as fast as with one: a core that is not given time
// takes nothing.
#pragma once

#include "core/platform.h"
#include "efi/cpu_state.h"
#include "efi/mp_services.h"

namespace lbm::efi {

class CoreWorkers final : public Workers {
 public:
  static constexpr u32 kMaxCores = 128;

  CoreWorkers() = default;
  CoreWorkers(const CoreWorkers&) = delete;
  CoreWorkers& operator=(const CoreWorkers&) = delete;

  // Starts up to n_core - 1 others (0: one of each physical core), each on a stack from `pages`.
  // `state` is that of the boot core: a core that can not enable the same is left out, so that what
  // was detected here holds on all. Whatever fails, fewer cores take part; notice() has the reason.
  void start(u32 n_core, const CpuState& state, Pages& pages, Clock& clock);
  // Ends the loops and hands the cores back. Comes before the program returns to the firmware.
  void stop(Pages& pages, Clock& clock);

  // Empty, or one line for the user.
  [[nodiscard]] Str notice() const { return notice_; }

  [[nodiscard]] u32 n_worker() const override { return n_worker_; }
  // A task must not call run(), nor the firmware.
  void run(Task task, void* job, u32 n_task) override;

 private:
  enum State : u32 { kIdle, kStarted, kServing, kAbandoned, kLeft };
  struct alignas(64) Core {
    u32 state = kIdle;
    CoreWorkers* workers = nullptr;
    UINTN index = 0;
    EFI_EVENT done = nullptr;
    Span<u8> stack;
  };

  static void EFIAPI enter(void* core);
  static void serve(void* core);
  bool work();
  void idle(u32 seen) const;
  u32 choose(MpServices& mp, u32 n_other);
  u32 launch(MpServices& mp, u32 n_other);
  void await_check_in(Clock& clock);

  static constexpr usize kLine = 64;  // what different cores write stays on different cache lines

  u32 n_worker_ = 1;
  u32 n_core_ = 0;  // entries of cores_ in use
  CpuState boot_state_;
  Span<u8> stacks_;
  Str notice_;
  // The job. Written by run() while n_remaining_ is 0, read by a core that holds tasks of it.
  Task task_ = nullptr;
  void* job_ = nullptr;
  u32 n_task_ = 0;

  alignas(kLine) u32 n_remaining_ = 0;  // tasks nobody has taken yet
  alignas(kLine) u32 n_done_ = 0;       // tasks that have returned
  alignas(kLine) u32 n_started_ = 0;    // jobs so far; what idle cores watch
  u32 stopping_ = 0;
  Core cores_[kMaxCores];
};

// For panic(): true on a core that must not call the firmware. The message is kept for the boot
// core, which panics in its place.
[[nodiscard]] bool hand_panic_to_boot_core(const char* what, const char* file, u32 line);

}  // namespace lbm::efi
