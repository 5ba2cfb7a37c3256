// Prefill and the decode loop, step by step. See generation.h.
#include "core/chat/generation.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "digests hash numbers as they lie in memory");

Status check_prompt(const Session& session, Span<const u32> prompt) {
  if (prompt.empty()) return fail(ErrorCode::kInvalidArgument, "the prompt has no tokens");
  if (prompt.size() > session.n_ctx()) {
    return fail(ErrorCode::kContextFull, "the prompt has more tokens than the context")
        .with(prompt.size(), session.n_ctx());
  }
  const u32 n_vocab = session.model().config.n_vocab;
  for (const u32 id : prompt) {
    if (id >= n_vocab)
      return fail(ErrorCode::kInvalidArgument, "token beyond the vocabulary").with(id, n_vocab);
  }
  return {};
}

// Rewinds to the longest prefix that `prompt` shares with the session, short of its last token:
// that one's logits are needed.
Result<u32> keep_common_prefix(Session& session, Span<const u32> prompt) {
  const Span<const u32> have = session.tokens();
  u32 n_keep = 0;
  while (n_keep < have.size() && n_keep + 1 < prompt.size() && have[n_keep] == prompt[n_keep])
    ++n_keep;
  if (Status s = session.rewind(n_keep); !s.ok()) return s.error();
  return n_keep;
}

}  // namespace

void RunDigest::add(u32 id, Span<const f32> logits) {
  if (!on_) return;
  const u64 start_us = clock_.now_us();
  hash_.update({reinterpret_cast<const u8*>(&id), sizeof(id)});
  hash_.update({reinterpret_cast<const u8*>(logits.data()), logits.size_bytes()});
  spent_us_ += clock_.now_us() - start_us;
}

void RunDigest::finish(GenerateStats& stats) {
  stats.hash_us = spent_us_;
  stats.has_digest = on_;
  if (on_) stats.digest = hash_.finish();
}

Status TextOut::take_memory(Arena& scratch) {
  const usize n_piece = tokenizer_.max_piece_bytes();
  Result<Span<u8>> piece = scratch.take_raw(n_piece, "one token's text");
  if (!piece.ok()) return piece.error();
  Result<Span<u8>> gated =
      scratch.take_raw(Utf8Gate::output_capacity(n_piece), "one token's text, decoded");
  if (!gated.ok()) return gated.error();
  piece_ = {reinterpret_cast<char*>(piece.value().data()), piece.value().size()};
  gated_ = {reinterpret_cast<char*>(gated.value().data()), gated.value().size()};
  return {};
}

Status Generation::begin(Span<const u32> prompt) {
  if (const Status s = check_prompt(with_.session, prompt); !s.ok()) return s;
  mark_ = with_.scratch.mark();
  if (const Status s = text_.take_memory(with_.scratch); !s.ok()) {
    with_.scratch.rewind(mark_);
    return s;
  }
  start_us_ = with_.clock.now_us();
  const Result<u32> n_keep = keep_common_prefix(with_.session, prompt);
  if (!n_keep.ok()) {
    with_.scratch.rewind(mark_);
    return n_keep.error();
  }
  prompt_ = prompt;
  n_prompt_done_ = n_keep.value();
  stats_.n_prompt = static_cast<u32>(prompt.size());
  return {};
}

Status Generation::step(u32 n_prompt_token, Session::Interrupt interrupt) {
  LBM_CHECK(!done_);
  status_ = prefilled() ? decode(interrupt) : prefill(n_prompt_token, interrupt);
  if (!status_.ok()) done_ = true;
  return status_;
}

Span<const u32> Generation::due(u32 n_prompt_token) const {
  if (done_) return {};
  if (!prefilled())
    return prompt_.slice(n_prompt_done_, min_u32(n_prompt_token, stats_.n_prompt - n_prompt_done_));
  return stats_.n_output == 0 ? Span<const u32>() : Span<const u32>(&newest_, 1);
}

void Generation::run(Session::Interrupt interrupt) {
  while (!done_ && !prefilled()) static_cast<void>(step(kWholePrompt, interrupt));
  with_.scratch.seal();  // decoding allocates nothing
  while (!done_) static_cast<void>(step(1, interrupt));
  with_.scratch.unseal();
}

