// The choice of kernels by timing (select.h).
//
// Every usable table runs a small matrix product. Two heats on one type each, quantized and plain,
// for one token and for many, leave the tables that are at least half as fast as the best; only
// those are timed on the other types. A wide machine has two or three of them at the end.
//
// What is timed fits in the first-level caches. Products larger than that wait for memory the more
// the faster their table is, so the order stays what it was.
#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"
#include "core/tensor/grid.h"
#include "kernels/isa/tables.h"
#include "kernels/select.h"

namespace lbm {
namespace {

constexpr u64 kBudgetUs = 42'000;  // of 50 ms: a call that has begun will end
constexpr u64 kRoundUs = 16;       // the clock counts microseconds
constexpr u32 kRounds = 3;
constexpr u32 kMaxCalls = 256;   // of a round, should the clock stand still
constexpr u64 kSlowNs = 15'000;  // of the product with one token: this machine gets fewer tokens
constexpr u32 kMaxTables = 8;
constexpr u64 kNever = ~u64{0};

constexpr u32 kColumns = 256;
constexpr u32 kTiles = 4;
constexpr u32 kManyTokens = 32;
constexpr u32 kFewerTokens = 8;
constexpr u32 kHeads = 3;  // attention: query heads, positions, elements
constexpr u32 kPositions = 64;
constexpr u32 kHeadDim = 64;

// Bytes that are harmless whatever they are taken for: in f16, bf16 and f32 alike a small number.
constexpr u8 kHarmless = 0x2c;

struct Probe {
  alignas(64) u8 tiles[kTiles * kTileRows * kColumns * sizeof(f32)];
  alignas(64) ActivationBlock blocks[kManyTokens][kColumns / kBlockSize];
  alignas(64) f32 x[kManyTokens][kColumns];
  alignas(64) f32 y[kManyTokens][kTiles * kTileRows];
  alignas(64) f32 scratch[attention_scratch_floats(kHeadDim, kHeads)];
};
Probe g_probe;

void fill_probe() {
  __builtin_memset(g_probe.tiles, kHarmless, sizeof(g_probe.tiles));
  for (auto& token : g_probe.x) {
    for (u32 i = 0; i < kColumns; ++i) token[i] = (i % 2 == 0 ? 0.5f : -0.375f);
  }
  for (auto& token : g_probe.blocks) {
    for (ActivationBlock& block : token) {
      for (u32 i = 0; i < kBlockSize; ++i) block.q[i] = i % 2 == 0 ? 100 : -75;
      block.d = 0.005f;
      block.sum_low = block.sum_high = 200;
      block.sx = 2.0f;
    }
  }
}

struct MatmulCall {
  MatmulFn fn;
  MatmulArgs args;
  void operator()() const { fn(args); }
};

MatmulCall matmul_call(MatmulFn fn, DType type, u32 n_token) {
  const DTypeTraits traits = dtype_traits(type);
  const bool quantized = traits.block_size != 1;
  MatmulArgs args = {};
  args.tiles = g_probe.tiles;
  args.tile_stride = usize{kColumns} / traits.block_size * traits.block_bytes * kTileRows;
  args.n_col = kColumns;
  args.n_tile = kTiles;
  args.x = quantized ? reinterpret_cast<const u8*>(g_probe.blocks)
                     : reinterpret_cast<const u8*>(g_probe.x);
  args.x_stride = quantized ? sizeof(g_probe.blocks[0]) : sizeof(g_probe.x[0]);
  args.n_token = n_token;
  args.y = g_probe.y[0];
  args.y_stride = kTiles * kTileRows;
  return {fn, args};
}

struct VectorCall {
  const KernelTable& table;
  void operator()() const {
    static_cast<void>(table.quantize_row(g_probe.x[0], kColumns, g_probe.blocks[0]));
    table.rms_norm(g_probe.x[0], g_probe.x[1], kColumns, 1e-5f, g_probe.y[0]);
    table.silu_mul(g_probe.x[0], g_probe.x[1], kColumns, g_probe.y[0]);
    AttentionArgs args = {};
    args.q = g_probe.x[0];
    args.keys = g_probe.tiles;
    args.values = g_probe.tiles;
    args.head_dim = kHeadDim;
    args.n_group = kHeads;
    args.q_stride = kHeads * kHeadDim;
    args.n_token = 1;
    args.first_pos = kPositions - 1;
    args.window = kNoWindow;
    args.scale = 0.125f;
    args.out = g_probe.y[0];
    args.out_stride = kHeads * kHeadDim;
    args.scratch = g_probe.scratch;
    table.attention[static_cast<u32>(KvType::kF16)](args);
  }
};

class Stopwatch {
 public:
  explicit Stopwatch(TrialClock clock) : clock_(clock), end_us_(now_us() + kBudgetUs) {}

  [[nodiscard]] bool expired() const { return now_us() >= end_us_; }

  // Nanoseconds of one call: the shortest of a few rounds, since disturbances only lengthen one.
  // Rounds that can not beat `best_ns` any more, or the time left, are not run.
  template <class Call>
  [[nodiscard]] u64 shortest_ns(const Call& call, u64 best_ns) const {
    u64 us = round_us(call, 1);  // pages in, wakes the vector unit, has it translated
    u32 n_call = 1;
    if (us < 64 * kRoundUs) us = round_us(call, 1);
    while (us < kRoundUs && n_call < kMaxCalls) {
      n_call *= us < kRoundUs / 4 ? 4 : 2;
      us = round_us(call, n_call);
    }
    u64 shortest = us;
    for (u32 round = 1; round < kRounds; ++round) {
      if (shortest * 1000 / n_call > best_ns * 2 || expired()) break;
      us = round_us(call, n_call);
      if (us < shortest) shortest = us;
    }
    return shortest * 1000 / n_call;
  }

