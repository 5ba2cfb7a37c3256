#include "core/base/sha256.h"

#include "core/base/arith.h"

namespace lbm {
namespace {

constexpr usize kBlockBytes = 64;

#include "core/base/sha256_rounds.inl.h"

constexpr u32 rotate_right(u32 x, u32 n) { return (x >> n) | (x << (32 - n)); }

u32 load_big_endian(const u8* p) {
  u32 bits = 0;
  __builtin_memcpy(&bits, p, 4);
  return __builtin_bswap32(bits);  // every host is little-endian
}

}  // namespace

// The message schedule lives in a ring of 16 words, and the eight working variables rotate by name
// instead of by copy.
void sha256_blocks_portable(u32* state, const u8* blocks, usize n_block) {
  u32 s[8];
  __builtin_memcpy(s, state, sizeof(s));
  for (usize block = 0; block < n_block; ++block) {
    u32 w[16];
    for (u32 i = 0; i < 16; ++i) w[i] = load_big_endian(blocks + block * kBlockBytes + 4 * i);
    u32 v[8];
    __builtin_memcpy(v, s, sizeof(v));
    for (u32 base = 0; base < 64; base += 16) {
#pragma GCC unroll 16
      for (u32 i = 0; i < 16; ++i) {
        if (base != 0) {
          const u32 a = w[(i + 1) & 15];
          const u32 b = w[(i + 14) & 15];
          const u32 s0 = rotate_right(a, 7) ^ rotate_right(a, 18) ^ (a >> 3);
          const u32 s1 = rotate_right(b, 17) ^ rotate_right(b, 19) ^ (b >> 10);
          w[i] += s0 + w[(i + 9) & 15] + s1;
        }
        const u32 a = v[(0 - i) & 7];
        const u32 b = v[(1 - i) & 7];
        const u32 c = v[(2 - i) & 7];
        const u32 e = v[(4 - i) & 7];
        const u32 f = v[(5 - i) & 7];
        const u32 g = v[(6 - i) & 7];
        u32& d = v[(3 - i) & 7];
        u32& h = v[(7 - i) & 7];
        const u32 big1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        const u32 t1 = h + big1 + (g ^ (e & (f ^ g))) + kRound[base + i] + w[i];
        const u32 big0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        d += t1;
        h = t1 + big0 + ((a & b) | (c & (a | b)));
      }
    }
    for (u32 i = 0; i < 8; ++i) s[i] += v[i];
  }
  __builtin_memcpy(state, s, sizeof(s));
}

void Sha256::update(Span<const u8> bytes) {
  const usize pending = static_cast<usize>(n_byte_ % kBlockBytes);
  n_byte_ += bytes.size();
  if (pending != 0) {
    const usize n = static_cast<usize>(min_u64(bytes.size(), kBlockBytes - pending));
    __builtin_memcpy(buffer_ + pending, bytes.data(), n);
    if (pending + n < kBlockBytes) return;
    blocks_(state_, buffer_, 1);
    bytes = bytes.from(n);
  }
  const usize n_block = bytes.size() / kBlockBytes;
  if (n_block != 0) blocks_(state_, bytes.data(), n_block);
  const Span<const u8> rest = bytes.from(n_block * kBlockBytes);
  if (!rest.empty()) __builtin_memcpy(buffer_, rest.data(), rest.size());
}

Sha256Digest Sha256::finish() {
  const u64 n_bit = n_byte_ * 8;
  const usize pending = static_cast<usize>(n_byte_ % kBlockBytes);
  // A one bit, zeros, and the length in bits, big-endian, at the end of a block.
  u8 tail[2 * kBlockBytes] = {};
  __builtin_memcpy(tail, buffer_, pending);
  tail[pending] = 0x80;
  const usize n_block = pending + 1 + 8 <= kBlockBytes ? 1 : 2;
  for (usize i = 0; i < 8; ++i)
    tail[n_block * kBlockBytes - 1 - i] = static_cast<u8>(n_bit >> (8 * i));
  blocks_(state_, tail, n_block);

  Sha256Digest digest;
  for (u32 i = 0; i < 32; ++i)
    digest.bytes[i] = static_cast<u8>(state_[i / 4] >> (24 - 8 * (i % 4)));
  return digest;
}

HexDigest to_hex(const Sha256Digest& digest) {
  HexDigest out = {};
  for (u32 i = 0; i < 32; ++i) {
    out.text[2 * i] = "0123456789abcdef"[digest.bytes[i] >> 4];
    out.text[2 * i + 1] = "0123456789abcdef"[digest.bytes[i] & 15];
  }
  return out;
}

bool parse_hex_digest(Str text, Sha256Digest& out) {
  if (text.size() != 64) return false;
  Sha256Digest digest;
  for (u32 i = 0; i < 64; ++i) {
    const char c = text[i];
    u32 nibble = 0;
    if (c >= '0' && c <= '9') {
      nibble = static_cast<u32>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      nibble = static_cast<u32>(c - 'a') + 10;
    } else if (c >= 'A' && c <= 'F') {
      nibble = static_cast<u32>(c - 'A') + 10;
    } else {
      return false;
    }
    digest.bytes[i / 2] = static_cast<u8>((u32{digest.bytes[i / 2]} << 4) | nibble);
  }
  out = digest;
  return true;
}

}  // namespace lbm
