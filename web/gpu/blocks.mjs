// The types of weights: how the blocks of a file are taken apart for the GPU, and the WGSL that reads
// 8 consecutive weights of a row (a "unit") as floats.
//
// Blocks of most types are no whole number of 32-bit words (Q4_0: 18 bytes, Q6_K: 210). When a matrix
// is uploaded, each block is cut into its parts, and equal parts of all blocks stand together: a plane
// of quants, a plane of scales. Nothing is converted and nothing grows; loads are aligned, and the
// threads of a row read consecutive words. Layouts of the blocks: core/tensor/blocks.h.
//
// One unit is always of one scale: w = d * q + m with q as 8 signed bytes. The offsets of Q4_0 (-8),
// Q5_0 (-16) and Q6_K (-32) are m = -8 d ...: d has 11 bits and q at most 6, so the sum is exact.

const QUANT_COMMON = /* wgsl */ `
struct Unit { q: vec2<u32>, d: f32, m: f32 }

// Of the bits of an f16 that is finite. In integers: a scale may be subnormal, and unpack2x16float()
// may flush those to zero.
fn half_bits(h: u32) -> f32 {
  let magnitude = select(bitcast<f32>(((h & 0x7fffu) << 13u) + 0x38000000u), f32(h & 0x3ffu) * 0x1p-24,
                         (h & 0x7c00u) == 0u);
  return select(magnitude, -magnitude, (h & 0x8000u) != 0u);
}
// Number i of a plane of f16.
fn half_at(plane: u32, i: u32) -> f32 { return half_bits((words[plane + i / 2u] >> (16u * (i % 2u))) & 0xffffu); }
// The signed bytes of a word.
fn bytes4(q: u32) -> vec4<f32> {
  return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(q) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}
// Bit i of the lowest 4 as byte i of 0 or 1.
fn spread(bits: u32) -> u32 { return ((bits & 15u) * 0x00204081u) & 0x01010101u; }
`;

const QUANT_READ = /* wgsl */ `
// Weights 8 u .. 8 u + 7 of a row.
fn weights(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let unit = unit_at(row, u);
  return array<vec4<f32>, 2>(bytes4(unit.q.x) * unit.d + unit.m, bytes4(unit.q.y) * unit.d + unit.m);
}
// Their product with a and b; sum is that of all members of a and b.
fn product(row: u32, u: u32, a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
  let unit = unit_at(row, u);
  return unit.d * (dot(bytes4(unit.q.x), a) + dot(bytes4(unit.q.y), b)) + unit.m * sum;
}
`;

const FLOAT_READ = /* wgsl */ `
fn product(row: u32, u: u32, a: vec4<f32>, b: vec4<f32>, sum: f32) -> f32 {
  let w = weights(row, u);
  return dot(w[0], a) + dot(w[1], b);
}
`;

// Blocks of 32: the nibbles of columns 8 k .. 8 k + 7, k = u % 4.
const NIBBLES_32 = /* wgsl */ `
  let block = row * (op.n_unit / 4u) + u / 4u;
  let k = u % 4u;
  var q = (pairs[op.plane0 / 2u + block * 2u + k % 2u] >> vec2<u32>(4u * (k / 2u))) & vec2<u32>(0x0f0f0f0fu);
`;
const FIFTH_BITS_32 = /* wgsl */ `
  let high = words[op.plane1 + block] >> (8u * k);
  q |= vec2<u32>(spread(high), spread(high >> 4u)) << vec2<u32>(4u);
`;

// Superblocks of 256: part is the 32 columns, k the 8 of them.
const SUPERBLOCK = /* wgsl */ `
  let block = row * (op.n_unit / 32u) + u / 32u;
  let part = (u / 4u) % 8u;
  let k = u % 4u;
`;
const NIBBLES_256 = /* wgsl */ `
  var q = (pairs[op.plane0 / 2u + block * 16u + 4u * (part / 2u) + k] >> vec2<u32>(4u * (part % 2u))) &
          vec2<u32>(0x0f0f0f0fu);
`;
// Scale and minimum of a part of Q4_K and Q5_K: 6 bits each, in 12 bytes.
const SCALES_K = /* wgsl */ `
fn scales_k(plane_scales: u32, plane_d: u32, block: u32, part: u32) -> vec2<f32> {
  let at = plane_scales + 3u * block;
  let shift = 8u * (part % 4u);
  let a = (words[at] >> shift) & 255u;
  let b = (words[at + 1u] >> shift) & 255u;
  let c = (words[at + 2u] >> shift) & 255u;
  let low = part < 4u;
  let scale = select((c & 15u) | ((a >> 6u) << 4u), a & 63u, low);
  let minimum = select((c >> 4u) | ((b >> 6u) << 4u), b & 63u, low);
  let d = words[plane_d + block];
  return vec2<f32>(half_bits(d & 0xffffu) * f32(scale), -(half_bits(d >> 16u) * f32(minimum)));
}
`;

const quantized = (block, parts, code, before = "") => ({
  block, parts, quantized: true,
  code: `${QUANT_COMMON}${before}\nfn unit_at(row: u32, u: u32) -> Unit {${code}}\n${QUANT_READ}`,
});
const plain = (bytes, code) => ({
  block: 1, parts: [[0, bytes]], quantized: false, code: `${QUANT_COMMON}${code}${FLOAT_READ}`,
});

const PAIR_OF_SCALES = (plane) => /* wgsl */ `
  let dm = words[op.${plane} + block];
  return Unit(q, half_bits(dm & 0xffffu), half_bits(dm >> 16u));
`;

