// Top-p sampling against vectors from its definition (reference: section 3.5 of the browser's
// facts).
//
// The definition draws with "the first token whose running sum passes u" and falls back to the most
// probable one where rounding leaves none. Ours (docs/numerics.md R18) differs in two points,
// neither of which these vectors can tell: weights are relative to the best one instead of divided
// by their sum, so there is no second rounding to fall from, and the fallback is the last token
// kept, which is where a sum that came out too small was going; and the random stream goes on from
// draw to draw instead of beginning anew with each, which would give every token of an answer the
// same u.
#include "core/infer/sampler.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kTokens = 8;
constexpr u32 kDraws = 12;

struct Vector {
  f32 logits[kTokens];
  f32 temperature;
  f32 top_p;
  u64 seed;
  u32 kept[kTokens];
  u32 n_kept;
  u32 drawn[kDraws];
};

// Printed by tests/expected/top_p_vectors.py.
constexpr Vector kVectors[] = {
    {{0.5f, 2.0f, -1.0f, 2.0f, 1.25f, 0.0f, -3.0f, 1.0f},
     1.0f,
     0.9f,
     1,
     {1, 3, 4, 7, 0, 0, 0, 0},
     5,
     {4, 3, 3, 0, 4, 3, 3, 1, 4, 7, 7, 1}},
    {{0.5f, 2.0f, -1.0f, 2.0f, 1.25f, 0.0f, -3.0f, 1.0f},
     0.7f,
     0.6f,
     2,
     {1, 3, 0, 0, 0, 0, 0, 0},
     2,
     {3, 3, 1, 1, 3, 1, 1, 3, 1, 3, 1, 3}},
    {{0.5f, 2.0f, -1.0f, 2.0f, 1.25f, 0.0f, -3.0f, 1.0f},
     2.0f,
     0.95f,
     3,
     {1, 3, 4, 7, 0, 5, 2, 0},
     7,
     {3, 7, 0, 1, 4, 1, 4, 3, 1, 3, 3, 7}},
    {{0.5f, 2.0f, -1.0f, 2.0f, 1.25f, 0.0f, -3.0f, 1.0f},
     1.0f,
     0.05f,
     4,
     {1, 0, 0, 0, 0, 0, 0, 0},
     1,
     {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}},
    {{0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f},
     1.0f,
     0.5f,
     5,
     {0, 1, 2, 3, 0, 0, 0, 0},
     4,
     {1, 1, 1, 0, 2, 2, 3, 1, 0, 0, 0, 2}},
    {{0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f, 0.0f},
     3.0f,
     0.3f,
     6,
     {0, 1, 2, 0, 0, 0, 0, 0},
     3,
     {0, 2, 2, 0, 2, 1, 2, 1, 0, 1, 2, 1}},
    {{-8.0f, -4.0f, -2.0f, -1.0f, -0.5f, -0.25f, -0.125f, 0.0f},
     1.5f,
     0.8f,
     7,
     {7, 6, 5, 4, 0, 0, 0, 0},
     4,
     {6, 5, 7, 4, 7, 7, 4, 4, 5, 4, 5, 5}},
    {{30.0f, 10.0f, 5.0f, 2.5f, 29.0f, 0.0f, -30.0f, 28.5f},
     1.0f,
     0.99f,
     8,
     {0, 4, 7, 0, 0, 0, 0, 0},
     3,
     {4, 0, 7, 0, 4, 0, 0, 0, 0, 7, 4, 7}},
};

alignas(64) u8 g_memory[256 * 1024];

Sampler& make_sampler(Arena& arena, const Vector& vector) {
  Sampler* sampler = Sampler::create(arena, kTokens).value();
  SamplerParams params;
  params.temperature = vector.temperature;
  params.top_k = 0;
  params.top_p = vector.top_p;
  params.min_p = 0;
  params.seed = vector.seed;
  sampler->set_params(params);
  sampler->reset();
  return *sampler;
}

}  // namespace

TEST_CASE("CSS-7 top-p: the draws are those of the golden vectors", "[infer]") {
  for (const Vector& vector : kVectors) {
    Arena arena{Span<u8>(g_memory)};
    Sampler& sampler = make_sampler(arena, vector);
    for (const u32 expected : vector.drawn) CHECK(sampler.pick(vector.logits).value() == expected);
  }
}

TEST_CASE("CSS-7 top-p: the token that crosses the limit is kept, and nothing behind it",
          "[infer]") {
  for (const Vector& vector : kVectors) {
    Arena arena{Span<u8>(g_memory)};
    Sampler& sampler = make_sampler(arena, vector);
    bool seen[kTokens] = {};
    for (u32 i = 0; i < 2000; ++i) seen[sampler.pick(vector.logits).value()] = true;
    u32 n_seen = 0;
    for (const bool is_seen : seen) n_seen += is_seen ? 1u : 0u;
    CHECK(n_seen == vector.n_kept);
    for (u32 i = 0; i < vector.n_kept; ++i) CHECK(seen[vector.kept[i]]);
  }
}

TEST_CASE("CSS-7 top-p: one token stays whatever the limit, and none is dropped at 1", "[infer]") {
  Vector vector = kVectors[4];  // all alike: the lower index comes first
  Arena arena{Span<u8>(g_memory)};
  for (const f32 top_p : {0.0f, 1e-30f, 0.125f}) {
    vector.top_p = top_p;
    Sampler& sampler = make_sampler(arena, vector);
    for (u32 i = 0; i < 100; ++i) CHECK(sampler.pick(vector.logits).value() == 0);
  }
  vector.top_p = 1;
  Sampler& sampler = make_sampler(arena, vector);
  u32 seen = 0;
  for (u32 i = 0; i < 500; ++i) seen |= 1u << sampler.pick(vector.logits).value();
  CHECK(seen == 0xFF);
}

TEST_CASE("CSS-7 top-p: temperature 0 is greedy, the lower index on a tie", "[infer]") {
  Vector vector = kVectors[0];
  vector.temperature = 0;
  Arena arena{Span<u8>(g_memory)};
  Sampler& sampler = make_sampler(arena, vector);
  for (u32 i = 0; i < 20; ++i) CHECK(sampler.pick(vector.logits).value() == 1);
}

TEST_CASE("CSS-7 top-p: what is kept is weighed anew, so shares among it stay", "[infer]") {
  // Weights 4 : 2 : 1 : 1; 0.7 of 8 is passed by the second. Of 6,000 draws 4,000 are the first,
  // give or take five standard deviations.
  Vector vector = kVectors[0];
  const f32 logits[kTokens] = {1.3862944f, 0.6931472f, 0, 0, -99, -99, -99, -99};
  vector.top_p = 0.7f;
  Arena arena{Span<u8>(g_memory)};
  Sampler& sampler = make_sampler(arena, vector);
  u32 counts[kTokens] = {};
  for (u32 i = 0; i < 6000; ++i) ++counts[sampler.pick(logits).value()];
  CHECK(counts[0] + counts[1] == 6000);
  CHECK((counts[0] > 3815 && counts[0] < 4185));
}
