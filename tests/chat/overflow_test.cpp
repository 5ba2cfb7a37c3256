// A conversation that outgrows its context: nothing is lost without a word.
#include "tests/chat/tiny_chat.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kContext = 2048;
constexpr u32 kTurns = 24;

// "q07 xxx...": the number tells which turn it was.
Str question(u32 turn, Span<char> out) {
  TextWriter text(out);
  text.print("q{}{} ", turn / 10, turn % 10);
  while (text.text().size() < 100) text.append("x");
  return text.text();
}

bool has_question(Str prompt, u32 turn) {
  TextBuffer<8> mark;
  return prompt.contains(mark.print("q{}{} ", turn / 10, turn % 10).text());
}

// The text of the prompt that the next turn would begin with.
Str prompt_text(Chat& chat, Span<char> out) {
  Arena& arena = chat.engine.turn_arena();
  const Arena::Mark mark = arena.mark();
  const Result<Span<const u32>> ids =
      chat.conversation->prompt_ids(chat.engine.tokenizer(), chat.engine.chat_template(), arena);
  REQUIRE(ids.ok());
  usize n = 0;
  for (const u32 id : ids.value()) {
    char piece[64];
    const Str text = chat.engine.tokenizer().piece(id, true, piece);
    if (n + text.size() > out.size()) break;
    __builtin_memcpy(out.data() + n, text.data(), text.size());
    n += text.size();
  }
  arena.rewind(mark);
  return {out.data(), n};
}

// Cuts the number off the front of `text`.
bool take_number(Str& text, u32& out) {
  usize n = 0;
  while (n < text.size() && text[n] >= '0' && text[n] <= '9') ++n;
  u64 number = 0;
  if (!parse_u64(text.first(n), number)) return false;
  out = static_cast<u32>(number);
  text = text.from(n);
  return true;
}

// The turns that the first of the notices names: "turns 3 to 7" or "turn 3".
bool named_turns(Str notices, u32& first, u32& last) {
  usize at = notices.find("turn ");
  usize skip = 5;
  if (const usize several = notices.find("turns "); several < at) {
    at = several;
    skip = 6;
  }
  if (at == Str::kNone) return false;
  Str rest = notices.from(at + skip);
  if (!take_number(rest, first)) return false;
  last = first;
  if (!rest.starts_with(" to ")) return true;
  rest = rest.from(4);
  return take_number(rest, last);
}

TinyModel long_model() {
  TinyModel model;
  model.n_ctx = kContext;
  return model;
}

GenerateOptions short_answers() {
  GenerateOptions options = at_most(24);
  options.stop_at_end = false;
  return options;
}

// Has kTurns turns, and checks that exactly what the notices named is missing from the prompts.
void run_session(Chat& chat, Str word) {
  u32 n_named = 0;   // turns that notices named so far
  u32 n_notice = 0;  // turns that came with one
  for (u32 turn = 1; turn <= kTurns; ++turn) {
    char text[128];
    Answer answer;
    const Result<GenerateStats> stats = chat.say(question(turn, text), short_answers(), answer);
    REQUIRE(stats.ok());
    CHECK(stats.value().n_output > 0);
    u32 first = 0;
    u32 last = 0;
    if (named_turns(answer.notices(), first, last)) {
      ++n_notice;
      CHECK(first == n_named + 1);  // none is skipped, none is named twice
      CHECK(last >= first);
      CHECK(last < turn);
      CHECK(answer.notices().contains(word));
      n_named = last;
    }
    CHECK(chat.conversation->first_shown() == 2 * n_named);
    static char prompt[4 * kContext];
    const Str shown = prompt_text(chat, prompt);
    for (u32 k = 1; k <= turn; ++k) CHECK(has_question(shown, k) == (k > n_named));
    CHECK(chat.engine.session().n_past() <= kContext);
  }
  CHECK(n_notice >= 1);
  CHECK(n_notice < kTurns / 3);  // room is made for several turns at once
  // Nothing is gone from the conversation itself.
  REQUIRE(chat.conversation->n_message() == 2 * kTurns);
  for (u32 k = 1; k <= kTurns; ++k)
    CHECK(has_question(chat.conversation->message(2 * k - 2).text, k));
}

}  // namespace

