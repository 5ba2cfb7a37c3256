// An answer in the making, token by token: generate() (generate.h) for hosts that have to return to
// their caller in between.
//
//   begin() -> step() until done() -> finish()
//
// A step evaluates a piece of the prompt, or gives one token. What comes out, bit for bit, does not
// depend on how an answer was cut into steps; generate() itself is this, in one go.
#pragma once

#include "core/base/utf8.h"
#include "core/chat/generate.h"
#include "core/chat/loop_guard.h"

namespace lbm {

// Hashes the record of each emitted token, and keeps the time that this took out of the measured
// rates.
class RunDigest {
 public:
  RunDigest(bool on, Sha256BlockFn blocks, Clock& clock)
      : on_(on), hash_(blocks != nullptr ? blocks : sha256_blocks_portable), clock_(clock) {}

  void add(u32 id, Span<const f32> logits);
  void finish(GenerateStats& stats);
  [[nodiscard]] u64 spent_us() const { return spent_us_; }

 private:
  bool on_;
  Sha256 hash_;
  Clock& clock_;
  u64 spent_us_ = 0;
};

// Token pieces to whole characters to the sink. False: the sink has no room.
class TextOut {
 public:
  TextOut(const Tokenizer& tokenizer, bool show_special, GenerateSink& sink)
      : tokenizer_(tokenizer), show_special_(show_special), sink_(sink) {}

  // Errors: kOutOfMemory  `scratch` is too small.
  [[nodiscard]] Status take_memory(Arena& scratch);
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

class Generation {
 public:
  static constexpr u32 kWholePrompt = ~u32{0};

  // What `with` and `sink` refer to outlives the answer.
  Generation(const Generator& with, const GenerateOptions& options, GenerateSink& sink)
      : with_(with),
        options_(options),
        sink_(sink),
        text_(with.tokenizer, options.show_special, sink),
        digest_(options.digest, with.sha256_blocks, with.clock),
        loop_(options.loop_guard) {}
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;

  // `prompt` stays where it is until prefilled(). Until finish(), what is taken from the scratch
  // arena by others is given back before the next step.
  // Errors: as generate(); then there is nothing to finish.
  [[nodiscard]] Status begin(Span<const u32> prompt);
  // The next `n_prompt_token` tokens of the prompt, as long as there are any; else a token of the
  // answer. An error ends the answer; so does `interrupt`, with kInterrupted.
  // Errors: kNumeric, kOutOfMemory.
  [[nodiscard]] Status step(u32 n_prompt_token, Session::Interrupt interrupt = {});
  // All steps there are; finish() has the error of one that failed.
  void run(Session::Interrupt interrupt);
  // Ends the answer here.
  void stop();

  // The tokens that step(n_prompt_token) will evaluate, where nothing is guessed: what an external
  // session has to be given before it. Empty: none.
  [[nodiscard]] Span<const u32> due(u32 n_prompt_token) const;
  // Whether that step needs the logits of the last of them.
  [[nodiscard]] bool needs_logits(u32 n_prompt_token) const {
    return prefilled() || stats_.n_prompt - n_prompt_done_ <= n_prompt_token;
  }

  [[nodiscard]] bool prefilled() const { return ahead_ != nullptr; }
  [[nodiscard]] bool done() const { return done_; }
  // Of the prompt, how many need no evaluation any more.
  [[nodiscard]] u32 n_prompt_done() const { return n_prompt_done_; }
  // So far; whole after finish().
  [[nodiscard]] const GenerateStats& stats() const { return stats_; }

  // Gives back the scratch memory. Errors: that of the step that failed.
  [[nodiscard]] Result<GenerateStats> finish();

 private:
  [[nodiscard]] Status prefill(u32 n_token, Session::Interrupt interrupt);
  [[nodiscard]] Status start_decoding();
  [[nodiscard]] Status decode(Session::Interrupt interrupt);
  void end_with(StopReason stop);

  const Generator with_;
  const GenerateOptions options_;
  GenerateSink& sink_;
  TextOut text_;
  RunDigest digest_;
  LoopGuard loop_;
  Arena::Mark mark_ = {};
  Span<const u32> prompt_;
  Speculator* ahead_ = nullptr;  // while tokens are decoded
  GenerateStats stats_;
  Status status_;
  u64 start_us_ = 0;
  u64 prefilled_us_ = 0;
  u32 n_prompt_done_ = 0;
  u32 newest_ = 0;  // emitted, and evaluated only when another one is wanted
  bool done_ = false;
};

}  // namespace lbm
