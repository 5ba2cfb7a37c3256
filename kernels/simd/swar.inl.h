// Vocabulary of the SWAR table: four multiply-adds in one 64-bit multiplication, for processors
// (and emulators) whose vector instructions are slow. Under QEMU's TCG every vector instruction is
// a call, a 64-bit multiplication is one host instruction.
//
// Take the word w = a + b 2^16 + c 2^32 + d 2^48 of four weights, a, b of one row and c, d of the
// next, and the multiplier X = y + x 2^16 of two activations. In w * X the coefficient of 2^16 is a
// x + b y and that of 2^48 is c x + d y: two rows with two products each. The other coefficients
// are of no use. All of it is arithmetic modulo 2^64, so x and y may be negative; as long as every
// coefficient stays in [-2^15, 2^15), adding 2^15 to each lane makes them read out exactly
// (small_finish).
//   4-bit weights: 2 * 15 * 127 = 3,810 per multiplication; 8 of them (4 column groups) 30,480.
//   5-bit weights: 7,874; 4 of them (2 column groups) 31,496.
//   6-bit weights: 16,002; 2 of them (1 column group) 32,004.
//   8-bit weights: 2 * 128 * 127 = 32,512; one.

constexpr u32 kPart = 4;
#include "kernels/simd/lanes.inl.h"

// Lanes that were computed one by one go to their vector through memory. Left alone, the compiler
// would build the vector with shuffles, and a shuffle is a call under emulation.
template <class Vector, class Lane>
LBM_LANE Vector gather_lanes(Lane (&lane)[kLanes]) {
  Vector v;
  __asm__ volatile("" : "+m"(lane));
  __builtin_memcpy(&v, lane, sizeof(v));
  return v;
}

// f16 lanes in integer arithmetic, four at a time: the odd ones stand where a shift by 3 makes them
// f32, the even ones after a shift by 16. Halves with the smallest exponent or the largest
// (subnormal, zero; infinite, NaN) take the general formula.
LBM_LANE F32x16 f_load_f16(const u16* p) {
  constexpr u64 kEachHalf = 0x0001000100010001u;
  u32 lane[kLanes];
  u64 normal = 0x8000 * kEachHalf;
  for (u32 i = 0; i < kLanes; i += 4) {
    u64 four;
    __builtin_memcpy(&four, p + i, sizeof(four));
    // Exponents 1 to 30, plus 1, have one of the upper four bits; that carries into the sign's
    // place.
    const u64 upper = ((four & (0x7c00 * kEachHalf)) + 0x0400 * kEachHalf) & (0x7800 * kEachHalf);
    normal &= upper + 0x7800 * kEachHalf;
    const auto widen = [](u64 halves) {
      return (((halves & 0x7fff00007fff0000u) >> 3) + 0x3800000038000000u) |
             (halves & 0x8000000080000000u);
    };
    const u64 odd = widen(four);
    const u64 even = widen(four << 16);
    lane[i] = static_cast<u32>(even);
    lane[i + 1] = static_cast<u32>(odd);
    lane[i + 2] = static_cast<u32>(even >> 32);
    lane[i + 3] = static_cast<u32>(odd >> 32);
  }
  if (__builtin_expect(normal != 0x8000 * kEachHalf, 0)) {
    for (u32 i = 0; i < kLanes; ++i) lane[i] = __builtin_bit_cast(u32, f16_to_f32(p[i]));
  }
  return gather_lanes<F32x16>(lane);
}
LBM_LANE void f_store_f16(u16* p, F32x16 v) {
  f32 lane[kLanes];
  f_store(lane, v);
  for (u32 i = 0; i < kLanes; ++i) p[i] = f32_to_f16(lane[i]);
}

constexpr u32 kDecodeTiles = 4;
constexpr u32 kPanelTiles = 2;
constexpr u32 kPanelTokens = 4;
constexpr u32 kPlainTokens = 4;

constexpr u32 kPairs = 8;  // 64-bit words of two rows each
constexpr u64 kEvenBytes = 0x00ff00ff00ff00ffu;
constexpr u64 kLaneBias = 0x8000800080008000u;

