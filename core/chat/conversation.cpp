// See conversation.h.
#include "core/chat/conversation.h"

#include "core/base/arith.h"
#include "core/chat/chat_message.h"

namespace lbm {
namespace {

Str role_name(Role role) { return role == Role::kUser ? "user" : "assistant"; }

}  // namespace

// Adds the text of the answer to the end of the conversation's buffer while it streams to the sink
// of the caller.
class Conversation::Collector final : public GenerateSink {
 public:
  Collector(Conversation& conversation, GenerateSink& next)
      : conversation_(conversation), next_(next) {}

  void on_token(u32 id) override { next_.on_token(id); }
  bool on_text(Str text) override {
    const Span<char> room = conversation_.text_.from(conversation_.n_text_ + size_);
    if (text.size() > room.size()) return false;
    __builtin_memcpy(room.data(), text.data(), text.size());
    size_ += text.size();
    return next_.on_text(text);
  }
  [[nodiscard]] usize size() const { return size_; }

 private:
  Conversation& conversation_;
  GenerateSink& next_;
  usize size_ = 0;
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
  return {entry.role, entry.complete, Str(text_.data() + entry.first, entry.size)};
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

Result<Span<const u32>> Conversation::prompt_ids(const Tokenizer& tokenizer,
                                                 const ChatTemplate& chat_template,
                                                 Arena& scratch) {
  n_exception_ = 0;
  Result<Span<ChatMessage>> messages =
      scratch.take<ChatMessage>(u64{n_message_} + 1, "messages for the template");
  if (!messages.ok()) return messages.error();
  u32 n = 0;
  if (n_system_ > 0) messages.value()[n++] = {"system", system()};
  for (u32 i = 0; i < n_message_; ++i)
    messages.value()[n++] = {role_name(entries_[i].role), message(i).text};

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

  RenderChatOptions options;
  options.bos_token = bos.value();
  options.eos_token = eos.value();
  options.now = now_;
  Str exception;
  const Result<Span<const TextSegment>> segments =
      render_chat(chat_template, messages.value().first(n), options, scratch, &exception);
  if (!segments.ok()) {
    n_exception_ = static_cast<u32>(min_u64(exception.size(), sizeof(exception_)));
    __builtin_memcpy(exception_, exception.data(), n_exception_);
    return segments.error();
  }
  u64 n_byte = 0;
  for (const TextSegment& segment : segments.value()) n_byte += segment.text.size();
  Result<Span<u32>> ids = scratch.take<u32>(n_byte + 3, "token ids of the prompt");
  if (!ids.ok()) return ids.error();
  const Result<u32> n_id = tokenizer.encode_segments(segments.value(), ids.value(), scratch);
  if (!n_id.ok()) return n_id.error();
  return Span<const u32>(ids.value().first(n_id.value()));
}

Result<GenerateStats> Conversation::say(const Generator& with, const ChatTemplate& chat_template,
                                        Str text, const GenerateOptions& options,
                                        GenerateSink& sink, Session::Interrupt interrupt) {
  const Status added = append(Role::kUser, text);
  if (!added.ok()) return added.error();
  const Arena::Mark mark = with.scratch.mark();
  Collector collector(*this, sink);
  Result<GenerateStats> stats = [&]() -> Result<GenerateStats> {
    const Result<Span<const u32>> ids = prompt_ids(with.tokenizer, chat_template, with.scratch);
    if (!ids.ok()) return ids.error();
    return generate(with, ids.value(), options, collector, interrupt);
  }();
  with.scratch.rewind(mark);
  if (!stats.ok() || stats.value().n_output == 0) {
    drop_last();
    return stats;
  }
  Entry& answer = entries_[n_message_++];
  answer.first = static_cast<u32>(n_text_);
  answer.size = static_cast<u32>(collector.size());
  answer.role = Role::kAssistant;
  answer.complete = stats.value().stop == StopReason::kEndOfGeneration;
  n_text_ += collector.size();
  return stats;
}

}  // namespace lbm
