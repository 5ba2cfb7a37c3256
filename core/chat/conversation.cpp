// See conversation.h.
#include "core/chat/conversation.h"

#include "core/base/arith.h"
#include "core/chat/answer_collector.h"
#include "core/chat/chat_message.h"
#include "core/chat/generation.h"

namespace lbm {
namespace {

Str role_name(Role role) { return role == Role::kUser ? "user" : "assistant"; }

}  // namespace

u64 Conversation::bytes_needed(u64 text_bytes) {
  return text_bytes + kMaxMessages * sizeof(Entry) + kMaxSystemBytes + kMaxSummaryBytes +
         sizeof(Conversation) + 5 * Arena::kDefaultAlignment;
}

Result<Conversation*> Conversation::create(Arena& arena, u64 text_bytes) {
  const Arena::Mark mark = arena.mark();
  const Result<Span<char>> text =
      arena.take<char>(min_u64(text_bytes, 0xFFFFFFFFu), "text of the conversation");
  if (!text.ok()) return text.error();
  const Result<Span<Entry>> entries =
      arena.take<Entry>(kMaxMessages, "messages of the conversation");
  const Result<Span<char>> system = arena.take<char>(kMaxSystemBytes, "system prompt");
  const Result<Span<char>> summary = arena.take<char>(kMaxSummaryBytes, "summary");
  if (!entries.ok() || !system.ok() || !summary.ok()) {
    arena.rewind(mark);
    if (!entries.ok()) return entries.error();
    return system.ok() ? summary.error() : system.error();
  }
  Result<Conversation*> made = arena.make<Conversation>(
      "conversation", text.value(), entries.value(), system.value(), summary.value());
  if (!made.ok()) arena.rewind(mark);
  return made;
}

Status Conversation::set_system(Str text) {
  if (text.size() > system_.size()) {
    return fail(ErrorCode::kLimit, "system prompt too long").with(text.size(), system_.size());
  }
  __builtin_memmove(system_.data(), text.data(), text.size());
  n_system_ = text.size();
  return {};
}

void Conversation::reset() {
  n_message_ = 0;
  n_text_ = 0;
  first_shown_ = 0;
  n_removed_ = 0;
  n_summary_ = 0;
}

Message Conversation::message(u32 index) const {
  LBM_CHECK(index < n_message_);
  const Entry& entry = entries_[index];
  const char* const reasoning = text_.data() + entry.first;
  return {entry.role, entry.complete, Str(reasoning + entry.n_reasoning, entry.size),
          Str(reasoning, entry.n_reasoning)};
}

Status Conversation::append(Role role, Str text) {
  // Room for the answer's message too, so that a turn never fails halfway for want of an entry.
  if (n_message_ + 2 > kMaxMessages) {
    return fail(ErrorCode::kContextFull, "too many messages").with(n_message_, kMaxMessages);
  }
  if (text.size() > text_.size() - n_text_) {
    return fail(ErrorCode::kContextFull, "the text of the messages is too long")
        .with(n_text_ + text.size(), text_.size());
  }
  Entry& entry = entries_[n_message_++];
  entry.first = static_cast<u32>(n_text_);
  entry.n_reasoning = 0;
  entry.size = static_cast<u32>(text.size());
  entry.role = role;
  entry.complete = true;
  __builtin_memcpy(text_.data() + n_text_, text.data(), text.size());
  n_text_ += text.size();
  return {};
}

// Of `n_reasoning` and `n_content` bytes that stand behind the text.
void Conversation::append_answer(usize n_reasoning, usize n_content, bool complete) {
  Entry& answer = entries_[n_message_++];
  answer.first = static_cast<u32>(n_text_);
  answer.n_reasoning = static_cast<u32>(n_reasoning);
  answer.size = static_cast<u32>(n_content);
  answer.role = Role::kAssistant;
  answer.complete = complete;
  n_text_ += n_reasoning + n_content;
}

void Conversation::drop_last() {
  LBM_CHECK(n_message_ > 0);
  n_text_ = entries_[--n_message_].first;
}

Status Conversation::add_turn(Str question, Str answer, Str reasoning, bool complete) {
  const u64 n_byte = u64{question.size()} + answer.size() + reasoning.size();
  if (n_byte > text_.size() - n_text_) {
    return fail(ErrorCode::kContextFull, "the text of the messages is too long")
        .with(n_text_ + n_byte, text_.size());
  }
  if (const Status added = append(Role::kUser, question); !added.ok()) return added;
  __builtin_memcpy(text_.data() + n_text_, reasoning.data(), reasoning.size());
  __builtin_memcpy(text_.data() + n_text_ + reasoning.size(), answer.data(), answer.size());
  append_answer(reasoning.size(), answer.size(), complete);
  return {};
}

u32 Conversation::undo(u32 n_turn) {
  u32 n_done = 0;
  for (; n_done < n_turn && n_message_ >= 2; ++n_done) {
    drop_last();
    drop_last();
  }
  if (first_shown_ >= n_message_) {
    // What was left out for the sake of turns that are gone fits again, as far as it does.
    first_shown_ = 0;
    n_summary_ = 0;
  }
  return n_done;
}

// --- The prompt ------------------------------------------------------------------------------

Result<Span<ChatMessage>> Conversation::chat_messages(Arena& scratch) const {
  Result<Span<ChatMessage>> messages =
      scratch.take<ChatMessage>(u64{n_message_} + 1, "messages for the template");
  if (!messages.ok()) return messages.error();
  u32 n = 0;
  if (n_summary_ > 0) {
    Result<Span<char>> both =
        scratch.take<char>(n_system_ + n_summary_ + 80, "system prompt with a summary");
    if (!both.ok()) return both.error();
    TextWriter text(both.value());
    text.append(system()).append(n_system_ > 0 ? "\n\n" : "");
    text.append("Summary of the conversation so far: ").append(summary());
    messages.value()[n++] = {"system", text.text(), {}};
  } else if (n_system_ > 0) {
    messages.value()[n++] = {"system", system(), {}};
  }
  for (u32 i = first_shown_; i < n_message_; ++i) {
    const Message said = message(i);
    messages.value()[n++] = {role_name(said.role), said.text, said.reasoning};
  }
  return messages.value().first(n);
}

Result<Conversation::Prompt> Conversation::render_with(const Tokenizer& tokenizer,
                                                       const ChatTemplate& chat_template,
                                                       Span<const ChatMessage> messages,
                                                       Arena& scratch) {
  const auto spelling = [&](u32 id) -> Result<Str> {
    if (id == Tokenizer::kNoToken) return Str();
    Result<Span<char>> buffer =
        scratch.take<char>(tokenizer.max_piece_bytes(), "spelling of a token");
    if (!buffer.ok()) return buffer.error();
    return tokenizer.piece(id, true, buffer.value());
  };
  const Result<Str> bos = spelling(tokenizer.bos());
  if (!bos.ok()) return bos.error();
  const Result<Str> eos = spelling(tokenizer.eos());
  if (!eos.ok()) return eos.error();

  // A template of a model knows whether its prompts begin with BOS; a built-in one must ask.
  const bool is_built_in = !built_in_template_name(chat_template.source()).empty();
  RenderChatOptions options;
  if (!is_built_in || tokenizer.add_bos()) options.bos_token = bos.value();
  options.eos_token = eos.value();
  options.think = think_;
  options.now = now_;
  Str exception;
  const Result<Span<const TextSegment>> segments =
      render_chat(chat_template, messages, options, scratch, &exception);
  if (!segments.ok()) {
    n_exception_ = static_cast<u32>(min_u64(exception.size(), sizeof(exception_)));
    __builtin_memcpy(exception_, exception.data(), n_exception_);
    return segments.error();
  }
  n_exception_ = 0;
  return Prompt{segments.value(), stop_text(chat_template.source())};
}

// The model's template; where it can not be rendered, what comes nearest to what it was for.
Result<Conversation::Prompt> Conversation::render(const Tokenizer& tokenizer,
                                                  const ChatTemplate& chat_template,
                                                  Arena& scratch) {
  n_exception_ = 0;
  const Result<Span<ChatMessage>> messages = chat_messages(scratch);
  if (!messages.ok()) return messages.error();
  const Arena::Mark mark = scratch.mark();
  Result<Prompt> prompt = render_with(tokenizer, chat_template, messages.value(), scratch);
  if (prompt.ok()) {
    set_note({});
    return prompt;
  }
  const Error error = prompt.error();
  const bool is_built_in = !built_in_template_name(chat_template.source()).empty();
  if (error.code == ErrorCode::kOutOfMemory || is_built_in) return error;
  if (error.code != ErrorCode::kTemplate) {
    scratch.rewind(mark);
    return render_built_in(tokenizer, error, chat_template.source(), messages.value(), scratch);
  }
  // The commonest refusal: a template without system prompts. The question then begins with it.
  const Span<ChatMessage> all = messages.value();
  if (all.size() < 2 || !(all[0].role == "system")) return error;
  Result<Span<char>> joined = scratch.take<char>(
      u64{all[0].content.size()} + 2 + all[1].content.size(), "system prompt in a question");
  if (!joined.ok()) return joined.error();
  TextWriter first(joined.value());
  first.append(all[0].content).append("\n\n").append(all[1].content);
  const Span<ChatMessage> without_system = all.from(1);
  without_system[0].content = first.text();
  Result<Prompt> retried = render_with(tokenizer, chat_template, without_system, scratch);
  if (!retried.ok()) return retried;
  set_note("the model's template takes no system prompt; it was put before the first question");
  return retried;
}

Result<Conversation::Prompt> Conversation::render_built_in(const Tokenizer& tokenizer,
                                                           const Error& reason, Str source,
                                                           Span<const ChatMessage> messages,
                                                           Arena& scratch) {
  const char* const built_in = built_in_template(tokenizer);
  Result<ChatTemplate*> parsed = ChatTemplate::parse(scratch, built_in);
  if (!parsed.ok()) return parsed.error();
  Result<Prompt> prompt = render_with(tokenizer, *parsed.value(), messages, scratch);
  if (!prompt.ok()) return prompt;
  TextBuffer<320> note;
  write_template_warning(note, reason, source, built_in);
  set_note(note.text());
  return prompt;
}

void Conversation::set_note(Str note) {
  if (note == note_.text()) return;
  note_.clear();
  note_.append(note);
  note_is_new_ = !note.empty();
}

Str Conversation::take_note() {
  const bool is_new = note_is_new_;
  note_is_new_ = false;
  return is_new ? note_.text() : Str();
}

Result<Span<const u32>> Conversation::prompt_ids(const Tokenizer& tokenizer,
                                                 const ChatTemplate& chat_template,
                                                 Arena& scratch) {
  const Result<Prompt> prompt = render(tokenizer, chat_template, scratch);
  if (!prompt.ok()) return prompt.error();
  return encode(tokenizer, prompt.value(), scratch);
}

Result<Span<const u32>> Conversation::encode(const Tokenizer& tokenizer, const Prompt& prompt,
                                             Arena& scratch) {
  u64 n_byte = 0;
  for (const TextSegment& segment : prompt.segments) n_byte += segment.text.size();
  Result<Span<u32>> ids = scratch.take<u32>(n_byte + 3, "token ids of the prompt");
  if (!ids.ok()) return ids.error();
  const Result<u32> n_id = tokenizer.encode_segments(prompt.segments, ids.value(), scratch);
  if (!n_id.ok()) return n_id.error();
  return Span<const u32>(ids.value().first(n_id.value()));
}

// --- The turn --------------------------------------------------------------------------------

Result<GenerateStats> Conversation::say(const Generator& with, const ChatTemplate& chat_template,
                                        Str text, const GenerateOptions& options,
                                        GenerateSink& sink, Session::Interrupt interrupt) {
  Status added = append(Role::kUser, text);
  if (!added.ok() && make_storage(text.size(), sink)) added = append(Role::kUser, text);
  if (!added.ok()) return added.error();
  const Arena::Mark mark = with.scratch.mark();
  Result<GenerateStats> stats = answer({with, chat_template, options, sink, interrupt});
  with.scratch.rewind(mark);
  if (!stats.ok() || stats.value().n_output == 0) drop_last();
  return stats;
}

Result<GenerateStats> Conversation::say_again(const Generator& with,
                                              const ChatTemplate& chat_template,
                                              const GenerateOptions& options, GenerateSink& sink,
                                              Session::Interrupt interrupt) {
  if (n_message_ < 2) return fail(ErrorCode::kNotFound, "nothing was asked yet");
  const Arena::Mark mark = with.scratch.mark();
  const Entry old = entries_[n_message_ - 1];
  const Str text(text_.data() + old.first, old.n_reasoning + old.size);
  const Result<Str> kept = with.scratch.take_text(text, "answer that is given again");
  if (!kept.ok()) return kept.error();
  drop_last();
  Result<GenerateStats> stats = answer({with, chat_template, options, sink, interrupt});
  if (!stats.ok() || stats.value().n_output == 0) {
    __builtin_memcpy(text_.data() + n_text_, kept.value().data(), kept.value().size());
    append_answer(old.n_reasoning, old.size, old.complete);
  }
  with.scratch.rewind(mark);
  return stats;
}

// What begin_say() leaves in the scratch arena for end_say().
struct Conversation::Answering {
  Answering(Span<char> room, const AnswerEnd& end, Span<const TextSegment> prompt, const Turn& turn)
      : scratch(turn.with.scratch),
        collector(room, end, turn.with.tokenizer, prompt, turn.sink),
        generation(turn.with, turn.options, collector) {}

