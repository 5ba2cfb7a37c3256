// The 16 virtual lanes: F32x16 and I32x16, over whatever vector the including ISA file defines.
//
// An ISA file defines kPart (lanes of one hardware vector) and includes this file inside its
// unnamed namespace. The compiler's own vector types give + - * / and comparisons lane by lane,
// which is all IEEE-754 asks for: no lane ever meets another one except in fold(), whose tree is
// fixed (R11).

typedef float FPart __attribute__((vector_size(4 * kPart)));
typedef int IPart __attribute__((vector_size(4 * kPart)));
typedef unsigned short HPart __attribute__((vector_size(2 * kPart)));
typedef unsigned char BPart __attribute__((vector_size(kPart)));
typedef signed char SPart __attribute__((vector_size(kPart)));

constexpr u32 kLanes = 16;
constexpr u32 kParts = kLanes / kPart;

// What the elements of a panel (kernels/matmul.inl.h) are turned into.
enum class PanelForm : u8 {
  kAsUnpacked,  // unsigned ones stay so, with the bounds of their type; signed ones too
  kRaised,      // value + 128, unsigned
  kSigned,      // the value, signed
};

struct F32x16 {
  FPart part[kParts];
};
struct I32x16 {
  IPart part[kParts];
};

#define LBM_LANE inline __attribute__((always_inline))
// A function of whole lanes in terms of one hardware vector.
#define LBM_EACH_PART _Pragma("GCC unroll 16") for (u32 i = 0; i < kParts; ++i)

// `value - 0` is value for every value, -0 included, so it compiles to a broadcast; `value + 0` is
// not, and would be an addition.
LBM_LANE F32x16 f_splat(f32 value) {
  F32x16 r;
  LBM_EACH_PART r.part[i] = value - FPart{};
  return r;
}
LBM_LANE I32x16 i_splat(i32 value) {
  I32x16 r;
  LBM_EACH_PART r.part[i] = IPart{} + value;
  return r;
}
// -0 is the identity of addition; zeros here start sums, which R5 and R11 begin at +0.
LBM_LANE F32x16 f_zero() {
  F32x16 r;
  LBM_EACH_PART r.part[i] = FPart{};
  return r;
}
LBM_LANE F32x16 f_load(const f32* p) {
  F32x16 r;
  __builtin_memcpy(&r, p, sizeof(r));
  return r;
}
LBM_LANE void f_store(f32* p, F32x16 v) { __builtin_memcpy(p, &v, sizeof(v)); }
// The first n lanes; the others are +0.
LBM_LANE F32x16 f_load_first(const f32* p, u32 n) {
  F32x16 r = f_zero();
  __builtin_memcpy(&r, p, n * sizeof(f32));
  return r;
}
LBM_LANE void f_store_first(f32* p, F32x16 v, u32 n) { __builtin_memcpy(p, &v, n * sizeof(f32)); }

LBM_LANE F32x16 operator+(F32x16 a, F32x16 b) {
  LBM_EACH_PART a.part[i] = a.part[i] + b.part[i];
  return a;
}
LBM_LANE F32x16 operator-(F32x16 a, F32x16 b) {
  LBM_EACH_PART a.part[i] = a.part[i] - b.part[i];
  return a;
}
LBM_LANE F32x16 operator*(F32x16 a, F32x16 b) {
  LBM_EACH_PART a.part[i] = a.part[i] * b.part[i];
  return a;
}
LBM_LANE F32x16 operator/(F32x16 a, F32x16 b) {
  LBM_EACH_PART a.part[i] = a.part[i] / b.part[i];
  return a;
}
LBM_LANE F32x16 select_less(F32x16 a, F32x16 b, F32x16 x, F32x16 y) {
  LBM_EACH_PART x.part[i] = a.part[i] < b.part[i] ? x.part[i] : y.part[i];
  return x;
}
LBM_LANE F32x16 f_max(F32x16 a, F32x16 b) { return select_less(a, b, b, a); }

