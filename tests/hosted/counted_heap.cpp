#include "tests/hosted/counted_heap.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<lbm::u64> g_now{0};
std::atomic<lbm::u64> g_peak{0};

void count(void* block) {
  const lbm::u64 now = g_now += malloc_usable_size(block);
  lbm::u64 peak = g_peak;
  while (now > peak && !g_peak.compare_exchange_weak(peak, now)) {
  }
}

}  // namespace

// The other forms of the standard library call these two.
void* operator new(std::size_t n) {
  void* const block = std::malloc(n == 0 ? 1 : n);
  if (block == nullptr) throw std::bad_alloc();
  count(block);
  return block;
}

void operator delete(void* block) noexcept {
  if (block == nullptr) return;
  g_now -= malloc_usable_size(block);
  std::free(block);
}

void operator delete(void* block, std::size_t) noexcept { operator delete(block); }

namespace lbm::test {

HeapUse::HeapUse() : before_(g_now) { g_peak = before_; }

u64 HeapUse::peak() const { return g_peak - before_; }

}  // namespace lbm::test
