// Routing of a mixture of experts (R16): which experts a token passes, with what weights, and how
// slots are ordered.
#include "core/infer/experts.h"

#include "core/base/fmath.h"
#include "core/base/pcg32.h"
#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u32 kMost = 40;

const KernelTable& kernels() {
  const KernelTable* tables[8];
  usable_kernel_tables(detect_cpu_features(), tables);
  return *tables[0];
}

struct Choice {
  f32 scores[kMost + 8] = {};
  u32 expert[kMost] = {};
  f32 weight[kMost] = {};
  bool finite = false;
};

template <u32 kExperts>
Choice choose(const f32 (&logits)[kExperts], u32 n_used, ExpertGating gating, bool normalised,
              RouterBias bias = {}, f32 scale = 1.0f) {
  Choice c;
  ExpertConfig config;
  config.n_expert = kExperts;
  config.n_used = n_used;
  config.gating = gating;
  config.normalised = normalised;
  config.scale = scale;
  __builtin_memcpy(c.scores, logits, sizeof(logits));
  c.finite = select_experts(kernels(), config, bias, c.scores, c.expert, c.weight);
  return c;
}

bool close(f32 actual, f64 expected) {
  const f64 difference = static_cast<f64>(actual) - expected;
  return difference < 1e-6 && difference > -1e-6;
}

// The n_used experts differ from each other and exist.
bool are_different(const Choice& c, u32 n_used, u32 n_expert) {
  for (u32 i = 0; i < n_used; ++i) {
    if (c.expert[i] >= n_expert) return false;
    for (u32 k = 0; k < i; ++k) {
      if (c.expert[i] == c.expert[k]) return false;
    }
  }
  return true;
}

alignas(64) u8 g_memory[1 << 20];

ModelConfig model_with(u32 n_expert, u32 n_used, u32 n_ff_shared) {
  ModelConfig config;
  config.n_embd = 48;
  config.experts.n_expert = n_expert;
  config.experts.n_used = n_used;
  config.experts.n_ff = 80;
  config.experts.n_ff_shared = n_ff_shared;
  return config;
}

}  // namespace

TEST_CASE("experts: the best ones by score, the lower index on a tie", "[infer][experts]") {
  const f32 logits[6] = {1.0f, 3.0f, -2.0f, 3.0f, 1.0f, 0.5f};
  const Choice c = choose(logits, 4, ExpertGating::kSoftmax, false);
  CHECK(c.finite);
  CHECK((c.expert[0] == 1 && c.expert[1] == 3 && c.expert[2] == 0 && c.expert[3] == 4));
  const f32 equal[5] = {-0.0f, 0.0f, -0.0f, 0.0f, -0.0f};
  for (const ExpertGating gating :
       {ExpertGating::kSoftmax, ExpertGating::kSigmoid, ExpertGating::kSoftmaxSelected}) {
    const Choice all = choose(equal, 3, gating, true);
    CHECK((all.expert[0] == 0 && all.expert[1] == 1 && all.expert[2] == 2));
    CHECK(all.weight[0] == all.weight[2]);
  }
}

TEST_CASE("experts: weights of each kind of gating", "[infer][experts]") {
  const f32 logits[4] = {0.5f, 2.0f, -1.0f, 1.0f};
  // e^0.5, e^2, e^-1, e^1 sum to 12.1239343
  Choice c = choose(logits, 2, ExpertGating::kSoftmax, false);
  CHECK(close(c.weight[0], 0.60946004));
  CHECK(close(c.weight[1], 0.22420782));
  CHECK(close(c.scores[2], 0.03034323));
  c = choose(logits, 2, ExpertGating::kSoftmax, true);
  CHECK(close(c.weight[0], 0.73105858));
  CHECK(close(c.weight[1], 0.26894142));
  c = choose(logits, 2, ExpertGating::kSoftmaxSelected, false);
  CHECK(close(c.weight[0], 0.73105858));
  CHECK(close(c.weight[1], 0.26894142));
  c = choose(logits, 2, ExpertGating::kSigmoid, false, {}, 2.5f);
  CHECK(close(c.weight[0], 2.5 * 0.88079708));
  CHECK(close(c.weight[1], 2.5 * 0.73105858));
}

