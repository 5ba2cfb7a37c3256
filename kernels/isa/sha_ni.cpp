// The block function of SHA-256 in the processor's own instructions, five times as fast as the
// portable one.
//
// sha256rnds2 does two rounds on the eight working variables, held as {a, b, e, f} and {c, d, g, h}
// with `a` and `c` in the highest lane; after two rounds the old {a, b, e, f} is the new {c, d, g,
// h}, so the registers swap roles instead of moving. sha256msg1 and sha256msg2 are the two halves
// of the message schedule, four words at a time. Source: Intel SDM vol. 2, SHA256RNDS2, SHA256MSG1,
// SHA256MSG2.
#include "kernels/isa/tables.h"

#include <immintrin.h>

namespace lbm {
namespace {

#include "core/base/sha256_rounds.inl.h"

constexpr usize kBlockBytes = 64;

__m128i load(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
void store(void* p, __m128i v) { _mm_storeu_si128(static_cast<__m128i*>(p), v); }

}  // namespace

void sha256_blocks_sha_ni(u32* state, const u8* blocks, usize n_block) {
  const __m128i swap_bytes = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  const __m128i badc = _mm_shuffle_epi32(load(state), 0xb1);
  const __m128i hgfe = _mm_shuffle_epi32(load(state + 4), 0x1b);
  __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
  __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);
  for (usize block = 0; block < n_block; ++block) {
    const __m128i abef_before = abef;
    const __m128i cdgh_before = cdgh;
    __m128i w[4];  // the last 16 words of the schedule, a ring
#pragma GCC unroll 16
    for (u32 i = 0; i < 16; ++i) {
      __m128i& now = w[i % 4];
      if (i < 4) {
        now = _mm_shuffle_epi8(load(blocks + block * kBlockBytes + 16 * i), swap_bytes);
      } else {
        const __m128i last = w[(i + 3) % 4];
        const __m128i seven_before = _mm_alignr_epi8(last, w[(i + 2) % 4], 4);
        const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(now, w[(i + 1) % 4]), seven_before);
        now = _mm_sha256msg2_epu32(sum, last);
      }
      const __m128i input = _mm_add_epi32(now, load(kRound + 4 * i));
      cdgh = _mm_sha256rnds2_epu32(cdgh, abef, input);
      abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(input, 0x0e));
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  store(state, _mm_blend_epi16(feba, dchg, 0xf0));
  store(state + 4, _mm_alignr_epi8(dchg, feba, 8));
}

}  // namespace lbm
