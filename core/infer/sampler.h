// From logits to a token.
//
// The order is fixed (docs/numerics.md R18): what a filter allows, biases, repeat penalty,
// penalties by count, n-grams that were there before, temperature, top-k, top-p, min-p, then one
// draw. All of it runs on one core over candidates in (logit descending, index ascending) order, so
// a seed gives the same text on every machine.
#pragma once

#include "core/base/arena.h"
#include "core/base/pcg32.h"
#include "core/base/result.h"
#include "core/base/span.h"
#include "core/infer/token_filter.h"

namespace lbm {

struct SamplerParams {
  f32 temperature = 0.8f;     // 0: greedy, the largest logit, ties to the lower index
  u32 top_k = 40;             // 0: no limit
  f32 top_p = 0.95f;          // 1: off
  f32 min_p = 0.05f;          // 0: off
  f32 repeat_penalty = 1.0f;  // 1: off
  u32 repeat_last_n = 64;     // how many of the newest tokens the penalty looks at
  // Of tokens that the answer has already (the newest kMaxRepeatLastN of it); 0: off.
  f32 frequency_penalty = 0.0f;  // for each time
  f32 presence_penalty = 0.0f;   // once
  u32 no_repeat_ngram = 0;       // no run of so many tokens comes twice in an answer; 0: off
  u64 seed = 0;
};

// What is added to the score of a token.
struct TokenBias {
  u32 token = 0;
  f32 bias = 0.0f;
};

class Sampler {
 public:
  static constexpr u32 kMaxRepeatLastN = 4096;
  static constexpr u32 kMaxNgram = 16;

  // Work memory for n_vocab candidates comes from `arena`, once.
  [[nodiscard]] static Result<Sampler*> create(Arena& arena, u32 n_vocab);

  void set_params(const SamplerParams& params);
  [[nodiscard]] const SamplerParams& params() const { return params_; }
  // A view, until it is set again; a token beyond the vocabulary has no effect.
  void set_bias(Span<const TokenBias> bias) { bias_ = bias; }
  // Starts the random stream again from params().seed and forgets the history.
  void reset();
  // Adds a token of the prompt or of the answer to what the repeat penalty looks at.
  void accept(u32 token);
  // What was accepted so far is the prompt: a prompt may say anything twice, and an answer may say
  // what the prompt said. Without this rule the end of a turn would be an n-gram that came before.
  void begin_answer() { answer_first_ = n_history_; }
  // The next token for `logits` [n_vocab], of those that `filter` allows where there is one; does
  // not accept() it.
  // Errors: kNumeric   a logit is NaN or infinite.
  //         kMismatch  the filter allows none.   Those of the filter.
  [[nodiscard]] Result<u32> pick(Span<const f32> logits, TokenFilter* filter = nullptr);

 private:
  friend class Arena;
  Sampler(Span<f32> scores, Span<u32> order, Span<f64> weights, Span<u32> history)
      : scores_(scores), order_(order), weights_(weights), history_(history) {}

  void penalize_repeats();
  void penalize_counts();
  void bar_ngrams();
  [[nodiscard]] u32 likeliest() const;
  [[nodiscard]] Result<usize> narrow(TokenFilter& filter);
  [[nodiscard]] Result<u32> likeliest_allowed(TokenFilter& filter);
  [[nodiscard]] usize weigh(Span<const u32> candidates);
  [[nodiscard]] u32 draw(Span<const u32> candidates);

  SamplerParams params_;
  Span<const TokenBias> bias_;
  Pcg32 rng_{0, kStream};
  Span<f32> scores_;
  Span<u32> order_;
  Span<f64> weights_;
  Span<u32> history_;  // ring of the newest tokens
  u32 n_history_ = 0;  // ever accepted
  u32 answer_first_ = 0;

  static constexpr u64 kStream = 0x73616d70;  // "samp"
};

}  // namespace lbm
