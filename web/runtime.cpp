// What the compiler may call without being asked: the memory functions, 128-bit products, and the
// trap behind pure virtual functions.
//
// Copies and fills are single instructions of WebAssembly (bulk memory), which is also what the
// compiler makes of a copy of unknown size by itself.
#include <stddef.h>

#include "core/base/check.h"

extern "C" {

void* memcpy(void* to, const void* from, size_t n) { return __builtin_memcpy(to, from, n); }
void* memmove(void* to, const void* from, size_t n) { return __builtin_memmove(to, from, n); }
void* memset(void* to, int value, size_t n) { return __builtin_memset(to, value, n); }

#include "core/base/runtime.inl.h"

// The low 128 bits of a product of 128-bit numbers, which checked multiplications of 64-bit sizes
// need on a 32-bit target. Schoolbook, in halves of 32 bits.
__int128 __multi3(__int128 a, __int128 b) {
  using Wide = unsigned long long;
  constexpr Wide kHalf = 0xffffffffu;
  const Wide a_low = static_cast<Wide>(a);
  const Wide b_low = static_cast<Wide>(b);
  const Wide a_high = static_cast<Wide>(a >> 64);
  const Wide b_high = static_cast<Wide>(b >> 64);
  const Wide low = (a_low & kHalf) * (b_low & kHalf);
  const Wide middle = (a_low >> 32) * (b_low & kHalf) + (low >> 32);
  const Wide other = (a_low & kHalf) * (b_low >> 32) + (middle & kHalf);
  const Wide high = (a_low >> 32) * (b_low >> 32) + (middle >> 32) + (other >> 32) +
                    a_low * b_high + a_high * b_low;
  return static_cast<__int128>((static_cast<unsigned __int128>(high) << 64) |
                               (other << 32 | (low & kHalf)));
}

}  // extern "C"
