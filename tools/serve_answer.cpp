// See serve_answer.h.
#include "tools/serve_answer.h"

#include <algorithm>
#include <cmath>

#include "tools/output.h"

namespace lbm::cli {

TokenChance token_chance(u32 id, Span<const f32> logits, u32 n_top) {
  f64 largest = static_cast<f64>(logits[0]);
  for (const f32 logit : logits) largest = std::max(largest, static_cast<f64>(logit));
  f64 sum = 0;
  for (const f32 logit : logits) sum += std::exp(static_cast<f64>(logit) - largest);
  const f64 total = largest + std::log(sum);
  TokenChance out;
  out.id = id;
  out.logprob = static_cast<f64>(logits[id]) - total;
  if (n_top == 0) return out;
  std::vector<u32> order(logits.size());
  for (u32 i = 0; i < order.size(); ++i) order[i] = i;
  const auto n = static_cast<std::ptrdiff_t>(std::min<usize>(n_top, order.size()));
  std::partial_sort(order.begin(), order.begin() + n, order.end(), [&](u32 a, u32 b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  for (std::ptrdiff_t i = 0; i < n; ++i) {
    const u32 at = order[static_cast<usize>(i)];
    out.top.emplace_back(at, static_cast<f64>(logits[at]) - total);
  }
  return out;
}

AnswerSink::AnswerSink(const Tokenizer& tokenizer, const AnswerSinkOptions& options,
                       AnswerListener& listener)
    : tokenizer_(tokenizer),
      options_(options),
      listener_(listener),
      markup_{to_str(options.end_of_markup), true},
      splitter_(tokenizer, {&markup_, 1}, *this) {}

// The core, which is below on the stack, lets no exception through: an answer without memory ends.
template <class Work>
void AnswerSink::safely(const Work& work) {
  try {
    work();
  } catch (const std::exception&) {
    has_failed_ = true;
  }
}

void AnswerSink::on_logits(u32 id, Span<const f32> logits) {
  if (!options_.logprobs || tokenizer_.is_end_of_generation(id)) return;
  safely([&] { pending_.push_back({n_received_, token_chance(id, logits, options_.n_top)}); });
}

void AnswerSink::on_token(u32 id) {
  if (options_.splits_reasoning) splitter_.on_token(id);
}

bool AnswerSink::on_text(Str text) {
  return options_.splits_reasoning ? splitter_.on_text(text) : on_content(text);
}

bool AnswerSink::on_reasoning(Str text) {
  pending_.clear();  // its tokens are nobody's
  was_reasoning_ = true;
  safely([&] { listener_.on_reasoning(to_string(text)); });
  return true;
}

bool AnswerSink::on_content(Str text) {
  if (!finished()) safely([&] { take(text); });
  return true;
}

void AnswerSink::take(Str text) {
  if (was_reasoning_ && pending_.size() > 1)
    pending_.erase(pending_.begin(), pending_.end() - 1);  // markers
  was_reasoning_ = false;
  held_.append(text.data(), text.size());
  n_received_ += text.size();
  usize end = std::string::npos;
  for (const std::string& stop : options_.stops) {
    const usize found = held_.find(stop);
    if (found >= end) continue;
    end = found;
    stop_ = stop;
  }
  pass_on(stop_.empty() ? held_.size() - n_doubtful() : end);
}

void AnswerSink::finish() {
  if (options_.splits_reasoning) static_cast<void>(splitter_.finish());
  if (!finished()) safely([&] { pass_on(held_.size()); });
}

void AnswerSink::pass_on(usize n) {
  n_passed_ += n;
  const std::vector<TokenChance> chances = take_chances(n_passed_);
  if (n > 0 || !chances.empty()) listener_.on_text(held_.substr(0, n), chances);
  held_.erase(0, n);
}

std::vector<TokenChance> AnswerSink::take_chances(u64 end) {
  std::vector<TokenChance> out;
  usize n = 0;
  while (n < pending_.size() && pending_[n].first < end) out.push_back(pending_[n++].chance);
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(n));
  return out;
}

// Bytes at the end that a stop text may begin with.
usize AnswerSink::n_doubtful() const {
  usize most = 0;
  for (const std::string& stop : options_.stops) {
    usize n = std::min(stop.size() - 1, held_.size());
    while (n > most && held_.compare(held_.size() - n, n, stop, 0, n) != 0) --n;
    most = std::max(most, n);
  }
  return most;
}

}  // namespace lbm::cli
