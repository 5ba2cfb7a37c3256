// See think.h.
#include "core/chat/think.h"

#include "core/base/utf8.h"

namespace lbm {
namespace {

// The markers of the families, and what some of them put around the answer. Order does not matter.
struct ThinkFamily {
  Str open, close;
  // Two spellings of the wrapper: hunyuan's and granite's models differ, their markers do not.
  Str answer_open[2], answer_close[2];
};

constexpr ThinkFamily kFamilies[] = {
    // Qwen 3, DeepSeek-R1, SmolLM3, EXAONE 4, GLM 4, LFM2, ERNIE 4.5, Hunyuan, Granite 3.3
    {"<think>", "</think>", {"<answer>", "<response>"}, {"</answer>", "</response>"}},
    {"<seed:think>", "</seed:think>", {}, {}},            // Seed-OSS
    {"<thought>", "</thought>", {}, {}},                  // EXAONE Deep
    {"<thinking>", "</thinking>", {}, {}},                // fine-tunes
    {"[THINK]", "[/THINK]", {}, {}},                      // Magistral, Ministral
    {"<|START_THINKING|>", "<|END_THINKING|>", {}, {}},   // Command A
    {"<|inner_prefix|>", "<|inner_suffix|>", {}, {}},     // Apertus
    {"<|channel>", "<channel|>", {}, {}},                 // Gemma 4
    {"<mm:think>", "</mm:think>", {}, {}},                // MiniMax
    {"\u25C1think\u25B7", "\u25C1/think\u25B7", {}, {}},  // Kimi
};
static_assert(sizeof(kFamilies) / sizeof(kFamilies[0]) == ThinkSplitter::kFamilyCount);

// In the source of a template: it can be asked to think or not to.
constexpr Str kSwitches[] = {"enable_thinking", "thinking_budget", "thinking_mode",
                             "reasoning_effort"};

constexpr bool is_space(Str character) {
  return character.size() == 1 && Str::is_space(character[0]);
}

// The last thing the template wrote, without white space; empty where content is last.
Str end_of_markup(Span<const TextSegment> prompt) {
  if (prompt.empty() || !prompt[prompt.size() - 1].markup) return {};
  return prompt[prompt.size() - 1].text.trimmed();
}

}  // namespace

bool has_think_switch(Str template_source) {
  for (const Str name : kSwitches) {
    if (template_source.contains(name)) return true;
  }
  // Words of English too: only where they are asked about as variables.
  return template_source.contains("if thinking") ||
         template_source.contains("thinking is defined") ||
         template_source.contains("not thinking");
}

ThinkSplitter::ThinkSplitter(const Tokenizer& tokenizer, Span<const TextSegment> prompt,
                             ThinkOutput& output)
    : output_(output) {
  const Str end = end_of_markup(prompt);
  for (u32 i = 0; i < kFamilyCount; ++i) {
    open_ids_[i] = tokenizer.find(kFamilies[i].open);
    close_ids_[i] = tokenizer.find(kFamilies[i].close);
    if (end.ends_with(kFamilies[i].open)) open(i);
  }
  const u32 channel = tokenizer.find("<|channel|>");
  const u32 message = tokenizer.find("<|message|>");
  if (channel == Tokenizer::kNoToken || message == Tokenizer::kNoToken) return;
  if (!tokenizer.is_control(channel) || !tokenizer.is_control(message)) return;
  channel_id_ = channel;
  message_id_ = message;
  start_id_ = tokenizer.find("<|start|>");
  end_id_ = tokenizer.find("<|end|>");
}

void ThinkSplitter::open(u32 family) {
  if (state_ == State::kContent) release(Channel::kContent);
  n_held_ = 0;
  family_ = family;
  begun_ = false;
  state_ = State::kReasoning;
}

void ThinkSplitter::close() {
  n_held_ = 0;
  in_wrapper_ = false;
  state_ = State::kGap;
}

// Messages with channels: <|channel|> NAME <|message|> TEXT <|end|><|start|> ROLE <|channel|> ...
bool ThinkSplitter::on_channel_token(u32 id) {
  if (channel_id_ == Tokenizer::kNoToken) return false;
  if (id == message_id_) {
    const bool is_reasoning = held().trimmed().starts_with("analysis");
    n_held_ = 0;
    begun_ = false;
    state_ = is_reasoning ? State::kReasoning : State::kGap;
  } else if (id == channel_id_ || id == start_id_ || id == end_id_) {
    n_held_ = 0;
    state_ = State::kHeader;
  } else {
    return false;
  }
  return true;
}

void ThinkSplitter::on_token(u32 id) {
  spelling_ = {};
  if (on_channel_token(id)) {
    spelling_ = id == channel_id_   ? "<|channel|>"
                : id == message_id_ ? "<|message|>"
                : id == start_id_   ? "<|start|>"
                                    : "<|end|>";
    return;
  }
  for (u32 i = 0; i < kFamilyCount; ++i) {
    if (id == open_ids_[i]) {
      open(i);
      spelling_ = kFamilies[i].open;
    } else if (id == close_ids_[i]) {
      if (state_ == State::kReasoning) close();
      spelling_ = kFamilies[i].close;
    }
  }
}

bool ThinkSplitter::on_text(Str utf8) {
  // A marker that is no control token, or is asked to be shown, comes as text too.
  if (!spelling_.empty() && utf8.ends_with(spelling_))
    utf8 = utf8.first(utf8.size() - spelling_.size());
  spelling_ = {};
  while (!utf8.empty() && !refused_) {
    const u32 n = decode_utf8(utf8).n_byte;
    feed(utf8.first(n));
    utf8 = utf8.from(n);
  }
  flush();
  return !refused_;
}

bool ThinkSplitter::finish() {
  switch (state_) {
    case State::kStart:
    case State::kGap:
    case State::kContent: release(Channel::kContent); break;
    case State::kReasoning:
      if (!held().trimmed().empty()) release(Channel::kReasoning);
      break;
    case State::kHeader: break;
  }
  flush();
  return !refused_;
}

void ThinkSplitter::feed(Str character) {
  const ThinkFamily& family = kFamilies[family_];
  switch (state_) {
    case State::kStart: feed_start(character); break;
    case State::kReasoning: {
      const bool by_text = close_ids_[family_] == Tokenizer::kNoToken;
      if (feed_until(by_text ? family.close : Str(), Channel::kReasoning, character)) close();
      break;
    }
    case State::kGap: feed_gap(character); break;
    case State::kContent:
      if (!in_wrapper_) {
        put(Channel::kContent, character);
      } else {
        const Str marker = family.answer_close[wrapper_];
        if (feed_until(marker, Channel::kContent, character)) in_wrapper_ = false;
      }
      break;
    case State::kHeader:
      if (n_held_ + character.size() <= kMaxHeld) hold(character);
      break;
  }
}

// White space, then perhaps an opening marker that the vocabulary has no token for.
void ThinkSplitter::feed_start(Str character) {
  const Str begun = held().trimmed();
  if (n_held_ + character.size() <= kMaxHeld) {
    if (begun.empty() && is_space(character)) return hold(character);
    for (u32 i = 0; i < kFamilyCount; ++i) {
      if (open_ids_[i] != Tokenizer::kNoToken || !may_become(kFamilies[i].open, begun, character))
        continue;
      if (begun.size() + character.size() == kFamilies[i].open.size()) return open(i);
      return hold(character);
    }
  }
  release(Channel::kContent);
  put(Channel::kContent, character);
  state_ = State::kContent;
}

// Behind a reasoning: white space is skipped, and so is what opens a wrapped answer.
void ThinkSplitter::feed_gap(Str character) {
  if (n_held_ == 0 && is_space(character)) return;
  for (u32 i = 0; i < 2 && !in_wrapper_; ++i) {
    const Str marker = kFamilies[family_].answer_open[i];
    if (!may_become(marker, held(), character)) continue;
    if (n_held_ + character.size() < marker.size()) return hold(character);
    n_held_ = 0;
    wrapper_ = i;
    in_wrapper_ = true;
    return;
  }
  state_ = State::kContent;
  release(Channel::kContent);
  feed(character);
}

// Text up to `marker` (empty: there is none to be found), of which white space at the end and what
// may become the marker are held back. True when the marker is complete; then nothing is held.
bool ThinkSplitter::feed_until(Str marker, Channel channel, Str character) {
  const bool is_reasoning = channel == Channel::kReasoning;
  usize n_space = 0;
  while (n_space < n_held_ && Str::is_space(held_[n_space])) ++n_space;
  const Str partial = held().from(n_space);
  if (n_held_ + character.size() <= kMaxHeld && may_become(marker, partial, character)) {
    hold(character);
    if (partial.size() + character.size() < marker.size()) return false;
    n_held_ = 0;
    return true;
  }
  if (!partial.empty()) {
    release(channel);
    return feed_until(marker, channel, character);  // once: nothing is held any more
  }
  if (is_space(character)) {
    if (is_reasoning && !begun_) return false;
    if (n_held_ == kMaxHeld) release(channel);
    hold(character);
    return false;
  }
  release(channel);
  put(channel, character);
  return false;
}

void ThinkSplitter::hold(Str character) {
  __builtin_memcpy(held_ + n_held_, character.data(), character.size());
  n_held_ += character.size();
}

// Whether `text` and `character` behind it are the beginning of `marker`, or all of it.
bool ThinkSplitter::may_become(Str marker, Str text, Str character) {
  return marker.starts_with(text) && marker.from(text.size()).starts_with(character);
}

void ThinkSplitter::release(Channel channel) {
  put(channel, held());
  n_held_ = 0;
}

void ThinkSplitter::put(Channel channel, Str text) {
  if (text.empty()) return;
  if (channel == Channel::kReasoning) begun_ = true;
  if (channel != channel_ || n_run_ + text.size() > kMaxRun) flush();
  channel_ = channel;
  __builtin_memcpy(run_ + n_run_, text.data(), text.size());
  n_run_ += text.size();
}

void ThinkSplitter::flush() {
  const Str text(run_, n_run_);
  n_run_ = 0;
  if (text.empty() || refused_) return;
  refused_ =
      channel_ == Channel::kReasoning ? !output_.on_reasoning(text) : !output_.on_content(text);
}

}  // namespace lbm
