// How 16 elements of each plain type become f32 lanes. All conversions are exact.

struct LoadF32 {
  using Element = f32;
  static LBM_LANE F32x16 lanes(const f32* p) { return f_load(p); }
  static LBM_LANE F32x16 lanes_first(const f32* p, u32 n) { return f_load_first(p, n); }
};

struct LoadF16 {
  using Element = u16;
  static LBM_LANE F32x16 lanes(const u16* p) { return f_load_f16(p); }
  static LBM_LANE F32x16 lanes_first(const u16* p, u32 n) {
    u16 padded[kLanes] = {};
    __builtin_memcpy(padded, p, n * sizeof(u16));
    return f_load_f16(padded);
  }
};

struct LoadBF16 {
  using Element = u16;
  static LBM_LANE F32x16 lanes(const u16* p) {
    I32x16 wide;
    LBM_EACH_PART {
      HPart h;
      __builtin_memcpy(&h, p + i * kPart, sizeof(h));
      wide.part[i] = __builtin_convertvector(h, IPart) << 16;
    }
    return f_from_bits(wide);
  }
};
