#include "core/infer/sampler.h"

#include "core/base/fmath.h"

namespace lbm {
namespace {

// (score descending, index ascending): a total order, since scores are finite.
struct Order {
  Span<const f32> scores;
  [[nodiscard]] bool before(u32 a, u32 b) const {
    return scores[a] > scores[b] || (scores[a] == scores[b] && a < b);
  }
};

// Restores the heap property below `root`: the parent comes after its children in the order, so the
// root is the last one.
void sift_down(Span<u32> heap, usize root, const Order& order) {
  for (;;) {
    usize child = 2 * root + 1;
    if (child >= heap.size()) return;
    if (child + 1 < heap.size() && order.before(heap[child], heap[child + 1])) ++child;
    if (!order.before(heap[root], heap[child])) return;
    const u32 kept = heap[root];
    heap[root] = heap[child];
    heap[child] = kept;
    root = child;
  }
}

// Leaves the first of the candidates id_at(0 .. n_candidate) in `heap`, sorted. A heap of the best
// so far, then heapsort: O(n_candidate log n). The heap may lie where the candidates are.
template <class IdAt>
void select_first(Span<u32> heap, usize n_candidate, const IdAt& id_at, const Order& order) {
  const usize n = heap.size();
  for (usize i = 0; i < n; ++i) heap[i] = id_at(i);
  for (usize i = n / 2; i-- > 0;) sift_down(heap, i, order);
  for (usize i = n; i < n_candidate; ++i) {
    const u32 id = id_at(i);
    if (!order.before(id, heap[0])) continue;
    heap[0] = id;
    sift_down(heap, 0, order);
  }
  for (usize end = n; end > 1; --end) {
    const u32 kept = heap[0];
    heap[0] = heap[end - 1];
    heap[end - 1] = kept;
    sift_down(heap.first(end - 1), 0, order);
  }
}

// Finite, so that the order of scores stays total; its weight is 0 beside any other.
constexpr f32 kBarred = -3.0e38f;

bool is_finite(f32 value) { return (__builtin_bit_cast(u32, value) & 0x7f800000u) != 0x7f800000u; }

}  // namespace

Result<Sampler*> Sampler::create(Arena& arena, u32 n_vocab) {
  Result<Span<f32>> scores = arena.take<f32>(n_vocab, "sampler");
  if (!scores.ok()) return scores.error();
  Result<Span<u32>> order = arena.take<u32>(n_vocab, "sampler");
  if (!order.ok()) return order.error();
  Result<Span<f64>> weights = arena.take<f64>(n_vocab, "sampler");
  if (!weights.ok()) return weights.error();
  Result<Span<u32>> history = arena.take<u32>(kMaxRepeatLastN, "sampler");
  if (!history.ok()) return history.error();
  return arena.make<Sampler>("sampler", scores.value(), order.value(), weights.value(),
                             history.value());
}

void Sampler::set_params(const SamplerParams& params) {
  params_ = params;
  if (params_.repeat_last_n > kMaxRepeatLastN) params_.repeat_last_n = kMaxRepeatLastN;
  if (params_.no_repeat_ngram > kMaxNgram) params_.no_repeat_ngram = kMaxNgram;
}

void Sampler::reset() {
  rng_ = Pcg32(params_.seed, kStream);
  n_history_ = 0;
  answer_first_ = 0;
}

void Sampler::accept(u32 token) { history_[n_history_++ % kMaxRepeatLastN] = token; }

void Sampler::penalize_repeats() {
  if (params_.repeat_penalty == 1.0f) return;
  const u32 n = n_history_ < params_.repeat_last_n ? n_history_ : params_.repeat_last_n;
  for (u32 age = 1; age <= n; ++age) {
    const u32 token = history_[(n_history_ - age) % kMaxRepeatLastN];
    bool seen = token >= scores_.size();  // each token once, however often it occurred
    for (u32 newer = 1; newer < age && !seen; ++newer) {
      seen = history_[(n_history_ - newer) % kMaxRepeatLastN] == token;
    }
    if (seen) continue;
    f32& score = scores_[token];
    score = score > 0.0f ? score / params_.repeat_penalty : score * params_.repeat_penalty;
  }
}

// Each occurrence in the answer, and the first once more. Counts stand in weights_, which is not in
// use yet.
void Sampler::penalize_counts() {
  const f64 each = static_cast<f64>(params_.frequency_penalty);
  const f64 once = static_cast<f64>(params_.presence_penalty);
  if (each == 0.0 && once == 0.0) return;
  u32 first = answer_first_;
  if (n_history_ - first > kMaxRepeatLastN) first = n_history_ - kMaxRepeatLastN;
  const auto for_each = [&](const auto& visit) {
    for (u32 i = first; i < n_history_; ++i) {
      const u32 token = history_[i % kMaxRepeatLastN];
      if (token < scores_.size()) visit(token);
    }
  };
  for_each([&](u32 token) { weights_[token] = 0.0; });
  for_each([&](u32 token) { weights_[token] += 1.0; });
  for_each([&](u32 token) {
    if (weights_[token] == 0.0) return;
    const f64 penalty = weights_[token] * each + once;
    scores_[token] = static_cast<f32>(static_cast<f64>(scores_[token]) - penalty);
    weights_[token] = 0.0;
  });
}

// Every token that would complete an n-gram which the answer has already gets the least score there
// is. Only the newest kMaxRepeatLastN tokens are remembered.
void Sampler::bar_ngrams() {
  const u32 n = params_.no_repeat_ngram;
  if (n == 0) return;
  u32 first = answer_first_;
  if (n_history_ - first > kMaxRepeatLastN) first = n_history_ - kMaxRepeatLastN;
  if (n_history_ - first < n) return;
  const auto at = [&](u32 i) { return history_[i % kMaxRepeatLastN]; };
  const u32 tail = n_history_ - (n - 1);  // the n - 1 newest, which the next token would complete
  for (u32 i = first; i + n <= n_history_; ++i) {
    u32 k = 0;
    while (k + 1 < n && at(i + k) == at(tail + k)) ++k;
    if (k + 1 == n && at(i + k) < scores_.size()) scores_[at(i + k)] = kBarred;
  }
}

// Weights of the candidates in order, relative to the first, at the temperature; returns how many
// top-p and min-p leave. The temperature divides differences in f64, so neither 1e-9 nor 1e9
// overflows; it does not change the order.
usize Sampler::weigh(Span<const u32> candidates) {
  const f64 best = static_cast<f64>(scores_[candidates[0]]);
  f64 total = 0.0;
  for (usize i = 0; i < candidates.size(); ++i) {
    weights_[i] = exp_f64((static_cast<f64>(scores_[candidates[i]]) - best) /
                          static_cast<f64>(params_.temperature));
    total = total + weights_[i];
  }
  usize n = candidates.size();
  if (params_.top_p < 1.0f) {
    const f64 limit = static_cast<f64>(params_.top_p) * total;
    f64 sum = 0.0;
    for (usize i = 0; i < n; ++i) {
      sum = sum + weights_[i];
      if (sum >= limit) n = i + 1;
    }
  }
  // The first candidate has weight 1, so min-p compares with it directly.
  while (n > 1 && weights_[n - 1] < static_cast<f64>(params_.min_p)) --n;
  return n;
}

u32 Sampler::likeliest() const {
  usize best = 0;
  for (usize i = 1; i < scores_.size(); ++i) {
    if (scores_[i] > scores_[best]) best = i;
  }
  return static_cast<u32>(best);
}

// Writes what the filter allows to the front of order_, by index; returns how many.
Result<usize> Sampler::narrow(TokenFilter& filter) {
  const Result<Span<const u32>> allowed = filter.allowed();
  if (!allowed.ok()) return allowed.error();
  usize n = 0;
  for (usize word = 0; word < allowed.value().size(); ++word) {
    for (u32 bits = allowed.value()[word]; bits != 0; bits &= bits - 1) {
      const usize id = 32 * word + static_cast<usize>(__builtin_ctz(bits));
      if (id < scores_.size()) order_[n++] = static_cast<u32>(id);
    }
  }
  if (n == 0) return fail(ErrorCode::kMismatch, "no token of the model continues the grammar");
  return n;
}

// The likeliest of all is asked about first: most often it is allowed, and nothing else has to be
// known.
Result<u32> Sampler::likeliest_allowed(TokenFilter& filter) {
  const u32 best = likeliest();
  const Result<bool> is_allowed = filter.allows(best);
  if (!is_allowed.ok()) return is_allowed.error();
  if (is_allowed.value()) return best;
  const Result<usize> n = narrow(filter);
  if (!n.ok()) return n.error();
  u32 first = order_[0];
  for (const u32 id : order_.first(n.value())) {
    if (scores_[id] > scores_[first]) first = id;
  }
  return first;
}

u32 Sampler::draw(Span<const u32> candidates) {
  const usize n = weigh(candidates);
  f64 total = 0.0;
  for (usize i = 0; i < n; ++i) total = total + weights_[i];
  const f64 target = rng_.next_unit() * total;
  f64 sum = 0.0;
  for (usize i = 0; i < n; ++i) {
    sum = sum + weights_[i];
    if (target < sum) return candidates[i];
  }
  return candidates[n - 1];
}

Result<u32> Sampler::pick(Span<const f32> logits, TokenFilter* filter) {
  LBM_CHECK(logits.size() == scores_.size());
  for (usize i = 0; i < logits.size(); ++i) {
    if (!is_finite(logits[i]))
      return fail(ErrorCode::kNumeric, "logit is NaN or infinite, token").with(i);
    scores_[i] = logits[i];
  }
  for (const TokenBias& one : bias_) {
    if (one.token < scores_.size()) scores_[one.token] += one.bias;
  }
  penalize_repeats();
  penalize_counts();
  bar_ngrams();
  if (params_.temperature <= 0.0f) {
    if (filter != nullptr) return likeliest_allowed(*filter);
    return likeliest();
  }
  const Order order{scores_};
  const auto at_most_top_k = [&](usize n) {
    return order_.first(params_.top_k != 0 && params_.top_k < n ? params_.top_k : n);
  };
  if (filter == nullptr) {
    const Span<u32> candidates = at_most_top_k(scores_.size());
    select_first(candidates, scores_.size(), [](usize i) { return static_cast<u32>(i); }, order);
    return draw(candidates);
  }
  const Result<usize> n_allowed = narrow(*filter);
  if (!n_allowed.ok()) return n_allowed.error();
  const Span<u32> candidates = at_most_top_k(n_allowed.value());
  select_first(candidates, n_allowed.value(), [&](usize i) { return order_[i]; }, order);
  return draw(candidates);
}

}  // namespace lbm
