// f16 lanes by integer arithmetic: the formulas of core/tensor/f16.inl.h on whole vectors, for ISAs
// without a conversion.

// Infinities and NaN have the largest exponent of f32, too: an overflowing key or an infinite weight
// is an error of every table (R10, R18), not a large number in some.
LBM_LANE F32x16 f_load_f16(const u16* p) {
  F32x16 r;
  LBM_EACH_PART {
    HPart h;
    __builtin_memcpy(&h, p + i * kPart, sizeof(h));
    const IPart wide = __builtin_convertvector(h, IPart);
    const IPart magnitude = (wide & 0x7fff) << 13;
    const FPart value = __builtin_bit_cast(FPart, magnitude) * 0x1p112f;
    const IPart top = (magnitude >= (0x7c00 << 13)) & 0x7f800000;
    const IPart sign = (wide & 0x8000) << 16;
    r.part[i] = __builtin_bit_cast(FPart, __builtin_bit_cast(IPart, value) | top | sign);
  }
  return r;
}
LBM_LANE void f_store_f16(u16* p, F32x16 v) {
  f32 lane[kLanes];
  f_store(lane, v);
  for (u32 i = 0; i < kLanes; ++i) p[i] = f32_to_f16(lane[i]);
}