LBM_LANE I32x16 operator+(I32x16 a, I32x16 b) {
  LBM_EACH_PART a.part[i] = a.part[i] + b.part[i];
  return a;
}
LBM_LANE I32x16 operator-(I32x16 a, I32x16 b) {
  LBM_EACH_PART a.part[i] = a.part[i] - b.part[i];
  return a;
}
LBM_LANE I32x16 i_and(I32x16 a, I32x16 b) {
  LBM_EACH_PART a.part[i] = a.part[i] & b.part[i];
  return a;
}
LBM_LANE I32x16 i_max(I32x16 a, I32x16 b) {
  LBM_EACH_PART a.part[i] = a.part[i] > b.part[i] ? a.part[i] : b.part[i];
  return a;
}
template <u32 kBits>
LBM_LANE I32x16 i_shift_left(I32x16 a) {
  LBM_EACH_PART a.part[i] = a.part[i] << kBits;
  return a;
}
// One byte of each lane, as scales stand beside the elements of a tile.
typedef unsigned long long Bytes16 __attribute__((vector_size(16)));
LBM_LANE Bytes16 b_load(const void* p) {
  Bytes16 b;
  __builtin_memcpy(&b, p, sizeof(b));
  return b;
}
LBM_LANE Bytes16 b_low_nibbles(Bytes16 b) { return b & 0x0f0f0f0f0f0f0f0full; }
LBM_LANE Bytes16 b_high_nibbles(Bytes16 b) { return (b >> 4) & 0x0f0f0f0f0f0f0f0full; }
// Bits `shift` and `shift` + 1 of each byte.
LBM_LANE Bytes16 b_two_bits(Bytes16 b, u32 shift) { return (b >> shift) & 0x0303030303030303ull; }
LBM_LANE I32x16 i_from_bytes(Bytes16 b) {
  u8 byte[kLanes];
  __builtin_memcpy(byte, &b, sizeof(byte));
  I32x16 r;
  LBM_EACH_PART {
    BPart part;
    __builtin_memcpy(&part, byte + i * kPart, sizeof(part));
    r.part[i] = __builtin_convertvector(part, IPart);
  }
  return r;
}
LBM_LANE I32x16 i_from_signed_bytes(Bytes16 b) {
  i8 byte[kLanes];
  __builtin_memcpy(byte, &b, sizeof(byte));
  I32x16 r;
  LBM_EACH_PART {
    SPart part;
    __builtin_memcpy(&part, byte + i * kPart, sizeof(part));
    r.part[i] = __builtin_convertvector(part, IPart);
  }
  return r;
}

// The low byte of each lane.
LBM_LANE void i_store_bytes(i8* p, I32x16 v) {
  LBM_EACH_PART {
    const SPart part = __builtin_convertvector(v.part[i], SPart);
    __builtin_memcpy(p + i * kPart, &part, sizeof(part));
  }
}

LBM_LANE I32x16 f_bits(F32x16 a) { return __builtin_bit_cast(I32x16, a); }
LBM_LANE F32x16 f_from_bits(I32x16 a) { return __builtin_bit_cast(F32x16, a); }
// One conversion, round to nearest even.
LBM_LANE F32x16 f_from_int(I32x16 a) {
  F32x16 r;
  LBM_EACH_PART r.part[i] = __builtin_convertvector(a.part[i], FPart);
  return r;
}

// The fold tree of R11: lane i with i + 8, then + 4, + 2, + 1.
template <class Lane, class Lanes, class Join>
LBM_LANE Lane fold_tree(const Lanes& v, const Join& join) {
  Lane lane[kLanes];
  __builtin_memcpy(lane, &v, sizeof(v));
  for (u32 width = kLanes / 2; width != 0; width /= 2) {
    for (u32 i = 0; i < width; ++i) lane[i] = join(lane[i], lane[i + width]);
  }
  return lane[0];
}
LBM_LANE f32 fold(F32x16 v) {
  return fold_tree<f32>(v, [](f32 a, f32 b) { return a + b; });
}
LBM_LANE i32 i_fold_add(I32x16 v) {
  return fold_tree<i32>(v, [](i32 a, i32 b) { return a + b; });
}
LBM_LANE i32 i_fold_max(I32x16 v) {
  return fold_tree<i32>(v, [](i32 a, i32 b) { return a > b ? a : b; });
}
LBM_LANE f32 fold_max(F32x16 v) {
  f32 lane[kLanes];
  __builtin_memcpy(lane, &v, sizeof(v));
  f32 best = lane[0];
  for (u32 i = 1; i < kLanes; ++i) best = best < lane[i] ? lane[i] : best;
  return best;
}

