#include "core/infer/session.h"

#include "core/infer/forward.h"

namespace lbm {
namespace {

constexpr u32 kDefaultContext = 4096;

Status check_params(const ModelConfig& config, const SessionParams& params, u32 n_ctx) {
  if (n_ctx == 0 || n_ctx > config.n_ctx_train) {
    return fail(ErrorCode::kInvalidArgument,
                "context must be between 1 and what the model was trained for")
        .about("n_ctx")
        .with(n_ctx, config.n_ctx_train);
  }
  if (params.n_batch == 0 || params.n_batch > Session::kMaxBatch) {
    return fail(ErrorCode::kInvalidArgument, "batch must be between 1 and")
        .about("n_batch")
        .with(params.n_batch, Session::kMaxBatch);
  }
  return {};
}

}  // namespace

u32 Session::effective_n_ctx(const ModelConfig& config, const SessionParams& params) {
  return params.n_ctx != 0 ? params.n_ctx : min_u32(config.n_ctx_train, kDefaultContext);
}

u64 Session::bytes_needed(const ModelConfig& config, const SessionParams& params, u32 n_worker) {
  const u32 n_ctx = effective_n_ctx(config, params);
  return align_up(sizeof(Session), Arena::kDefaultAlignment) +
         align_up(static_cast<u64>(n_ctx) * sizeof(u32), Arena::kDefaultAlignment) +
         Forward::bytes_needed(config, params, n_ctx, n_worker);
}

Result<Session*> Session::create(Arena& arena, const Model& model, const SessionParams& params,
                                 const KernelTable& kernels, Workers& workers) {
  const u32 n_ctx = effective_n_ctx(model.config, params);
  if (Status s = check_params(model.config, params, n_ctx); !s.ok()) return s.error();
  const Arena::Mark mark = arena.mark();
  Result<Span<u32>> tokens = arena.take<u32>(n_ctx, "session tokens");
  if (!tokens.ok()) return tokens.error();
  Result<Forward*> forward = Forward::create(arena, model, params, n_ctx, kernels, workers);
  Result<Session*> session = forward.ok() ? arena.make<Session>("session", model, forward.value(),
                                                                tokens.value(), params.n_batch)
                                          : Result<Session*>(forward.error());
  if (!session.ok()) arena.rewind(mark);
  return session;
}

u64 Session::external_bytes_needed(const ModelConfig& config, const SessionParams& params) {
  const u32 n_ctx = effective_n_ctx(config, params);
  return align_up(sizeof(Session), Arena::kDefaultAlignment) +
         align_up(static_cast<u64>(n_ctx) * sizeof(u32), Arena::kDefaultAlignment) +
         align_up(static_cast<u64>(config.n_vocab) * sizeof(f32), Arena::kDefaultAlignment);
}

Result<Session*> Session::create_external(Arena& arena, const Model& model,
                                          const SessionParams& params) {
  const u32 n_ctx = effective_n_ctx(model.config, params);
  if (Status s = check_params(model.config, params, n_ctx); !s.ok()) return s.error();
  const Arena::Mark mark = arena.mark();
  Result<Span<u32>> tokens = arena.take<u32>(n_ctx, "session tokens");
  if (!tokens.ok()) return tokens.error();
  Result<Span<f32>> logits = arena.take<f32>(model.config.n_vocab, "logits from elsewhere");
  Result<Session*> session =
      logits.ok() ? arena.make<Session>("session", model, static_cast<Forward*>(nullptr),
                                        tokens.value(), params.n_batch)
                  : Result<Session*>(logits.error());
  if (!session.ok()) {
    arena.rewind(mark);
    return session;
  }
  session.value()->given_ = logits.value();
  return session;
}

Status Session::check(Span<const u32> tokens) const {
  if (tokens.size() > tokens_.size() - n_past_) {
    return fail(ErrorCode::kContextFull, "the context has no room for the tokens; positions needed")
        .about("n_ctx")
        .with(n_past_ + tokens.size(), tokens_.size());
  }
  for (const u32 token : tokens) {
    if (token >= model().config.n_vocab) {
      return fail(ErrorCode::kInvalidArgument, "token is not in the vocabulary")
          .about("token")
          .with(token, model().config.n_vocab);
    }
  }
  return {};
}

Status Session::run(Span<const u32> tokens, bool each, LogitsSink* sink, Interrupt interrupt) {
  if (Status s = check(tokens); !s.ok()) return s;
  if (is_external()) return accept_given(tokens);
  if (Status s = catch_up(interrupt); !s.ok()) return s;
  const bool speculative = each && sink == nullptr;
  if (tokens.size() > 1 && !speculative && forward_->recurrent().present())
    forward_->recurrent().mark();
  for (usize done = 0; done < tokens.size();) {
    const usize n = static_cast<usize>(min_u64(n_batch_, tokens.size() - done));
    const Span<const u32> batch = tokens.slice(done, n);
    first_logits_ = end_logits_ = 0;
    if (Status s = run_batch(batch, n_past_, interrupt); !s.ok()) return s;
    done += n;
    if (each || done == tokens.size()) {
      if (Status s = run_logits(static_cast<u32>(n), each, sink); !s.ok()) {
        end_batch(false);
        return s;
      }
    }
    keep_batch(batch);
  }
  return {};
}

// The batch that went well belongs to the session from here on.
void Session::keep_batch(Span<const u32> batch) {
  end_batch(true);
  for (usize i = 0; i < batch.size(); ++i) tokens_[n_past_ + i] = batch[i];
  n_past_ += static_cast<u32>(batch.size());
}

Status Session::evaluate_states(Span<const u32> tokens, StateSink& sink, Interrupt interrupt) {
  if (Status s = check(tokens); !s.ok()) return s;
  if (is_external())
    return fail(ErrorCode::kUnsupported, "a model that is evaluated elsewhere shows no states");
  if (Status s = catch_up(interrupt); !s.ok()) return s;
  for (usize done = 0; done < tokens.size();) {
    const usize n = static_cast<usize>(min_u64(n_batch_, tokens.size() - done));
    first_logits_ = end_logits_ = 0;
    if (Status s = run_batch(tokens.slice(done, n), n_past_, interrupt); !s.ok()) return s;
    for (u32 i = 0; i < n; ++i) sink.on_final_state(n_past_ + i, forward_->final_state(i));
    keep_batch(tokens.slice(done, n));
    done += n;
  }
  return {};
}

Status Session::accept_given(Span<const u32> tokens) {
  if (tokens.empty()) return {};
  if (n_given_ != tokens.size()) {
    return fail(ErrorCode::kMissing, "these tokens were not evaluated elsewhere; given, wanted")
        .with(n_given_, tokens.size());
  }
  n_given_ = 0;
  for (usize i = 0; i < tokens.size(); ++i) tokens_[n_past_ + i] = tokens[i];
  n_past_ += static_cast<u32>(tokens.size());
  first_logits_ = n_past_ - 1;
  end_logits_ = n_past_;
  return {};
}

// One batch through the forward pass. end_batch() must follow where it went well.
Status Session::run_batch(Span<const u32> batch, u32 pos, Interrupt interrupt) {
  RecurrentState& state = forward_->recurrent();
  if (state.present() && !state.begin(static_cast<u32>(batch.size()))) {
    // Half of it would leave nothing to go on from.
    if (interrupt.asked != nullptr && interrupt.asked(interrupt.context))
      return fail(ErrorCode::kCancelled, "stopped by the user");
    interrupt = {};
  }
  const Status status = forward_->run(batch, pos, interrupt);
  if (!status.ok()) end_batch(false);
  return status;
}

void Session::end_batch(bool ok) {
  RecurrentState& state = forward_->recurrent();
  if (!state.present()) return;
  if (ok) {
    state.commit();
  } else {
    state.abandon();
  }
}

// Brings the recurrent state to n_past(), from where a rewind or a failure left it. Who went back
// to a position may do so again (another answer to the same question): it becomes a checkpoint.
Status Session::catch_up(Interrupt interrupt) {
  RecurrentState& state = forward_->recurrent();
  if (!state.present() || state.pos() == n_past_) return {};
  while (state.pos() < n_past_) {
    const u32 n = min_u32(n_batch_, n_past_ - state.pos());
    const Status status = run_batch(tokens_.slice(state.pos(), n), state.pos(), interrupt);
    if (!status.ok()) return status;
    end_batch(true);
  }
  state.mark();
  return {};
}

// Logits of the batch of `n_token` that was just run at n_past_: of its last token, or of each.
Status Session::run_logits(u32 n_token, bool each, LogitsSink* sink) {
  for (u32 i = each ? 0 : n_token - 1; i < n_token;) {
    const u32 n = min_u32(forward_->n_logit_row(), n_token - i);
    if (Status s = forward_->logits(i, n); !s.ok()) return s;
    first_logits_ = n_past_ + i;
    end_logits_ = first_logits_ + n;
    for (u32 row = 0; sink != nullptr && row < n; ++row)
      sink->on_logits(first_logits_ + row, forward_->logit_row(row));
    i += n;
  }
  return {};
}

Status Session::evaluate(Span<const u32> tokens, Interrupt interrupt) {
  return run(tokens, false, nullptr, interrupt);
}

Status Session::evaluate_each(Span<const u32> tokens, Interrupt interrupt) {
  LBM_CHECK(tokens.size() <= max_logits());
  return run(tokens, true, nullptr, interrupt);
}

Status Session::evaluate_all(Span<const u32> tokens, LogitsSink& sink) {
  return run(tokens, true, &sink, {});
}

u32 Session::max_logits() const { return is_external() ? 1 : forward_->n_logit_row(); }

Span<const f32> Session::logits() const {
  return n_past_ == 0 ? Span<const f32>() : logits_at(n_past_ - 1);
}

Span<const f32> Session::logits_at(u32 pos) const {
  if (pos < first_logits_ || pos >= min_u32(end_logits_, n_past_)) return {};
  return is_external() ? given_ : forward_->logit_row(pos - first_logits_);
}

Status Session::rewind(u32 n_past) {
  if (n_past > n_past_) {
    return fail(ErrorCode::kNotRewindable, "position lies ahead of the session")
        .about("n_past")
        .with(n_past, n_past_);
  }
  n_past_ = n_past;
  n_given_ = 0;
  if (!is_external() && forward_->recurrent().present()) forward_->recurrent().rewind(n_past);
  return {};
}

Span<const u32> Session::tokens() const { return tokens_.first(n_past_); }
u32 Session::n_past() const { return n_past_; }
u32 Session::n_ctx() const { return static_cast<u32>(tokens_.size()); }
KvType Session::kv_type() const { return is_external() ? KvType::kF16 : forward_->kv_type(); }
u32 Session::n_batch() const { return n_batch_; }
const Model& Session::model() const { return model_; }
void Session::set_trace(TraceSink* sink) {
  if (!is_external()) forward_->set_trace(sink);
}
void Session::set_profile(ProfileSink* sink) {
  if (!is_external()) forward_->set_profile(sink);
}

}  // namespace lbm
