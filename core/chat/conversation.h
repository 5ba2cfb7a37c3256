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
//
// When the messages outgrow the context, set_overflow() decides what is left out of the prompt; it
// stays in the conversation, and the sink of the turn is told (conversation_overflow.cpp).
#pragma once

#include "core/base/arena.h"
#include "core/base/fmt.h"
#include "core/base/result.h"
#include "core/chat/chat_message.h"
#include "core/chat/generate.h"
#include "core/chat/template.h"

namespace lbm {

class Generation;

enum class Role : u8 { kUser, kAssistant };

struct Message {
  Role role = Role::kUser;
  bool complete = true;  // false: the answer was stopped before the model ended it
  Str text;
  Str reasoning;
};

// What happens when the messages no longer fit the context.
enum class Overflow : u8 {
  kStop,        // the question is refused: kContextFull
  kDropOldest,  // the oldest turns are left out of the prompt
  kSummarize,   // the model sums them up first, and the summary stands in their place
};

class Conversation {
 public:
  static constexpr u32 kMaxMessages = 8192;
  static constexpr usize kMaxSystemBytes = 16 * kKiB;
  static constexpr usize kMaxSummaryBytes = 4 * kKiB;

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

  // From the next turn on.
  void set_overflow(Overflow overflow) { overflow_ = overflow; }
  // What ends an answer besides the tokens of the model: where no token ends one, the beginning of
  // the next question; and the end of its first line.
  void set_stops(bool next_question, bool first_line) {
    stop_at_question_ = next_question;
    stop_at_line_ = first_line;
  }

  // Forgets all messages; the system prompt stays.
  void reset();
  // Messages alternate: a question, its answer. Their number is even between two calls.
  [[nodiscard]] u32 n_message() const { return n_message_; }
  [[nodiscard]] Message message(u32 index) const;
  // Messages before this one are kept, but left out of prompts.
  [[nodiscard]] u32 first_shown() const { return first_shown_; }
  // What stands in their place; empty: nothing.
  [[nodiscard]] Str summary() const { return {summary_.data(), n_summary_}; }

  // Adds a turn that was had before (a session that is taken up again).
  // Errors: kContextFull  no room; nothing changes.
  [[nodiscard]] Status add_turn(Str question, Str answer, Str reasoning, bool complete);
  // Takes the newest `n_turn` turns back; returns how many there were to take. Evaluated tokens
  // stay in the session as long as they are a prefix of the next prompt.
  u32 undo(u32 n_turn);

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

  // Answers the last question again. The answer that was there stays until the new one has begun.
  // Errors: as say(); kNotFound  nothing was asked yet.
  [[nodiscard]] Result<GenerateStats> say_again(const Generator& with,
                                                const ChatTemplate& chat_template,
                                                const GenerateOptions& options, GenerateSink& sink,
                                                Session::Interrupt interrupt = {});

  // say() step by step (generation.h), for hosts that must return to their caller between tokens:
  // begin_say(), Generation::step() until it is done, end_say(). Nothing else is asked of the
  // conversation in between. Errors: as say(); after one of begin_say() there is nothing to end.
  [[nodiscard]] Result<Generation*> begin_say(const Generator& with,
                                              const ChatTemplate& chat_template, Str text,
                                              const GenerateOptions& options, GenerateSink& sink);
  [[nodiscard]] Result<GenerateStats> end_say();

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
  struct Entry {
    u32 first = 0;
    u32 n_reasoning = 0;  // bytes of reasoning, which stand before the text
    u32 size = 0;         // bytes of text
    Role role = Role::kUser;
    bool complete = true;
  };
  Conversation(Span<char> text, Span<Entry> entries, Span<char> system, Span<char> summary)
      : text_(text), entries_(entries), system_(system), summary_(summary) {}
  struct Prompt {
    Span<const TextSegment> segments;
    Str stop;  // text that ends the answer, or empty
  };
  // What a turn is made with: the arguments of say() but the text.
  struct Turn {
    const Generator& with;
    const ChatTemplate& chat_template;
    const GenerateOptions& options;
    GenerateSink& sink;
    Session::Interrupt interrupt;
  };
  [[nodiscard]] Status append(Role role, Str text);
  void append_answer(usize n_reasoning, usize n_content, bool complete);
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
  struct Answering;  // an answer in the making
  [[nodiscard]] Result<Answering*> begin_answer(const Turn& turn);
  [[nodiscard]] Result<GenerateStats> end_answer(Answering& answering);
  [[nodiscard]] Result<GenerateStats> answer(const Turn& turn);
  void set_note(Str note);

  // conversation_overflow.cpp
  [[nodiscard]] Status make_room(const Turn& turn);
  [[nodiscard]] static u32 prompt_limit(const Turn& turn);
  [[nodiscard]] Result<u32> n_prompt_token(const Turn& turn);
  [[nodiscard]] Result<u32> first_that_fits(const Turn& turn, u32 limit);
  [[nodiscard]] Status leave_out(const Turn& turn, u32 first);
  [[nodiscard]] Status summarize(const Turn& turn, u32 first);
  [[nodiscard]] Result<Str> summary_request(u32 first, Arena& scratch) const;
  [[nodiscard]] bool make_storage(usize n_byte, GenerateSink& sink);

  Answering* saying_ = nullptr;  // between begin_say() and end_say()
  Str now_;
  ThinkRequest think_ = ThinkRequest::kModel;
  bool note_is_new_ = false;
  Span<char> text_;
  Span<Entry> entries_;
  Span<char> system_;
  Span<char> summary_;
  Overflow overflow_ = Overflow::kStop;
  bool stop_at_question_ = true;
  bool stop_at_line_ = false;
  u32 first_shown_ = 0;
  u32 n_removed_ = 0;  // turns that are no longer even kept
  usize n_summary_ = 0;
  usize n_text_ = 0;
  usize n_system_ = 0;
  u32 n_message_ = 0;
  u32 n_exception_ = 0;
  char exception_[160] = {};
  TextBuffer<320> note_;
};

}  // namespace lbm
