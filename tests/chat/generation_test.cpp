// Answers made step by step: the same as those made in one go, however they are cut.
#include "core/chat/generation.h"

#include "tests/chat/tiny_chat.h"

using namespace lbm;
using namespace lbm::test;

namespace {

constexpr u32 kPrompt[] = {257, 'h', 'e', 'l', 'l', 'o', 258};

GenerateOptions with_digest(u32 max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.digest = true;
  return options;
}

}  // namespace

TEST_CASE("generation: steps of any size give the answer of generate()", "[chat]") {
  const GenerateOptions options = with_digest(6);
  Answer whole;
  GenerateStats expected;
  {
    Chat chat;  // one at a time: they share the memory of tests
    const Result<GenerateStats> stats = generate(chat.with(), kPrompt, options, whole);
    REQUIRE(stats.ok());
    expected = stats.value();
  }
  const u32 sizes[] = {1, 3, Generation::kWholePrompt};
  for (const u32 size : sizes) {
    Chat chat;
    Answer answer;
    const Generator with = chat.with();
    const u64 used = with.scratch.bytes_used();
    Generation generation(with, options, answer);
    REQUIRE(generation.begin(kPrompt).ok());
    u32 n_prompt_step = 0;
    for (; !generation.prefilled(); ++n_prompt_step) REQUIRE(generation.step(size).ok());
    CHECK(n_prompt_step == (size == 1 ? 7 : size == 3 ? 3 : 1));
    CHECK(generation.n_prompt_done() == 7);
    CHECK(answer.n_id == 0);
    for (u32 n = 1; !generation.done(); ++n) {
      REQUIRE(generation.step(size).ok());
      CHECK(answer.n_id == n);
    }
    const Result<GenerateStats> stats = generation.finish();
    REQUIRE(stats.ok());
    CHECK(stats.value().digest == expected.digest);
    CHECK(stats.value().n_evaluated == 7);
    CHECK(stats.value().n_decoded == expected.n_decoded);
    CHECK(answer.str() == whole.str());
    CHECK(with.scratch.bytes_used() == used);
  }
}

TEST_CASE("generation: one that is stopped has what came until then", "[chat]") {
  Chat chat;
  Answer answer;
  Generation generation(chat.with(), with_digest(6), answer);
  REQUIRE(generation.begin(kPrompt).ok());
  REQUIRE(generation.step(Generation::kWholePrompt).ok());
  REQUIRE(generation.step(1).ok());
  generation.stop();
  CHECK(generation.done());
  const Result<GenerateStats> stats = generation.finish();
  REQUIRE(stats.ok());
  CHECK(stats.value().stop == StopReason::kInterrupted);
  CHECK(stats.value().n_output == 1);
  CHECK(answer.n_id == 1);
}

TEST_CASE("conversation: a turn in steps is that of say(), and is taken back when it was stopped",
          "[chat]") {
  const GenerateOptions options = with_digest(6);
  Answer whole;
  GenerateStats expected;
  {
    Chat chat;
    const Result<GenerateStats> stats = chat.say("hi", options, whole);
    REQUIRE(stats.ok());
    expected = stats.value();
  }
  Chat chat;
  Answer answer;
  const Generator with = chat.with();
  const u64 used = with.scratch.bytes_used();
  Result<Generation*> begun =
      chat.conversation->begin_say(with, chat.engine.chat_template(), "hi", options, answer);
  REQUIRE(begun.ok());
  begun.value()->stop();
  REQUIRE(chat.conversation->end_say().ok());
  CHECK(chat.conversation->n_message() == 0);
  CHECK(with.scratch.bytes_used() == used);

  Result<Generation*> again =
      chat.conversation->begin_say(with, chat.engine.chat_template(), "hi", options, answer);
  REQUIRE(again.ok());
  while (!again.value()->done()) REQUIRE(again.value()->step(2).ok());
  const Result<GenerateStats> stats = chat.conversation->end_say();
  REQUIRE(stats.ok());
  CHECK(stats.value().digest == expected.digest);
  REQUIRE(chat.conversation->n_message() == 2);
  CHECK(chat.conversation->message(1).text == whole.str());
  CHECK(with.scratch.bytes_used() == used);
}
