// A conversation: the messages so far, and the turn that adds two more.
//
// A turn renders all messages through the model's own template, encodes markup and content apart
// (so that no text of a person or of the model can become a control token), and answers. Evaluated
// tokens are never evaluated again: generate() keeps the common prefix. The text of messages lies
// in one buffer, oldest first; a turn that fails leaves the conversation as it was.
//
// What a model reasons before it answers (think.h) is kept beside the answer and offered to the
// template as reasoning_content; whether it goes into later prompts is the template's decision, and
// nearly all leave it out.
//
// A template that fails to render is replaced for this turn by a built-in one; take_note() says so.
#pragma once

#include "core/base/arena.h"
#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/chat/chat_message.h"
#include "core/chat/generate.h"
#include "core/chat/template.h"

namespace lbm {

enum class Role : u8 { kUser, kAssistant };

struct Message {
  Role role = Role::kUser;
  bool complete = true;  // false: the answer was stopped before the model ended it
  Str text;
  Str reasoning;
};

class Conversation {
 public:
  static constexpr u32 kMaxMessages = 8192;
  static constexpr usize kMaxSystemBytes = 16 * kKiB;

  // Bytes that create() takes for `text_bytes` of messages.
  [[nodiscard]] static u64 bytes_needed(u64 text_bytes);
  // Storage for `text_bytes` of messages, from `arena`, which must outlive the conversation.
  [[nodiscard]] static Result<Conversation*> create(Arena& arena, u64 text_bytes);

  // The system prompt; empty: none is given to the template. It counts from the next turn on.
  // Errors: kLimit  longer than kMaxSystemBytes; nothing changes.
  [[nodiscard]] Status set_system(Str text);
  [[nodiscard]] Str system() const { return {system_.data(), n_system_}; }

  // Local time as templates see it ("2025-06-15T12:34:56"); empty: not known. A view, kept until
  // the next call.
  void set_now(Str now) { now_ = now; }
  // What the template is asked for, from the next turn on.
  void set_think(ThinkRequest think) { think_ = think; }

  // Forgets all messages; the system prompt stays.
  void reset();
  [[nodiscard]] u32 n_message() const { return n_message_; }
  [[nodiscard]] Message message(u32 index) const;

  // Adds `text` as the user's message and the answer as the assistant's. Text of the answer also
  // goes to `sink`. A stopped answer stays, marked incomplete. When it was stopped before its first
  // token, the turn is taken back.
  // Errors, all of which leave the conversation as it was:
  //   kContextFull  the prompt exceeds the context, or the messages their storage: (needed, limit).
  //   kTemplate  the template refused; exception() has its message.
  //   those of Tokenizer::encode_segments and generate.
  [[nodiscard]] Result<GenerateStats> say(const Generator& with, const ChatTemplate& chat_template,
                                          Str text, const GenerateOptions& options,
                                          GenerateSink& sink, Session::Interrupt interrupt = {});

  // The token ids of all messages followed by the start of an answer, in `scratch` (the caller
  // marks and rewinds it).
  [[nodiscard]] Result<Span<const u32>> prompt_ids(const Tokenizer& tokenizer,
                                                   const ChatTemplate& chat_template,
                                                   Arena& scratch);

  // What the template said when it last raised an exception.
  [[nodiscard]] Str exception() const { return {exception_, n_exception_}; }
  // What the last prompt has in it other than the template would have written, in a sentence; empty
  // where there is nothing to say or it was said before.
  [[nodiscard]] Str take_note();

 private:
  friend class Arena;
  class Collector;
  struct Entry {
    u32 first = 0;
    u32 n_reasoning = 0;  // bytes of reasoning, which stand before the text
    u32 size = 0;         // bytes of text
    Role role = Role::kUser;
    bool complete = true;
  };
  Conversation(Span<char> text, Span<Entry> entries, Span<char> system)
      : text_(text), entries_(entries), system_(system) {}
  struct Prompt {
    Span<const TextSegment> segments;
    Str stop;  // text that ends the answer, or empty
  };
  [[nodiscard]] Status append(Role role, Str text);
  void drop_last();
  [[nodiscard]] Result<Span<ChatMessage>> chat_messages(Arena& scratch) const;
  [[nodiscard]] Result<Prompt> render(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                      Arena& scratch);
  [[nodiscard]] Result<Prompt> render_with(const Tokenizer& tokenizer,
                                           const ChatTemplate& chat_template,
                                           Span<const ChatMessage> messages, Arena& scratch);
  [[nodiscard]] Result<Prompt> render_built_in(const Tokenizer& tokenizer, const Error& reason,
                                               Str source, Span<const ChatMessage> messages,
                                               Arena& scratch);
  [[nodiscard]] static Result<Span<const u32>> encode(const Tokenizer& tokenizer,
                                                      const Prompt& prompt, Arena& scratch);
  [[nodiscard]] Result<GenerateStats> answer(const Generator& with,
                                             const ChatTemplate& chat_template,
                                             const GenerateOptions& options, GenerateSink& sink,
                                             Session::Interrupt interrupt);
  void set_note(Str note);

  Str now_;
  ThinkRequest think_ = ThinkRequest::kModel;
  bool note_is_new_ = false;
  Span<char> text_;
  Span<Entry> entries_;
  Span<char> system_;
  usize n_text_ = 0;
  usize n_system_ = 0;
  u32 n_message_ = 0;
  u32 n_exception_ = 0;
  char exception_[160] = {};
  TextBuffer<320> note_;
};

}  // namespace lbm
