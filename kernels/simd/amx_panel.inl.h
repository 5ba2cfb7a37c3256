// The panels of the AMX table: signed bytes, which the matrix unit multiplies as they are.

constexpr PanelForm kPanelForm = PanelForm::kSigned;
constexpr bool kMatrixUnit = true;
constexpr bool kDecodeUnit = false;
template <i32 kOffset>
LBM_LANE W64 w_to_panel(W64 w) {
  return {_mm512_sub_epi8(w.bytes, _mm512_set1_epi8(static_cast<char>(kOffset)))};
}
LBM_LANE I32x16 raised_add(I32x16 acc, W64, X4) { return acc; }