TEST_CASE("experts: a bias of the selection changes the choice, not the weight",
          "[infer][experts]") {
  const f32 logits[4] = {0.5f, 2.0f, -1.0f, 1.0f};
  const f32 selection[4] = {0.0f, 0.0f, 5.0f, 0.0f};
  Choice c = choose(logits, 2, ExpertGating::kSigmoid, false, {nullptr, selection});
  CHECK((c.expert[0] == 2 && c.expert[1] == 1));
  CHECK(close(c.weight[0], 0.26894142));
  CHECK(close(c.weight[1], 0.88079708));
  // One of the logits is part of both.
  const f32 score[4] = {0.0f, 0.0f, 4.0f, 0.0f};
  c = choose(logits, 2, ExpertGating::kSigmoid, false, {score, nullptr});
  CHECK((c.expert[0] == 2 && c.expert[1] == 1));
  CHECK(close(c.weight[0], 0.95257413));
}

TEST_CASE("experts: weights that all but vanish are divided by 2^-14 at least",
          "[infer][experts]") {
  const f32 logits[3] = {-40.0f, -50.0f, -60.0f};
  const Choice c = choose(logits, 2, ExpertGating::kSigmoid, true);
  CHECK(c.finite);
  CHECK(c.weight[0] == sigmoid_f32(-40.0f) / 0x1p-14f);
}

TEST_CASE("experts: one of one, and all of all", "[infer][experts]") {
  const f32 one[1] = {-3.0f};
  Choice c = choose(one, 1, ExpertGating::kSoftmax, true);
  CHECK((c.finite && c.expert[0] == 0 && c.weight[0] == 1.0f));
  c = choose(one, 1, ExpertGating::kSoftmaxSelected, false);
  CHECK(c.weight[0] == 1.0f);
  const f32 logits[5] = {0.1f, 0.5f, 0.3f, 0.2f, 0.4f};
  c = choose(logits, 5, ExpertGating::kSoftmax, false);
  CHECK((c.expert[0] == 1 && c.expert[1] == 4 && c.expert[2] == 2 && c.expert[3] == 3));
  CHECK(c.expert[4] == 0);
  f32 sum = 0.0f;
  for (u32 i = 0; i < 5; ++i) sum = sum + c.weight[i];
  CHECK(close(sum, 1.0));
}

TEST_CASE("experts: a logit that is no number is told, and the choice stays within bounds",
          "[infer][experts]") {
  const f32 bad[] = {__builtin_nanf(""), __builtin_inff(), -__builtin_inff()};
  for (const ExpertGating gating :
       {ExpertGating::kSoftmax, ExpertGating::kSigmoid, ExpertGating::kSoftmaxSelected}) {
    for (const f32 value : bad) {
      for (u32 at = 0; at < 6; ++at) {
        f32 logits[6] = {1.0f, -1.0f, 0.0f, 2.0f, -3.0f, 1.0f};
        logits[at] = value;
        const Choice c = choose(logits, 3, gating, true);
        CHECK(!c.finite);
        CHECK(are_different(c, 3, 6));
      }
    }
    const f32 logits[6] = {1.0f, -1.0f, 0.0f, 2.0f, -3.0f, 1.0f};
    const f32 selection[6] = {0.0f, bad[0], bad[1], bad[2], bad[0], 0.0f};
    CHECK(are_different(choose(logits, 4, gating, true, {nullptr, selection}), 4, 6));
  }
}

