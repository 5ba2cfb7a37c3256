// The other cores: that they come, take part with our vector state, and go. With one core these
// tests hold trivially; scripts/run_tests.py runs them with two.
#include "efi/workers.h"

#include "efi/firmware.h"
#include "tests/bare/machine.h"
#include "tests/test.h"

namespace {

using namespace lbm;

// Started for one test case.
struct Started {
  efi::CoreWorkers& workers;

  explicit Started(efi::CoreWorkers& some, u32 n_core = 0) : workers(some) {
    workers.start(n_core, bare::cpu_state(), bare::pages(), bare::clock());
  }
  ~Started() { workers.stop(bare::pages(), bare::clock()); }
};
constinit efi::CoreWorkers g_workers;

u32 n_enabled_processor() {
  EFI_GUID guid = efi::kMpServicesGuid;
  void* found = nullptr;
  UINTN n = 0;
  UINTN n_enabled = 0;
  if (efi::failed(efi::boot_services().LocateProtocol(&guid, nullptr, &found))) return 1;
  efi::MpServices& mp = *static_cast<efi::MpServices*>(found);
  return efi::failed(mp.get_number_of_processors(&mp, &n, &n_enabled))
             ? 1
             : static_cast<u32>(n_enabled);
}

constexpr u32 kTasks = 10'000;
struct Marks {
  u32 n_run[kTasks] = {};
};
constinit Marks g_marks;

// A task that ends only when as many are running as there are cores.
struct Meeting {
  u32 n_expected;
  u32 n_here = 0;
  u32 n_other_mxcsr = 0;
  u32 n_other_cr4 = 0;
};

void meet(void* job, u32) {
  Meeting& meeting = *static_cast<Meeting*>(job);
  u64 cr4 = 0;
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  constexpr u32 kControlBits = 0xFFC0;
  constexpr u64 kVectorBits = u64{1} << 9 | u64{1} << 10 | u64{1} << 18;
  if ((efi::read_mxcsr() & kControlBits) != efi::kMxcsr)
    __atomic_fetch_add(&meeting.n_other_mxcsr, 1, __ATOMIC_RELAXED);
  if ((cr4 & kVectorBits) != (bare::cpu_state().cr4 & kVectorBits))
    __atomic_fetch_add(&meeting.n_other_cr4, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&meeting.n_here, 1, __ATOMIC_ACQ_REL);
  while (__atomic_load_n(&meeting.n_here, __ATOMIC_ACQUIRE) < meeting.n_expected)
    __asm__ volatile("pause");
}

}  // namespace

TEST_CASE("every core takes part, with the vector state of the boot core", "[efi][cores]") {
  Started started(g_workers);
  CHECK(g_workers.n_worker() == n_enabled_processor());
  CHECK(g_workers.notice().empty());
  Meeting meeting = {g_workers.n_worker()};
  g_workers.run(meet, &meeting, meeting.n_expected);
  CHECK(meeting.n_here == meeting.n_expected);
  CHECK(meeting.n_other_mxcsr == 0);
  CHECK(meeting.n_other_cr4 == 0);
}

TEST_CASE("each task of a job runs once, job after job", "[efi][cores]") {
  Started started(g_workers);
  g_marks = {};
  const auto mark = [](void* marks, u32 task) { ++static_cast<Marks*>(marks)->n_run[task]; };
  constexpr u32 kJobs = 20;
  for (u32 i = 0; i < kJobs; ++i) g_workers.run(mark, &g_marks, kTasks);
  u32 n_wrong = 0;
  for (const u32 n : g_marks.n_run) n_wrong += n != kJobs;
  CHECK(n_wrong == 0);
  // Small jobs, whose ends and beginnings meet.
  g_marks = {};
  for (u32 i = 0; i < 1'000; ++i) g_workers.run(mark, &g_marks, 3);
  CHECK((g_marks.n_run[0] == 1'000 && g_marks.n_run[1] == 1'000 && g_marks.n_run[2] == 1'000));
}

TEST_CASE("cores survive firmware's timers and calls, and can be stopped and started again",
          "[efi][cores]") {
  for (u32 round = 0; round < 2; ++round) {
    Started started(g_workers);
    const u32 n = g_workers.n_worker();
    CHECK(n == n_enabled_processor());
    efi::boot_services().Stall(250'000);  // longer than the period in which it looks after cores
    bare::console().write("");
    Meeting meeting = {n};
    g_workers.run(meet, &meeting, n);
    CHECK(meeting.n_here == n);
  }
  CHECK(g_workers.n_worker() == 1);
}

TEST_CASE("one core is one core", "[efi][cores]") {
  Started started(g_workers, 1);
  CHECK(g_workers.n_worker() == 1);
  g_marks = {};
  g_workers.run([](void* marks, u32 task) { ++static_cast<Marks*>(marks)->n_run[task]; }, &g_marks,
                kTasks);
  CHECK((g_marks.n_run[0] == 1 && g_marks.n_run[kTasks - 1] == 1));
}
