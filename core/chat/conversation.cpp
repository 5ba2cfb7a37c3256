// See conversation.h.
#include "core/chat/conversation.h"

#include "core/base/arith.h"
#include "core/chat/chat_message.h"

namespace lbm {
namespace {

Str role_name(Role role) { return role == Role::kUser ? "user" : "assistant"; }

}  // namespace

// Adds reasoning and text of the answer to the end of the conversation's buffer while they stream
// to the sink of the caller. Where no token ends an answer, `stop` does: the beginning of the next
// question, which a model without turns would go on to write.
class Conversation::Collector final : public GenerateSink, private ThinkOutput {
 public:
  Collector(Conversation& conversation, const Tokenizer& tokenizer, const Prompt& prompt,
            GenerateSink& next)
      : room_(conversation.text_.from(conversation.n_text_)),
        stop_(prompt.stop),
        next_(next),
        splitter_(tokenizer, prompt.segments, *this) {}

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
    if (stop_.empty()) return pass_on(n_content_);
    const usize found = content().find(stop_, n_passed_);
    if (found != Str::kNone) {
      n_content_ = found;
      stopped_ = true;
      return pass_on(found);
    }
    usize n_held = static_cast<usize>(min_u64(stop_.size() - 1, n_content_ - n_passed_));
    while (!content().ends_with(stop_.first(n_held))) --n_held;
    return pass_on(n_content_ - n_held);
  }

  [[nodiscard]] bool pass_on(usize n) {
    const Str text = content().slice(n_passed_, n - n_passed_);
    n_passed_ = n;
    return text.empty() || next_.on_text(text);
  }
  [[nodiscard]] usize free_bytes() const { return room_.size() - n_reasoning_ - n_content_; }
  [[nodiscard]] Str content() const { return {room_.data() + n_reasoning_, n_content_}; }

  Span<char> room_;
  Str stop_;
  GenerateSink& next_;
  ThinkSplitter splitter_;
  usize n_reasoning_ = 0;
  usize n_content_ = 0;
  usize n_passed_ = 0;  // of the content: what the sink of the caller has
  bool stopped_ = false;
};

u64 Conversation::bytes_needed(u64 text_bytes) {
  return text_bytes + kMaxMessages * sizeof(Entry) + kMaxSystemBytes + sizeof(Conversation) +
         4 * Arena::kDefaultAlignment;
}

Result<Conversation*> Conversation::create(Arena& arena, u64 text_bytes) {
  const Arena::Mark mark = arena.mark();
  const Result<Span<char>> text =
      arena.take<char>(min_u64(text_bytes, 0xFFFFFFFFu), "text of the conversation");
  if (!text.ok()) return text.error();
  const Result<Span<Entry>> entries =
      arena.take<Entry>(kMaxMessages, "messages of the conversation");
  const Result<Span<char>> system = arena.take<char>(kMaxSystemBytes, "system prompt");
  if (!entries.ok() || !system.ok()) {
    const Error error = entries.ok() ? system.error() : entries.error();
    arena.rewind(mark);
    return error;
  }
  Result<Conversation*> made =
      arena.make<Conversation>("conversation", text.value(), entries.value(), system.value());
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

void Conversation::drop_last() {
  LBM_CHECK(n_message_ > 0);
  n_text_ = entries_[--n_message_].first;
}

// --- The prompt ------------------------------------------------------------------------------

Result<Span<ChatMessage>> Conversation::chat_messages(Arena& scratch) const {
  Result<Span<ChatMessage>> messages =
      scratch.take<ChatMessage>(u64{n_message_} + 1, "messages for the template");
  if (!messages.ok()) return messages.error();
  u32 n = 0;
  if (n_system_ > 0) messages.value()[n++] = {"system", system(), {}};
  for (u32 i = 0; i < n_message_; ++i) {
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
  if (n_system_ == 0 || n_message_ == 0) return error;
  Result<Span<char>> joined = scratch.take<char>(u64{n_system_} + 2 + message(0).text.size(),
                                                 "system prompt in a question");
  if (!joined.ok()) return joined.error();
  TextWriter first(joined.value());
  first.append(system()).append("\n\n").append(message(0).text);
  const Span<ChatMessage> without_system = messages.value().from(1);
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
  const Status added = append(Role::kUser, text);
  if (!added.ok()) return added.error();
  const Arena::Mark mark = with.scratch.mark();
  Result<GenerateStats> stats = answer(with, chat_template, options, sink, interrupt);
  with.scratch.rewind(mark);
  if (!stats.ok() || stats.value().n_output == 0) drop_last();
  return stats;
}

// Appends the answer, where there is one.
Result<GenerateStats> Conversation::answer(const Generator& with, const ChatTemplate& chat_template,
                                           const GenerateOptions& options, GenerateSink& sink,
                                           Session::Interrupt interrupt) {
  const Result<Prompt> prompt = render(with.tokenizer, chat_template, with.scratch);
  if (!prompt.ok()) return prompt.error();
  const Result<Span<const u32>> ids = encode(with.tokenizer, prompt.value(), with.scratch);
  if (!ids.ok()) return ids.error();
  Collector collector(*this, with.tokenizer, prompt.value(), sink);
  Result<GenerateStats> stats = generate(with, ids.value(), options, collector, interrupt);
  if (!stats.ok() || stats.value().n_output == 0) return stats;
  if (!collector.finish()) stats.value().stop = StopReason::kContext;
  Entry& answer = entries_[n_message_++];
  answer.first = static_cast<u32>(n_text_);
  answer.n_reasoning = static_cast<u32>(collector.n_reasoning());
  answer.size = static_cast<u32>(collector.n_content());
  answer.role = Role::kAssistant;
  answer.complete = stats.value().stop == StopReason::kEndOfGeneration;
  n_text_ += collector.n_reasoning() + collector.n_content();
  return stats;
}

}  // namespace lbm
