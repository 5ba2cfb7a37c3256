// read_config: every number has a range, and this is where the ranges end. What the numbers mean is
// in config_test.cpp.
#include "core/base/fmt.h"
#include "core/model/config.h"
#include "tests/format/gguf_builder.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::BufferSource;
using lbm::test::GgufBuilder;

namespace {

u8 g_file[8192];
u8 g_arena[16384];

struct Number {
  Str key;
  bool is_real;
  f64 value;
};
constexpr Number count(Str key, u32 value) { return {key, false, static_cast<f64>(value)}; }
constexpr Number real(Str key, f64 value) { return {key, true, value}; }

// A model of two layers, 64 wide, with `changes` to its keys, and 5 tokens.
class Model {
 public:
  explicit Model(Str architecture) : architecture_(architecture) {
    set(count("block_count", 2)).set(count("embedding_length", 64));
    set(count("context_length", 256)).set(count("attention.head_count", 4));
    set(count("vocab_size", 5)).set(count("feed_forward_length", 96));
    set(real("attention.layer_norm_rms_epsilon", 1e-5));
  }
  Model& set(const Number& number) {
    for (u32 i = 0; i < n_number_; ++i) {
      if (!(numbers_[i].key == number.key)) continue;
      numbers_[i] = number;
      return *this;
    }
    numbers_[n_number_++] = number;
    return *this;
  }
  Model& text(Str key, Str value) {
    text_key_ = key;
    text_value_ = value;
    return *this;
  }

  [[nodiscard]] Result<ModelConfig> read() const {
    GgufBuilder out{Span<u8>(g_file)};
    out.header(0, 1 + u64{n_number_} + (text_key_.empty() ? 0 : 1));
    out.text_key("general.architecture", architecture_);
    TextBuffer<96> name;
    const auto full = [&](Str key) {
      name.clear();
      return name.print("{}.{}", architecture_, key).text();
    };
    if (!text_key_.empty()) out.text_key(full(text_key_), text_value_);
    for (u32 i = 0; i < n_number_; ++i) {
      const Number& number = numbers_[i];
      if (number.is_real) {
        out.key(full(number.key), MetaType::kF64).f64_value(number.value);
      } else {
        out.u32_key(full(number.key), static_cast<u32>(number.value));
      }
    }
    BufferSource source(out.bytes());
    Arena arena{Span<u8>(g_arena)};
    const Result<ModelFile> file = ModelFile::open(source, arena);
    if (!file.ok()) return file.error();
    return read_config(file.value());
  }
  // kOk where it is accepted; else the key is checked to be that of this architecture.
  [[nodiscard]] ErrorCode refusal(Str key) const {
    const Result<ModelConfig> config = read();
    if (config.ok()) return ErrorCode::kOk;
    TextBuffer<96> name;
    CHECK(config.error().subject_text() == name.print("{}.{}", architecture_, key).text());
    return config.error().code;
  }

 private:
  Str architecture_;
  Number numbers_[24] = {};
  u32 n_number_ = 0;
  Str text_key_;
  Str text_value_;
};

// Of the architecture that reads this key.
Model model_of(Str architecture) {
  Model model(architecture);
  if (architecture == "gemma2" || architecture == "gemma3")
    model.set(count("attention.sliding_window", 16));
  if (architecture == "qwen2moe")
    model.set(count("expert_count", 4)).set(count("expert_used_count", 2));
  return model;
}

struct Edge {
  Str architecture;
  Number bad;  // just beyond the range
};
constexpr Edge kEdges[] = {
    {"llama", count("vocab_size", 0)},
    {"llama", count("vocab_size", (1 << 20) + 1)},
    {"llama", count("attention.head_count", 1025)},
    {"llama", count("attention.value_length", 1)},
    {"llama", count("attention.value_length", 1025)},
    {"llama", count("embedding_length", (1 << 20) + 1)},
    {"llama", count("context_length", (1 << 20) + 1)},
    {"llama", count("feed_forward_length", (1 << 20) + 1)},
    {"qwen2moe", count("feed_forward_length", (1 << 20) + 1)},
    {"qwen2moe", count("expert_shared_feed_forward_length", (1 << 20) + 1)},
    {"qwen2moe", real("expert_weights_scale", 1.5e6)},
    {"llama", real("attention.layer_norm_rms_epsilon", 1.5)},
    {"granite", real("embedding_scale", -1.5e6)},
    {"granite", real("embedding_scale", 1.5e6)},
    {"granite", real("residual_scale", -1.5e6)},
    {"granite", real("residual_scale", 1.5e6)},
    {"granite", real("attention.scale", -1.5e6)},
    {"granite", real("attention.scale", 1.5e6)},
    {"granite", real("logit_scale", -1.5e6)},
    {"granite", real("logit_scale", 1.5e6)},
    {"gemma2", real("attn_logit_softcapping", 1.5e6)},
    {"gemma2", real("final_logit_softcapping", 1.5e6)},
    {"llama", count("rope.dimension_count", 1)},
    {"llama", count("rope.dimension_count", 1025)},
    {"llama", count("rope.scaling.original_context_length", (1 << 20) + 1)},
    {"llama", real("rope.freq_base", 2e12)},
    {"gemma3", real("rope.freq_base_swa", 2e12)},
    {"llama", real("rope.scaling.alpha", 1.5e6)},
    {"llama", real("rope.scale_linear", 1.5e6)},
    {"llama", real("rope.scaling.factor", 1.5e6)},
    {"llama", real("rope.scaling.yarn_ext_factor", 1.5e3)},
    {"llama", real("rope.scaling.attn_factor", 1.5e3)},
    {"llama", real("rope.scaling.yarn_attn_factor", 1.5e3)},
    {"llama", real("rope.scaling.yarn_beta_fast", 1.5e6)},
    {"llama", real("rope.scaling.yarn_beta_slow", 1.5e6)},
};

}  // namespace

