// Models with recurrent layers: which layers those are, the limits of their sizes, their tensors.
#include "core/model/weights.h"
#include "tests/model/config_case.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

// The layers of `kind`, the first one the lowest bit.
u32 layers_of(const Result<ModelConfig>& config, LayerKind kind) {
  u32 bits = 0;
  if (!config.ok()) return ~u32{0};
  for (u32 i = 0; i < config.value().n_layer; ++i)
    bits |= config.value().layers[i].kind == kind ? 1u << i : 0u;
  return bits;
}

struct DeltaNetKeys {
  u32 n_tap = 4;
  u32 n_key_head = 2;
  u32 n_value_head = 4;
  u32 key_dim = 16;
  u32 inner = 96;
};

void add(ConfigCase& made, const DeltaNetKeys& keys) {
  made.u32_key("feed_forward_length", 96).u32_key("ssm.conv_kernel", keys.n_tap);
  made.u32_key("ssm.group_count", keys.n_key_head).u32_key("ssm.state_size", keys.key_dim);
  made.u32_key("ssm.time_step_rank", keys.n_value_head).u32_key("ssm.inner_size", keys.inner);
}

ErrorCode code_of(ConfigCase& made) {
  const Result<ModelConfig> config = made.read();
  return config.ok() ? ErrorCode::kOk : config.error().code;
}
ErrorCode code_of(const DeltaNetKeys& keys) {
  ConfigCase made("qwen35", 4);
  add(made, keys);
  return code_of(made);
}
u32 delta_nets(u32 n_layer, Str key, u32 interval) {
  ConfigCase made("qwen3next", n_layer);
  add(made, {});
  if (!key.empty()) made.u32_key(key, interval);
  return layers_of(made.read(), LayerKind::kDeltaNet);
}
ErrorCode code_of_taps(u32 n_tap) {
  ConfigCase made("lfm2", 4);
  const u32 heads[] = {0, 2, 0, 1};
  made.u32_key("feed_forward_length", 96).u32_array("attention.head_count_kv", heads);
  if (n_tap != 0) made.u32_key("shortconv.l_cache", n_tap);
  return code_of(made);
}

}  // namespace

TEST_CASE("config: layers without KV heads are short convolutions", "[model]") {
  const u32 heads[] = {0, 2, 0, 1};
  ConfigCase made("lfm2", 4);
  made.u32_key("feed_forward_length", 96).u32_array("attention.head_count_kv", heads);
  made.u32_key("shortconv.l_cache", 5).u32_key("attention.sliding_window", 16);
  const Result<ModelConfig> config = made.read();
  REQUIRE(config.ok());
  CHECK(layers_of(config, LayerKind::kShortConv) == 0b0101);
  CHECK(config.value().has_recurrent());
  CHECK(config.value().short_conv.n_tap == 5);
  CHECK(config.value().layers[1].windowed);
  CHECK(!config.value().layers[0].windowed);
}

TEST_CASE("config: a model whose layers all attend has no recurrent state", "[model]") {
  ConfigCase made("lfm2", 4);
  made.u32_key("feed_forward_length", 96).u32_key("attention.head_count_kv", 2);
  const Result<ModelConfig> config = made.read();
  REQUIRE(config.ok());
  CHECK(!config.value().has_recurrent());
  CHECK(delta_nets(4, "full_attention_interval", 1) == 0);
}

TEST_CASE("config: taps of a convolution have their limits", "[model]") {
  CHECK(code_of_taps(0) == ErrorCode::kMissing);
  CHECK(code_of_taps(1) == ErrorCode::kBadValue);
  CHECK(code_of_taps(2) == ErrorCode::kOk);
  CHECK(code_of_taps(kMaxConvTaps) == ErrorCode::kOk);
  CHECK(code_of_taps(kMaxConvTaps + 1) == ErrorCode::kBadValue);
}

