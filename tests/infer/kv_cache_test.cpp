// The KV cache: its names, its size, and that it leaves its memory untouched until something is
// stored.
#include "core/infer/kv_cache.h"

#include "kernels/select.h"
#include "tests/test.h"

using namespace lbm;

namespace {

alignas(64) u8 g_memory[1 << 16];

ModelConfig small_config() {
  ModelConfig config;
  config.n_layer = 2;
  config.n_head = 4;
  config.n_head_kv = 2;
  config.head_dim = 24;
  config.make_layers_alike();
  return config;
}

}  // namespace

TEST_CASE("KV types have the names that options use", "[infer]") {
  for (const char* name : {"f16", "f32", "q8_0"}) {
    KvType type = KvType::kF16;
    REQUIRE(parse_kv_type(name, type));
    CHECK(kv_type_name(type) == name);
  }
  KvType type = KvType::kF32;
  CHECK(!parse_kv_type("q4_0", type));
  CHECK(!parse_kv_type("", type));
  CHECK(type == KvType::kF32);
}

TEST_CASE("a KV cache takes what it said and touches nothing before it is stored to", "[infer]") {
  for (const KvType type : {KvType::kF16, KvType::kF32, KvType::kQ8_0}) {
    const ModelConfig config = small_config();
    const u64 bytes = KvCache::bytes_needed(config, 37, type);
    REQUIRE(bytes <= sizeof(g_memory));
    __builtin_memset(g_memory, 0xa5, sizeof(g_memory));
    Arena arena({g_memory, static_cast<usize>(bytes)});
    Result<KvCache> cache = KvCache::create(arena, config, 37, type);
    REQUIRE(cache.ok());
    const usize head_bytes = 3 * kv_group_bytes(type, config.head_dim);  // 37 positions: 3 groups
    CHECK(cache.value().keys(1, 1) == cache.value().keys(1, 0) + head_bytes);
    bool untouched = true;
    for (u32 layer = 0; layer < 2; ++layer) {
      for (u32 head = 0; head < 2; ++head) {
        for (usize i = 0; i < head_bytes; ++i) {
          untouched = untouched && cache.value().keys(layer, head)[i] == 0xa5 &&
                      cache.value().values(layer, head)[i] == 0xa5;
        }
      }
    }
    CHECK(untouched);
    const f32 row[24] = {1.0f, 2.0f};
    const KernelTable* tables[8];
    usable_kernel_tables(detect_cpu_features(), tables);
    CHECK(cache.value().store(*tables[0], 1, 1, {row, row, 24, 1, 36}));
    // The last position of the last head is the last that fits.
    CHECK(cache.value().values(1, 1) + head_bytes <= g_memory + bytes);
    Arena small({g_memory, static_cast<usize>(bytes) - 192});
    CHECK(KvCache::create(small, config, 37, type).error().code == ErrorCode::kOutOfMemory);
  }
}