TEST_CASE("config: a number just beyond its range is refused by its name", "[model]") {
  for (const Edge& edge : kEdges) {
    CHECK(model_of(edge.architecture).read().ok());
    Model model = model_of(edge.architecture);
    CHECK(model.set(edge.bad).refusal(edge.bad.key) == ErrorCode::kBadValue);
  }
}

TEST_CASE("config: a width of 0 is refused where it is read", "[model]") {
  for (const Str key : {Str("embedding_length"), Str("feed_forward_length")}) {
    const Result<ModelConfig> config = Model("llama").set(count(key, 0)).read();
    REQUIRE(!config.ok());
    CHECK(config.error().code == ErrorCode::kBadValue);
    CHECK(config.error().has_limit);
    CHECK(config.error().limit == 1);
  }
}

TEST_CASE("config: the largest vocabulary and context are allowed", "[model]") {
  CHECK(Model("llama").set(count("vocab_size", 1 << 20)).read().value().n_vocab == 1 << 20);
  CHECK(Model("llama").set(count("vocab_size", 1)).read().value().n_vocab == 1);
  CHECK(Model("llama").set(count("context_length", 1 << 20)).read().ok());
  CHECK(Model("llama")
            .set(count("embedding_length", 1 << 20))
            .set(count("attention.head_count", 1024))
            .read()
            .ok());
}

TEST_CASE("config: the size of a head, where it follows from the width", "[model]") {
  const auto refusal = [](u32 n_embd, u32 n_head) {
    Model model("llama");
    model.set(count("embedding_length", n_embd)).set(count("attention.head_count", n_head));
    return model.refusal("embedding_length");
  };
  CHECK(refusal(4, 4) == ErrorCode::kBadValue);
  CHECK(refusal(8, 4) == ErrorCode::kOk);
  CHECK(refusal(1024, 1) == ErrorCode::kOk);
  CHECK(refusal(1026, 1) == ErrorCode::kBadValue);
  // Where it is given, heads need not divide the width.
  Model given("llama");
  given.set(count("attention.head_count", 3));
  CHECK(given.refusal("attention.head_count") == ErrorCode::kMismatch);
  CHECK(given.set(count("attention.key_length", 16)).read().value().head_dim == 16);
}

TEST_CASE("G-5: config: query heads per KV head", "[model]") {
  const auto refusal = [](u32 n_head, u32 n_head_kv) {
    Model model("llama");
    model.set(count("embedding_length", 2 * n_head)).set(count("attention.head_count", n_head));
    model.set(count("attention.head_count_kv", n_head_kv));
    return model.refusal(n_head % n_head_kv == 0 ? "attention.head_count"
                                                 : "attention.head_count_kv");
  };
  CHECK(refusal(128, 2) == ErrorCode::kOk);
  CHECK(refusal(130, 2) == ErrorCode::kUnsupported);
  CHECK(refusal(8, 16) == ErrorCode::kMismatch);
}

TEST_CASE("config: a width of 0 is for models of experts only", "[model]") {
  Model none("llama");
  none.set(count("expert_count", 0)).set(count("feed_forward_length", 0));
  CHECK(none.refusal("feed_forward_length") == ErrorCode::kBadValue);
  Model all("qwen2moe");
  all.set(count("expert_count", 4)).set(count("expert_used_count", 2));
  all.set(count("feed_forward_length", 0)).set(count("expert_feed_forward_length", 8));
  CHECK(all.read().value().experts.n_ff == 8);
  CHECK(all.set(count("leading_dense_block_count", 0)).read().ok());
  all.set(count("leading_dense_block_count", 1));
  CHECK(all.refusal("feed_forward_length") == ErrorCode::kBadValue);
}

TEST_CASE("config: the ways of weighing experts", "[model]") {
  Model model = model_of("qwen2moe");
  const auto gating = [&](u32 value) {
    return model.set(count("expert_gating_func", value)).read().value().experts.gating;
  };
  CHECK(gating(0) == ExpertGating::kSoftmax);
  CHECK(gating(1) == ExpertGating::kSoftmax);
  CHECK(gating(2) == ExpertGating::kSigmoid);
  CHECK(gating(3) == ExpertGating::kSoftmaxSelected);
  const Result<ModelConfig> unknown = model.set(count("expert_gating_func", 4)).read();
  REQUIRE(!unknown.ok());
  CHECK(unknown.error().code == ErrorCode::kUnsupported);
  CHECK(unknown.error().value == 4);
}

TEST_CASE("config: zero stands for no scale", "[model]") {
  Model model("granite");
  for (const Str key : {Str("embedding_scale"), Str("residual_scale"), Str("logit_scale")})
    model.set(real(key, 0.0));
  const Result<ModelConfig> config = model.read();
  REQUIRE(config.ok());
  CHECK(config.value().embedding_scale == 1.0f);
  CHECK(config.value().residual_scale == 1.0f);
  CHECK(config.value().logit_scale == 1.0f);
}

TEST_CASE("config: RoPE may be said not to be scaled", "[model]") {
  Model model("llama");
  model.set(real("rope.scaling.factor", 4.0)).text("rope.scaling.type", "none");
  const Result<ModelConfig> config = model.read();
  REQUIRE(config.ok());
  CHECK(config.value().rope.scaling == RopeScaling::kNone);
  CHECK(config.value().rope.freq_scale == 1.0);
  CHECK(model.text("rope.scaling.type", "cubic").refusal("rope.scaling.type") ==
        ErrorCode::kUnsupported);
}