struct W64 {
  u64 pair[kPairs];
};
LBM_LANE W64 w_load(const void* p) {
  W64 w;
  __builtin_memcpy(&w, p, sizeof(w));
  return w;
}
LBM_LANE W64 w_low_nibbles(W64 w) {
  for (u64& p : w.pair) p &= 0x0f0f0f0f0f0f0f0fu;
  return w;
}
LBM_LANE W64 w_high_nibbles(W64 w) {
  for (u64& p : w.pair) p = (p >> 4) & 0x0f0f0f0f0f0f0f0fu;
  return w;
}
template <u32 kIndex>
LBM_LANE W64 w_two_bits(W64 w) {
  for (u64& p : w.pair) p = (p >> (2 * kIndex)) & 0x0303030303030303u;
  return w;
}
template <u32 kValue>
LBM_LANE W64 w_add_bit(W64 w, u64 bits) {
  for (u32 i = 0; i < kPairs; ++i) {
    // One byte of the mask to 8 bytes, each keeping its own bit; adding 0x7f moves any set bit to
    // bit 7, without a carry.
    const u64 own = (((bits >> (8 * i)) & 0xff) * 0x0101010101010101u) & 0x8040201008040201u;
    w.pair[i] |= ((own + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u) / (0x80 / kValue);
  }
  return w;
}
LBM_LANE W64 w_join(W64 nibbles, W64 two_bits) {
  for (u32 i = 0; i < kPairs; ++i) nibbles.pair[i] |= two_bits.pair[i] << 4;
  return nibbles;
}
LBM_LANE W64 w_lookup(W64 nibbles, const i8* table) {
  u8 byte[64];
  __builtin_memcpy(byte, &nibbles, sizeof(byte));
  for (u8& b : byte) b = static_cast<u8>(table[b]);
  return w_load(byte);
}
LBM_LANE void w_store(void* p, W64 w) { __builtin_memcpy(p, &w, sizeof(w)); }

struct X4 {
  u64 even;  // q[2] + q[0] 2^16
  u64 odd;   // q[3] + q[1] 2^16
};
LBM_LANE X4 x_load(const i8* q) {
  const auto wide = [](i8 v) { return static_cast<u64>(static_cast<i64>(v)); };
  return {wide(q[2]) + (wide(q[0]) << 16), wide(q[3]) + (wide(q[1]) << 16)};
}

template <u32 kLargest>
constexpr u32 kQuadsPerSum = kLargest <= 15   ? 4
                             : kLargest <= 31 ? 2
                                              : 1;
struct SmallSum {
  u64 pair[kPairs];
};
LBM_LANE SmallSum small_zero() { return {}; }
LBM_LANE void small_add(SmallSum& sum, W64 w, X4 x) {
  for (u32 i = 0; i < kPairs; ++i) {
    sum.pair[i] += (w.pair[i] & kEvenBytes) * x.even + ((w.pair[i] >> 8) & kEvenBytes) * x.odd;
  }
}
LBM_LANE I32x16 small_finish(SmallSum sum) {
  i32 lane[kLanes];
  for (u32 i = 0; i < kPairs; ++i) {
    const u64 biased = sum.pair[i] + kLaneBias;
    lane[2 * i] = static_cast<i32>((biased >> 16) & 0xffff) - 0x8000;
    lane[2 * i + 1] = static_cast<i32>(biased >> 48) - 0x8000;
  }
  return gather_lanes<I32x16>(lane);
}

LBM_LANE I32x16 signed_start(i32) { return i_splat(0); }
LBM_LANE I32x16 signed_add(I32x16 acc, W64 w, X4 x) {
  constexpr u64 kCentre = 0x0080008000800080u;
  i32 lane[kLanes];
  __builtin_memcpy(lane, &acc, sizeof(lane));
  for (u32 i = 0; i < kPairs; ++i) {
    const u64 raised = w.pair[i] ^ 0x8080808080808080u;  // w + 128, unsigned
    const u64 even = ((raised & kEvenBytes) - kCentre) * x.even + kLaneBias;
    const u64 odd = (((raised >> 8) & kEvenBytes) - kCentre) * x.odd + kLaneBias;
    lane[2 * i] +=
        static_cast<i32>((even >> 16) & 0xffff) + static_cast<i32>((odd >> 16) & 0xffff) - 0x10000;
    lane[2 * i + 1] += static_cast<i32>(even >> 48) + static_cast<i32>(odd >> 48) - 0x10000;
  }
  return gather_lanes<I32x16>(lane);
}

constexpr PanelForm kPanelForm = PanelForm::kAsUnpacked;
constexpr bool kMatrixUnit = true;
constexpr bool kDecodeUnit = true;
template <i32 kOffset>
LBM_LANE W64 w_to_panel(W64 w) {
  return w;
}
LBM_LANE I32x16 raised_add(I32x16 acc, W64, X4) { return acc; }