TEST_CASE("config: every n-th layer of a delta net model attends, or those of a list", "[model]") {
  CHECK(delta_nets(8, "", 0) == 0b01110111);
  CHECK(delta_nets(5, "full_attention_interval", 2) == 0b10101);
  CHECK(delta_nets(4, "full_attention_interval", 0) == ~u32{0});  // refused

  const u32 listed[] = {0, 1, 1, 0};
  ConfigCase by_list("qwen35", 4);
  add(by_list, {});
  by_list.u32_array("attention.recurrent_layers", listed);
  const Result<ModelConfig> config = by_list.read();
  CHECK(layers_of(config, LayerKind::kDeltaNet) == 0b0110);
  CHECK(config.value().layers[0].n_head_kv == 4);
  CHECK(config.value().layers[1].n_head_kv == 0);
}

TEST_CASE("config: a list of recurrent layers that is none is refused", "[model]") {
  const u32 entries[] = {0, 1, 2, 0};
  ConfigCase bad_entry("qwen35", 4);
  add(bad_entry, {});
  bad_entry.u32_array("attention.recurrent_layers", entries);
  CHECK(code_of(bad_entry) == ErrorCode::kBadValue);
}

TEST_CASE("config: the sizes of a delta net", "[model]") {
  ConfigCase made("qwen35", 4);
  add(made, {});
  const Result<ModelConfig> config = made.read();
  REQUIRE(config.ok());
  CHECK(config.value().delta_net.value_dim == 24);
  CHECK(config.value().delta_net.n_channel() == 2 * 2 * 16 + 96);
  CHECK(!config.value().delta_net.grouped);
  CHECK(config.value().gated_attention);

  CHECK(code_of({.n_tap = 1}) == ErrorCode::kBadValue);
  CHECK(code_of({.n_tap = kMaxConvTaps + 1}) == ErrorCode::kBadValue);
  CHECK(code_of({.n_key_head = 0}) == ErrorCode::kBadValue);
  CHECK(code_of({.n_key_head = 3}) == ErrorCode::kMismatch);
  CHECK(code_of({.n_value_head = 0}) == ErrorCode::kBadValue);
  CHECK(code_of({.n_value_head = 1025}) == ErrorCode::kBadValue);
  CHECK(code_of({.key_dim = 0}) == ErrorCode::kBadValue);
  CHECK(code_of({.key_dim = 1025}) == ErrorCode::kBadValue);
  CHECK(code_of({.inner = 97}) == ErrorCode::kMismatch);
  CHECK(code_of({.inner = 2}) == ErrorCode::kMismatch);
  CHECK(code_of({.inner = 4 * 1024}) == ErrorCode::kOk);
  CHECK(code_of({.inner = 4 * 1025}) == ErrorCode::kBadValue);
  CHECK(code_of({.n_key_head = 512, .n_value_head = 512, .key_dim = 1023, .inner = 1024}) ==
        ErrorCode::kOk);
  CHECK(code_of({.n_key_head = 512, .n_value_head = 512, .key_dim = 1024, .inner = 1024}) ==
        ErrorCode::kLimit);
}

TEST_CASE("the taps of a convolution must be F32", "[model]") {
  for (const DType type : {DType::kF32, DType::kF16}) {
    static u8 memory[64 * 1024];
    Arena arena{Span<u8>(memory)};
    ConfigCase made("lfm2", 2);
    const u32 heads[] = {0, 4};
    made.u32_key("feed_forward_length", 96).u32_array("attention.head_count_kv", heads);
    made.u32_key("shortconv.l_cache", 8).tensor("token_embd.weight", 64, 5);
    made.tensor("token_embd_norm.weight", 64).tensor("blk.0.attn_norm.weight", 64);
    made.tensor("blk.0.shortconv.in_proj.weight", 64, 3 * 64);
    made.tensor("blk.0.ffn_norm.weight", 64).tensor("blk.0.shortconv.conv.weight", 8, 64, type);
    Result<ModelFile> file = made.open(arena);
    REQUIRE(file.ok());
    const Result<ModelConfig> config = read_config(file.value());
    REQUIRE(config.ok());
    // What comes after the taps, blk.0.shortconv.out_proj, is not there.
    CHECK(plan_weights(file.value(), config.value(), arena).error().code ==
          (type == DType::kF32 ? ErrorCode::kMissing : ErrorCode::kBadType));
  }
}
