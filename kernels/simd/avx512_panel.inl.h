// The panels of the AVX-512 table.

constexpr PanelForm kPanelForm = PanelForm::kRaised;
constexpr bool kMatrixUnit = false;
constexpr bool kDecodeUnit = false;
template <i32 kOffset>
LBM_LANE W64 w_to_panel(W64 w) {
  return {_mm512_add_epi8(w.bytes, _mm512_set1_epi8(static_cast<char>(128 - kOffset)))};
}
LBM_LANE I32x16 raised_add(I32x16 acc, W64 w, X4 x) {
  return {{__builtin_bit_cast(
      IPart, _mm512_dpbusd_epi32(__builtin_bit_cast(__m512i, acc.part[0]), w.bytes, x.q))}};
}
