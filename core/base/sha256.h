// SHA-256 (FIPS 180-4). Identity of files and of logits; not a signature.
//
// The block function is an argument, so that a host may pass a faster one with the same result
// (kernel_table.h).
#pragma once

#include "core/base/span.h"
#include "core/base/types.h"

namespace lbm {

// Folds n_block blocks of 64 bytes into state[8].
using Sha256BlockFn = void (*)(u32* state, const u8* blocks, usize n_block);

void sha256_blocks_portable(u32* state, const u8* blocks, usize n_block);

struct Sha256Digest {
  u8 bytes[32] = {};

  friend bool operator==(const Sha256Digest& a, const Sha256Digest& b) {
    u8 diff = 0;
    for (u32 i = 0; i < 32; ++i) diff = static_cast<u8>(diff | (a.bytes[i] ^ b.bytes[i]));
    return diff == 0;
  }
};

class Sha256 {
 public:
  explicit Sha256(Sha256BlockFn blocks = sha256_blocks_portable) : blocks_(blocks) {}

  void update(Span<const u8> bytes);
  // Finishes; the object must not be fed again.
  [[nodiscard]] Sha256Digest finish();

 private:
  Sha256BlockFn blocks_;
  u32 state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  u8 buffer_[64] = {};
  u64 n_byte_ = 0;
};

// 64 lower-case hexadecimal digits.
struct HexDigest {
  char text[64];
  [[nodiscard]] Str str() const { return {text, 64}; }
};
[[nodiscard]] HexDigest to_hex(const Sha256Digest& digest);
// False unless `text` is exactly 64 hexadecimal digits.
[[nodiscard]] bool parse_hex_digest(Str text, Sha256Digest& out);

}  // namespace lbm
