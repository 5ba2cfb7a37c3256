// What compilers call by name in code without a C library, for the hosts that bring none: included
// once, inside extern "C", by each such host's runtime.cpp. memcpy, memmove and memset are each
// host's own.

// The empty statements keep the loops from being taken for the functions that they are.
int memcmp(const void* a, const void* b, size_t n) {
  const unsigned char* x = static_cast<const unsigned char*>(a);
  const unsigned char* y = static_cast<const unsigned char*>(b);
  for (size_t i = 0; i < n; ++i) {
    if (x[i] != y[i]) return x[i] < y[i] ? -1 : 1;
    __asm__ volatile("");
  }
  return 0;
}

size_t strlen(const char* text) {
  size_t n = 0;
  while (text[n] != 0) {
    ++n;
    __asm__ volatile("");
  }
  return n;
}

[[noreturn]] void __cxa_pure_virtual() {
  lbm::panic("a pure virtual function was called", __FILE__, __LINE__);
}
