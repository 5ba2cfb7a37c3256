// The sampler with a filter: what is not allowed takes part in nothing.
#include "core/infer/sampler.h"
#include "tests/test.h"

using namespace lbm;

namespace {

// Allows the tokens of a mask, and counts what it is asked.
class MaskFilter final : public TokenFilter {
 public:
  explicit MaskFilter(u32 mask) : mask_(mask) {}
  void reset() override {}
  Result<bool> allows(u32 token) override {
    ++n_asked;
    return token < 32 && ((mask_ >> token) & 1) != 0;
  }
  Result<Span<const u32>> allowed() override {
    ++n_listed;
    if (fails) return fail(ErrorCode::kLimit, "as told");
    return Span<const u32>(&mask_, 1);
  }
  Status accept(u32) override { return {}; }
  bool can_end() const override { return false; }
  bool must_end() const override { return false; }

  u32 n_asked = 0;
  u32 n_listed = 0;
  bool fails = false;

 private:
  u32 mask_;
};

constexpr u32 kTokens = 40;  // more than the mask has
alignas(64) u8 g_memory[256 * 1024];

struct Case {
  Arena arena{Span<u8>(g_memory)};
  Sampler* sampler = Sampler::create(arena, kTokens).value();
  f32 logits[kTokens];

  explicit Case(const SamplerParams& params) {
    for (u32 i = 0; i < kTokens; ++i) logits[i] = static_cast<f32>(i);
    sampler->set_params(params);
    sampler->reset();
  }
};

SamplerParams params_with(f32 temperature) {
  SamplerParams params;
  params.temperature = temperature;
  params.top_k = 0;
  params.top_p = 1;
  params.min_p = 0;
  return params;
}

}  // namespace

TEST_CASE("filter: greedy takes the likeliest that is allowed, the lower index on a tie",
          "[infer]") {
  Case c(params_with(0));
  MaskFilter filter(0b1011);
  CHECK(c.sampler->pick(c.logits, &filter).value() == 3);
  c.logits[1] = 3;
  CHECK(c.sampler->pick(c.logits, &filter).value() == 1);
}

TEST_CASE("filter: the likeliest token is asked about alone", "[infer]") {
  Case c(params_with(0));
  c.logits[2] = 1000;
  MaskFilter filter(0b0100);
  CHECK(c.sampler->pick(c.logits, &filter).value() == 2);
  CHECK(filter.n_asked == 1);
  CHECK(filter.n_listed == 0);
}

TEST_CASE("filter: top-k, top-p and min-p count among what is allowed", "[infer]") {
  SamplerParams params = params_with(1);
  params.top_k = 2;
  Case c(params);
  MaskFilter filter(0b10111);
  u32 seen = 0;
  for (u32 i = 0; i < 500; ++i) seen |= 1u << c.sampler->pick(c.logits, &filter).value();
  CHECK(seen == 0b10100);
  params.top_k = 0;
  params.min_p = 0.3f;  // e^-1 of the best that is allowed, not of the best
  c.sampler->set_params(params);
  MaskFilter neighbours(0b1101);
  seen = 0;
  for (u32 i = 0; i < 500; ++i) seen |= 1u << c.sampler->pick(c.logits, &neighbours).value();
  CHECK(seen == 0b1100);
  params.min_p = 0;
  params.top_p = 0.5f;
  c.sampler->set_params(params);
  for (u32 i = 0; i < 50; ++i) CHECK(c.sampler->pick(c.logits, &neighbours).value() == 3);
}

TEST_CASE("filter: one that allows everything changes nothing", "[infer]") {
  for (const f32 temperature : {0.0f, 0.7f, 3.0f}) {
    SamplerParams params = params_with(temperature);
    params.seed = 9;
    params.top_k = 7;
    params.repeat_penalty = 1.3f;
    u32 expected[50];
    {
      Case c(params);
      for (f32& logit : c.logits) logit *= 0.1f;
      for (u32 i = 32; i < kTokens; ++i) c.logits[i] = -50;
      for (u32& token : expected) {
        token = c.sampler->pick(c.logits).value();
        c.sampler->accept(token);
      }
    }
    Case c(params);
    for (f32& logit : c.logits) logit *= 0.1f;
    for (u32 i = 32; i < kTokens; ++i) c.logits[i] = -50;
    MaskFilter all(~u32{0});
    for (const u32 token : expected) {
      CHECK(c.sampler->pick(c.logits, &all).value() == token);
      c.sampler->accept(token);
    }
  }
}

TEST_CASE("filter: a barred n-gram gives way before the filter does", "[infer]") {
  SamplerParams params = params_with(0);
  params.no_repeat_ngram = 1;
  Case c(params);
  c.sampler->begin_answer();
  MaskFilter filter(0b110);
  for (const u32 expected : {2u, 1u, 1u, 1u}) {  // everything that is allowed was there
    const u32 token = c.sampler->pick(c.logits, &filter).value();
    CHECK(token == expected);
    c.sampler->accept(token);
  }
}

TEST_CASE("filter: nothing allowed is an error, and so is the filter's own", "[infer]") {
  for (const f32 temperature : {0.0f, 1.0f}) {
    Case c(params_with(temperature));
    MaskFilter none(0);
    CHECK(c.sampler->pick(c.logits, &none).error().code == ErrorCode::kMismatch);
    MaskFilter failing(1);
    failing.fails = true;
    CHECK(c.sampler->pick(c.logits, &failing).error().code == ErrorCode::kLimit);
    c.logits[5] = __builtin_inff();
    CHECK(c.sampler->pick(c.logits, &none).error().code == ErrorCode::kNumeric);
  }
}
