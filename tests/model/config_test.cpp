// read_config: what the keys of a family mean, layer by layer, and what is refused.
#include "tests/model/config_case.h"
#include "core/model/families.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

bool close(f32 a, f32 b) { return a - b < 1e-6f * b && b - a < 1e-6f * b; }

// The layers for which `is` holds, the first one the lowest bit.
template <class Is>
u32 layers_with(const ModelConfig& config, Is is) {
  u32 bits = 0;
  for (u32 i = 0; i < config.n_layer; ++i) bits |= is(config.layers[i]) ? 1u << i : 0u;
  return bits;
}
u32 windowed(const ModelConfig& c) {
  return layers_with(c, [](const LayerConfig& l) { return l.windowed; });
}
u32 roped(const ModelConfig& c) {
  return layers_with(c, [](const LayerConfig& l) { return l.rope; });
}

ErrorCode code_of(ConfigCase& made) {
  Result<ModelConfig> config = made.read();
  REQUIRE(!config.ok());
  return config.error().code;
}

}  // namespace

TEST_CASE("families: every name is listed, and found once", "[model]") {
  const Str all = supported_architectures();
  usize n_comma = 0;
  for (const char c : all) n_comma += c == ',' ? 1 : 0;
  CHECK(n_comma + 1 == families().size());
  for (const Family& family : families()) {
    CHECK(find_family(family.architecture) == &family);
    bool listed = false;
    const Str name(family.architecture);
    for (usize i = 0; i + name.size() <= all.size(); ++i)
      listed = listed || all.slice(i, name.size()) == name;
    CHECK(listed);
  }
  CHECK(find_family("llama ") == nullptr);
}

TEST_CASE("config: windows by a period, by a flag for each layer, by none", "[model]") {
  ConfigCase gemma3("gemma3", 8);
  gemma3.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 10);
  CHECK(windowed(gemma3.read().value()) == 0b11011111);  // the last of six sees everything

  ConfigCase by_key("gemma3", 8);
  by_key.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 10);
  by_key.u32_key("attention.sliding_window_pattern", 2);
  CHECK(windowed(by_key.read().value()) == 0b01010101);

  const u32 flags[] = {1, 0, 0, 1, 1, 0, 0, 0};
  ConfigCase by_flags("gemma3", 8);
  by_flags.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 10);
  by_flags.u32_array("attention.sliding_window_pattern", flags);
  CHECK(windowed(by_flags.read().value()) == 0b00011001);

  ConfigCase off("gemma3", 8);
  off.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 0);
  CHECK(windowed(off.read().value()) == 0);
  ConfigCase absent("gemma3", 8);
  absent.u32_key("feed_forward_length", 96);
  CHECK(windowed(absent.read().value()) == 0);

  ConfigCase gemma2("gemma2", 8);  // the key has a default there
  gemma2.u32_key("feed_forward_length", 96);
  Result<ModelConfig> defaults = gemma2.read();
  CHECK(windowed(defaults.value()) == 0b01010101);
  CHECK(defaults.value().window == 4096);
  CHECK(close(defaults.value().attention_soft_cap, 50.0f));
  CHECK(close(defaults.value().logit_soft_cap, 30.0f));

  ConfigCase cohere2("cohere2", 8, true);  // and is required here
  cohere2.u32_key("feed_forward_length", 96);
  CHECK(code_of(cohere2) == ErrorCode::kMissing);

  ConfigCase ignored("qwen2", 8);  // a key that these models were trained without
  ignored.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 10);
  CHECK(windowed(ignored.read().value()) == 0);
}

TEST_CASE("config: layers without RoPE", "[model]") {
  ConfigCase smollm3("smollm3", 8);
  smollm3.u32_key("feed_forward_length", 96);
  CHECK(roped(smollm3.read().value()) == 0b01110111);

  ConfigCase cohere2("cohere2", 8, true);
  cohere2.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 7);
  CHECK(roped(cohere2.read().value()) == 0b01110111);

  // Only the model of 64 layers has windows; without them every layer is rotated.
  ConfigCase exaone4("exaone4", 8);
  exaone4.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 7);
  CHECK(roped(exaone4.read().value()) == 0b11111111);
  ConfigCase large("exaone4", 64);
  large.u32_key("feed_forward_length", 96);
  const Result<ModelConfig> windows = large.read();
  CHECK(windows.value().window == 4096);
  CHECK(windows.value().layers[2].rope);
  CHECK(!windows.value().layers[63].rope);

  ConfigCase granite("granite", 8);
  granite.u32_key("feed_forward_length", 96).flag_key("rope.scaling.finetuned", false);
  CHECK(roped(granite.read().value()) == 0);

  ConfigCase gpt2("gpt2", 8, true);
  gpt2.u32_key("feed_forward_length", 96);
  Result<ModelConfig> learned = gpt2.read();
  CHECK(roped(learned.value()) == 0);
  CHECK(learned.value().rope.n_rot == 0);
}

