// Reading blocks and words where they stand in the bytes of a file: without alignment,
// little-endian.
#pragma once

#include "core/base/types.h"

namespace lbm {

inline u16 load_half(const u8* bytes) {
  u16 half = 0;
  __builtin_memcpy(&half, bytes, 2);
  return half;
}
inline u32 load_word(const u8* bytes) {
  u32 word = 0;
  __builtin_memcpy(&word, bytes, 4);
  return word;
}
inline u64 load_two_words(const u8* bytes) {
  u64 words = 0;
  __builtin_memcpy(&words, bytes, 8);
  return words;
}
inline void store_word(u8* bytes, u32 word) { __builtin_memcpy(bytes, &word, 4); }

// A block where it stands.
template <class Block>
const Block& block_at(const u8* bytes) {
  static_assert(alignof(Block) == 1);
  return *reinterpret_cast<const Block*>(bytes);
}

}  // namespace lbm
