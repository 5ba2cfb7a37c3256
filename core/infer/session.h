// One conversation with one model: its KV cache, its position, and the forward pass.
//
// A session evaluates tokens in order and keeps what they left behind. Tokens that were evaluated
// once are never evaluated again, except where dropping earlier ones forces it (docs/numerics.md
// R20), or a model has recurrent layers and goes back (core/infer/recurrent_state.h). How many
// tokens go through forward() together, and on how many cores, never changes a bit of the logits.
#pragma once

#include "core/base/arena.h"
#include "core/base/result.h"
#include "core/base/span.h"
#include "core/infer/kv_cache.h"
#include "core/infer/profile.h"
#include "core/model/model.h"
#include "core/platform.h"
#include "kernels/kernel_table.h"

namespace lbm {

struct SessionParams {
  u32 n_ctx = 0;     // 0: min(n_ctx_train, 4096)
  u32 n_batch = 32;  // most tokens that go through forward() at once, 1..512
  KvType kv = KvType::kF16;
};

class Forward;

// Receives the result of every named operation, token by token; for `lbm diff` and tests.
class TraceSink {
 public:
  static constexpr u32 kNoLayer = ~u32{0};  // before the first layer and after the last

  virtual void on_operation(u32 layer, Str operation, u32 pos, Span<const f32> values) = 0;

 protected:
  ~TraceSink() = default;
};

// Asked whether to stop; null: never. (Not nested in Session: its default member values are used in
// Session's declarations.)
struct SessionInterrupt {
  bool (*asked)(void* context) = nullptr;
  void* context = nullptr;
};

// Is shown the memory that makes up the state of a session, piece by piece and always in the same
// order: to copy it out, or to fill it.
class StateVisitor {
 public:
  // False: stop.
  [[nodiscard]] virtual bool on_state(Span<u8> bytes) = 0;

 protected:
  ~StateVisitor() = default;
};

class Session {
 public:
  static constexpr u32 kMaxBatch = 512;

  // The context that `params` asks for: n_ctx, or its default.
  [[nodiscard]] static u32 effective_n_ctx(const ModelConfig& config, const SessionParams& params);

  // Bytes that create() takes from its arena. The largest single piece is one layer's keys.
  [[nodiscard]] static u64 bytes_needed(const ModelConfig& config, const SessionParams& params,
                                        u32 n_worker);

  // Takes KV cache and activations from `arena`. All arguments must outlive the session.
  // Errors: kInvalidArgument  n_ctx or n_batch out of range.   kOutOfMemory.
  [[nodiscard]] static Result<Session*> create(Arena& arena, const Model& model,
                                               const SessionParams& params,
                                               const KernelTable& kernels, Workers& workers);

  // --- Evaluated elsewhere, on a GPU that the core does not know ---
  // The same session without weights, cache and activations. evaluate() takes logits that stand in
  // given_logits() already, and refuses where give() did not announce them.
  [[nodiscard]] static u64 external_bytes_needed(const ModelConfig& config,
                                                 const SessionParams& params);
  [[nodiscard]] static Result<Session*> create_external(Arena& arena, const Model& model,
                                                        const SessionParams& params);
  [[nodiscard]] bool is_external() const { return forward_ == nullptr; }
  // Room for the logits [n_vocab] of one token.
  [[nodiscard]] Span<f32> given_logits() { return given_; }
  // `n_token` tokens behind n_past() were evaluated; given_logits() are those of the last of them.
  // Says so for the next evaluate() alone.
  void give(u32 n_token) { n_given_ = n_token; }

  // Asked between the layers of a batch, or before it where it could not be undone; returning true
  // stops the evaluation.
  using Interrupt = SessionInterrupt;

  // Evaluates `tokens` after the n_past() that came before. Afterwards logits() are those of the
  // last.
  // Errors: kContextFull      nothing was evaluated.
  //         kInvalidArgument  a token is not in the vocabulary; nothing was evaluated.
  //         kNumeric          a NaN or infinity, with the layer; the batches before it stay.
  //         kMissing          the session is external and was not given them; nothing changes.
  //         kCancelled        `interrupt` said so; the batches before it stay (n_past() tells).
  // After any of them the session goes on as if the batch had never been tried.
  [[nodiscard]] Status evaluate(Span<const u32> tokens, Interrupt interrupt = {});

