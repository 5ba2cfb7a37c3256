// Views: comparison, search and cutting of Str, and what Span refuses to do silently.
#include "core/base/span.h"

#include "tests/test.h"

using namespace lbm;

TEST_CASE("span cuts within its bounds", "[base]") {
  u32 numbers[] = {1, 2, 3, 4, 5};
  const Span<u32> all(numbers);
  CHECK(all.size() == 5);
  CHECK(all.size_bytes() == 20);
  CHECK(all.first(2).size() == 2);
  CHECK(all.from(5).empty());
  CHECK(all.slice(1, 3)[2] == 4);
  const Span<const u32> view = all;
  u32 sum = 0;
  for (const u32 n : view) sum += n;
  CHECK(sum == 15);
  CHECK(Span<u8>().empty());
}

TEST_CASE("str compares by bytes", "[base]") {
  CHECK(Str("abc") == Str("abc"));
  CHECK(!(Str("abc") == Str("abd")));
  CHECK(!(Str("abc") == Str("ab")));
  CHECK(Str() == Str(""));
  CHECK(Str("a\0b", 3) == Str("a\0b", 3));
  CHECK(!(Str("a\0b", 3) == Str("a\0c", 3)));
  CHECK(Str("ab") < Str("abc"));
  CHECK(Str("abc") < Str("abd"));
  CHECK(!(Str("abc") < Str("abc")));
  CHECK(Str("a") < Str("\x80"));  // as unsigned bytes
}

TEST_CASE("str finds, starts and ends", "[base]") {
  const Str text = "blk.10.attn_q.weight";
  CHECK(text.starts_with("blk."));
  CHECK(!text.starts_with("blk.10.attn_q.weight!"));
  CHECK(text.ends_with(".weight"));
  CHECK(text.find("attn") == 7);
  CHECK(text.find(".", 4) == 6);
  CHECK(text.find("bias") == Str::kNone);
  CHECK(text.find("weight", 15) == Str::kNone);
  CHECK(text.find("") == 0);
  CHECK(Str("").find("a") == Str::kNone);
  CHECK(text.contains("_q"));
}

TEST_CASE("str trims ASCII white space only", "[base]") {
  CHECK(Str(" \t a b \r\n").trimmed() == Str("a b"));
  CHECK(Str("   ").trimmed().empty());
  CHECK(Str("").trimmed().empty());
  CHECK(Str("\xc2\xa0x").trimmed() == Str("\xc2\xa0x"));
}