TEST_CASE("overflow: stop refuses the question by name, and nothing is lost", "[chat]") {
  Chat chat(long_model());
  u32 n_turn = 0;
  Error error;
  while (n_turn < 2 * kTurns) {
    char text[128];
    Answer answer;
    const Result<GenerateStats> stats =
        chat.say(question(n_turn + 1, text), short_answers(), answer);
    CHECK(answer.n_notice == 0);
    if (!stats.ok()) {
      error = stats.error();
      break;
    }
    ++n_turn;
  }
  CHECK(error.code == ErrorCode::kContextFull);
  CHECK(error.limit == kContext);
  REQUIRE(chat.conversation->n_message() == 2 * n_turn);
  CHECK(chat.conversation->first_shown() == 0);
  static char prompt[4 * kContext];
  const Str shown = prompt_text(chat, prompt);
  for (u32 k = 1; k <= n_turn; ++k) CHECK(has_question(shown, k));
  // Another policy, and it goes on.
  chat.conversation->set_overflow(Overflow::kDropOldest);
  char text[128];
  Answer answer;
  CHECK(chat.say(question(n_turn + 1, text), short_answers(), answer).ok());
  CHECK(answer.notices().contains("without turns 1 to "));
}

TEST_CASE("overflow: drop_oldest leaves out whole turns and names them", "[chat]") {
  Chat chat(long_model());
  REQUIRE(chat.conversation->set_system("s07 stays").ok());
  chat.conversation->set_overflow(Overflow::kDropOldest);
  run_session(chat, "overflow=drop_oldest");
  static char prompt[4 * kContext];
  CHECK(prompt_text(chat, prompt).contains("s07 stays"));
  CHECK(chat.conversation->summary().empty());
}

TEST_CASE("overflow: summarize puts the model's summary in their place", "[chat]") {
  Chat chat(long_model());
  REQUIRE(chat.conversation->set_system("s07 stays").ok());
  chat.conversation->set_overflow(Overflow::kSummarize);
  run_session(chat, "overflow=summarize");
  CHECK(!chat.conversation->summary().empty());
  static char prompt[4 * kContext];
  const Str shown = prompt_text(chat, prompt);
  CHECK(shown.contains("s07 stays"));
  CHECK(shown.contains("Summary of the conversation so far: "));
  chat.conversation->reset();
  CHECK(chat.conversation->summary().empty());
}

TEST_CASE("overflow: where no summary comes, the turns are left out, and that is said", "[chat]") {
  // Every answer is empty: the end of the turn at once.
  static const u32 kSilent[] = {'\n', 258};
  TinyModel model = long_model();
  model.script = kSilent;
  Chat chat(model);
  chat.conversation->set_overflow(Overflow::kSummarize);
  Answer last;
  for (u32 turn = 1; turn <= kTurns && last.n_notice == 0; ++turn) {
    char text[128];
    Answer answer;
    REQUIRE(chat.say(question(turn, text), at_most(24), answer).ok());
    if (answer.n_notice == 0) continue;
    CHECK(answer.n_notice == 2);
    CHECK(answer.notices().contains("the model sums up turns 1 to "));
    CHECK(answer.notices().contains("no summary could be made (the model said nothing)"));
    CHECK(answer.notices().contains("goes on without turns 1 to "));
    last = answer;
  }
  CHECK(last.n_notice == 2);
  CHECK(chat.conversation->summary().empty());
}

TEST_CASE("overflow: a stopped summary takes the question back and leaves nothing out", "[chat]") {
  Chat chat(long_model(), 0, 1);
  chat.conversation->set_overflow(Overflow::kSummarize);
  for (u32 turn = 1; turn <= 6; ++turn) {
    char text[128];
    Answer answer;
    REQUIRE(chat.say(question(turn, text), short_answers(), answer).ok());
  }
  // The next turns come to a summary, which Esc stops at once.
  for (u32 turn = 7; turn <= kTurns; ++turn) {
    char text[128];
    Answer answer;
    const u32 n_message = chat.conversation->n_message();
    StopAfter now{0};
    const Result<GenerateStats> stats =
        chat.say(question(turn, text), short_answers(), answer, now.interrupt());
    CHECK(chat.conversation->n_message() == n_message);
    CHECK(chat.conversation->first_shown() == 0);
    if (answer.n_notice != 0) {
      REQUIRE(!stats.ok());
      CHECK(stats.error().code == ErrorCode::kCancelled);
      return;
    }
    Answer again;
    REQUIRE(chat.say(question(turn, text), short_answers(), again).ok());
  }
  CHECK(false);  // no turn came to a summary
}

TEST_CASE("overflow: a question too long for any context is refused, and all turns stay",
          "[chat]") {
  Chat chat;
  chat.conversation->set_overflow(Overflow::kDropOldest);
  Answer answer;
  REQUIRE(chat.say("q01 short", at_most(3), answer).ok());
  static char text[300];
  __builtin_memset(text, 'x', sizeof(text));
  Answer refused;
  const Result<GenerateStats> stats = chat.say(Str(text, sizeof(text)), at_most(3), refused);
  REQUIRE(!stats.ok());
  CHECK(stats.error().code == ErrorCode::kContextFull);
  CHECK(refused.n_notice == 0);
  CHECK(chat.conversation->n_message() == 2);
  CHECK(chat.conversation->first_shown() == 0);
}

