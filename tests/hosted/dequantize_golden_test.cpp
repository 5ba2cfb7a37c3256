// The reference dequantizer against vectors of the reference implementation, bit by bit
// (../shared/golden/quants).
#include <cstring>

#include "core/tensor/dequantize.h"
#include "tests/hosted/golden.h"
#include "tests/hosted/memory_source.h"
#include "tests/test.h"

using namespace lbm;
using namespace lbm::test;

namespace {

std::vector<std::string> golden_types() {
  const std::vector<u8> bytes = read_bytes(golden_path("quants/index.json"));
  const std::string index(bytes.begin(), bytes.end());
  const std::string key = "\"type\": \"";
  std::vector<std::string> names;
  for (usize at = index.find(key); at != std::string::npos; at = index.find(key, at + 1)) {
    const usize start = at + key.size();
    names.push_back(index.substr(start, index.find('"', start) - start));
  }
  return names;
}

}  // namespace

TEST_CASE("dequantized values equal the reference bit by bit", "[golden][tensor]") {
  if (golden_path("quants/index.json").empty()) {
    WARN("skipped: no golden quant vectors");
    return;
  }
  const std::vector<std::string> names = golden_types();
  CHECK(names.size() >= 27);
  for (const std::string& name : names) {
    INFO(name);
    DType type = DType::kF32;
    REQUIRE(find_dtype(Str(name.data(), name.size()), type));
    const std::vector<u8> blocks = read_bytes(golden_path("quants/" + name + ".bin"));
    const std::vector<f32> expected = read_floats(golden_path("quants/" + name + ".f32"));
    std::vector<f32> actual(expected.size());
    REQUIRE(dequantize(type, {blocks.data(), blocks.size()}, {actual.data(), actual.size()}).ok());
    CHECK(std::memcmp(actual.data(), expected.data(), expected.size() * sizeof(f32)) == 0);
  }
}

TEST_CASE("dequantize refuses what it can not do", "[tensor]") {
  f32 out[32];
  u8 bytes[18] = {};
  const Status unknown = dequantize(DType::kQ8_1, {bytes, 18}, out);
  CHECK(unknown.error().code == ErrorCode::kUnsupported);
  const Status short_input = dequantize(DType::kQ4_0, {bytes, 17}, out);
  CHECK(short_input.error().code == ErrorCode::kMismatch);
  DType type = DType::kF32;
  CHECK(find_dtype("q4_1", type));
  CHECK(type == DType::kQ4_1);
  CHECK(!find_dtype("Q4_9", type));
}
