// NameTable: sorted whatever the order and the hashes, and no name twice.
#include "core/format/name_table.h"

#include "core/base/pcg32.h"
#include "tests/format/gguf_builder.h"
#include "tests/test.h"

using namespace lbm;
using lbm::test::GgufBuilder;

namespace {

constexpr u32 kMaxNames = 600;
u8 g_names[kMaxNames * 20];
u8 g_arena[kMaxNames * 12 + 4096];

// Three letters for a number: 0 -> "aaa".
void spell(u32 number, char (&out)[3]) {
  for (u32 i = 0; i < 3; ++i, number /= 26) out[2 - i] = static_cast<char>('a' + number % 26);
}

// A table of `numbers`, spelled.
Result<NameTable> table_of(Arena& arena, Span<const u32> numbers, Status& sorted) {
  GgufBuilder b{Span<u8>(g_names)};
  Result<NameTable> table = NameTable::create(arena, static_cast<u32>(numbers.size()), "names");
  if (!table.ok()) return table;
  for (u32 i = 0; i < numbers.size(); ++i) {
    char name[3];
    spell(numbers[i], name);
    table.value().set(i, static_cast<u32>(b.size()), Str(name, 3));
    b.text(Str(name, 3));
  }
  table.value().set_end(static_cast<u32>(b.size()));
  sorted = table.value().sort(b.bytes());
  return table;
}

}  // namespace

TEST_CASE("name table finds every name at every size, and nothing else", "[format]") {
  Pcg32 random(7, 7);
  u32 numbers[kMaxNames];
  for (u32 i = 0; i < kMaxNames; ++i) numbers[i] = i;
  for (u32 i = kMaxNames; i-- > 1;) lbm::swap(numbers[i], numbers[random.next() % (i + 1)]);
  const u32 sizes[] = {0, 1, 2, 3, 4, 5, 15, 16, 17, kMaxNames};
  for (const u32 n : sizes) {
    Arena arena{Span<u8>(g_arena)};
    Status sorted;
    Result<NameTable> table = table_of(arena, Span<const u32>(numbers, n), sorted);
    REQUIRE(table.ok());
    REQUIRE(sorted.ok());
    CHECK(table.value().size() == n);
    u32 n_wrong = 0;
    for (u32 i = 0; i < kMaxNames; ++i) {
      char name[3];
      spell(numbers[i], name);
      u32 index = kMaxNames;
      const bool found = table.value().find(Str(name, 3), index);
      if (found != (i < n) || (found && index != i)) ++n_wrong;
    }
    CHECK(n_wrong == 0);
  }
}

TEST_CASE("name table reports the second of two equal names", "[format]") {
  u32 numbers[100];
  for (u32 i = 0; i < 100; ++i) numbers[i] = i;
  for (u32 first = 0; first < 99; first += 7) {
    for (u32 second = first + 1; second < 100; second += 5) {
      const u32 kept = numbers[second];
      numbers[second] = numbers[first];
      Arena arena{Span<u8>(g_arena)};
      Status sorted;
      REQUIRE(table_of(arena, Span<const u32>(numbers), sorted).ok());
      REQUIRE(!sorted.ok());
      REQUIRE(sorted.error().code == ErrorCode::kDuplicate);
      REQUIRE(sorted.error().offset == u64{second} * 11);
      numbers[second] = kept;
    }
  }
}

TEST_CASE("name table tells names with equal hashes apart", "[format]") {
  // Four pairs that collide in FNV-1a of 32 bits; of the last two, one is the start of the other.
  const Str names[] = {"costarring", "declinate", "altarage", "liquid",
                       "macallums",  "zinke",     "aywybmkg", "a"};
  GgufBuilder b{Span<u8>(g_names)};
  Arena arena{Span<u8>(g_arena)};
  Result<NameTable> table = NameTable::create(arena, 8, "names");
  REQUIRE(table.ok());
  for (u32 i = 0; i < 8; ++i) {
    table.value().set(i, static_cast<u32>(b.size()), names[i]);
    b.text(names[i]);
  }
  table.value().set_end(static_cast<u32>(b.size()));
  REQUIRE(table.value().sort(b.bytes()).ok());
  for (u32 i = 0; i < 8; ++i) {
    u32 index = 99;
    CHECK(table.value().find(names[i], index));
    CHECK(index == i);
    CHECK(table.value().name(i) == names[i]);
  }
}
