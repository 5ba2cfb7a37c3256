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

// A stand-in for the work of a decode step: Q4_1, since nibble types are what people run, 64 rows
// of 512 columns.
constexpr u32 kProbeColumns = 512;
constexpr u32 kProbeTiles = 4;
struct Probe {
  alignas(64) TileQ4_1 tiles[kProbeTiles][kProbeColumns / kBlockSize];
  alignas(64) ActivationBlock x[kProbeColumns / kBlockSize];
  alignas(64) f32 y[kProbeTiles * kTileRows];
};
Probe probe;

MatmulArgs probe_args() {
  for (auto& row : probe.tiles) {
    for (TileQ4_1& tile : row) {
      for (u32 i = 0; i < kTileRows; ++i) tile.d[i] = tile.m[i] = 0x2c00;  // 1/16
      for (auto& group : tile.nibbles) {
        for (u32 i = 0; i < 64; ++i) group[i] = static_cast<u8>(i * 37);
      }
    }
  }
  for (ActivationBlock& block : probe.x) {
    for (u32 i = 0; i < kBlockSize; ++i)
      block.q[i] = static_cast<i8>(static_cast<i32>(i) * 7 - 100);
    block.d = block.sx = 0.5f;
  }
  return {reinterpret_cast<const u8*>(probe.tiles),
          sizeof(probe.tiles[0]),
          kProbeColumns,
          0,
          kProbeTiles,
          reinterpret_cast<const u8*>(probe.x),
          sizeof(probe.x),
          1,
          probe.y,
          kProbeTiles * kTileRows};
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

const KernelTable& fastest_kernel_table(const CpuFeatures& features, u64 (*now_us)(void* context),
                                        void* context) {
  constexpr u64 kBudgetUs = 3000;  // per table
  constexpr u32 kMaxRounds = 64;
  const KernelTable* tables[8];
  const u32 n = usable_kernel_tables(features, tables);
  const MatmulArgs args = probe_args();
  const KernelTable* best = tables[0];
  u64 best_us = ~u64{0};
  for (u32 i = 0; i < n; ++i) {
    const MatmulFn matmul = tables[i]->matmul[static_cast<u32>(DType::kQ4_1)];
    matmul(args);  // first touch: page in, translate, wake the vector unit
    u64 fastest = ~u64{0};
    const u64 start = now_us(context);
    // The minimum over rounds of 8 calls: a disturbed round never counts.
    for (u32 round = 0; round < kMaxRounds; ++round) {
      const u64 before = now_us(context);
      for (u32 call = 0; call < 8; ++call) matmul(args);
      const u64 after = now_us(context);
      if (after - before < fastest) fastest = after - before;
      if (after - start > kBudgetUs) break;
    }
    // Later tables are the wider ones: they win a tie, which a coarse clock can produce.
    if (fastest <= best_us) {
      best_us = fastest;
      best = tables[i];
    }
  }
  return *best;
}

}  // namespace lbm
