// Biases and penalties by count: what comes before everything that draws (docs/numerics.md R18).
#include "core/base/arena.h"
#include "core/infer/sampler.h"
#include "tests/test.h"

using namespace lbm;

namespace {

u8 g_memory[256 * 1024];

Sampler* make_sampler(Arena& arena, const SamplerParams& params) {
  Result<Sampler*> sampler = Sampler::create(arena, 4);
  REQUIRE(sampler.ok());
  sampler.value()->set_params(params);
  sampler.value()->reset();
  return sampler.value();
}

SamplerParams greedy() {
  SamplerParams params;
  params.temperature = 0.0f;
  return params;
}

}  // namespace

TEST_CASE("a bias is added to the score of its token", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  Sampler* sampler = make_sampler(arena, greedy());
  const f32 logits[4] = {1.0f, 3.0f, 2.0f, 0.0f};
  CHECK(sampler->pick(logits).value() == 1);
  const TokenBias biases[] = {{1, -1.5f}, {3, 1.0f}, {400, 100.0f}};
  sampler->set_bias(Span<const TokenBias>(biases));
  CHECK(sampler->pick(logits).value() == 2);
  const TokenBias same[] = {{3, 2.0f}, {3, 1.5f}};  // both count
  sampler->set_bias(Span<const TokenBias>(same));
  CHECK(sampler->pick(logits).value() == 3);
  sampler->set_bias({});
  CHECK(sampler->pick(logits).value() == 1);
}

TEST_CASE("penalties by count look at the answer, not at the prompt", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  SamplerParams params = greedy();
  params.frequency_penalty = 0.5f;
  Sampler* sampler = make_sampler(arena, params);
  const f32 logits[4] = {1.0f, 3.0f, 2.25f, 0.0f};
  for (int i = 0; i < 9; ++i) sampler->accept(1);
  sampler->begin_answer();
  CHECK(sampler->pick(logits).value() == 1);
  sampler->accept(1);  // 2.5
  CHECK(sampler->pick(logits).value() == 1);
  sampler->accept(1);  // 2.0
  CHECK(sampler->pick(logits).value() == 2);
  sampler->accept(9000);  // of no vocabulary: nothing happens
  CHECK(sampler->pick(logits).value() == 2);
}

TEST_CASE("a presence penalty counts once, a negative one invites", "[infer]") {
  Arena arena{Span<u8>(g_memory)};
  SamplerParams params = greedy();
  params.presence_penalty = 1.0f;
  Sampler* sampler = make_sampler(arena, params);
  const f32 logits[4] = {1.0f, 3.0f, 1.5f, 0.0f};
  sampler->begin_answer();
  for (int i = 0; i < 5; ++i) sampler->accept(1);  // 2.0
  CHECK(sampler->pick(logits).value() == 1);
  params.presence_penalty = -2.0f;
  sampler->set_params(params);
  sampler->reset();
  sampler->begin_answer();
  sampler->accept(2);  // 3.5
  CHECK(sampler->pick(logits).value() == 2);
}
