// Arena: alignment, ranges, growth, marks, and the sizes that a hostile file may ask for.
#include "core/base/arena.h"

#include "tests/test.h"

using namespace lbm;

namespace {

alignas(64) u8 g_memory[4096];
alignas(64) u8 g_more[8192];

bool all_zero(Span<const u8> bytes) {
  for (const u8 b : bytes) {
    if (b != 0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("arena aligns and clears what it gives", "[base]") {
  __builtin_memset(g_memory, 0xA5, sizeof(g_memory));
  Arena arena{Span<u8>(g_memory)};
  Result<Span<u8>> one = arena.take_bytes(1, "one");
  Result<Span<u8>> two = arena.take_bytes(100, "two");
  REQUIRE(one.ok());
  REQUIRE(two.ok());
  CHECK(reinterpret_cast<usize>(two.value().data()) % Arena::kDefaultAlignment == 0);
  CHECK(two.value().data() >= one.value().end());
  CHECK(all_zero(two.value()));
  Result<Span<u8>> raw = arena.take_raw(8, "raw", 1);
  REQUIRE(raw.ok());
  CHECK(raw.value().data() == two.value().end());
  CHECK(raw.value()[0] == 0xA5);
}

TEST_CASE("arena aligns by address, not by offset", "[base]") {
  Arena arena{Span<u8>(g_memory + 3, 1000)};
  Result<Span<u8>> bytes = arena.take_bytes(10, "bytes", 256);
  REQUIRE(bytes.ok());
  CHECK(reinterpret_cast<usize>(bytes.value().data()) % 256 == 0);
}

TEST_CASE("arena refuses what does not fit and stays as it was", "[base]") {
  Arena arena{Span<u8>(g_memory)};
  const u64 sizes[] = {4097,         u64{1} << 32, (u64{1} << 32) + 16,
                       u64{1} << 63, ~u64{0},      ~u64{0} - 63};
  for (const u64 size : sizes) {
    Result<Span<u8>> bytes = arena.take_raw(size, "too much");
    REQUIRE(!bytes.ok());
    CHECK(bytes.error().code == ErrorCode::kOutOfMemory);
    CHECK(bytes.error().subject_text() == Str("too much"));
    CHECK(arena.bytes_used() == 0);
  }
  Result<Span<u64>> wraps = arena.take<u64>((u64{1} << 61) + 1, "wraps to 8 bytes");
  REQUIRE(!wraps.ok());
  CHECK(wraps.error().code == ErrorCode::kOverflow);
  CHECK(arena.take_raw(4096, "all of it").ok());
  CHECK(arena.largest_free() == 0);
  CHECK(!arena.take_raw(1, "one more").ok());
}

TEST_CASE("arena never lets an allocation straddle two ranges", "[base]") {
  Arena arena{Span<u8>(g_memory)};
  CHECK(arena.add_range(g_more));
  CHECK(!arena.add_range(Span<u8>()));
  CHECK(arena.bytes_capacity() == 12288);
  CHECK(!arena.take_raw(8193, "more than the larger range").ok());
  Result<Span<u8>> large = arena.take_raw(5000, "large");
  REQUIRE(large.ok());
  CHECK(large.value().data() == g_more);
  Result<Span<u8>> small = arena.take_raw(100, "small");
  REQUIRE(small.ok());
  CHECK(small.value().data() == g_memory);
  CHECK(arena.largest_free() == 4096 - 128);
}

TEST_CASE("arena grows and shrinks its newest allocation in place", "[base]") {
  Arena arena{Span<u8>(g_memory)};
  arena.add_range(g_more);
  Result<Span<u8>> first = arena.take_raw(5000, "in the second range");
  REQUIRE(first.ok());
  Result<Span<u8>> cut = arena.grow(first.value(), 10, "cut");
  REQUIRE(cut.ok());
  CHECK(cut.value().data() == g_more);
  CHECK(arena.bytes_used() == 10);
  Result<Span<u8>> grown = arena.grow(cut.value(), 8192, "grown");
  REQUIRE(grown.ok());
  CHECK(grown.value().size() == 8192);
  const u64 too_much[] = {8193, (u64{1} << 32) + 10, ~u64{0}};
  for (const u64 size : too_much) {
    Result<Span<u8>> refused = arena.grow(grown.value(), size, "refused");
    REQUIRE(!refused.ok());
    CHECK(refused.error().code == ErrorCode::kOutOfMemory);
    CHECK(arena.bytes_used() == 8192);
  }
}

TEST_CASE("arena rewinds to a mark over all ranges", "[base]") {
  Arena arena{Span<u8>(g_memory)};
  arena.add_range(g_more);
  REQUIRE(arena.take_raw(100, "kept").ok());
  const Arena::Mark mark = arena.mark();
  REQUIRE(arena.take_raw(3000, "in the first").ok());
  REQUIRE(arena.take_raw(6000, "in the second").ok());
  arena.rewind(mark);
  CHECK(arena.bytes_used() == 100);
  arena.reset();
  CHECK(arena.bytes_used() == 0);
}

TEST_CASE("arena makes objects and copies text", "[base]") {
  struct Point {
    Point(u32 x_in, u32 y_in) : x(x_in), y(y_in) {}
    u32 x;
    u32 y;
  };
  Arena arena{Span<u8>(g_memory)};
  Result<Point*> point = arena.make<Point>("point", 3u, 4u);
  REQUIRE(point.ok());
  CHECK(point.value()->y == 4);
  char source[] = "tokenizer";
  Result<Str> text = arena.take_text(Str(source), "text");
  REQUIRE(text.ok());
  source[0] = 'X';
  CHECK(text.value() == Str("tokenizer"));
  Result<Str> empty = arena.take_text("", "text");
  REQUIRE(empty.ok());
  CHECK(empty.value().empty());
}