// Lanes of a (0..15) and b (16..31).
typedef float Wide __attribute__((vector_size(4 * kLanes)));
template <int... kIndex>
LBM_LANE F32x16 shuffle(F32x16 a, F32x16 b) {
  return __builtin_bit_cast(
      F32x16,
      __builtin_shufflevector(__builtin_bit_cast(Wide, a), __builtin_bit_cast(Wide, b), kIndex...));
}

// out[i] = the fold of v[i], for four vectors at once: trees side by side share their shuffles.
// Narrow vectors gain nothing by it.
struct AddLanes {
  static LBM_LANE F32x16 of(F32x16 a, F32x16 b) { return a + b; }
  static LBM_LANE f32 fold_one(F32x16 v) { return fold(v); }
};
struct MaxLanes {
  static LBM_LANE F32x16 of(F32x16 a, F32x16 b) { return f_max(a, b); }
  static LBM_LANE f32 fold_one(F32x16 v) { return fold_max(v); }
};
// The same over integers, as bits.
struct AddIntegers {
  static LBM_LANE F32x16 of(F32x16 a, F32x16 b) { return f_from_bits(f_bits(a) + f_bits(b)); }
  static LBM_LANE f32 fold_one(F32x16 v) { return __builtin_bit_cast(f32, i_fold_add(f_bits(v))); }
};
struct MaxIntegers {
  static LBM_LANE F32x16 of(F32x16 a, F32x16 b) { return f_from_bits(i_max(f_bits(a), f_bits(b))); }
  static LBM_LANE f32 fold_one(F32x16 v) { return __builtin_bit_cast(f32, i_fold_max(f_bits(v))); }
};
template <class Op>
LBM_LANE void fold_four(const F32x16* v, f32* out) {
  if constexpr (kPart == 4) {
    for (u32 i = 0; i < 4; ++i) out[i] = Op::fold_one(v[i]);
  } else {
    // Eight lanes of two vectors, then four lanes of four.
    const auto eights = [](F32x16 a, F32x16 b) __attribute__((always_inline)) {
      return Op::of(shuffle<0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23>(a, b),
                    shuffle<8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31>(a, b));
    };
    const F32x16 a = eights(v[0], v[1]);
    const F32x16 b = eights(v[2], v[3]);
    F32x16 r = Op::of(shuffle<0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27>(a, b),
                      shuffle<4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31>(a, b));
    r = Op::of(r, shuffle<2, 3, 2, 3, 6, 7, 6, 7, 10, 11, 10, 11, 14, 15, 14, 15>(r, r));
    r = Op::of(r, shuffle<1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13>(r, r));
    f32 lane[kLanes];
    f_store(lane, r);
    for (u32 i = 0; i < 4; ++i) out[i] = lane[4 * i];
  }
}

// The words that fmath.inl.h asks for.
template <class F>
LBM_LANE F splat(f32 value) {
  return f_splat(value);
}
LBM_LANE I32x16 round_to_int(F32x16 shifted) { return f_bits(shifted) - i_splat(0x4b400000); }
LBM_LANE I32x16 half(I32x16 n) {
  LBM_EACH_PART n.part[i] = n.part[i] >> 1;
  return n;
}
LBM_LANE F32x16 power_of_two(I32x16 n) { return f_from_bits(i_shift_left<23>(n + i_splat(127))); }
#include "core/base/fmath.inl.h"