TEST_CASE("config: the windowed layers of gemma3 rotate by their own base, unscaled", "[model]") {
  ConfigCase made("gemma3", 8);
  made.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 10);
  made.f32_key("rope.freq_base", 1e6f).text_key("rope.scaling.type", "linear");
  made.f32_key("rope.scaling.factor", 8.0f);
  const Result<ModelConfig> config = made.read();
  const ModelConfig& c = config.value();
  CHECK(c.two_ropes);
  CHECK(c.rope.freq_base == 1e6);
  CHECK(c.rope.freq_scale == 0.125);
  CHECK(c.rope_local.freq_base == 10000.0);
  CHECK(c.rope_local.freq_scale == 1.0);

  ConfigCase same("cohere2", 8, true);  // here all layers share one
  same.u32_key("feed_forward_length", 96).u32_key("attention.sliding_window", 7);
  CHECK(!same.read().value().two_ropes);
}

TEST_CASE("config: RoPE scaling, known, unknown and left out", "[model]") {
  ConfigCase bare("llama", 2);  // a factor alone means linear
  bare.u32_key("feed_forward_length", 96).f32_key("rope.scaling.factor", 4.0f);
  CHECK(bare.read().value().rope.scaling == RopeScaling::kLinear);
  CHECK(bare.read().value().rope.freq_scale == 0.25);

  ConfigCase none("llama", 2);  // "none" wins over a factor
  none.u32_key("feed_forward_length", 96).f32_key("rope.scaling.factor", 4.0f);
  none.text_key("rope.scaling.type", "none");
  CHECK(none.read().value().rope.freq_scale == 1.0);

  ConfigCase unknown("llama", 2);
  unknown.u32_key("feed_forward_length", 96).text_key("rope.scaling.type", "spiral");
  CHECK(code_of(unknown) == ErrorCode::kUnsupported);

  ConfigCase odd("llama", 2);
  odd.u32_key("feed_forward_length", 96).u32_key("rope.dimension_count", 7);
  CHECK(code_of(odd) == ErrorCode::kMismatch);

  ConfigCase alpha("hunyuan-dense", 2);  // 10000 * 4^(16 / 14)
  alpha.u32_key("feed_forward_length", 96).f32_key("rope.scaling.alpha", 4.0f);
  CHECK(close(static_cast<f32>(alpha.read().value().rope.freq_base), 48760.546f));
}

TEST_CASE("config: scales, their defaults and their directions", "[model]") {
  ConfigCase granite("granite", 4);
  granite.u32_key("feed_forward_length", 96).f32_key("logit_scale", 8.0f);
  granite.f32_key("residual_scale", 0.22f).f32_key("embedding_scale", 12.0f);
  granite.f32_key("attention.scale", 0.0625f);
  const Result<ModelConfig> read = granite.read();
  CHECK(close(read.value().logit_scale, 0.125f));
  CHECK(close(read.value().residual_scale, 0.22f));
  CHECK(close(read.value().embedding_scale, 12.0f));
  CHECK(close(read.value().attention_scale, 0.0625f));

  ConfigCase minicpm("minicpm", 4);
  minicpm.u32_key("feed_forward_length", 96);
  const Result<ModelConfig> defaults = minicpm.read();
  CHECK(close(defaults.value().embedding_scale, 12.0f));
  CHECK(close(defaults.value().residual_scale, 0.7f));
  CHECK(close(defaults.value().logit_scale, 4.0f));  // 256 / 64

  ConfigCase cohere("command-r", 4, true);
  cohere.u32_key("feed_forward_length", 96).f32_key("logit_scale", 0.0625f);
  CHECK(close(cohere.read().value().logit_scale, 0.0625f));

  ConfigCase gemma("gemma", 4);
  gemma.u32_key("feed_forward_length", 96);
  CHECK(close(gemma.read().value().embedding_scale, 8.0f));
  CHECK(close(gemma.read().value().attention_scale, 0.25f));

  ConfigCase other("qwen3", 4);  // the keys mean nothing there
  other.u32_key("feed_forward_length", 96).f32_key("logit_scale", 8.0f);
  CHECK(close(other.read().value().logit_scale, 1.0f));
}

TEST_CASE("config: parallel layers by a key and by what the file holds", "[model]") {
  ConfigCase neox("gptneox", 2, true);
  neox.u32_key("feed_forward_length", 96).flag_key("use_parallel_residual", false);
  CHECK(!neox.read().value().parallel);
  ConfigCase neox_parallel("gptneox", 2, true);
  neox_parallel.u32_key("feed_forward_length", 96).flag_key("use_parallel_residual", true);
  CHECK(neox_parallel.read().value().parallel);

  ConfigCase stablelm("stablelm", 2, true);
  stablelm.u32_key("feed_forward_length", 96);
  CHECK(stablelm.read().value().parallel);
  ConfigCase sequential("stablelm", 2, true);
  sequential.u32_key("feed_forward_length", 96).tensor("blk.0.ffn_norm.weight", 64);
  CHECK(!sequential.read().value().parallel);
}

