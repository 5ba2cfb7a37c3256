// Reasoning: told apart from the answer while it streams.
//
// Many models think before they answer, between markers of their family: <think> ... </think>,
// [THINK] ... [/THINK], a channel called "analysis". A ThinkSplitter stands between generate() and
// whoever keeps the text, takes the markers out, and says of each run of text which of the two it
// is.
//
// What counts as a marker is narrow, because people talk to models about these very words: a token
// of its own that is spelled so, wherever it comes; where the vocabulary has none, the exact text
// at the start of the answer (or at the end of what the template wrote), and from there the first
// closing one. The same words further inside an answer are text.
#pragma once

#include "core/chat/generate.h"
#include "core/tokenizer/tokenizer.h"

namespace lbm {

// Takes an answer in two parts. Texts are whole UTF-8 characters. False: no room, as
// GenerateSink::on_text.
class ThinkOutput {
 public:
  [[nodiscard]] virtual bool on_content(Str utf8) = 0;
  // White space at both ends of a reasoning was left out.
  [[nodiscard]] virtual bool on_reasoning(Str utf8) = 0;

 protected:
  ~ThinkOutput() = default;
};

class ThinkSplitter {
 public:
  static constexpr u32 kFamilyCount = 10;

  // For the answer to `prompt`, whose last markup may already have opened a reasoning.
  ThinkSplitter(const Tokenizer& tokenizer, Span<const TextSegment> prompt, ThinkOutput& output);

  // As GenerateSink: every token before its text, text in whole characters.
  void on_token(u32 id);
  [[nodiscard]] bool on_text(Str utf8);
  // The answer has ended: what was held back, waiting to become a marker, is text after all.
  [[nodiscard]] bool finish();

 private:
  enum class State : u8 {
    kStart,      // nothing but white space so far
    kReasoning,  // after an opening marker
    kGap,        // after a closing one: white space is skipped
    kContent,
    kHeader,  // role and channel of a message (gpt-oss): names, not text
  };
  enum class Channel : u8 { kContent, kReasoning };
  // Enough for white space and the longest marker.
  static constexpr usize kMaxHeld = 64;
  static constexpr usize kMaxRun = 512;

  void open(u32 family);
  void close();
  [[nodiscard]] bool on_channel_token(u32 id);
  void feed(Str character);
  void feed_start(Str character);
  void feed_gap(Str character);
  [[nodiscard]] bool feed_until(Str marker, Channel channel, Str character);
  void hold(Str character);
  [[nodiscard]] static bool may_become(Str marker, Str text, Str character);
  void release(Channel channel);
  void put(Channel channel, Str text);
  void flush();
  [[nodiscard]] Str held() const { return {held_, n_held_}; }

  ThinkOutput& output_;
  u32 open_ids_[kFamilyCount];
  u32 close_ids_[kFamilyCount];
  u32 channel_id_ = Tokenizer::kNoToken;  // <|channel|>, where messages have channels
  u32 message_id_ = Tokenizer::kNoToken;  // <|message|>
  u32 start_id_ = Tokenizer::kNoToken;    // <|start|>
  u32 end_id_ = Tokenizer::kNoToken;      // <|end|>
  State state_ = State::kStart;
  u32 family_ = 0;           // of the reasoning that is open, or was last
  bool begun_ = false;       // it has text
  u32 wrapper_ = 0;          // which of its two
  bool in_wrapper_ = false;  // between <answer> and </answer>
  bool refused_ = false;     // output_ had no room
  Str spelling_;             // of the marker token that came last; its text is still to come
  usize n_held_ = 0;
  char held_[kMaxHeld] = {};
  Channel channel_ = Channel::kContent;  // of run_
  usize n_run_ = 0;
  char run_[kMaxRun] = {};
};

// What a template is asked for, by the variables that families use for it (enable_thinking,
// thinking, thinking_budget, reasoning_effort ...).
enum class ThinkRequest : u8 {
  kModel,  // nothing: the model's own habit
  kAsk,
  kAvoid,
};

// True when `template_source` names one of those variables: only then does a request change
// anything.
[[nodiscard]] bool has_think_switch(Str template_source);

}  // namespace lbm