 private:
  [[nodiscard]] u64 now_us() const { return clock_.now_us(clock_.context); }
  template <class Call>
  [[nodiscard]] u64 round_us(const Call& call, u32 n_call) const {
    const u64 before = now_us();
    for (u32 i = 0; i < n_call; ++i) call();
    return now_us() - before;
  }

  TrialClock clock_;
  u64 end_us_;
};

enum Phase : u32 { kDecode, kPrefill, kPhases };

MatmulFn matmul_of(const KernelTable& table, Phase phase, DType type) {
  return (phase == kDecode ? table.decode : table.prefill)[static_cast<u32>(type)];
}

// The tables that are worth timing, the one to beat first.
struct Ranking {
  u32 n = 0;
  u32 table[kMaxTables] = {};
};

class Trial {
 public:
  Trial(const CpuFeatures& features, TrialClock clock) : watch_(clock), features_(features) {
    n_table_ = usable_kernel_tables(features, tables_);
  }

  void compose(KernelTable& out) {
    fill_probe();
    const DType kinds[kKinds] = {DType::kQ4_1, DType::kF16, DType::kIQ2_S};
    Ranking heats[kKinds][kPhases];
    Ranking all;
    // The widest first: it sets the mark that the others give up at, and keeps near ties.
    for (u32 i = n_table_; i > 0; --i) all.table[all.n++] = i - 1;
    // Under a known emulator the answer is known, and the translation of everything that would be
    // timed takes longer than the trial may.
    if (features_.emulated) {
      all.n = 1;
      all.table[0] = 1;  // SWAR
    }
    for (u32 kind = 0; kind < kKinds; ++kind) {
      const Ranking& contenders = kind == kGrid ? heats[kBlocks][kDecode] : all;
      heats[kind][kDecode] = rank_matmul(contenders, kDecode, kinds[kind]);
      heats[kind][kPrefill] = rank_matmul(heats[kind][kDecode], kPrefill, kinds[kind]);
    }
    const Ranking vectors = rank(all, [this](u32 table) { return VectorCall{*tables_[table]}; });
    out = *tables_[vectors.table[0]];
    u32 n_entry[kMaxTables] = {};
    for (u32 id = 0; id < kDTypeLimit; ++id) {
      const DType type = static_cast<DType>(id);
      out.decode_from[id] = out.prefill_from[id] = nullptr;
      if (out.decode[id] == nullptr) continue;
      const Kind kind = kind_of(type);
      // The grid types share their kernels, so one of them speaks for all.
      const bool ran_in_heat = type == kinds[kind] || kind == kGrid;
      for (u32 p = 0; p < kPhases; ++p) {
        const Phase phase = static_cast<Phase>(p);
        const Ranking& heat = heats[kind][phase];
        const u32 first = ran_in_heat ? heat.table[0] : rank_matmul(heat, phase, type).table[0];
        ++n_entry[first];
        (phase == kDecode ? out.decode : out.prefill)[id] = matmul_of(*tables_[first], phase, type);
        (phase == kDecode ? out.decode_from : out.prefill_from)[id] = tables_[first]->name;
      }
    }
    u32 most = 0;
    for (u32 i = 1; i < n_table_; ++i) {
      if (n_entry[i] >= n_entry[most]) most = i;
    }
    out.name = tables_[most]->name;
  }

 private:
  enum Kind : u32 { kBlocks, kPlain, kGrid, kKinds };
  static Kind kind_of(DType type) {
    if (is_grid_type(type)) return kGrid;
    return dtype_traits(type).block_size == 1 ? kPlain : kBlocks;
  }

  Ranking rank_matmul(const Ranking& contenders, Phase phase, DType type) {
    const u32 n_token = phase == kDecode ? 1 : slow_ ? kFewerTokens : kManyTokens;
    const Ranking result = rank(contenders, [&](u32 table) {
      return matmul_call(matmul_of(*tables_[table], phase, type), type, n_token);
    });
    slow_ = slow_ || (phase == kDecode && best_ns_ > kSlowNs);
    return result;
  }

  // Times the contenders and leaves out those that are less than half as fast as the best. To come
  // before an earlier one, 10 % are needed: near ties do not depend on the weather.
  template <class CallOf>
  Ranking rank(const Ranking& contenders, const CallOf& call_of) {
    if (contenders.n == 1 || watch_.expired()) return contenders;
    u64 ns[kMaxTables];
    u32 best = 0;
    best_ns_ = kNever / 2;
    for (u32 i = 0; i < contenders.n; ++i) {
      ns[i] = i > 0 && watch_.expired()
                  ? kNever
                  : watch_.shortest_ns(call_of(contenders.table[i]), best_ns_);
      if (ns[i] < best_ns_ - best_ns_ / 10) {
        best = i;
        best_ns_ = ns[i];
      }
    }
    Ranking result;
    result.table[result.n++] = contenders.table[best];
    for (u32 i = 0; i < contenders.n; ++i) {
      if (i != best && ns[i] / 2 <= best_ns_) result.table[result.n++] = contenders.table[i];
    }
    return result;
  }

  Stopwatch watch_;
  const CpuFeatures& features_;
  const KernelTable* tables_[kMaxTables] = {};
  u32 n_table_ = 0;
  u64 best_ns_ = kNever;
  bool slow_ = false;
};

}  // namespace

void compose_fastest(const CpuFeatures& features, TrialClock clock, KernelTable& out) {
  KernelTable fastest = {};
  Trial(features, clock).compose(fastest);
#if defined(__x86_64__)
  if (features.sha) fastest.sha256_blocks = sha256_blocks_sha_ni;
#endif
  out = fastest;
}

}  // namespace lbm
