#include "core/infer/speculate.h"

namespace lbm {
namespace {

// How far back a match is looked for: 30 us at most, beside a forward pass that reads as many keys.
constexpr u32 kMaxLookback = 65536;

// What is assumed until it is known.
constexpr f32 kFirstChance[] = {0.3f, 0.5f, 0.6f, 0.8f};
constexpr f32 kFirstSlope = 0.15f;

constexpr f32 kChanceWeight = 1.0f / 16;  // of the newest judgement
constexpr f32 kTimeWeight = 1.0f / 4;     // of the newest time
constexpr f32 kOutdated = 0.75f;   // of the ratio: what was measured before was another machine
constexpr f32 kLeastGain = 1.03f;  // what the measurements can tell from nothing
constexpr u32 kFirstAlone = 3;
constexpr u32 kMaxSinceAlone = 32;
constexpr u32 kTryAgain = 128;      // a guess of one after as many tokens without any
constexpr f32 kWorthTrying = 0.3f;  // where it comes true as often as this

f32 min_f32(f32 a, f32 b) { return a < b ? a : b; }

}  // namespace

// ---- the record ---------------------------------------------------------------------------------

SpeculationRecord::SpeculationRecord() : slope_(kFirstSlope) {
  for (u32 i = 0; i < kClasses; ++i) chance_[i] = kFirstChance[i];
}

u32 SpeculationRecord::class_of(u32 n_match) {
  if (n_match < 4) return n_match - kMinMatch;
  return n_match < kLongMatch ? 2 : 3;
}

void SpeculationRecord::judge(u32 n_match, bool came_true) {
  f32& chance = chance_[class_of(n_match)];
  chance += ((came_true ? 1.0f : 0.0f) - chance) * kChanceWeight;
}

f32 SpeculationRecord::ratio(u32 n_token) const {
  if (n_token == 1) return 1.0f;
  return ratio_[n_token] != 0 ? ratio_[n_token] : 1.0f + slope_ * static_cast<f32>(n_token - 1);
}

void SpeculationRecord::forget_ratios() {
  for (f32& ratio : ratio_) ratio = 0;
  slope_ = kFirstSlope;
  largest_ = 1;
}

// Ratios are to the time of one token, which drifts (the context grows, other programs run). It is
// learned from tokens that go alone only, or else the two could not be told apart: so the first go
// alone, and one now and then.
void SpeculationRecord::measure(u32 n_token, u64 us) {
  const f32 time = static_cast<f32>(us);
  const f32 more = static_cast<f32>(n_token - 1);
  n_since_alone_ = n_token == 1 ? 0 : n_since_alone_ + 1;
  n_since_batch_ = n_token == 1 ? n_since_batch_ + 1 : 0;
  if (n_token == 1) {
    ++n_alone_;
    if (n_alone_ <= kFirstAlone) {
      // Caches and clocks warm up: the fastest counts.
      one_us_ = n_alone_ == 1 || time < one_us_ ? time : one_us_;
    } else {
      one_us_ += (min_f32(time, 2 * one_us_) - one_us_) * kTimeWeight;
    }
    return;
  }
  if (one_us_ <= 0) return;
  // Whatever else ran meanwhile: a batch takes no less than one token and no more than all of its.
  f32 seen = time / one_us_;
  if (seen < 1.0f) seen = 1.0f;
  seen = min_f32(seen, 1.0f + more);
  f32& own = ratio_[n_token];
  if (seen < own * kOutdated) forget_ratios();
  if (own == 0) {
    own = seen;
    slope_ = (seen - 1.0f) / more;
    if (n_token > largest_) largest_ = n_token;
  } else {
    own += (seen - own) * kTimeWeight;
  }
}

// Evaluating k guesses with the token that is due gives 1 + p + p^2 + ... + p^k tokens on average.
// A size is tried only when half of it is known to be affordable.
u32 SpeculationRecord::worth(u32 n_match, u32 n_guess) const {
  if (n_alone_ < kFirstAlone || n_since_alone_ >= kMaxSinceAlone) return 0;
  const f32 chance = chance_[class_of(n_match)];
  if (n_since_batch_ >= kTryAgain && chance >= kWorthTrying && n_guess != 0) return 1;
  u32 best = 0;
  f32 best_gain = kLeastGain;
  f32 tokens = 1.0f;
  f32 power = 1.0f;
  for (u32 k = 1; k <= n_guess && k < 2 * largest_; ++k) {
    power *= chance;
    tokens += power;
    const f32 gain = tokens / ratio(k + 1);
    if (gain > best_gain) {
      best = k;
      best_gain = gain;
    }
  }
  return best;
}

// ---- guessing -----------------------------------------------------------------------------------

// Guesses what follows `token`, which follows the text: what followed the newest place where the
// three newest tokens stand, or else the two newest. A place so near that its continuation runs
// into the end of the text goes on with the guess itself: the text repeats with that period.
void Speculator::guess(u32 token) {
  n_guess_ = 0;
  n_judged_ = 0;
  const Span<const u32> text = session_.tokens().first(n_past_);
  const u32 n = n_past_;
  if (mode_ == Speculate::kOff || n < SpeculationRecord::kMinMatch) return;
  // text[place] and what is before it agree with `token` and what is before that.
  u32 place = 0;
  n_match_ = 0;
  const u32 end = n > kMaxLookback ? n - kMaxLookback : 0;
  for (u32 at = n - 1; at > end && n_match_ < 3; --at) {
    if (text[at] != token || text[at - 1] != text[n - 1]) continue;
    u32 n_same = 2;
    while (n_same < SpeculationRecord::kLongMatch && n_same <= at &&
           text[at - n_same] == text[n - n_same])
      ++n_same;
    if (n_same <= n_match_) continue;
    n_match_ = n_same;
    place = at;
  }
  if (n_match_ == 0) return;
  for (; n_guess_ < kMaxGuess; ++n_guess_) {
    const u32 from = place + 1 + n_guess_;
    guess_[n_guess_] = from < n ? text[from] : from == n ? token : guess_[from - n - 1];
  }
}

u32 Speculator::n_to_evaluate(u32 n_more) const {
  // The last token that may be picked need not be evaluated, nor has it a place in a full context.
  u32 limit = min_u32(n_guess_, n_more == 0 ? 0 : n_more - 1);
  limit = min_u32(limit, session_.n_ctx() - n_past_ - 1);
  limit = min_u32(limit, session_.max_logits() - 1);
  return limit == 0 || mode_ == Speculate::kAlways ? limit : record_.worth(n_match_, limit);
}

// ---- decoding -----------------------------------------------------------------------------------

Status Speculator::advance(u32 token, u32 n_more, Session::Interrupt interrupt) {
  if (n_judged_ < n_guess_) {
    const bool came_true = guess_[n_judged_] == token;
    record_.judge(n_match_, came_true);
    if (came_true && session_.n_past() > n_past_) {
      if (interrupt.asked != nullptr && interrupt.asked(interrupt.context))
        return fail(ErrorCode::kCancelled, "stopped by the user");
      ++n_judged_;
      ++n_past_;
      ++n_accepted_;
      return {};
    }
  }
  if (Status s = finish(); !s.ok()) return s;
  if (n_past_ == session_.n_ctx()) return session_.evaluate({&token, 1}, interrupt);  // refuses
  guess(token);
  u32 n_draft = n_to_evaluate(n_more);
  u32 batch[kMaxGuess + 1] = {token};
  for (u32 i = 0; i < n_draft; ++i) batch[i + 1] = guess_[i];
  const u64 start_us = clock_.now_us();
  Status status = session_.evaluate_each({batch, n_draft + 1}, interrupt);
  if (!status.ok() && n_draft != 0 && status.error().code != ErrorCode::kCancelled) {
    // The fault may be that of a token that is never picked.
    n_draft = 0;
    status = session_.evaluate({&token, 1}, interrupt);
  }
  if (!status.ok()) return status;
  record_.measure(n_draft + 1, clock_.now_us() - start_us);
  n_drafted_ += n_draft;
  ++n_past_;
  return {};
}

Status Speculator::finish() {
  return session_.n_past() == n_past_ ? Status() : session_.rewind(n_past_);
}

}  // namespace lbm