TEST_CASE("experts: every table makes the same choice with the same bits",
          "[infer][experts][bits]") {
  const KernelTable* tables[8];
  const u32 n_table = usable_kernel_tables(detect_cpu_features(), tables);
  Pcg32 rng(3, 8);
  for (u32 round = 0; round < 60; ++round) {
    ExpertConfig config;
    config.n_expert = 1 + rng.next() % kMost;
    config.n_used = 1 + rng.next() % config.n_expert;
    config.gating = static_cast<ExpertGating>(round % 3);
    config.normalised = round % 2 == 0;
    config.scale = round % 5 == 0 ? 2.5f : 1.0f;
    f32 logits[kMost];
    f32 bias[kMost];
    for (f32& v : logits) v = static_cast<f32>(rng.next() % 97) / 8.0f - 6.0f;  // with ties
    for (f32& v : bias) v = static_cast<f32>(rng.next() % 9) / 4.0f;
    const RouterBias biases = {round % 4 == 1 ? bias : nullptr, round % 4 == 2 ? bias : nullptr};
    Choice first;
    for (u32 i = 0; i < n_table; ++i) {
      Choice c;
      __builtin_memcpy(c.scores, logits, config.n_expert * sizeof(f32));
      CHECK(select_experts(*tables[i], config, biases, c.scores, c.expert, c.weight));
      CHECK(are_different(c, config.n_used, config.n_expert));
      for (u32 r = 1; r < config.n_used && biases.selection == nullptr; ++r) {
        const f32 before = c.scores[c.expert[r - 1]];
        const f32 here = c.scores[c.expert[r]];
        CHECK((before > here || (before == here && c.expert[r - 1] < c.expert[r])));
      }
      if (i == 0) first = c;
      CHECK(__builtin_memcmp(c.expert, first.expert, sizeof(c.expert)) == 0);
      CHECK(__builtin_memcmp(c.weight, first.weight, sizeof(c.weight)) == 0);
    }
  }
}

TEST_CASE("experts: slots stand by expert, tokens ascending, the shared expert last",
          "[infer][experts]") {
  for (const u32 n_ff_shared : {0u, 40u}) {
    const ModelConfig config = model_with(6, 2, n_ff_shared);
    Arena arena({g_memory, sizeof(g_memory)});
    const Result<ExpertBuffers> created = ExpertBuffers::create(arena, config, 4);
    REQUIRE(created.ok());
    CHECK(arena.bytes_used() == ExpertBuffers::bytes_needed(config, 4));
    ExpertBuffers b = created.value();
    const u32 expert[8] = {5, 2, 2, 0, 5, 3, 2, 5};
    __builtin_memcpy(b.expert, expert, sizeof(expert));
    b.order_slots(config.experts, 4);
    const ExpertGroup expected[5] = {{0, 0, 1}, {2, 1, 3}, {3, 4, 1}, {5, 5, 3}, {6, 8, 4}};
    REQUIRE(b.n_group == (n_ff_shared != 0 ? 5u : 4u));
    CHECK(__builtin_memcmp(b.groups, expected, b.n_group * sizeof(ExpertGroup)) == 0);
    CHECK(b.n_slot() == (n_ff_shared != 0 ? 12u : 8u));
    const u32 token[8] = {1, 0, 1, 3, 2, 0, 2, 3};
    CHECK(__builtin_memcmp(b.token, token, sizeof(token)) == 0);
    const u32 slot[8] = {5, 1, 2, 0, 6, 4, 3, 7};
    CHECK(__builtin_memcmp(b.slot, slot, sizeof(slot)) == 0);

    b.order_slots(config.experts, 1);  // fewer tokens than there is room for
    CHECK(b.n_group == (n_ff_shared != 0 ? 3u : 2u));
    CHECK((b.groups[0].expert == 2 && b.groups[1].expert == 5 && b.groups[1].first_slot == 1));
  }
}

TEST_CASE("experts: a model without them takes no memory", "[infer][experts]") {
  const ModelConfig config = model_with(0, 0, 0);
  Arena arena({g_memory, sizeof(g_memory)});
  CHECK(ExpertBuffers::bytes_needed(config, 512) == 0);
  REQUIRE(ExpertBuffers::create(arena, config, 512).ok());
  CHECK(arena.bytes_used() == 0);
}

TEST_CASE("experts: too little memory is an error, not a half-made layer", "[infer][experts]") {
  const ModelConfig config = model_with(6, 2, 40);
  const u64 n_byte = ExpertBuffers::bytes_needed(config, 4);
  REQUIRE(n_byte < sizeof(g_memory));
  Arena arena({g_memory, static_cast<usize>(n_byte - 1)});
  const Result<ExpertBuffers> created = ExpertBuffers::create(arena, config, 4);
  REQUIRE(!created.ok());
  CHECK(created.error().code == ErrorCode::kOutOfMemory);
}
