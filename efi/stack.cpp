// Switching stacks (stack.h).
#include "efi/stack.h"

// rcx: the top of the new stack, rdx: the function, r8: its argument. The callee may use 32 bytes
// above its return address.
__asm__(
    ".globl lbm_call_on_stack\n"
    "lbm_call_on_stack:\n"
    "  push %rbp\n"
    "  mov %rsp, %rbp\n"
    "  lea -32(%rcx), %rsp\n"
    "  mov %r8, %rcx\n"
    "  call *%rdx\n"
    "  mov %rbp, %rsp\n"
    "  pop %rbp\n"
    "  ret\n");

extern "C" void lbm_call_on_stack(void* top, void (*body)(void* argument), void* argument);

namespace lbm::efi {
namespace {

constexpr u8 kUntouched = 0xC5;

}  // namespace

void run_on_stack(Span<u8> stack, void (*body)(void* argument), void* argument) {
  __builtin_memset(stack.data(), kUntouched, stack.size());
  lbm_call_on_stack(stack.end(), body, argument);
}

usize stack_high_water(Span<const u8> stack) {
  usize n_untouched = 0;
  while (n_untouched < stack.size() && stack[n_untouched] == kUntouched) ++n_untouched;
  return stack.size() - n_untouched;
}

}  // namespace lbm::efi
