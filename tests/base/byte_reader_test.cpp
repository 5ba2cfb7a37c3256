// ByteReader: every width, every signedness, and an end that can not be passed.
#include "core/base/byte_reader.h"

#include "tests/test.h"

using namespace lbm;

namespace {

constexpr u8 kBytes[] = {0x01, 0x82, 0x03, 0x84, 0x05, 0x86, 0x07, 0x88, 0x09, 0x8a, 0x0b, 0x8c};

}  // namespace

TEST_CASE("byte reader reads little-endian numbers", "[base]") {
  CHECK(ByteReader(kBytes).read_u8() == 0x01);
  CHECK(ByteReader(kBytes).read_u16() == 0x8201);
  CHECK(ByteReader(kBytes).read_u32() == 0x84038201u);
  CHECK(ByteReader(kBytes).read_u64() == 0x8807860584038201u);
  ByteReader in(kBytes);
  in.skip(1);
  CHECK(in.read_i8() == -126);
  CHECK(in.read_i16() == static_cast<i16>(0x8403));
  CHECK(in.read_i32() == static_cast<i32>(0x88078605u));
  CHECK(in.position() == 8);
  CHECK(in.remaining() == 4);
  CHECK(in.ok());
}

TEST_CASE("byte reader keeps the bits of floating-point numbers", "[base]") {
  const u8 one[] = {0, 0, 0x80, 0x3f, 0, 0, 0, 0, 0, 0, 0xf0, 0xbf};
  ByteReader in(one);
  CHECK(in.read_f32() == 1.0f);
  CHECK(in.read_f64() == -1.0);
  const u8 nan[] = {1, 0, 0xc0, 0x7f};
  CHECK(__builtin_bit_cast(u32, ByteReader(nan).read_f32()) == 0x7fc00001u);
}

TEST_CASE("byte reader fails once and for good", "[base]") {
  ByteReader in(Span<const u8>(kBytes, 5));
  CHECK(in.read_u32() == 0x84038201u);
  CHECK(in.read_u16() == 0);  // one byte is left
  CHECK(!in.ok());
  CHECK(in.position() == 4);
  CHECK(in.read_u8() == 0);  // it would fit, but the error stays
  CHECK(in.read_bytes(0).empty());
  CHECK(in.read_text(1).empty());
  CHECK(in.position() == 4);
}

TEST_CASE("byte reader takes lengths of 64 bits without narrowing them", "[base]") {
  const u64 lengths[] = {13, u64{1} << 31, u64{1} << 32, (u64{1} << 32) + 1, u64{1} << 63, ~u64{0}};
  for (const u64 length : lengths) {
    ByteReader in(kBytes);
    CHECK(in.read_bytes(length).empty());
    CHECK(!in.ok());
    CHECK(in.position() == 0);
    ByteReader skipping(kBytes);
    skipping.skip(1);
    skipping.skip(length);
    CHECK(!skipping.ok());
    CHECK(skipping.position() == 1);
  }
}

TEST_CASE("byte reader gives out the last byte and an empty tail", "[base]") {
  ByteReader in(kBytes);
  const Span<const u8> all = in.read_bytes(12);
  CHECK(all.data() == kBytes);
  CHECK(all.size() == 12);
  CHECK(in.read_bytes(0).empty());
  CHECK(in.ok());
  CHECK(in.read_u8() == 0);
  CHECK(!in.ok());
  ByteReader empty{Span<const u8>()};
  CHECK(empty.read_text(0).empty());
  CHECK(empty.ok());
}

TEST_CASE("byte reader works at compile time", "[base]") {
  static_assert([] {
    ByteReader in(kBytes);
    in.skip(4);
    return in.read_u16();
  }() == 0x8605);
  CHECK(true);
}
