// Prefill and the decode loop. See generate.h.
#include "core/chat/generate.h"

#include "core/base/utf8.h"
#include "core/chat/loop_guard.h"

namespace lbm {
namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "digests hash numbers as they lie in memory");

f64 rate(u32 n, u64 us) {
  return n == 0 || us == 0 ? 0.0 : static_cast<f64>(n) * 1e6 / static_cast<f64>(us);
}

// Hashes the record of each emitted token, and keeps the time that this took out of the measured
// rates.
class RunDigest {
 public:
  RunDigest(bool on, Sha256BlockFn blocks, Clock& clock)
      : on_(on), hash_(blocks != nullptr ? blocks : sha256_blocks_portable), clock_(clock) {}

  void add(u32 id, Span<const f32> logits) {
    if (!on_) return;
    const u64 start_us = clock_.now_us();
    hash_.update({reinterpret_cast<const u8*>(&id), sizeof(id)});
    hash_.update({reinterpret_cast<const u8*>(logits.data()), logits.size_bytes()});
    spent_us_ += clock_.now_us() - start_us;
  }
  void finish(GenerateStats& stats) {
    stats.hash_us = spent_us_;
    stats.has_digest = on_;
    if (on_) stats.digest = hash_.finish();
  }
  [[nodiscard]] u64 spent_us() const { return spent_us_; }

 private:
  bool on_;
  Sha256 hash_;
  Clock& clock_;
  u64 spent_us_ = 0;
};

// Token pieces to whole characters to the sink.
class TextOut {
 public:
  TextOut(const Tokenizer& tokenizer, bool show_special, GenerateSink& sink, Span<char> piece,
          Span<char> gated)
      : tokenizer_(tokenizer),
        show_special_(show_special),
        sink_(sink),
        piece_(piece),
        gated_(gated) {}

  [[nodiscard]] bool add(u32 id) {
    return pass(gate_.feed(tokenizer_.piece(id, show_special_, piece_), gated_));
  }
  [[nodiscard]] bool finish() { return pass(gate_.flush(gated_)); }

 private:
  [[nodiscard]] bool pass(Str text) { return text.empty() || sink_.on_text(text); }

  const Tokenizer& tokenizer_;
  bool show_special_;
  GenerateSink& sink_;
  Span<char> piece_;
  Span<char> gated_;
  Utf8Gate gate_;
};

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

// pick -> emit -> decode, until one of the reasons to stop. The prompt is in the session.
Status decode_loop(const Generator& with, const GenerateOptions& options, GenerateSink& sink,
                   Session::Interrupt interrupt, TextOut& text, RunDigest& digest,
                   Speculator& ahead, GenerateStats& stats) {
  LoopGuard loop(options.loop_guard);
  for (;;) {
    const Span<const f32> logits = ahead.logits();
    const Result<u32> picked = with.sampler.pick(logits);
    if (!picked.ok()) return picked.error();
    const u32 id = picked.value();
    digest.add(id, logits);
    with.sampler.accept(id);
    ++stats.n_output;
    sink.on_token(id);
    if (options.stop_at_end && with.tokenizer.is_end_of_generation(id)) {
      stats.stop = StopReason::kEndOfGeneration;
      return {};
    }
    if (!text.add(id)) {
      stats.stop = StopReason::kContext;
      return {};
    }
    if (sink.finished()) {
      stats.stop = StopReason::kEndOfGeneration;
      return {};
    }
    if (loop.add(id)) {
      stats.stop = StopReason::kLoop;
      stats.loop_period = loop.period();
      return {};
    }
    if (options.max_tokens != 0 && stats.n_output >= options.max_tokens) {
      stats.stop = StopReason::kLength;
      return {};
    }
    if (ahead.n_past() >= with.session.n_ctx()) {
      stats.stop = StopReason::kContext;
      return {};
    }
    const u32 n_more = options.max_tokens == 0 ? ~u32{0} : options.max_tokens - stats.n_output;
    const Status decoded = ahead.advance(id, n_more, interrupt);
    if (!decoded.ok()) {
      if (decoded.error().code != ErrorCode::kCancelled) return decoded;
      stats.stop = StopReason::kInterrupted;
      return {};
    }
    ++stats.n_decoded;
  }
}

}  // namespace

Str stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfGeneration: return "eog";
    case StopReason::kLength: return "length";
    case StopReason::kContext: return "context";
    case StopReason::kInterrupted: return "interrupted";
    case StopReason::kLoop: return "loop";
  }
  return "";
}

f64 GenerateStats::prefill_rate() const { return rate(n_evaluated, prefill_us); }
f64 GenerateStats::decode_rate() const { return rate(n_decoded, decode_us); }

Result<GenerateStats> generate(const Generator& with, Span<const u32> prompt,
                               const GenerateOptions& options, GenerateSink& sink,
                               Session::Interrupt interrupt) {
  const Status checked = check_prompt(with.session, prompt);
  if (!checked.ok()) return checked.error();

  const Arena::Mark mark = with.scratch.mark();
  const usize n_piece = with.tokenizer.max_piece_bytes();
  Result<Span<u8>> piece = with.scratch.take_raw(n_piece, "one token's text");
  if (!piece.ok()) return piece.error();
  Result<Span<u8>> gated =
      with.scratch.take_raw(Utf8Gate::output_capacity(n_piece), "one token's text, decoded");
  if (!gated.ok()) {
    with.scratch.rewind(mark);
    return gated.error();
  }
  const auto as_text = [](Span<u8> bytes) {
    return Span<char>(reinterpret_cast<char*>(bytes.data()), bytes.size());
  };

  GenerateStats stats;
  stats.n_prompt = static_cast<u32>(prompt.size());
  const u64 start_us = with.clock.now_us();
  Status status;
  const Result<u32> n_keep = keep_common_prefix(with.session, prompt);
  if (n_keep.ok()) {
    status = with.session.evaluate(prompt.from(n_keep.value()), interrupt);
    stats.n_evaluated = with.session.n_past() - n_keep.value();
  } else {
    status = n_keep.error();
  }
  const u64 prefilled_us = with.clock.now_us();
  stats.prefill_us = prefilled_us - start_us;

  RunDigest digest(options.digest, with.sha256_blocks, with.clock);
  if (status.ok()) {
    with.sampler.reset();
    for (const u32 id : prompt) with.sampler.accept(id);
    with.sampler.begin_answer();
    TextOut text(with.tokenizer, options.show_special, sink, as_text(piece.value()),
                 as_text(gated.value()));
    Speculator ahead(with.session, with.clock, options.speculate);
    with.scratch.seal();  // decoding allocates nothing
    status = decode_loop(with, options, sink, interrupt, text, digest, ahead, stats);
    with.scratch.unseal();
    const Status finished = ahead.finish();
    if (status.ok()) status = finished;
    stats.n_drafted = ahead.n_drafted();
    stats.n_accepted = ahead.n_accepted();
    if (status.ok() && !text.finish()) stats.stop = StopReason::kContext;
    stats.decode_us = with.clock.now_us() - prefilled_us - digest.spent_us();
  } else if (status.error().code == ErrorCode::kCancelled) {
    stats.stop = StopReason::kInterrupted;
    status = {};
  }
  with.scratch.rewind(mark);
  if (!status.ok()) return status.error();
  digest.finish(stats);
  return stats;
}

}  // namespace lbm
