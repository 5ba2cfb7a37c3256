#include "kernels/select.h"

#include "kernels/isa/tables.h"

namespace lbm {
namespace {

bool same_text(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

}  // namespace

u32 usable_kernel_tables(const CpuFeatures& features, const KernelTable* (&out)[8]) {
  u32 n = 0;
  out[n++] = &kTable_scalar;
  out[n++] = &kTable_swar;
#if defined(__x86_64__)
  if (features.avx2) out[n++] = &kTable_avx2;
  if (features.avx_vnni) out[n++] = &kTable_avx_vnni;
  if (features.avx512) out[n++] = &kTable_avx512;
  if (features.amx) out[n++] = &kTable_amx;
#elif defined(__wasm__)
  out[n++] = &kTable_wasm_simd;
  if (features.wasm_relaxed) out[n++] = &kTable_wasm_relaxed;
  if (features.wasm_pairs) out[n++] = &kTable_wasm_pairs;
#else
  static_cast<void>(features);
#endif
  return n;
}

const KernelTable* find_kernel_table(const CpuFeatures& features, const char* name) {
  const KernelTable* tables[8];
  const u32 n = usable_kernel_tables(features, tables);
  for (u32 i = 0; i < n; ++i) {
    if (same_text(tables[i]->name, name)) return tables[i];
  }
  return nullptr;
}

bool compose_named(const CpuFeatures& features, const char* name, KernelTable& out) {
  const KernelTable* table = find_kernel_table(features, name);
  if (table == nullptr) return false;
  out = *table;
#if defined(__x86_64__)
  if (features.sha) out.sha256_blocks = sha256_blocks_sha_ni;
#endif
  return true;
}

}  // namespace lbm
