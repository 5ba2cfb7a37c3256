// The table of one instruction set, after its vocabulary and the kernels were included.
// LBM_TABLE_NAME is its name.

constexpr KernelTable make_table() {
  KernelTable table = {};
  table.name = LBM_TABLE_NAME;
  const auto set = [&table](DType type, MatmulFn decode_fn, MatmulFn prefill_fn) {
    table.decode[static_cast<u32>(type)] = decode_fn;
    table.prefill[static_cast<u32>(type)] = prefill_fn;
  };
  set(DType::kF32, plain_decode<LoadF32>, plain_prefill<LoadF32>);
  set(DType::kF16, plain_decode<LoadF16>, plain_prefill<LoadF16>);
  set(DType::kBF16, plain_decode<LoadBF16>, plain_prefill<LoadBF16>);
  set(DType::kQ4_0, decode<SourceQ4_0>, prefill<SourceQ4_0>);
  set(DType::kQ4_1, decode<SourceQ4_1>, prefill<SourceQ4_1>);
  set(DType::kQ5_0, decode<SourceQ5_0>, prefill<SourceQ5_0>);
  set(DType::kQ5_1, decode<SourceQ5_1>, prefill<SourceQ5_1>);
  set(DType::kQ8_0, decode<SourceQ8_0>, prefill<SourceQ8_0>);
  set(DType::kQ2_K, decode<SourceQ2_K>, prefill<SourceQ2_K>);
  set(DType::kQ3_K, decode<SourceQ3_K>, prefill<SourceQ3_K>);
  set(DType::kQ4_K, decode<SourceQ4_K>, prefill<SourceQ4_K>);
  set(DType::kQ5_K, decode<SourceQ5_K>, prefill<SourceQ5_K>);
  set(DType::kQ6_K, decode<SourceQ6_K>, prefill<SourceQ6_K>);
  set(DType::kIQ4_NL, decode<SourceIQ4_NL>, prefill<SourceIQ4_NL>);
  set(DType::kIQ4_XS, decode<SourceIQ4_XS>, prefill<SourceIQ4_XS>);
  set(DType::kMXFP4, decode<SourceMXFP4>, prefill<SourceMXFP4>);
  const auto grid = [&set](DType type, MatmulFn fn) { set(type, fn, fn); };
  grid(DType::kIQ1_S, multiply_grid<DType::kIQ1_S, Step::kScale>);
  grid(DType::kIQ2_XXS, multiply_grid<DType::kIQ2_XXS, Step::kScale>);
  grid(DType::kIQ3_XXS, multiply_grid<DType::kIQ3_XXS, Step::kScale>);
  grid(DType::kIQ3_S, multiply_grid<DType::kIQ3_S, Step::kScale>);
  grid(DType::kTQ1_0, multiply_grid<DType::kTQ1_0, Step::kScale>);
  grid(DType::kTQ2_0, multiply_grid<DType::kTQ2_0, Step::kScale>);
  grid(DType::kQ1_0, multiply_grid<DType::kQ1_0, Step::kScale>);
  grid(DType::kQ2_0, multiply_grid<DType::kQ2_0, Step::kScale>);
  grid(DType::kIQ1_M, multiply_grid<DType::kIQ1_M, Step::kHalves>);
  grid(DType::kIQ2_XS, multiply_grid<DType::kIQ2_XS, Step::kHalves>);
  grid(DType::kIQ2_S, multiply_grid<DType::kIQ2_S, Step::kHalves>);
  grid(DType::kNVFP4, multiply_grid<DType::kNVFP4, Step::kTwoSteps>);
  table.quantize_row = quantize_row;
  table.rms_norm = rms_norm;
  table.add = add;
  table.layer_norm = layer_norm;
  table.silu_mul = silu_mul;
  table.gelu_mul = gelu_mul;
  table.gelu = gelu;
  table.relu_squared = relu_squared;
  table.swiglu_clamped = swiglu_clamped;
  table.sigmoid_mul = sigmoid_mul;
  table.scale = scale;
  table.add_scaled = add_scaled;
  table.soft_cap = soft_cap;
  table.softmax = softmax;
  table.rope_neighbours = rope_neighbours;
  table.rope_halves = rope_halves;
  const auto set_kv = [&table](KvType type, KvStoreFn store, AttentionFn whole,
                               AttentionPartFn part) {
    table.store_kv[static_cast<u32>(type)] = store;
    table.attention[static_cast<u32>(type)] = whole;
    table.attention_part[static_cast<u32>(type)] = part;
  };
  set_kv(KvType::kF16, store_kv<KvF16>, attention<KvF16>, attention_part<KvF16>);
  set_kv(KvType::kF32, store_kv<KvF32>, attention<KvF32>, attention_part<KvF32>);
  set_kv(KvType::kQ8_0, store_kv<KvQ8>, attention<KvQ8>, attention_part<KvQ8>);
  table.attention_join = attention_join;
  table.conv = conv;
  table.delta_net = delta_net;
  table.l2_norm = l2_norm;
  table.all_finite = all_finite;
  return table;
}
