// The loop guard, on made streams of tokens and in an answer.
#include "core/chat/loop_guard.h"

#include "tests/chat/tiny_chat.h"

using namespace lbm;
using namespace lbm::test;

namespace {

// After how many tokens of the endless run of `period` different ones the guard speaks; 0: never.
u32 stops_after(u32 n_repeat, u32 period, u32 n_token) {
  LoopGuard guard(n_repeat);
  for (u32 i = 0; i < n_token; ++i) {
    if (guard.add(1000 + i % period)) {
      CHECK(guard.period() == period);
      return i + 1;
    }
  }
  return 0;
}

}  // namespace

TEST_CASE("loop guard: speaks after so many equal runs, and not before they are long enough",
          "[chat]") {
  CHECK(stops_after(6, 1, 200) == LoopGuard::kMinTokens);  // a ruler of 47 dashes passes
  CHECK(stops_after(6, 8, 200) == 48);
  CHECK(stops_after(6, 20, 200) == 120);
  CHECK(stops_after(3, 20, 200) == 60);
  CHECK(stops_after(2, 256, 2000) == 512);
  CHECK(stops_after(2, 257, 2000) == 0);  // longer than it looks
  CHECK(stops_after(0, 1, 2000) == 0);
  CHECK(stops_after(1, 100, 2000) == stops_after(2, 100, 2000));
}

TEST_CASE("loop guard: what only resembles a loop goes on, what begins late is found", "[chat]") {
  {
    // A list: every item differs in one token.
    LoopGuard guard(6);
    bool stopped = false;
    for (u32 i = 0; i < 600; ++i) stopped = stopped || guard.add(i % 10 == 0 ? 5000 + i : i % 10);
    CHECK(!stopped);
  }
  {
    LoopGuard guard(6);
    u32 n = 0;
    for (; n < 300; ++n) CHECK(!guard.add(n * 7919 % 10007));
    while (n < 1000 && !guard.add(n % 12)) ++n;
    CHECK(n == 300 + 72 - 1);
  }
}

TEST_CASE("loop guard: an answer that repeats itself is stopped, and the conversation goes on",
          "[chat]") {
  // Knows one token after another, in a circle.
  static const u32 kCircle[] = {'\n', 'n', 'o', ' ', 'n' + 1, '\n' + 1};
  TinyModel model;
  model.script = kCircle;
  Chat chat(model);
  GenerateOptions options = at_most(200);
  options.stop_at_end = false;
  options.loop_guard = 4;
  Answer answer;
  const Result<GenerateStats> stats = chat.say("say it", options, answer);
  REQUIRE(stats.ok());
  CHECK(stats.value().stop == StopReason::kLoop);
  CHECK(stats.value().loop_period >= 1);
  CHECK(stats.value().n_output < 200);
  REQUIRE(chat.conversation->n_message() == 2);
  CHECK(!chat.conversation->message(1).complete);
  CHECK(stop_reason_name(stats.value().stop) == "loop");
}
