// SHA-256 against the published vectors, and its buffering against every way to cut the input.
#include "core/base/sha256.h"

#include "tests/test.h"

using namespace lbm;

namespace {

Sha256Digest digest_of(Str text) {
  Sha256 sha;
  sha.update(text.bytes());
  return sha.finish();
}

bool has_digest(Str text, Str hex) { return to_hex(digest_of(text)).str() == hex; }

// Byte i of test message n.
u8 pattern(u32 i, u32 n) { return static_cast<u8>(i * 7 + n); }

}  // namespace

TEST_CASE("sha256 gives the published digests", "[base]") {
  // FIPS 180-4 examples and the NIST short messages.
  CHECK(has_digest("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
  CHECK(has_digest("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
  CHECK(has_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                   "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
  CHECK(
      has_digest("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqk"
                 "lmnopqrlmnopqrs"
                 "mnopqrstnopqrstu",
                 "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"));
  CHECK(has_digest(Str("\xd3", 1),
                   "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1"));
}

TEST_CASE("sha256 of a million letters a", "[base]") {
  u8 letters[1000];
  __builtin_memset(letters, 'a', sizeof(letters));
  Sha256 sha;
  for (u32 i = 0; i < 1000; ++i) sha.update(letters);
  CHECK(to_hex(sha.finish()).str() ==
        Str("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
}

TEST_CASE("sha256 monte carlo: the first checkpoints of NIST", "[base]") {
  Sha256Digest seed;
  REQUIRE(
      parse_hex_digest("6d1e72ad03ddeb5de891e572e2396f8da015d899ef0e79503152d6010a3fe691", seed));
  const Str expected[] = {"e93c330ae5447738c8aa85d71a6c80f2a58381d05872d26bdd39f1fcd4f2b788",
                          "2e78f8c8772ea7c9331d41ed3f9cdf27d8f514a99342ee766ee3b8b0d0b121c0"};
  for (const Str checkpoint : expected) {
    Sha256Digest last[3] = {seed, seed, seed};
    for (u32 i = 0; i < 1000; ++i) {
      Sha256 sha;
      for (u32 k = 0; k < 3; ++k) sha.update(Span<const u8>(last[k].bytes));
      last[0] = last[1];
      last[1] = last[2];
      last[2] = sha.finish();
    }
    seed = last[2];
    CHECK(to_hex(seed).str() == checkpoint);
  }
}

TEST_CASE("sha256 of every length from 0 to 256, which covers every way to pad", "[base]") {
  // Expected: the digest of the 257 digests, from an independent implementation.
  Sha256 all;
  for (u32 n = 0; n <= 256; ++n) {
    u8 message[256] = {};
    for (u32 i = 0; i < n; ++i) message[i] = pattern(i, n);
    Sha256 sha;
    sha.update(Span<const u8>(message, n));
    const Sha256Digest digest = sha.finish();
    all.update(Span<const u8>(digest.bytes));
  }
  CHECK(to_hex(all.finish()).str() ==
        Str("8c87921c70e710c77b598f6aed63e551969111a288541684ba32dc1203143503"));
}

TEST_CASE("sha256 does not depend on how the input is cut", "[base]") {
  u8 message[200];
  for (u32 i = 0; i < 200; ++i) message[i] = pattern(i, 200);
  Sha256 whole;
  whole.update(message);
  const Sha256Digest expected = whole.finish();
  u32 n_wrong = 0;
  for (u32 first = 0; first <= 200; ++first) {
    for (u32 second = first; second <= 200; second += 13) {
      Sha256 cut;
      cut.update(Span<const u8>(message, first));
      cut.update(Span<const u8>(message + first, second - first));
      cut.update(Span<const u8>(message + second, 200 - second));
      if (!(cut.finish() == expected)) ++n_wrong;
    }
  }
  CHECK(n_wrong == 0);
}

TEST_CASE("sha256 digests as text", "[base]") {
  Sha256Digest digest;
  CHECK(
      parse_hex_digest("BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015AD", digest));
  CHECK(digest == digest_of("abc"));
  Sha256Digest kept = digest;
  CHECK(!parse_hex_digest("", kept));
  CHECK(!parse_hex_digest("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a", kept));
  CHECK(
      !parse_hex_digest("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad0", kept));
  CHECK(
      !parse_hex_digest("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ag", kept));
  CHECK(
      !parse_hex_digest("../7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", kept));
  CHECK(kept == digest);
  digest.bytes[31] ^= 1;
  CHECK(!(kept == digest));
}
