// Leaving a test case from the middle: setjmp and longjmp, for the calling convention of UEFI.
//
// Written out because the compiler's own __builtin_setjmp restores only the stack and frame
// pointers.
#pragma once

#include "core/base/types.h"

namespace lbm::test {

// What a function must preserve: rbx, rbp, rdi, rsi, r12..r15, rsp, the return address, and
// xmm6..xmm15.
struct alignas(16) SavePoint {
  u64 general[10];
  u8 vectors[10][16];
};

// Returns 0, and 1 when return_to() brings the program back. The function that called it must still
// be running then.
extern "C" [[gnu::returns_twice]] int lbm_save_point(SavePoint* point);
extern "C" [[noreturn]] void lbm_return_to(const SavePoint* point);

}  // namespace lbm::test