  Arena& scratch;
  Arena::Mark before = {};  // what say() and end_say() give the scratch arena back to
  AnswerCollector collector;
  Generation generation;
};

Result<Generation*> Conversation::begin_say(const Generator& with,
                                            const ChatTemplate& chat_template, Str text,
                                            const GenerateOptions& options, GenerateSink& sink) {
  LBM_CHECK(saying_ == nullptr);
  Status added = append(Role::kUser, text);
  if (!added.ok() && make_storage(text.size(), sink)) added = append(Role::kUser, text);
  if (!added.ok()) return added.error();
  const Arena::Mark mark = with.scratch.mark();
  const Result<Answering*> begun = begin_answer({with, chat_template, options, sink, {}});
  if (!begun.ok()) {
    with.scratch.rewind(mark);
    drop_last();
    return begun.error();
  }
  saying_ = begun.value();
  saying_->before = mark;
  return &saying_->generation;
}

Result<GenerateStats> Conversation::end_say() {
  LBM_CHECK(saying_ != nullptr);
  Answering& answering = *saying_;
  saying_ = nullptr;
  Result<GenerateStats> stats = end_answer(answering);
  const Arena::Mark before = answering.before;
  answering.scratch.rewind(before);
  if (!stats.ok() || stats.value().n_output == 0) drop_last();
  return stats;
}

Result<Conversation::Answering*> Conversation::begin_answer(const Turn& turn) {
  const Generator& with = turn.with;
  if (overflow_ != Overflow::kStop) {
    if (const Status room = make_room(turn); !room.ok()) return room.error();
  }
  const Result<Prompt> prompt = render(with.tokenizer, turn.chat_template, with.scratch);
  if (!prompt.ok()) return prompt.error();
  const Result<Span<const u32>> ids = encode(with.tokenizer, prompt.value(), with.scratch);
  if (!ids.ok()) return ids.error();
  const AnswerEnd end = {stop_at_question_ ? prompt.value().stop : Str(), stop_at_line_};
  Result<Answering*> made = with.scratch.make<Answering>(
      "answer in the making", text_.from(n_text_), end, prompt.value().segments, turn);
  if (!made.ok()) return made;
  turn.sink.on_answer();
  if (const Status s = made.value()->generation.begin(ids.value()); !s.ok()) return s.error();
  return made;
}

// Appends the answer, where there is one.
Result<GenerateStats> Conversation::end_answer(Answering& answering) {
  Result<GenerateStats> stats = answering.generation.finish();
  if (!stats.ok() || stats.value().n_output == 0) return stats;
  AnswerCollector& collector = answering.collector;
  if (!collector.finish()) stats.value().stop = StopReason::kContext;
  append_answer(collector.n_reasoning(), collector.n_content(),
                stats.value().stop == StopReason::kEndOfGeneration);
  return stats;
}

Result<GenerateStats> Conversation::answer(const Turn& turn) {
  const Result<Answering*> begun = begin_answer(turn);
  if (!begun.ok()) return begun.error();
  begun.value()->generation.run(turn.interrupt);
  return end_answer(*begun.value());
}

}  // namespace lbm
