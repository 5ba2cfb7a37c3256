// The table of one instruction set, after its vocabulary and the kernels were included.
// LBM_TABLE_NAME is its name.

constexpr KernelTable make_table() {
  KernelTable table = {};
  table.name = LBM_TABLE_NAME;
  const auto set = [&table](DType type, MatmulFn fn) { table.matmul[static_cast<u32>(type)] = fn; };
  set(DType::kF32, matmul<Plain<LoadF32>>);
  set(DType::kF16, matmul<Plain<LoadF16>>);
  set(DType::kBF16, matmul<Plain<LoadBF16>>);
  set(DType::kQ4_0, matmul<Quantized<TileQ4_0>>);
  set(DType::kQ4_1, matmul<Quantized<TileQ4_1>>);
  set(DType::kQ5_0, matmul<Quantized<TileQ5_0>>);
  set(DType::kQ5_1, matmul<Quantized<TileQ5_1>>);
  set(DType::kQ8_0, matmul<Quantized<TileQ8_0>>);
  table.quantize_row = quantize_row;
  table.rms_norm = rms_norm;
  table.add = add;
  table.silu_mul = silu_mul;
  table.rope_neighbours = rope_neighbours;
  table.rope_halves = rope_halves;
  table.store_key_f16 = store_key_f16;
  table.store_value_f16 = store_value_f16;
  table.attention_f16 = attention<LoadF16>;
  table.attention_f32 = attention<LoadF32>;
  table.all_finite = all_finite;
  return table;
}
