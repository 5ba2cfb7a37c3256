#include "core/base/arena.h"
#include "core/infer/sampler.h"
#include "tests/test.h"

using namespace lbm;

namespace {

u8 g_memory[256 * 1024];

Sampler* make_sampler(Arena& arena, u32 n_vocab, const SamplerParams& params) {
  Result<Sampler*> sampler = Sampler::create(arena, n_vocab);
  REQUIRE(sampler.ok());
  sampler.value()->set_params(params);
  sampler.value()->reset();
  return sampler.value();
}

SamplerParams plain(f32 temperature) {
  SamplerParams p;
  p.temperature = temperature;
  p.top_k = 0;
  p.top_p = 1.0f;
  p.min_p = 0.0f;
  return p;
}

}  // namespace

TEST_CASE("temperature 0 takes the largest logit, the lower index on a tie", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  Sampler* sampler = make_sampler(arena, 5, plain(0.0f));
  const f32 logits[5] = {-1.0f, 3.0f, 2.0f, 3.0f, -7.0f};
  CHECK(sampler->pick(logits).value() == 1);
}

TEST_CASE("a logit that is not finite is an error, whatever the temperature", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  for (const f32 bad : {__builtin_nanf(""), __builtin_inff(), -__builtin_inff()}) {
    for (const f32 temperature : {0.0f, 0.7f}) {
      Sampler* sampler = make_sampler(arena, 3, plain(temperature));
      const f32 logits[3] = {0.0f, bad, 1.0f};
      const Result<u32> r = sampler->pick(logits);
      REQUIRE(!r.ok());
      CHECK(r.error().code == ErrorCode::kNumeric);
      CHECK(r.error().value == 1);
    }
  }
}

TEST_CASE("draws follow the softmax", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  Sampler* sampler = make_sampler(arena, 3, plain(1.0f));
  const f32 logits[3] = {0.0f, 0.6931472f, 1.3862944f};  // weights 1 : 2 : 4
  u32 counts[3] = {};
  for (u32 i = 0; i < 7000; ++i) ++counts[sampler->pick(logits).value()];
  // Four standard deviations of a binomial with 7,000 draws.
  CHECK((counts[0] > 860 && counts[0] < 1140));
  CHECK((counts[1] > 1840 && counts[1] < 2160));
  CHECK((counts[2] > 3830 && counts[2] < 4170));
}

TEST_CASE("a seed gives the same tokens again, another seed others", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  SamplerParams params = plain(1.0f);
  params.seed = 42;
  f32 logits[64];
  for (u32 i = 0; i < 64; ++i) logits[i] = static_cast<f32>(i % 7) * 0.1f;
  Sampler* sampler = make_sampler(arena, 64, params);
  u32 first[16];
  for (u32& token : first) token = sampler->pick(logits).value();
  sampler->reset();
  bool same = true;
  for (const u32 token : first) same = same && token == sampler->pick(logits).value();
  CHECK(same);
  params.seed = 43;
  sampler->set_params(params);
  sampler->reset();
  bool other = false;
  for (const u32 token : first) other = other || token != sampler->pick(logits).value();
  CHECK(other);
}

TEST_CASE("top-k, top-p and min-p cut the tail", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  f32 logits[100];
  for (u32 i = 0; i < 100; ++i) logits[i] = static_cast<f32>(99 - i) * 0.02f;  // falling slowly
  SamplerParams params = plain(1.0f);
  params.top_k = 3;
  Sampler* sampler = make_sampler(arena, 100, params);
  for (u32 i = 0; i < 300; ++i) CHECK(sampler->pick(logits).value() < 3);
  params = plain(1.0f);
  params.top_p = 0.0f;  // always at least the best one
  sampler->set_params(params);
  for (u32 i = 0; i < 20; ++i) CHECK(sampler->pick(logits).value() == 0);
  params = plain(1.0f);
  params.min_p = 0.9f;  // e^(-0.02 i) >= 0.9 leaves i <= 5
  sampler->set_params(params);
  for (u32 i = 0; i < 300; ++i) CHECK(sampler->pick(logits).value() <= 5);
}

TEST_CASE("extreme temperatures neither overflow nor divide by zero", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  const f32 logits[3] = {1.0f, 1.5f, 1e30f};
  Sampler* cold = make_sampler(arena, 3, plain(1e-9f));
  CHECK(cold->pick(logits).value() == 2);
  Sampler* hot = make_sampler(arena, 3, plain(1e9f));
  const f32 mild[3] = {-50.0f, 0.0f, 50.0f};
  u32 seen = 0;
  for (u32 i = 0; i < 200; ++i) seen |= 1u << hot->pick(mild).value();
  CHECK(seen == 7);
}

TEST_CASE("the repeat penalty looks at the newest tokens and counts each once", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  SamplerParams params = plain(0.0f);
  params.repeat_penalty = 2.0f;
  params.repeat_last_n = 2;
  Sampler* sampler = make_sampler(arena, 3, params);
  const f32 logits[3] = {3.0f, 2.0f, -1.0f};
  CHECK(sampler->pick(logits).value() == 0);
  sampler->accept(0);
  sampler->accept(0);
  CHECK(sampler->pick(logits).value() ==
        1);  // 3 / 2 < 2; counted twice it would be 0.75, the same winner
  sampler->accept(1);
  CHECK(sampler->pick(logits).value() == 0);  // 1.5 against 1
  sampler->accept(2);
  CHECK(sampler->pick(logits).value() == 0);  // 0 has left the window
}

TEST_CASE("order of candidates is total: equal scores by index", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  SamplerParams params = plain(1.0f);
  params.top_k = 4;
  f32 logits[50] = {};
  Sampler* sampler = make_sampler(arena, 50, params);
  for (u32 i = 0; i < 200; ++i) CHECK(sampler->pick(logits).value() < 4);
}

TEST_CASE("sampler: no n-gram comes twice in an answer, and the prompt does not count", "[infer]") {
  alignas(64) static u8 memory[256 * 1024];
  Arena arena(memory);
  Sampler* sampler = Sampler::create(arena, 4).value();
  SamplerParams params;
  params.temperature = 0;
  params.no_repeat_ngram = 2;
  sampler->set_params(params);
  sampler->reset();
  for (u32 i = 0; i < 4; ++i) sampler->accept(3);  // a prompt says what it likes
  sampler->begin_answer();
  const f32 logits[] = {1.0f, 2.0f, 3.0f, 4.0f};
  // Of two tokens in a row: 3 3, then 3 2 (3 3 was there), 2 3, 3 1, 1 3, 3 0 ...
  const u32 expected[] = {3, 3, 2, 3, 1, 3, 0, 3};
  for (const u32 token : expected) {
    const Result<u32> picked = sampler->pick(logits);
    REQUIRE(picked.ok());
    CHECK(picked.value() == token);
    sampler->accept(picked.value());
  }
  // Everything is barred after 3: still a token, the first.
  CHECK(sampler->pick(logits).ok());
}
