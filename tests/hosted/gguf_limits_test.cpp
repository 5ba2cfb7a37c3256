// The limits of core/format/limits.h, each at the limit and one beyond, with files as large as that
// takes; and files that are made to be slow.
#include <algorithm>
#include <chrono>
#include <string>
#include <unordered_map>

#include "core/base/pcg32.h"
#include "core/format/limits.h"
#include "tests/format/gguf_builder.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::BufferSource;
using lbm::test::GgufBuilder;

namespace {

// A file under construction, with room for `room` bytes.
struct File {
  explicit File(u64 room)
      : bytes(static_cast<usize>(room)), builder(Span<u8>(bytes.data(), bytes.size())) {}
  std::vector<u8> bytes;
  GgufBuilder builder;
};

// Opens it in the memory that a refused file may take at most (I2); kOk when accepted.
ErrorCode open_code(const GgufBuilder& file) {
  const u64 n_memory = 64 * kKiB + 2 * std::min<u64>(file.size(), 64 * kMiB);
  static std::vector<u8> memory;
  if (memory.size() < n_memory) memory.resize(static_cast<usize>(n_memory));
  Arena arena{Span<u8>(memory.data(), static_cast<usize>(n_memory))};
  BufferSource source(file.bytes());
  const Result<ModelFile> opened = ModelFile::open(source, arena);
  return opened.ok() ? ErrorCode::kOk : opened.error().code;
}

ErrorCode key_of(u64 n_byte) {
  File file(n_byte + 100);
  file.builder.header(0, 1).u32_key(Str(std::string(n_byte, 'k').c_str(), n_byte), 1);
  return open_code(file.builder);
}

ErrorCode text_of(Str key, u64 n_byte) {
  File file(n_byte + 200);
  file.builder.header(0, 1).key(key, MetaType::kString).u64_value(n_byte).zeros(n_byte);
  return open_code(file.builder);
}

ErrorCode array_of(MetaType type, u64 count, u64 element_bytes, u64 n_before) {
  File file(n_before + count * element_bytes + 200);
  file.builder.header(0, 2);
  file.builder.key("before", MetaType::kArray).array(MetaType::kU8, n_before).zeros(n_before);
  file.builder.key("array", MetaType::kArray).array(type, count).zeros(count * element_bytes);
  return open_code(file.builder);
}

std::string number_name(u32 number) {
  std::string name(5, 'a');
  for (char& c : name) {
    c = static_cast<char>('a' + number % 26);
    number /= 26;
  }
  return name;
}

ErrorCode keys(u32 n) {
  File file(u64{n} * 20 + 100);
  file.builder.header(0, n);
  for (u32 i = 0; i < n; ++i)
    file.builder.key(Str(number_name(i).c_str(), 5), MetaType::kU8).u8_value(0);
  return open_code(file.builder);
}

ErrorCode tensors(u32 n) {
  File file(u64{n} * (40 + 32) + 100);
  file.builder.header(n, 0);
  for (u32 i = 0; i < n; ++i)
    file.builder.tensor(Str(number_name(i).c_str(), 5), 1, 0, DType::kI8, u64{i} * 32);
  file.builder.pad(32).zeros(u64{n} * 32);
  return open_code(file.builder);
}

// FNV-1a, as the table of names hashes.
u32 hash_on(u32 state, const std::string& text) {
  for (const char c : text) state = (state ^ static_cast<u8>(c)) * 16777619u;
  return state;
}

// 2^n names with one hash (A. Joux, "Multicollisions in Iterated Hash Functions", 2004): n times,
// two blocks that lead from the state so far to one and the same next state.
std::vector<std::string> colliding_names(u32 n) {
  std::vector<std::string> names = {""};
  u32 state = 2166136261u;
  Pcg32 random(1, 1);
  for (u32 i = 0; i < n; ++i) {
    std::unordered_map<u32, std::string> seen;
    for (;;) {
      // Short texts that count up hardly ever collide under FNV; random ones do after some 80,000.
      std::string block;
      for (u32 k = 0; k < 6; ++k) block += static_cast<char>('0' + random.next() % 75);
      const auto [at, is_new] = seen.emplace(hash_on(state, block), block);
      if (is_new || at->second == block) continue;
      const usize n_name = names.size();
      for (usize m = 0; m < n_name; ++m) {
        names.push_back(names[m] + block);
        names[m] += at->second;
      }
      state = at->first;
      break;
    }
  }
  return names;
}

}  // namespace

