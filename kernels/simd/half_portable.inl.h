// f16 lanes by integer arithmetic: the formulas of core/tensor/f16.inl.h on whole vectors, for ISAs
// without a conversion.

typedef short SHPart __attribute__((vector_size(2 * kPart)));

// Widened as a signed number, a half brings its sign to bit 31; what the shift leaves of it below
// is cleared, and the product corrects the exponent. Infinity and NaN get theirs back: a key that
// overflowed is an error in every table (R10, R18), not a large number in some.
LBM_LANE F32x16 f_load_f16(const u16* p) {
  F32x16 r;
  LBM_EACH_PART {
    SHPart h;
    __builtin_memcpy(&h, p + i * kPart, sizeof(h));
    const IPart bits = (__builtin_convertvector(h, IPart) << 13) & static_cast<i32>(0x8fffe000u);
    const IPart top = ((bits & 0x0f800000) == 0x0f800000) & 0x7f800000;
    const FPart value = __builtin_bit_cast(FPart, bits) * 0x1p112f;
    r.part[i] = __builtin_bit_cast(FPart, __builtin_bit_cast(IPart, value) | top);
  }
  return r;
}
LBM_LANE void f_store_f16(u16* p, F32x16 v) {
  f32 lane[kLanes];
  f_store(lane, v);
  for (u32 i = 0; i < kLanes; ++i) p[i] = f32_to_f16(lane[i]);
}
