// A stack of our own.
//
// Firmware gives an application 128 KiB, on a stack without a guard. That is enough for our frames
// and too little for comfort: the chat template of a model file, bounded to 64 levels, chooses how
// deep the interpreter nests. So the program runs on a stack that has room for the worst case
// several times over.
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm::efi {

inline constexpr u64 kStackBytes = 1 * kMiB;

// Runs body(argument) on `stack`, whose size and address are multiples of 16, and comes back to the
// old one.
void run_on_stack(Span<u8> stack, void (*body)(void* argument), void* argument);

// The most bytes of `stack` that were in use since run_on_stack() began on it.
[[nodiscard]] usize stack_high_water(Span<const u8> stack);

}  // namespace lbm::efi
