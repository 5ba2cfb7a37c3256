// Speculative decoding changes the time and nothing else.
#include "core/infer/speculate.h"

#include "tests/chat/tiny_chat.h"

using namespace lbm;
using namespace lbm::test;

namespace {

// A text that repeats itself, so that there is something to find.
constexpr u32 kPrompt[] = {257, 'a', 'b', 'c', 'd', 'e', 'a', 'b', 'c', 'd', 'e', 'a', 'b', 258};

struct Run {
  Answer answer;
  GenerateStats stats;
  u32 n_past = 0;
  u32 next = 0;  // what the sampler would draw now: its random stream is where it should be
};

void run(Chat& chat, const SamplerParams& params, GenerateOptions options, Speculate mode,
         Run& out) {
  chat.sampler->set_params(params);
  options.digest = true;
  options.speculate = mode;
  REQUIRE(chat.engine.session().rewind(0).ok());
  const Result<GenerateStats> stats = generate(chat.with(), kPrompt, options, out.answer);
  REQUIRE(stats.ok());
  out.stats = stats.value();
  out.n_past = chat.engine.session().n_past();
  SamplerParams flat;
  flat.temperature = 1.0f;
  flat.top_k = 0;
  flat.top_p = 1.0f;
  flat.min_p = 0.0f;
  flat.seed = params.seed;
  chat.sampler->set_params(flat);
  static f32 zeros[kTinyVocab];
  out.next = chat.sampler->pick(zeros).value();
}

bool same_ids(const Answer& a, const Answer& b) {
  if (a.n_id != b.n_id) return false;
  for (u32 i = 0; i < a.n_id; ++i) {
    if (a.ids[i] != b.ids[i]) return false;
  }
  return true;
}

SamplerParams greedy(f32 penalty) {
  SamplerParams params;
  params.temperature = 0;
  params.repeat_penalty = penalty;
  return params;
}

SamplerParams seeded(f32 temperature, u64 seed) {
  SamplerParams params;
  params.temperature = temperature;
  params.repeat_penalty = 1.1f;
  params.seed = seed;
  return params;
}

}  // namespace

TEST_CASE("speculation: tokens, digest, random stream and session are the same with and without",
          "[infer]") {
  const SamplerParams samplers[] = {greedy(1.0f), greedy(1.3f), seeded(0.2f, 1), seeded(0.9f, 7)};
  u32 n_drafted = 0;
  u32 n_accepted = 0;
  for (const u32 n_batch : {32u, 3u, 1u}) {
    Chat chat(96, n_batch);
    for (const SamplerParams& params : samplers) {
      for (const u32 max_tokens : {1u, 2u, 3u, 9u, 40u, 0u}) {
        GenerateOptions options = at_most(max_tokens);
        options.stop_at_end = max_tokens == 40;
        Run off;
        run(chat, params, options, Speculate::kOff, off);
        CHECK(off.stats.n_drafted == 0);
        for (const Speculate mode : {Speculate::kAlways, Speculate::kAuto}) {
          Run on;
          run(chat, params, options, mode, on);
          CHECK(same_ids(on.answer, off.answer));
          CHECK(on.answer.str() == off.answer.str());
          CHECK(on.stats.digest == off.stats.digest);
          CHECK(on.stats.stop == off.stats.stop);
          CHECK(on.stats.n_output == off.stats.n_output);
          CHECK(on.stats.n_decoded == off.stats.n_decoded);
          CHECK(on.n_past == off.n_past);
          CHECK(on.next == off.next);
          CHECK(on.stats.n_accepted <= on.stats.n_drafted);
          if (max_tokens <= 2 && max_tokens != 0) CHECK(on.stats.n_accepted == 0);
          n_drafted += on.stats.n_drafted;
          n_accepted += on.stats.n_accepted;
        }
      }
    }
  }
  // Both outcomes of a guess were there.
  CHECK(n_accepted >= 30);
  CHECK(n_drafted > n_accepted + 100);
}