// For each type: elements of a block; its parts [first byte, bytes], in the order of the planes; the
// WGSL that reads them from `words` (and `pairs`, the same buffer as vec2) at op.plane0 ..
export const BLOCK_TYPES = {
  F32: plain(4, /* wgsl */ `
fn weights(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let at = op.plane0 / 2u + (row * op.n_unit + u) * 4u;
  return array<vec4<f32>, 2>(bitcast<vec4<f32>>(vec4<u32>(pairs[at], pairs[at + 1u])),
                             bitcast<vec4<f32>>(vec4<u32>(pairs[at + 2u], pairs[at + 3u])));
}
`),
  F16: plain(2, /* wgsl */ `
fn halves4(w: vec2<u32>) -> vec4<f32> {
  return vec4<f32>(half_bits(w.x & 0xffffu), half_bits(w.x >> 16u), half_bits(w.y & 0xffffu), half_bits(w.y >> 16u));
}
fn weights(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let at = op.plane0 / 2u + (row * op.n_unit + u) * 2u;
  return array<vec4<f32>, 2>(halves4(pairs[at]), halves4(pairs[at + 1u]));
}
`),
  BF16: plain(2, /* wgsl */ `
fn halves4(w: vec2<u32>) -> vec4<f32> {
  return bitcast<vec4<f32>>(vec4<u32>(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u));
}
fn weights(row: u32, u: u32) -> array<vec4<f32>, 2> {
  let at = op.plane0 / 2u + (row * op.n_unit + u) * 2u;
  return array<vec4<f32>, 2>(halves4(pairs[at]), halves4(pairs[at + 1u]));
}
`),
  Q4_0: quantized(32, [[2, 16], [0, 2]], /* wgsl */ `${NIBBLES_32}
  let d = half_at(op.plane1, block);
  return Unit(q, d, -8.0 * d);
`),
  Q4_1: quantized(32, [[4, 16], [0, 4]], `${NIBBLES_32}${PAIR_OF_SCALES("plane1")}`),
  Q5_0: quantized(32, [[6, 16], [2, 4], [0, 2]], /* wgsl */ `${NIBBLES_32}${FIFTH_BITS_32}
  let d = half_at(op.plane2, block);
  return Unit(q, d, -16.0 * d);
`),
  Q5_1: quantized(32, [[8, 16], [4, 4], [0, 4]], `${NIBBLES_32}${FIFTH_BITS_32}${PAIR_OF_SCALES("plane2")}`),
  Q8_0: quantized(32, [[2, 32], [0, 2]], /* wgsl */ `
  let block = row * (op.n_unit / 4u) + u / 4u;
  return Unit(pairs[op.plane0 / 2u + row * op.n_unit + u], half_at(op.plane1, block), 0.0);
`),
  Q4_K: quantized(256, [[16, 128], [4, 12], [0, 4]], /* wgsl */ `${SUPERBLOCK}${NIBBLES_256}
  let dm = scales_k(op.plane1, op.plane2, block, part);
  return Unit(q, dm.x, dm.y);
`, SCALES_K),
  Q5_K: quantized(256, [[48, 128], [16, 32], [4, 12], [0, 4]], /* wgsl */ `${SUPERBLOCK}${NIBBLES_256}
  q |= ((pairs[op.plane1 / 2u + block * 4u + k] >> vec2<u32>(part)) & vec2<u32>(0x01010101u)) << vec2<u32>(4u);
  let dm = scales_k(op.plane2, op.plane3, block, part);
  return Unit(q, dm.x, dm.y);
`, SCALES_K),
  Q6_K: quantized(256, [[0, 128], [128, 64], [192, 16], [208, 2]], /* wgsl */ `${SUPERBLOCK}
  let quarter = part % 4u;
  let low = pairs[op.plane0 / 2u + block * 16u + 8u * (part / 4u) + 4u * (quarter % 2u) + k];
  let high = pairs[op.plane1 / 2u + block * 8u + 4u * (part / 4u) + k];
  let q = ((low >> vec2<u32>(4u * (quarter / 2u))) & vec2<u32>(0x0f0f0f0fu)) |
          (((high >> vec2<u32>(2u * quarter)) & vec2<u32>(0x03030303u)) << vec2<u32>(4u));
  let at = 2u * part + k / 2u;
  let scale = bitcast<i32>(words[op.plane2 + block * 4u + at / 4u] << (24u - 8u * (at % 4u))) >> 24u;
  let d = half_at(op.plane3, block) * f32(scale);
  return Unit(q, d, -32.0 * d);
`),
};

// Members of Op and bindings that the code of a type uses.
export const WEIGHT_OP = [
  ["n_unit", "u32"], ["plane0", "u32"], ["plane1", "u32"], ["plane2", "u32"], ["plane3", "u32"],
];
export const WEIGHT_STORAGE = [["words", "array<u32>", false], ["pairs", "array<vec2<u32>>", false]];

const WORD_ALIGN = 4; // words; every plane begins at a multiple, so that vec2 loads are aligned

// Columns of a row as it is stored: whole units. Rows of plain types are padded with zeros.
export const paddedColumns = (type, nCol) => (BLOCK_TYPES[type].block === 1 ? Math.ceil(nCol / 8) * 8 : nCol);

// Bytes of a row in the file.
export const fileRowBytes = (type, nCol) => {
  const { block, parts } = BLOCK_TYPES[type];
  return (nCol / block) * parts.reduce((sum, [, n]) => sum + n, 0);
};

// Where the planes of a matrix of so many rows begin, and its size, in words.
export function planesOf(type, nRow, nCol) {
  const { block, parts } = BLOCK_TYPES[type];
  const nBlock = nRow * (paddedColumns(type, nCol) / block);
  let words = 0;
  const planes = parts.map(([, n]) => {
    const at = words;
    words += Math.ceil((nBlock * n) / (4 * WORD_ALIGN)) * WORD_ALIGN;
    return at;
  });
  return { planes, words };
}