  // The same for at most max_logits() tokens, keeping the logits of each: what a speculative step
  // does. An error of any token is the error of all, and nothing was evaluated.
  [[nodiscard]] Status evaluate_each(Span<const u32> tokens, Interrupt interrupt = {});
  [[nodiscard]] u32 max_logits() const;

  // The same, handing the logits of every token to `sink` in order.
  class LogitsSink {
   public:
    virtual void on_logits(u32 pos, Span<const f32> logits) = 0;

   protected:
    ~LogitsSink() = default;
  };
  [[nodiscard]] Status evaluate_all(Span<const u32> tokens, LogitsSink& sink);

  // The same, handing the final state [n_embd] of every token (what its logits are made from) to
  // `sink`, in order; no logits are computed. For embeddings.
  class StateSink {
   public:
    virtual void on_final_state(u32 pos, Span<const f32> state) = 0;

   protected:
    ~StateSink() = default;
  };
  [[nodiscard]] Status evaluate_states(Span<const u32> tokens, StateSink& sink,
                                       Interrupt interrupt = {});

  // Evaluates one token: what a decode step does.
  [[nodiscard]] Status decode(u32 token) { return evaluate({&token, 1}); }

  // Logits [n_vocab] of the last token, n_past() - 1. Empty before the first, and after a rewind to
  // a token whose logits were not kept.
  [[nodiscard]] Span<const f32> logits() const;
  // Those of the token at `pos`, where they are still kept; else empty.
  [[nodiscard]] Span<const f32> logits_at(u32 pos) const;

  // Forgets positions >= n_past. With recurrent layers the next evaluation begins at the newest
  // checkpoint before n_past and goes through the tokens from there once more.
  // Errors: kNotRewindable  n_past lies ahead.
  [[nodiscard]] Status rewind(u32 n_past);

  // --- What the tokens left behind, to be kept (session_state.cpp) ---
  // How many of the tokens have it: all, or as far as the recurrent layers have come.
  [[nodiscard]] u32 n_state_token() const;
  // Bytes of it for n_token tokens. They do not depend on n_ctx.
  [[nodiscard]] u64 state_bytes(u32 n_token) const;
  // Shows it. False: the visitor stopped.
  [[nodiscard]] bool visit_state(StateVisitor& visitor);
  // Goes on behind `tokens`, whose state the visitor fills in; what was evaluated before is
  // forgotten, also after an error.
  // Errors: kContextFull, kInvalidArgument  as evaluate().   kIo  the visitor stopped.
  [[nodiscard]] Status restore_state(Span<const u32> tokens, StateVisitor& visitor);

  // The tokens evaluated so far, [n_past].
  [[nodiscard]] Span<const u32> tokens() const;
  [[nodiscard]] u32 n_past() const;
  [[nodiscard]] u32 n_ctx() const;
  [[nodiscard]] KvType kv_type() const;
  [[nodiscard]] u32 n_batch() const;
  [[nodiscard]] const Model& model() const;

  void set_trace(TraceSink* sink);
  void set_profile(ProfileSink* sink);

 private:
  friend class Arena;
  Session(const Model& model, Forward* forward, Span<u32> tokens, u32 n_batch)
      : model_(model), forward_(forward), tokens_(tokens), n_batch_(n_batch) {}
  [[nodiscard]] Status check(Span<const u32> tokens) const;
  template <class Visit>
  [[nodiscard]] bool for_each_state(u32 n_token, const Visit& visit) const;
  // The logits that run() computes: of the last token, of each, or of each and handed to a sink.
  [[nodiscard]] Status run(Span<const u32> tokens, bool each, LogitsSink* sink,
                           Interrupt interrupt);
  void keep_batch(Span<const u32> batch);
  [[nodiscard]] Status run_logits(u32 n_token, bool each, LogitsSink* sink);
  [[nodiscard]] Status run_batch(Span<const u32> batch, u32 pos, Interrupt interrupt);
  void end_batch(bool ok);
  [[nodiscard]] Status catch_up(Interrupt interrupt);
  [[nodiscard]] Status accept_given(Span<const u32> tokens);

  const Model& model_;
  Forward* forward_;  // null: external
  Span<u32> tokens_;  // [n_ctx]
  u32 n_past_ = 0;
  u32 n_batch_;
  // The logits that forward_ or given_ holds are those of positions [first_logits_, end_logits_).
  u32 first_logits_ = 0;
  u32 end_logits_ = 0;
  Span<f32> given_;  // [n_vocab], where the session is external
  u32 n_given_ = 0;
};

}  // namespace lbm