TEST_CASE("speculation: an answer may be stopped anywhere", "[infer]") {
  Chat chat(96);
  GenerateOptions options = at_most(60);
  options.stop_at_end = false;
  Answer whole;
  REQUIRE(generate(chat.with(), kPrompt, options, whole).ok());
  options.speculate = Speculate::kAlways;
  for (u32 n = 1; n < 40; n += 3) {
    REQUIRE(chat.engine.session().rewind(0).ok());
    Answer part;
    StopAfter stop{n};
    const Result<GenerateStats> stats =
        generate(chat.with(), kPrompt, options, part, stop.interrupt());
    REQUIRE(stats.ok());
    // All that was emitted is a prefix, and the session holds all of it but the last.
    for (u32 i = 0; i < part.n_id; ++i) CHECK(part.ids[i] == whole.ids[i]);
    if (stats.value().stop != StopReason::kInterrupted || part.n_id == 0) continue;
    const Span<const u32> held = chat.engine.session().tokens();
    REQUIRE(held.size() == sizeof(kPrompt) / sizeof(kPrompt[0]) + part.n_id - 1);
    CHECK(held[held.size() - 1] == (part.n_id == 1 ? 258 : part.ids[part.n_id - 2]));
  }
}

TEST_CASE("speculation: text that is refused ends the answer at the same place", "[infer]") {
  for (const usize room : {usize{1}, usize{9}, usize{33}}) {
    u32 n_past = 0;
    for (const Speculate mode : {Speculate::kOff, Speculate::kAlways}) {
      Chat chat(96);
      Answer answer;
      answer.room = room;
      GenerateOptions options = at_most(80);
      options.stop_at_end = false;
      options.speculate = mode;
      const Result<GenerateStats> stats = generate(chat.with(), kPrompt, options, answer);
      REQUIRE(stats.ok());
      if (mode == Speculate::kOff) n_past = chat.engine.session().n_past();
      CHECK(chat.engine.session().n_past() == n_past);
    }
  }
}

TEST_CASE("session: logits of the last tokens stay after a rewind, others are gone", "[infer]") {
  Chat chat(96);
  Session& session = chat.engine.session();
  CHECK(session.logits().empty());
  REQUIRE(session.evaluate_each({kPrompt, 6}).ok());
  f32 third[kTinyVocab];
  __builtin_memcpy(third, session.logits_at(2).data(), sizeof(third));
  REQUIRE(session.rewind(3).ok());
  REQUIRE(!session.logits().empty());
  CHECK(__builtin_memcmp(third, session.logits().data(), sizeof(third)) == 0);
  CHECK(session.logits_at(3).empty());
  // The same one by one.
  REQUIRE(session.rewind(0).ok());
  CHECK(session.logits().empty());
  for (u32 i = 0; i < 3; ++i) REQUIRE(session.decode(kPrompt[i]).ok());
  CHECK(__builtin_memcmp(third, session.logits().data(), sizeof(third)) == 0);
  REQUIRE(session.rewind(2).ok());
  CHECK(session.logits().empty());
}

TEST_CASE("speculation: the record spends time only where it comes back", "[infer]") {
  // Batches cost little more than one token and guesses come true: long guesses.
  SpeculationRecord cheap;
  for (u32 i = 0; i < 40; ++i) {
    const u32 n = cheap.worth(8, kMaxGuess) + 1;
    cheap.measure(n, 1000 + 50 * (n - 1));
    for (u32 guess = 1; guess < n; ++guess) cheap.judge(8, true);
  }
  cheap.measure(1, 1000);
  CHECK(cheap.worth(8, kMaxGuess) == kMaxGuess);
  CHECK(cheap.worth(8, 3) == 3);
  // They stop coming true: no guesses, whatever they cost.
  for (u32 i = 0; i < 60; ++i) cheap.judge(8, false);
  CHECK(cheap.worth(8, kMaxGuess) == 0);

  // Every token of a batch costs as much as one alone (no vector unit to spare): nothing is gained,
  // and little is spent on finding out, however often guesses come true.
  for (const u32 period : {2u, 10u, 100u}) {
    SpeculationRecord dear;
    u32 n_token = 0;
    u32 spent = 0;
    while (n_token < 2000) {
      const u32 n = dear.worth(3, kMaxGuess) + 1;
      dear.measure(n, 1000 * n);
      spent += n;
      ++n_token;
      bool came_true = n_token % period != 0;
      for (u32 guess = 1; guess < n && came_true; ++guess) {
        dear.judge(3, true);
        came_true = ++n_token % period != 0;
      }
      dear.judge(3, came_true);
    }
    CHECK(spent * 100 <= n_token * 103);
  }
}
