// The kernel tables of this build, one per file of kernels/isa, and the functions that no
// vocabulary stands behind.
#pragma once

#include "kernels/kernel_table.h"

namespace lbm {

extern const KernelTable kTable_scalar;
extern const KernelTable kTable_swar;
#if defined(__x86_64__)
extern const KernelTable kTable_avx2;
extern const KernelTable kTable_avx_vnni;
extern const KernelTable kTable_avx512;
extern const KernelTable kTable_amx;
void sha256_blocks_sha_ni(u32* state, const u8* blocks, usize n_block);
#endif
#if defined(__wasm__)
extern const KernelTable kTable_wasm_simd;
// A module either fits its engine or is refused as a whole, so these are linked only into modules
// for engines with relaxed SIMD; in the others their addresses are null.
[[gnu::weak]] extern const KernelTable kTable_wasm_relaxed;
[[gnu::weak]] extern const KernelTable kTable_wasm_pairs;
#endif

}  // namespace lbm
