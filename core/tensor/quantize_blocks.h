// What the files of the quantizer share: an encoder per type, and the weights it sees.
#pragma once

#include "core/base/types.h"
#include "core/tensor/blocks.h"
#include "core/tensor/dtype.h"

namespace lbm {

// Writes one block. `values` and `weights` are as many as the block has; finite, and weights not all
// zero.
using EncodeBlock = void (*)(const f32* values, const f32* weights, u8* block);

// nullptr for the types of another file.
[[nodiscard]] EncodeBlock superblock_encoder(DType type);  // quantize_k.cpp

// Elements i and i + 16 share a byte.
inline void store_nibbles(const f32* levels, f32 offset, u8* qs) {
  for (u32 i = 0; i < 16; ++i) {
    const u32 low = static_cast<u32>(levels[i] + offset);
    const u32 high = static_cast<u32>(levels[i + 16] + offset);
    qs[i] = static_cast<u8>((low & 15) | ((high & 15) << 4));
  }
}

// The index of a level of IQ4_NL.
[[nodiscard]] u32 iq4_index(f32 level);

}  // namespace lbm