TEST_CASE("overflow: full storage removes the oldest turns for good only where that is asked for",
          "[chat]") {
  Chat chat;
  Conversation* small = Conversation::create(chat.arena, 600).value();
  static char text[100];
  __builtin_memset(text, 'x', sizeof(text));
  const auto say = [&](Answer& answer) {
    return small->say(chat.with(), chat.engine.chat_template(), Str(text, sizeof(text)), at_most(4),
                      answer);
  };
  small->set_overflow(Overflow::kDropOldest);
  u32 n_removed = 0;
  for (u32 i = 0; i < 12; ++i) {
    Answer answer;
    REQUIRE(say(answer).ok());
    if (!answer.notices().contains("removed for good")) continue;
    const usize at = answer.notices().find("the memory for messages is full: ");
    u32 first = 0;
    u32 last = 0;
    REQUIRE(named_turns(answer.notices().from(at), first, last));
    CHECK(first == n_removed + 1);
    n_removed = last;
  }
  CHECK(n_removed > 0);
  CHECK(small->n_message() == 2 * (12 - n_removed));
}

TEST_CASE("conversation: undo takes back turns, and what was evaluated before them stays",
          "[chat]") {
  Chat chat;
  Answer first;
  REQUIRE(chat.say("one", at_most(4), first).ok());
  Answer second;
  REQUIRE(chat.say("two", at_most(4), second).ok());
  CHECK(chat.conversation->undo(1) == 1);
  CHECK(chat.conversation->n_message() == 2);
  Answer again;
  const Result<GenerateStats> stats = chat.say("two", at_most(4), again);
  REQUIRE(stats.ok());
  CHECK(again.str() == second.str());
  CHECK(stats.value().n_evaluated == 1);  // the last token of the prompt, for its logits
  CHECK(chat.conversation->undo(9) == 2);
  CHECK(chat.conversation->n_message() == 0);
  CHECK(chat.conversation->undo(1) == 0);
}

TEST_CASE("conversation: an answer is given again, and the old one stays until the new one begins",
          "[chat]") {
  Chat chat(0, 1);
  Answer none;
  CHECK(chat.conversation->say_again(chat.with(), chat.engine.chat_template(), at_most(4), none)
            .error()
            .code == ErrorCode::kNotFound);
  Answer first;
  REQUIRE(chat.say("one", at_most(8), first).ok());
  char kept[64];
  const Str old = chat.conversation->message(1).text;
  REQUIRE(old.size() < sizeof(kept));
  __builtin_memcpy(kept, old.data(), old.size());
  // Stopped before it began.
  StopAfter now{0};
  Answer stopped;
  REQUIRE(chat.conversation
              ->say_again(chat.with(), chat.engine.chat_template(), at_most(8), stopped,
                          now.interrupt())
              .ok());
  REQUIRE(chat.conversation->n_message() == 2);
  CHECK(chat.conversation->message(1).text == Str(kept, old.size()));
  // With another seed, another answer to the same question.
  SamplerParams params;
  params.temperature = 1.5f;
  params.top_k = 0;
  params.seed = 7;
  chat.sampler->set_params(params);
  Answer second;
  REQUIRE(chat.conversation->say_again(chat.with(), chat.engine.chat_template(), at_most(8), second)
              .ok());
  REQUIRE(chat.conversation->n_message() == 2);
  CHECK(chat.conversation->message(0).text == "one");
  CHECK(chat.conversation->message(1).text == second.str());
}

TEST_CASE("conversation: a turn of an earlier session is taken up, or refused whole", "[chat]") {
  Chat chat;
  REQUIRE(chat.conversation->add_turn("q", "a", "r", false).ok());
  REQUIRE(chat.conversation->n_message() == 2);
  CHECK(chat.conversation->message(0).text == "q");
  CHECK(chat.conversation->message(1).text == "a");
  CHECK(chat.conversation->message(1).reasoning == "r");
  CHECK(!chat.conversation->message(1).complete);
  static char text[64 * 1024];
  __builtin_memset(text, 'x', sizeof(text));
  CHECK(chat.conversation->add_turn("q", Str(text, sizeof(text)), "", true).error().code ==
        ErrorCode::kContextFull);
  CHECK(chat.conversation->n_message() == 2);
}
