// What the compiler may call without being asked: the four memory functions, and the trap behind
// pure virtual functions.
//
// The copies use the string instructions rather than loops: a loop that copies bytes is what the
// compiler turns into a call of memcpy, here into a call of itself. Eight bytes at a time, because
// under emulation every repetition costs the same.
#include <stddef.h>

#include "core/base/check.h"

extern "C" {

void* memcpy(void* to, const void* from, size_t n) {
  void* out = to;
  size_t n_word = n / 8;
  size_t n_rest = n % 8;
  __asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(n_word) : : "memory");
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n_rest) : : "memory");
  return out;
}

void* memset(void* to, int value, size_t n) {
  void* out = to;
  const unsigned long long word = 0x0101010101010101ull * static_cast<unsigned char>(value);
  size_t n_word = n / 8;
  size_t n_rest = n % 8;
  __asm__ volatile("rep stosq" : "+D"(to), "+c"(n_word) : "a"(word) : "memory");
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n_rest) : "a"(word) : "memory");
  return out;
}

void* memmove(void* to, const void* from, size_t n) {
  unsigned char* d = static_cast<unsigned char*>(to);
  const unsigned char* s = static_cast<const unsigned char*>(from);
  // Forward is right whenever no byte is written before it was read; that includes every overlap
  // with to < from.
  if (d <= s || d >= s + n) return memcpy(to, from, n);
  while (n > 0) {
    --n;
    d[n] = s[n];
    __asm__ volatile("" : : : "memory");
  }
  return to;
}

#include "core/base/runtime.inl.h"

}  // extern "C"
