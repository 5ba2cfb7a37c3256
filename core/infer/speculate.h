// Speculative decoding by prompt lookup: several tokens for little more than the price of one, and
// not a bit of difference.
//
// Decoding one token streams all weights from memory; a batch of a few tokens streams them once,
// too. Text repeats itself (quotations, names, code, lists), so the tokens that followed the last
// occurrence of the newest three (or two) are a guess at what comes next, found without a second
// model. The guess is evaluated together with the token that is due, in one batch. Then the sampler
// goes on as always, on the logits of one position after the other; while what it picks is what was
// guessed, the forward pass has been done already. At the first difference the rest is rewound.
//
// Exact by construction: the sampler sees the same logits in the same order as without, since a
// batch gives the bits of its tokens one by one (docs/numerics.md). Tokens, digest and random
// stream are the same; only the time differs. So only time decides how much to guess: guesses are
// made for every token and compared with what was picked (which costs nothing), and evaluated where
// their record and the measured cost of a batch of that size promise a gain.
// Recurrent layers have to evaluate what was guessed right once more after a wrong guess, which
// does not pay: kAuto makes no guesses there.
//   Source: the idea is known as prompt lookup decoding; the acceptance rule for samplers that are
//   functions of (logits, own state) is comparison.
#pragma once

#include "core/base/result.h"
#include "core/base/span.h"
#include "core/infer/session.h"
#include "core/platform.h"

namespace lbm {

enum class Speculate : u8 {
  kAuto,    // where it pays
  kOff,     // never
  kAlways,  // every guess, as long as it can be: for tests
};

// Longest guess.
inline constexpr u32 kMaxGuess = 8;

// What is known about the time that batches take and about how often guesses come true.
class SpeculationRecord {
 public:
  // Guesses are told apart by how many tokens before them agree: 2, 3, 4 to 7, 8 and more.
  static constexpr u32 kMinMatch = 2;
  static constexpr u32 kLongMatch = 8;

  SpeculationRecord();
  // A guessed token, made after a match of `n_match`, was picked or was not.
  void judge(u32 n_match, bool came_true);
  // A batch of n_token (1 .. kMaxGuess + 1) took `us`.
  void measure(u32 n_token, u64 us);
  // How many tokens of a guess of at most n_guess are worth evaluating; 0: none.
  [[nodiscard]] u32 worth(u32 n_match, u32 n_guess) const;

 private:
  static constexpr u32 kClasses = 4;
  [[nodiscard]] static u32 class_of(u32 n_match);
  [[nodiscard]] f32 ratio(u32 n_token) const;
  void forget_ratios();

  f32 chance_[kClasses];           // that a guessed token comes true
  f32 ratio_[kMaxGuess + 2] = {};  // time of n tokens in times of one; 0: not measured yet
  f32 one_us_ = 0;                 // time of one token now
  f32 slope_;                      // ratio of sizes that were not measured: 1 + slope * (n - 1)
  u32 largest_ = 1;                // size that was measured
  u32 n_alone_ = 0;                // tokens that went alone
  u32 n_since_alone_ = 0;          // batches since the last of them
  u32 n_since_batch_ = 0;          // tokens since the last that did not
};

// Decodes on `session`, which holds the prompt and its logits. The session may run ahead of the
// text by what is guessed, until finish().
class Speculator {
 public:
  Speculator(Session& session, Clock& clock, Speculate mode)
      : session_(session),
        clock_(clock),
        mode_(mode == Speculate::kAuto && session.model().config.has_recurrent() ? Speculate::kOff
                                                                                 : mode),
        n_past_(session.n_past()) {}

  // Tokens of the text, and the logits [n_vocab] of the last.
  [[nodiscard]] u32 n_past() const { return n_past_; }
  [[nodiscard]] Span<const f32> logits() const { return session_.logits_at(n_past_ - 1); }

  // Appends `token` to the text. `n_more` is how many tokens may be picked after it.
  // Errors: those of Session::evaluate({token}), and no others.
  [[nodiscard]] Status advance(u32 token, u32 n_more, Session::Interrupt interrupt);

  // Drops what the session holds beyond the text.
  [[nodiscard]] Status finish();

  [[nodiscard]] u32 n_drafted() const { return n_drafted_; }    // guessed tokens evaluated
  [[nodiscard]] u32 n_accepted() const { return n_accepted_; }  // of those, picked

 private:
  void guess(u32 token);
  [[nodiscard]] u32 n_to_evaluate(u32 n_more) const;

  Session& session_;
  Clock& clock_;
  Speculate mode_;
  SpeculationRecord record_;
  u32 n_past_;
  u32 guess_[kMaxGuess] = {};  // what may follow the newest token that was evaluated for its own
  u32 n_guess_ = 0;
  u32 n_judged_ = 0;  // of those, how many came true so far
  u32 n_match_ = 0;   // tokens before the guess that agree
  u32 n_drafted_ = 0;
  u32 n_accepted_ = 0;
};

}  // namespace lbm
