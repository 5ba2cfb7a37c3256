// /bench: how fast the loaded model runs here, in seconds also on bare metal. See repl_state.h.
//
// The tokens are evaluated behind the conversation, at the depth it has, and rewound afterwards:
// the next turn finds everything it would have found without.
#include "core/base/arith.h"
#include "core/chat/repl_state.h"
#include "core/infer/token_cost.h"

namespace lbm {
namespace {

constexpr u32 kBenchPrefill = 64;
constexpr u32 kBenchDecode = 16;

// Which tokens they are does not change the work; spread over the vocabulary, so that embedding
// rows are not all in the cache.
u32 bench_token(u32 pos, u32 n_vocab) { return static_cast<u32>((u64{pos} * 7919 + 1) % n_vocab); }

struct Timed {
  u32 n_token = 0;
  u64 us = 0;
  [[nodiscard]] f64 rate() const {
    return us == 0 ? 0.0 : static_cast<f64>(n_token) * 1e6 / static_cast<f64>(us);
  }
};

// Evaluates n tokens, all at once or one by one.
Status evaluate_timed(Session& session, Clock& clock, u32 n, bool one_by_one,
                      Session::Interrupt interrupt, Timed& out) {
  u32 tokens[kBenchPrefill];
  for (u32 i = 0; i < n; ++i)
    tokens[i] = bench_token(session.n_past() + i, session.model().config.n_vocab);
  const u32 step = one_by_one ? 1 : n;
  const u64 start_us = clock.now_us();
  for (u32 at = 0; at < n; at += step) {
    if (Status s = session.evaluate({tokens + at, step}, interrupt); !s.ok()) return s;
  }
  out = {n, clock.now_us() - start_us};
  return {};
}

}  // namespace

void Repl::bench() {
  if (!engine_->loaded()) {
    out_.line("No model is loaded.");
    return;
  }
  Session& session = engine_->session();
  const u32 depth = session.n_past();
  const u32 n_free = session.n_ctx() - depth;
  // A nearly full context gets a shorter run, down to one token of each.
  const u32 n_decode = min_u32(kBenchDecode, n_free / 2);
  const u32 n_prefill = min_u32(kBenchPrefill, n_free - n_decode);
  if (n_decode == 0) {
    out_.line("The context is full ({} tokens); /reset makes room.", session.n_ctx());
    return;
  }
  out_.line("Evaluating {} and {} tokens; Esc stops.", n_prefill, n_decode);
  static_cast<void>(console_.take_interrupt());
  Timed prefill;
  Timed decode;
  Clock& clock = host_.clock();
  Status done = evaluate_timed(session, clock, n_prefill, false, {asked_to_stop, this}, prefill);
  if (done.ok())
    done = evaluate_timed(session, clock, n_decode, true, {asked_to_stop, this}, decode);
  static_cast<void>(session.rewind(depth));
  if (!done.ok()) {
    if (done.error().code == ErrorCode::kCancelled) {
      out_.line("(stopped)");
    } else {
      out_.error(done.error());
    }
    return;
  }
  const TokenCost cost = token_cost(engine_->model(), session.kv_type());
  const u64 decode_bytes = cost.decode_bytes(depth + n_prefill + (n_decode + 1) / 2);
  const f64 gb_s = static_cast<f64>(decode_bytes) * decode.rate() * 1e-9;
  const f64 gops = (static_cast<f64>(cost.layer_ops) +
                    static_cast<f64>(cost.head_ops) / static_cast<f64>(n_prefill)) *
                   prefill.rate() * 1e-9;
  out_.line("  prefill   {:.1} tokens/s, {:.1} GOPS in matrices", prefill.rate(), gops);
  out_.line("  decode    {:.1} tokens/s, {:.1} GB/s ({:.1} MB of weights and cache for a token)",
            decode.rate(), gb_s, static_cast<f64>(decode_bytes) * 1e-6);
  out_.line("  with      {} kernels, {} core{}, {} tokens in the context before",
            engine_->kernels().name, engine_->workers().n_worker(),
            engine_->workers().n_worker() == 1 ? "" : "s", depth);
  out_.line(
      "[bench] prefill={} prefill_tok_s={:.3} decode={} decode_tok_s={:.3} gops={:.3} gb_s={:.3} "
      "depth={}",
      n_prefill, prefill.rate(), n_decode, decode.rate(), gops, gb_s, depth);
}

}  // namespace lbm