void Generation::stop() {
  if (!done_) end_with(StopReason::kInterrupted);
}

void Generation::end_with(StopReason stop) {
  stats_.stop = stop;
  done_ = true;
}

Status Generation::prefill(u32 n_token, Session::Interrupt interrupt) {
  const u32 n = min_u32(n_token, stats_.n_prompt - n_prompt_done_);
  const u32 n_past = with_.session.n_past();
  const Status status = with_.session.evaluate(prompt_.slice(n_prompt_done_, n), interrupt);
  const u32 n_new = with_.session.n_past() - n_past;
  stats_.n_evaluated += n_new;
  n_prompt_done_ += n_new;
  stats_.prefill_us = with_.clock.now_us() - start_us_;
  if (!status.ok()) {
    if (status.error().code != ErrorCode::kCancelled) return status;
    end_with(StopReason::kInterrupted);
    return {};
  }
  return n_prompt_done_ < stats_.n_prompt ? Status() : start_decoding();
}

Status Generation::start_decoding() {
  prefilled_us_ = start_us_ + stats_.prefill_us;
  with_.sampler.reset();
  if (options_.filter != nullptr) options_.filter->reset();
  for (const u32 id : prompt_) with_.sampler.accept(id);
  with_.sampler.begin_answer();
  const Result<Speculator*> ahead = with_.scratch.make<Speculator>(
      "guesses at what comes next", with_.session, with_.clock, options_.speculate);
  if (!ahead.ok()) return ahead.error();
  ahead_ = ahead.value();
  return {};
}

// Evaluates the token before -> pick -> emit, and looks for the reasons to stop.
Status Generation::decode(Session::Interrupt interrupt) {
  if (stats_.n_output != 0) {
    const u32 n_more = options_.max_tokens == 0 ? ~u32{0} : options_.max_tokens - stats_.n_output;
    const Status decoded = ahead_->advance(newest_, n_more, interrupt);
    if (!decoded.ok()) {
      if (decoded.error().code != ErrorCode::kCancelled) return decoded;
      end_with(StopReason::kInterrupted);
      return {};
    }
    ++stats_.n_decoded;
  }
  const Span<const f32> logits = ahead_->logits();
  const Result<u32> picked = with_.sampler.pick(logits, options_.filter);
  if (!picked.ok()) return picked.error();
  if (options_.filter != nullptr) {
    if (const Status s = options_.filter->accept(picked.value()); !s.ok()) return s;
  }
  newest_ = picked.value();
  digest_.add(newest_, logits);
  with_.sampler.accept(newest_);
  ++stats_.n_output;
  sink_.on_logits(newest_, logits);
  sink_.on_token(newest_);
  if (options_.stop_at_end && with_.tokenizer.is_end_of_generation(newest_)) {
    end_with(StopReason::kEndOfGeneration);
  } else if (!text_.add(newest_)) {
    end_with(StopReason::kContext);
  } else if (sink_.finished() || (options_.filter != nullptr && options_.filter->must_end())) {
    end_with(StopReason::kEndOfGeneration);
  } else if (loop_.add(newest_)) {
    end_with(StopReason::kLoop);
    stats_.loop_period = loop_.period();
  } else if (options_.max_tokens != 0 && stats_.n_output >= options_.max_tokens) {
    end_with(StopReason::kLength);
  } else if (ahead_->n_past() >= with_.session.n_ctx()) {
    end_with(StopReason::kContext);
  }
  return {};
}

Result<GenerateStats> Generation::finish() {
  if (prefilled()) {
    const Status finished = ahead_->finish();
    if (status_.ok()) status_ = finished;
    stats_.n_drafted = ahead_->n_drafted();
    stats_.n_accepted = ahead_->n_accepted();
    if (status_.ok() && !text_.finish()) stats_.stop = StopReason::kContext;
    stats_.decode_us = with_.clock.now_us() - prefilled_us_ - digest_.spent_us();
  }
  with_.scratch.rewind(mark_);
  if (!status_.ok()) return status_.error();
  digest_.finish(stats_);
  return stats_;
}

}  // namespace lbm
