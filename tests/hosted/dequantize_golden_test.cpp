// The reference dequantizer against vectors of the reference implementation, bit by bit
// (../shared/golden/quants).
#include <cstring>

#include "core/tensor/dequantize.h"
#include "tests/hosted/golden.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

TEST_CASE("dequantized values equal the reference bit by bit", "[golden][tensor]") {
  u32 n_type = 0;
  for (u32 id = 0; id < kDTypeLimit; ++id) {
    const DType type = static_cast<DType>(id);
    if (!can_dequantize(type) || type == DType::kF32) continue;
    const std::string name = dtype_traits(type).name;
    const std::string path = golden_path("quants/" + name + ".bin");
    if (path.empty()) {
      WARN("skipped: no golden quant vectors for " << name);
      continue;
    }
    const std::vector<u8> blocks = read_bytes(path);
    const std::vector<f32> expected = read_floats(golden_path("quants/" + name + ".f32"));
    std::vector<f32> actual(expected.size());
    INFO(name);
    REQUIRE(dequantize(type, {blocks.data(), blocks.size()}, {actual.data(), actual.size()}).ok());
    CHECK(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(f32)) == 0);
    ++n_type;
  }
  CHECK((n_type == 0 || n_type >= 7));
}

TEST_CASE("dequantize refuses what it can not do", "[tensor]") {
  f32 out[32];
  u8 bytes[18] = {};
  const Status unknown = dequantize(DType::kIQ2_S, {bytes, 18}, out);
  CHECK(unknown.error().code == ErrorCode::kUnsupported);
  const Status short_input = dequantize(DType::kQ4_0, {bytes, 17}, out);
  CHECK(short_input.error().code == ErrorCode::kMismatch);
  DType type = DType::kF32;
  CHECK(find_dtype("q4_1", type));
  CHECK(type == DType::kQ4_1);
  CHECK(!find_dtype("Q4_9", type));
}