TEST_CASE("config: layers that predict further tokens are not run", "[model]") {
  ConfigCase made("glm4", 8);
  made.u32_key("feed_forward_length", 96).u32_key("nextn_predict_layers", 2);
  CHECK(made.read().value().n_layer == 6);
  CHECK(made.read().value().n_layer_ahead == 2);
  ConfigCase all("glm4", 8);
  all.u32_key("feed_forward_length", 96).u32_key("nextn_predict_layers", 8);
  CHECK(code_of(all) == ErrorCode::kMismatch);
}

TEST_CASE("config: KV heads of each layer", "[model]") {
  const u32 heads[] = {4, 2, 1, 4};
  ConfigCase made("llama", 4);
  made.u32_key("feed_forward_length", 96).u32_array("attention.head_count_kv", heads);
  const Result<ModelConfig> config = made.read();
  CHECK(config.value().n_head_kv == 4);
  CHECK(config.value().layers[2].n_head_kv == 1);
  CHECK(config.value().n_group(1) == 2);

  const u32 few[] = {4, 2, 1};
  ConfigCase three("llama", 4);
  three.u32_key("feed_forward_length", 96).u32_array("attention.head_count_kv", few);
  CHECK(code_of(three) == ErrorCode::kMismatch);

  const u32 third[] = {4, 3, 1, 4};
  ConfigCase not_dividing("llama", 4);
  not_dividing.u32_key("feed_forward_length", 96).u32_array("attention.head_count_kv", third);
  CHECK(code_of(not_dividing) == ErrorCode::kMismatch);

  const u32 zero[] = {4, 0, 1, 4};
  ConfigCase none("llama", 4);  // only families with recurrent layers may have a layer without
  none.u32_key("feed_forward_length", 96).u32_array("attention.head_count_kv", zero);
  CHECK(code_of(none) == ErrorCode::kBadValue);

  const f32 floats[] = {4, 4, 4, 4};
  ConfigCase wrong_type("llama", 4);
  wrong_type.u32_key("feed_forward_length", 96).f32_array("attention.head_count_kv", floats);
  CHECK(code_of(wrong_type) == ErrorCode::kBadType);
}

TEST_CASE("config: experts, and the layers that have them", "[model]") {
  ConfigCase made("lfm2moe", 4);
  const u32 heads[] = {4, 4, 4, 4};
  made.u32_array("attention.head_count_kv", heads).u32_key("shortconv.l_cache", 3);
  made.u32_key("feed_forward_length", 96).u32_key("expert_count", 8);
  made.u32_key("expert_used_count", 2).u32_key("expert_feed_forward_length", 40);
  made.u32_key("leading_dense_block_count", 1).u32_key("expert_gating_func", 2);
  const Result<ModelConfig> config = made.read();
  REQUIRE(config.ok());
  const ExpertConfig& experts = config.value().experts;
  CHECK(experts.n_expert == 8);
  CHECK(experts.n_used == 2);
  CHECK(experts.n_ff == 40);
  CHECK(experts.gating == ExpertGating::kSigmoid);
  CHECK(layers_with(config.value(), [](const LayerConfig& l) { return l.experts; }) == 0b1110);

  ConfigCase split("qwen3moe", 2);  // the width of all that are used, where that of one is not said
  split.u32_key("feed_forward_length", 96).u32_key("expert_count", 8);
  split.u32_key("expert_used_count", 4);
  CHECK(split.read().value().experts.n_ff == 24);

  ConfigCase shared("qwen2moe", 2);  // the tensor is there, the key is not
  shared.u32_key("feed_forward_length", 96).u32_key("expert_count", 8);
  shared.u32_key("expert_used_count", 4).tensor("blk.0.ffn_up_shexp.weight", 64, 24);
  CHECK(shared.read().value().experts.n_ff_shared == 24);

  ConfigCase too_many("qwen3moe", 2);
  too_many.u32_key("feed_forward_length", 96).u32_key("expert_count", 4);
  too_many.u32_key("expert_used_count", 5);
  CHECK(code_of(too_many) == ErrorCode::kBadValue);

  ConfigCase no_width("gpt-oss", 2);
  no_width.u32_key("expert_count", 4).u32_key("expert_used_count", 2);
  no_width.u32_key("attention.sliding_window", 8);
  CHECK(code_of(no_width) == ErrorCode::kMissing);

  ConfigCase unknown("qwen3moe", 2);
  unknown.u32_key("feed_forward_length", 96).u32_key("expert_count", 8);
  unknown.u32_key("expert_used_count", 4).u32_key("expert_gating_func", 9);
  CHECK(code_of(unknown) == ErrorCode::kUnsupported);
}
