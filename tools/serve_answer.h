// What stands between the tokens of the model and a client: reasoning apart from the answer, stop
// texts, and the probabilities of tokens.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/chat/generate.h"
#include "core/chat/think.h"
#include "tools/serve_slots.h"

namespace lbm::cli {

// A token of an answer, with natural logarithms of what the model gave it and its rivals before
// temperature and all else.
struct TokenChance {
  u32 id = 0;
  f64 logprob = 0;
  std::vector<std::pair<u32, f64>> top;  // likeliest first, ties to the lower id
};
[[nodiscard]] TokenChance token_chance(u32 id, Span<const f32> logits, u32 n_top);

// Takes an answer as it comes, while others wait for their turn: it is kept here and sent by
// keep_alive().
class AnswerListener : public Waiting {
 public:
  // `tokens` are those that begin in this text or before it, where they were asked for.
  virtual void on_text(const std::string& text, const std::vector<TokenChance>& tokens) = 0;
  virtual void on_reasoning(const std::string& text) = 0;
  // Of `n_prompt` tokens `n_done` need no evaluation any more, `n_kept` of them from before.
  virtual void on_progress(u32 n_done, u32 n_prompt, u32 n_kept) = 0;
};

struct AnswerSinkOptions {
  const std::vector<std::string>& stops;
  bool splits_reasoning = false;
  std::string end_of_markup;  // of the prompt: may have opened a reasoning already
  bool logprobs = false;
  u32 n_top = 0;
};

class AnswerSink final : public GenerateSink, private ThinkOutput {
 public:
  AnswerSink(const Tokenizer& tokenizer, const AnswerSinkOptions& options,
             AnswerListener& listener);

  void on_logits(u32 id, Span<const f32> logits) override;
  void on_token(u32 id) override;
  bool on_text(Str text) override;
  bool finished() override { return has_failed_ || !stop_.empty(); }
  // The end of the answer: what waited was no stop text.
  void finish();
  // The stop text that ended the answer, or empty.
  [[nodiscard]] const std::string& stop() const { return stop_; }
  // There was no memory for the answer.
  [[nodiscard]] bool has_failed() const { return has_failed_; }

 private:
  bool on_content(Str text) override;
  bool on_reasoning(Str text) override;
  void take(Str text);
  void pass_on(usize n);
  template <class Work>
  void safely(const Work& work);
  [[nodiscard]] usize n_doubtful() const;
  [[nodiscard]] std::vector<TokenChance> take_chances(u64 end);

  struct Pending {
    u64 first;  // byte of the answer where the token begins
    TokenChance chance;
  };

  const Tokenizer& tokenizer_;
  const AnswerSinkOptions& options_;
  AnswerListener& listener_;
  TextSegment markup_;
  ThinkSplitter splitter_;
  std::string held_;  // may be the beginning of a stop text
  std::string stop_;
  std::vector<Pending> pending_;
  u64 n_received_ = 0;
  u64 n_passed_ = 0;
  bool was_reasoning_ = false;
  bool has_failed_ = false;
};

}  // namespace lbm::cli
