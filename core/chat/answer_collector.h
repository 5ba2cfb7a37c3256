// Keeps reasoning and text of an answer in a buffer, apart from each other, while they stream to
// another sink; ends the answer where its text says so.
#pragma once

#include "core/base/arith.h"
#include "core/chat/generate.h"
#include "core/chat/think.h"

namespace lbm {

// What ends an answer besides the tokens of the model.
struct AnswerEnd {
  Str text;                 // the beginning of the next question, which a model without turns would
                            // go on to write; empty: none
  bool first_line = false;  // the end of the first line that has words
};

class AnswerCollector final : public GenerateSink, private ThinkOutput {
 public:
  AnswerCollector(Span<char> room, const AnswerEnd& end, const Tokenizer& tokenizer,
                  Span<const TextSegment> prompt, GenerateSink& next)
      : room_(room), end_(end), next_(next), splitter_(tokenizer, prompt, *this) {}

  void on_logits(u32 id, Span<const f32> logits) override { next_.on_logits(id, logits); }
  void on_token(u32 id) override {
    next_.on_token(id);
    splitter_.on_token(id);
  }
  bool on_text(Str text) override { return splitter_.on_text(text); }
  bool finished() override { return stopped_ || next_.finished(); }
  // False: no room for the last words.
  [[nodiscard]] bool finish() {
    if (!splitter_.finish()) return false;
    return stopped_ || pass_on(n_content_);
  }
  [[nodiscard]] usize n_reasoning() const { return n_reasoning_; }
  [[nodiscard]] usize n_content() const { return n_content_; }
  [[nodiscard]] Str content() const { return {room_.data() + n_reasoning_, n_content_}; }

 private:
  bool on_reasoning(Str text) override {
    if (text.size() > free_bytes()) return false;
    // Before the content, of which there is none yet but in rare answers.
    char* const end = room_.data() + n_reasoning_;
    __builtin_memmove(end + text.size(), end, n_content_);
    __builtin_memcpy(end, text.data(), text.size());
    n_reasoning_ += text.size();
    return next_.on_reasoning(text);
  }
  bool on_content(Str text) override {
    if (stopped_) return true;
    if (text.size() > free_bytes()) return false;
    __builtin_memcpy(room_.data() + n_reasoning_ + n_content_, text.data(), text.size());
    n_content_ += text.size();
    const usize found = find_end();
    if (found != Str::kNone) {
      n_content_ = found;
      stopped_ = true;
      return pass_on(found);
    }
    usize n_held = end_.text.empty()
                       ? 0
                       : static_cast<usize>(min_u64(end_.text.size() - 1, n_content_ - n_passed_));
    while (!content().ends_with(end_.text.first(n_held))) --n_held;
    return pass_on(n_content_ - n_held);
  }

  // Where the answer ends by its text; kNone while it goes on.
  [[nodiscard]] usize find_end() const {
    usize found = end_.text.empty() ? Str::kNone : content().find(end_.text, n_passed_);
    if (end_.first_line) {
      usize first = 0;  // a line without words does not count
      while (first < n_content_ && Str::is_space(content()[first])) ++first;
      const usize end = content().find("\n", first);
      if (end < found) found = end;
    }
    return found;
  }
  [[nodiscard]] bool pass_on(usize n) {
    const Str text = content().slice(n_passed_, n - n_passed_);
    n_passed_ = n;
    return text.empty() || next_.on_text(text);
  }
  [[nodiscard]] usize free_bytes() const { return room_.size() - n_reasoning_ - n_content_; }

  Span<char> room_;
  AnswerEnd end_;
  GenerateSink& next_;
  ThinkSplitter splitter_;
  usize n_reasoning_ = 0;
  usize n_content_ = 0;
  usize n_passed_ = 0;  // of the content: what the sink of the caller has
  bool stopped_ = false;
};

}  // namespace lbm
