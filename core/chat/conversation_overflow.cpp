// What a conversation leaves out of the prompt when it outgrows the context. See conversation.h.
//
// Only whole turns are left out, the oldest first, and as many that a third of the context is free
// again: every turn that is left out moves the rest, so that all of it must be evaluated anew. The
// sink is told before the answer which turns they are; none goes without a word.
#include "core/base/arith.h"
#include "core/chat/answer_collector.h"
#include "core/chat/chat_message.h"
#include "core/chat/conversation.h"

namespace lbm {
namespace {

// Of the context, kept free for an answer.
constexpr u32 kAnswerShare = 8;
constexpr u32 kMaxSummaryTokens = 256;

constexpr Str kSummaryRequest =
    "Sum up the conversation below in a few sentences. Keep names, numbers and what was decided. "
    "Write the summary only.\n\n";

class NoSink final : public GenerateSink {
 public:
  bool on_text(Str) override { return true; }
};

u32 summary_tokens(u32 n_ctx) { return min_u32(n_ctx / kAnswerShare, kMaxSummaryTokens); }

// "turn 3", "turns 1 to 3"
Str turns_text(u32 first, u32 last, TextWriter& out) {
  if (first == last) return out.print("turn {}", first).text();
  return out.print("turns {} to {}", first, last).text();
}

// The longest beginning of `text` that has at most `n` bytes and whole characters.
Str first_bytes(Str text, usize n) {
  if (text.size() <= n) return text;
  while (n > 0 && (static_cast<u8>(text[n]) & 0xC0) == 0x80) --n;
  return text.first(n);
}

}  // namespace

// Leaves out what must be left out so that the prompt and an answer fit. An error leaves everything
// as it was. Where nothing helps, nothing is left out: the turn will be refused.
Status Conversation::make_room(const Turn& turn) {
  const u32 n_ctx = turn.with.session.n_ctx();
  const Result<u32> n_prompt = n_prompt_token(turn);
  if (!n_prompt.ok()) return n_prompt.error();
  const u32 last = n_message_ - 1;  // the question
  if (n_prompt.value() <= prompt_limit(turn) || first_shown_ == last) return {};
  const u32 n_summary = overflow_ == Overflow::kSummarize ? summary_tokens(n_ctx) : 0;
  const Result<u32> first = first_that_fits(turn, n_ctx - n_ctx / 3 - n_summary);
  if (!first.ok()) return first.error();
  if (first.value() == first_shown_) return {};
  return leave_out(turn, first.value());
}

// Tokens that a prompt may have for an answer to fit behind it.
u32 Conversation::prompt_limit(const Turn& turn) {
  const u32 n_ctx = turn.with.session.n_ctx();
  const u32 n_answer = n_ctx / kAnswerShare;
  return n_ctx -
         (turn.options.max_tokens == 0 ? n_answer : min_u32(n_answer, turn.options.max_tokens));
}

Result<u32> Conversation::n_prompt_token(const Turn& turn) {
  Arena& scratch = turn.with.scratch;
  const Arena::Mark mark = scratch.mark();
  const Result<Span<const u32>> ids = prompt_ids(turn.with.tokenizer, turn.chat_template, scratch);
  Result<u32> n =
      ids.ok() ? Result<u32>(static_cast<u32>(ids.value().size())) : Result<u32>(ids.error());
  scratch.rewind(mark);
  return n;
}

// The first message that can be shown with all that follow it in at most `limit` tokens; the
// question alone may take the whole context. first_shown_ where not even that fits.
Result<u32> Conversation::first_that_fits(const Turn& turn, u32 limit) {
  const u32 before = first_shown_;
  const u32 last = n_message_ - 1;
  u32 found = before;
  while (first_shown_ < last && found == before) {
    first_shown_ += 2;
    Result<u32> n = n_prompt_token(turn);
    if (!n.ok()) {
      first_shown_ = before;
      return n.error();
    }
    if (n.value() <= (first_shown_ == last ? turn.with.session.n_ctx() : limit))
      found = first_shown_;
  }
  first_shown_ = before;
  return found;
}

// Leaves out the messages before `first`, and says so.
Status Conversation::leave_out(const Turn& turn, u32 first) {
  TextBuffer<48> which;
  const Str turns = turns_text(n_removed_ + first_shown_ / 2 + 1, n_removed_ + first / 2, which);
  TextBuffer<256> notice;
  if (overflow_ != Overflow::kSummarize) {
    notice.print(
        "the context is full: the prompt goes on without {} (overflow=drop_oldest); /show messages "
        "has the text",
        turns);
    turn.sink.on_notice(notice.text());
    first_shown_ = first;
    return {};
  }
  notice.print("the context is full: the model sums up {} (overflow=summarize) ...", turns);
  turn.sink.on_notice(notice.text());
  const Status made = summarize(turn, first);
  if (!made.ok() && made.error().code == ErrorCode::kCancelled) return made;
  first_shown_ = first;
  // A summary that takes more tokens than it was said in (no text of this world, but possible).
  for (bool fits = false; !fits && n_summary_ > 0;) {
    const Result<u32> n = n_prompt_token(turn);
    fits = !n.ok() || n.value() <= prompt_limit(turn);
    if (!fits) n_summary_ = first_bytes(summary(), n_summary_ / 2).size();
  }
  notice.clear();
  if (made.ok()) {
    notice.print("a summary of {} bytes stands in the place of {}; /show messages has both",
                 n_summary_, turns);
  } else {
    notice.print(
        "no summary could be made ({}): the prompt goes on without {}; /show messages has the text",
        made.error().what, turns);
  }
  turn.sink.on_notice(notice.text());
  return {};
}

// Puts the model's summary of the earlier summary and of all messages that are shown before `first`
// into summary_. After an error it is what it was.
Status Conversation::summarize(const Turn& turn, u32 first) {
  const Generator& with = turn.with;
  const Arena::Mark mark = with.scratch.mark();
  const Result<Str> request = summary_request(first, with.scratch);
  if (!request.ok()) return request.error();
  const ThinkRequest think = think_;
  think_ = ThinkRequest::kAvoid;
  const ChatMessage message = {"user", request.value(), {}};
  const Result<Prompt> prompt =
      render_with(with.tokenizer, turn.chat_template, {&message, 1}, with.scratch);
  think_ = think;
  const Result<Span<const u32>> ids = prompt.ok()
                                          ? encode(with.tokenizer, prompt.value(), with.scratch)
                                          : Result<Span<const u32>>(prompt.error());
  Status status = ids.ok() ? Status() : Status(ids.error());
  if (status.ok()) {
    NoSink unseen;
    AnswerCollector collector(text_.from(n_text_), {prompt.value().stop, false}, with.tokenizer,
                              prompt.value().segments, unseen);
    GenerateOptions options = turn.options;
    options.max_tokens = summary_tokens(with.session.n_ctx());
    options.digest = false;
    options.filter = nullptr;  // what answers must obey, a summary need not
    const Result<GenerateStats> stats =
        generate(with, ids.value(), options, collector, turn.interrupt);
    if (!stats.ok()) {
      status = stats.error();
    } else if (stats.value().stop == StopReason::kInterrupted) {
      status = fail(ErrorCode::kCancelled, "stopped by the user");
    } else {
      static_cast<void>(collector.finish());  // without its last words it is still a summary
      const Str text = first_bytes(collector.content().trimmed(), summary_.size());
      if (text.empty()) status = fail(ErrorCode::kMissing, "the model said nothing");
      if (status.ok()) {
        __builtin_memmove(summary_.data(), text.data(), text.size());
        n_summary_ = text.size();
      }
    }
  }
  with.scratch.rewind(mark);
  return status;
}

Result<Str> Conversation::summary_request(u32 first, Arena& scratch) const {
  u64 n_byte = kSummaryRequest.size() + n_summary_ + 64;
  for (u32 i = first_shown_; i < first; ++i) n_byte += entries_[i].size + 16u;
  Result<Span<char>> out = scratch.take<char>(n_byte, "conversation to sum up");
  if (!out.ok()) return out.error();
  TextWriter text(out.value());
  text.append(kSummaryRequest);
  if (n_summary_ > 0) text.append("What came before: ").append(summary()).append("\n");
  for (u32 i = first_shown_; i < first; ++i) {
    const Message said = message(i);
    text.append(said.role == Role::kUser ? "User: " : "Assistant: ").append(said.text).append("\n");
  }
  return text.text();
}

// Where the storage itself is full: removes the oldest turns for good, until a quarter of it and
// `n_byte` are free. False: nothing can be removed, or it would not help.
bool Conversation::make_storage(usize n_byte, GenerateSink& sink) {
  const u64 needed = u64{n_byte} + text_.size() / 4;
  if (overflow_ == Overflow::kStop || needed > text_.size() || n_message_ < 4) return false;
  u32 n = 0;
  while (n + 2 < n_message_ && (text_.size() - n_text_ + entries_[n].first < needed ||
                                n_message_ - n > kMaxMessages - kMaxMessages / 4)) {
    n += 2;
  }
  if (n == 0) return false;
  TextBuffer<48> which;
  TextBuffer<160> notice;
  notice.print("the memory for messages is full: {} removed for good",
               turns_text(n_removed_ + 1, n_removed_ + n / 2, which));
  sink.on_notice(notice.text());
  const u32 shift = entries_[n].first;
  __builtin_memmove(text_.data(), text_.data() + shift, n_text_ - shift);
  n_text_ -= shift;
  n_message_ -= n;
  for (u32 i = 0; i < n_message_; ++i) {
    entries_[i] = entries_[i + n];
    entries_[i].first -= shift;
  }
  first_shown_ = first_shown_ > n ? first_shown_ - n : 0;
  n_removed_ += n / 2;
  return true;
}

}  // namespace lbm