TEST_CASE("limits: keys, texts and templates", "[format]") {
  CHECK(key_of(kMaxKeyBytes - 1) == ErrorCode::kOk);
  CHECK(key_of(kMaxKeyBytes) == ErrorCode::kOk);
  CHECK(key_of(kMaxKeyBytes + 1) == ErrorCode::kLimit);
  CHECK(text_of("t", kMaxStringBytes - 1) == ErrorCode::kOk);
  CHECK(text_of("t", kMaxStringBytes) == ErrorCode::kOk);
  CHECK(text_of("t", kMaxStringBytes + 1) == ErrorCode::kLimit);
  CHECK(text_of("tokenizer.chat_template", kMaxTemplateBytes) == ErrorCode::kOk);
  CHECK(text_of("tokenizer.chat_template", kMaxTemplateBytes + 1) == ErrorCode::kLimit);
}

TEST_CASE("limits: numbers of keys and tensors", "[format]") {
  CHECK(keys(kMaxMetaCount - 1) == ErrorCode::kOk);
  CHECK(keys(kMaxMetaCount) == ErrorCode::kOk);
  CHECK(keys(kMaxMetaCount + 1) == ErrorCode::kLimit);
  CHECK(tensors(kMaxTensorCount - 1) == ErrorCode::kOk);
  CHECK(tensors(kMaxTensorCount) == ErrorCode::kOk);
  CHECK(tensors(kMaxTensorCount + 1) == ErrorCode::kLimit);
}

TEST_CASE("limits: all metadata together", "[format]") {
  // 24 of header; 8 + 6 + 4 + 12 and 8 + 5 + 4 + 12 before the elements of the two arrays.
  constexpr u64 kOverhead = 24 + 30 + 29;
  constexpr u64 kBefore = kMaxMetadataBytes / 2;
  constexpr u64 kRoom = kMaxMetadataBytes - kOverhead - kBefore;
  CHECK(array_of(MetaType::kU8, kRoom - 1, 1, kBefore) == ErrorCode::kOk);
  CHECK(array_of(MetaType::kU8, kRoom, 1, kBefore) == ErrorCode::kOk);
  CHECK(array_of(MetaType::kU8, kRoom + 1, 1, kBefore) == ErrorCode::kLimit);
  // Empty strings: 8 bytes each.
  CHECK(array_of(MetaType::kString, kRoom / 8, 8, kBefore) == ErrorCode::kOk);
  CHECK(array_of(MetaType::kString, kRoom / 8 + 1, 8, kBefore) == ErrorCode::kLimit);
  // One array alone beyond all metadata: refused by its count.
  CHECK(array_of(MetaType::kU64, kMaxMetadataBytes / 8 + 1, 8, 0) == ErrorCode::kLimit);
}

TEST_CASE("keys that all have one hash cost no more than their length", "[format]") {
  const std::vector<std::string> names = colliding_names(16);
  REQUIRE(names.size() == 65536);
  REQUIRE(hash_on(2166136261u, names.front()) == hash_on(2166136261u, names.back()));
  for (const bool twice : {false, true}) {
    File file(u64{65536} * 120);
    file.builder.header(0, 65536);
    for (usize i = 0; i < names.size(); ++i) {
      const std::string& name = names[twice && i == 65535 ? 7 : i];
      file.builder.key(Str(name.c_str(), name.size()), MetaType::kU8).u8_value(0);
    }
    const auto start = std::chrono::steady_clock::now();
    CHECK(open_code(file.builder) == (twice ? ErrorCode::kDuplicate : ErrorCode::kOk));
    const std::chrono::duration<f64> seconds = std::chrono::steady_clock::now() - start;
    const f64 allowed = 0.020 + 50e-9 * static_cast<f64>(file.builder.size());
    if (seconds.count() > allowed)
      WARN("65,536 colliding keys took " << seconds.count() << " s, more than " << allowed);
    // Pairwise comparison would take 2^31 steps; this bound holds under sanitizers and emulation
    // too.
    CHECK(seconds.count() < 10.0);
  }
}
