// Shaders that work on rows of activations: embedding, RMSNorm, activation.

import { ACTIVATIONS, VECTORS, VECTOR_AT, composeShader } from "./wgsl.mjs";
import { BLOCK_TYPES, WEIGHT_OP, WEIGHT_STORAGE } from "./blocks.mjs";

// x = scale * row of the table. A table that is split over several buffers has a dispatch for each,
// which writes the tokens whose rows it holds.
export const embedShader = ({ type }) => composeShader({
  label: `embed ${type}`,
  op: [...WEIGHT_OP, ["first_row", "u32"], ["n_row", "u32"], ["y_stride", "u32"], ["scale", "f32"]],
  storage: [...WEIGHT_STORAGE, ["tokens", "array<u32>", false], ["y", "array<vec4<f32>>", true]],
  code: /* wgsl */ `
${BLOCK_TYPES[type].code}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  let row = tokens[at.y] - op.first_row;
  if (at.x >= op.n_unit || row >= op.n_row) { return; }
  let w = weights(row, at.x);
  y[at.y * op.y_stride + 2u * at.x] = w[0] * op.scale;
  y[at.y * op.y_stride + 2u * at.x + 1u] = w[1] * op.scale;
}
`,
});

const SUM_64 = /* wgsl */ `
var<workgroup> sums: array<f32, 64>;
// The sum over the 64 threads, for each of them.
fn sum_all(thread: u32, value: f32) -> f32 {
  sums[thread] = value;
  workgroupBarrier();
  if (thread < 8u) {
    var sum = sums[thread];
    for (var i = thread + 8u; i < 64u; i += 8u) { sum += sums[i]; }
    sums[thread] = sum;
  }
  workgroupBarrier();
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}
`;

// RMSNorm of each row: y = norm(x), or with `add` y += scale * norm(x), for norms behind a block.
export const normShader = ({ add = false }) => composeShader({
  label: add ? "norm add" : "norm",
  op: [["n_col", "u32"], ["x_stride", "u32"], ["y_stride", "u32"], ["norm", "u32"], ["eps", "f32"], ["scale", "f32"]],
  storage: [VECTORS, ["x", "array<f32>", false], ["y", "array<f32>", true]],
  code: /* wgsl */ `
${VECTOR_AT}${SUM_64}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let start = group.x * op.x_stride;
  var square = 0.0;
  for (var i = thread; i < op.n_col; i += 64u) { square += x[start + i] * x[start + i]; }
  let r = 1.0 / sqrt(sum_all(thread, square) / f32(op.n_col) + op.eps);
  for (var i = thread; i < op.n_col; i += 64u) {
    let normed = x[start + i] * r * vector_at(op.norm, i);
    y[group.x * op.y_stride + i] ${add ? "+= op.scale *" : "="} normed;
  }
}
`,
});

// A row as 8-bit integers with a scale for each 32 (R3 of docs/numerics.md), through its norm where
// `normed`. For matvecShader({ packed }). op.last is 1 for the last token of the batch; y has one row.
export const quantizeShader = ({ normed }) => composeShader({
  label: normed ? "norm quantize" : "quantize",
  op: [["n_col", "u32"], ["x_stride", "u32"], ["last", "u32"], ["norm", "u32"], ["eps", "f32"]],
  storage: [VECTORS, ["x", "array<f32>", false], ["y", "array<u32>", true], ["y_scales", "array<f32>", true]],
  code: /* wgsl */ `
${VECTOR_AT}${SUM_64}
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
  let start = op.last * (batch.n_token - 1u) * op.x_stride;
  ${normed ? `var square = 0.0;
  for (var i = thread; i < op.n_col; i += 64u) { square += x[start + i] * x[start + i]; }
  let r = 1.0 / sqrt(sum_all(thread, square) / f32(op.n_col) + op.eps);` : ""}
  for (var block = thread; block < op.n_col / 32u; block += 64u) {
    var values: array<f32, 32>;
    var most = 0.0;
    for (var i = 0u; i < 32u; i++) {
      values[i] = x[start + 32u * block + i]${normed ? " * r * vector_at(op.norm, 32u * block + i)" : ""};
      most = max(most, abs(values[i]));
    }
    let inverse = select(0.0, 127.0 / most, most >= 0x1p-100);
    for (var word = 0u; word < 8u; word++) {
      var packed = 0u;
      for (var i = 0u; i < 4u; i++) {
        packed |= (bitcast<u32>(i32(round(values[4u * word + i] * inverse))) & 255u) << (8u * i);
      }
      y[8u * block + word] = packed;
    }
    y_scales[block] = most / 127.0;
  }
}
`,
});

// y = act(gate + bias) * (up + bias), where gate and up are halves of the same row.
export const gatedShader = ({ activation }) => composeShader({
  label: `gated ${activation}`,
  op: [["n", "u32"], ["x_stride", "u32"], ["y_stride", "u32"], ["bias", "u32"], ["bias_up", "u32"]],
  storage: [VECTORS, ["x", "array<f32>", false], ["y", "array<f32>", true]],
  code: /* wgsl */ `
const NONE = 0xffffffffu;
${VECTOR_AT}${ACTIVATIONS[activation]}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) at: vec3<u32>) {
  if (at.x >= op.n) { return; }
  var gate = x[at.y * op.x_stride + at.x];
  var up = x[at.y * op.x_stride + op.n + at.x];
  if (op.bias != NONE) { gate += vector_at(op.bias, at.x); }
  if (op.bias_up != NONE) { up += vector_at(op.bias_up, at.x); }
  y[at.y * op.y_stride + at.x] = activation(gate) * up;
}
`,
});

export { SUM_64 };
