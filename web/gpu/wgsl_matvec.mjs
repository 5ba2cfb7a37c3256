// y = W x for one token: the shaders that decoding spends its time in.
//
// A workgroup is 2 groups of 32 lanes; a group makes 4 outputs (4 rows of W; or 2 rows of a gate and
// the same 2 of up). Lane l takes units l, l + 32, ... of 8 columns, the same ones for all 4 rows, so
// that it reads its activations once, and neighbouring lanes read neighbouring words. Partial sums meet
// in workgroup memory, or by subgroup operations where the adapter has them.
//
// With `packed` x is rows of 8-bit integers with a scale for each 32 (quantizeShader()), as the core has
// them (R3 of docs/numerics.md), and products are packed 4 x 8-bit dot products.
//
// Fused around the product: RMSNorm of x before it (every workgroup sees all of x anyway: the sum of
// squares costs no pass of its own), and one of these behind it:
//   plain         y = cap(scale (W x + bias)), added to y where op.add is 1 (the residual); op.last is 1
//                 for the last token of the batch (logits)
//   gated         y = act(gate x + bias) * (up x + bias); W holds the rows of gate, then those of up
//   expert_gated  the same for the experts of a token (z is the slot: token * n_used + rank), W holds
//                 gate and up of each expert in turn
//   expert_down   y += sum over ranks of weight * (down x[slot]): the second phase of a mixture of
//                 experts, by rank order, without atomics

import { ACTIVATIONS, SOFT_CAP, VECTORS, VECTOR_AT, composeShader } from "./wgsl.mjs";
import { BLOCK_TYPES, WEIGHT_OP, WEIGHT_STORAGE } from "./blocks.mjs";

const OP = [
  ...WEIGHT_OP,
  ["n_row", "u32"], // outputs of this dispatch
  ["x_stride", "u32"], // vec4
  ["y_stride", "u32"],
  ["y_first", "u32"], // where output 0 goes
  ["bias", "u32"], // places in `vectors`, or NONE
  ["bias_up", "u32"],
  ["norm", "u32"],
  ["eps", "f32"],
  ["n_col", "u32"],
  ["scale", "f32"],
  ["cap", "f32"],
  ["add", "u32"],
  ["last", "u32"],
  ["n_used", "u32"],
];

const REDUCE = /* wgsl */ `
var<workgroup> partial: array<vec4<f32>, 64>;
var<workgroup> partial_square: array<f32, 64>;

struct Sums { rows: vec4<f32>, square: f32 }
// The sums over the lanes of a group, for each of them.
fn reduce(lane: u32, base: u32, rows: vec4<f32>, square: f32) -> Sums {
  partial[base + lane] = rows;
  partial_square[base + lane] = square;
  workgroupBarrier();
  if (lane < 4u) {
    var sum = partial[base + lane];
    var sum_square = partial_square[base + lane];
    for (var i = lane + 4u; i < LANES; i += 4u) {
      sum += partial[base + i];
      sum_square += partial_square[base + i];
    }
    partial[base + lane] = sum;
    partial_square[base + lane] = sum_square;
  }
  workgroupBarrier();
  return Sums(partial[base] + partial[base + 1u] + partial[base + 2u] + partial[base + 3u],
              partial_square[base] + partial_square[base + 1u] + partial_square[base + 2u] + partial_square[base + 3u]);
}
`;

const REDUCE_SUBGROUPS = /* wgsl */ `
var<workgroup> partial: array<vec4<f32>, 64>;
var<workgroup> partial_square: array<f32, 64>;

struct Sums { rows: vec4<f32>, square: f32 }
fn reduce(rows: vec4<f32>, square: f32, subgroup: u32, n_subgroup: u32) -> Sums {
  let sum = subgroupAdd(rows);
  let sum_square = subgroupAdd(square);
  if (subgroupElect()) {
    partial[subgroup] = sum;
    partial_square[subgroup] = sum_square;
  }
  workgroupBarrier();
  var sums = Sums(partial[0], partial_square[0]);
  for (var i = 1u; i < n_subgroup; i++) {
    sums.rows += partial[i];
    sums.square += partial_square[i];
  }
  return sums;
}
`;

// Which rows of W the four sums are, by `first`, the first output of the group; rows beyond the end
// are the last one again, and their sums are dropped.
const LAST = "min(first + RANK, op.n_row - 1u)";
const rowsOf = (base) => [0, 1, 2, 3].map((i) => `${base}${LAST.replace("RANK", `${i}u`)}`);
const pairRowsOf = (base) => [
  `${base}${LAST.replace("RANK", "0u")}`,
  `${base}${LAST.replace("RANK", "1u")}`,
  `${base}op.n_row + ${LAST.replace("RANK", "0u")}`,
  `${base}op.n_row + ${LAST.replace("RANK", "1u")}`,
];

const GATED_END = /* wgsl */ `
  if (lane < 2u && first + lane < op.n_row) {
    var gate = value[lane];
    var up = value[lane + 2u];
    if (op.bias != NONE) { gate += vector_at(op.bias, first + lane); }
    if (op.bias_up != NONE) { up += vector_at(op.bias_up, first + lane); }
    y[z * op.y_stride + op.y_first + first + lane] = activation(gate) * up;
  }
`;
const PLAIN_END = /* wgsl */ `
  if (lane < 4u && first + lane < op.n_row) {
    var v = value[lane];
    if (op.bias != NONE) { v += vector_at(op.bias, first + lane); }
    v = soft_cap(v * op.scale, op.cap);
    let at = z * op.y_stride + op.y_first + first + lane;
    if (op.add != 0u) { v += y[at]; }
    y[at] = v;
  }
`;

const MODES = {
  plain: { outputs: 4, rows: rowsOf(""), x: "z + op.last * (batch.n_token - 1u)", end: PLAIN_END },
  gated: { outputs: 2, rows: pairRowsOf(""), x: "z", end: GATED_END },
  expert_gated: {
    outputs: 2, rows: pairRowsOf("base + "), x: "z / op.n_used", end: GATED_END,
    choose: "let base = experts[z] * 2u * op.n_row;",
    storage: [["experts", "array<u32>", false]],
  },
  expert_down: {
    outputs: 4, rows: rowsOf("base + "), end: PLAIN_END,
    storage: [["experts", "array<u32>", false], ["expert_weights", "array<f32>", false]],
    ranks: true,
  },
};

// The sums of one pass over the columns, into `acc` and `square`.
function columnLoop({ rows, normed, weight }) {
  const norm = normed
    ? `square += dot(a, a) + dot(b, b);
      a *= vectors[op.norm + 2u * u];
      b *= vectors[op.norm + 2u * u + 1u];`
    : "";
  return `
    for (var u = lane; u < op.n_unit; u += LANES) {
      var a = x[x_first + 2u * u];
      var b = x[x_first + 2u * u + 1u];
      ${norm}
      let sum = dot(a, vec4<f32>(1.0)) + dot(b, vec4<f32>(1.0));
      acc += ${weight}vec4<f32>(${rows.map((_, i) => `product(row${i}, u, a, b, sum)`).join(", ")});
    }`;
}

// The same with packed activations. Their sum is that of a unit, for the minimum of the type.
const packedLoop = ({ rows }) => `
    for (var u = lane; u < op.n_unit; u += LANES) {
      let a = x[x_first + u];
      let sum = dot4I8Packed(a.x, 0x01010101u) + dot4I8Packed(a.y, 0x01010101u);
      acc += x_scales[(x_first + u) / 4u] *
             vec4<f32>(${rows.map((_, i) => `packed_product(row${i}, u, a, sum)`).join(", ")});
    }`;
const PACKED_PRODUCT = /* wgsl */ `
fn packed_product(row: u32, u: u32, a: vec2<u32>, sum: i32) -> f32 {
  let unit = unit_at(row, u);
  return unit.d * f32(dot4I8Packed(unit.q.x, a.x) + dot4I8Packed(unit.q.y, a.y)) + unit.m * f32(sum);
}
`;
const PLAIN_X = [["x", "array<vec4<f32>>", false]];
const PACKED_X = [["x", "array<vec2<u32>>", false], ["x_scales", "array<f32>", false]];

// `packed`: of quantized types, plain and gated, and not with `normed`.
export function matvecShader({
  type, mode, activation = "silu", normed = false, subgroups = false, packed = false,
}) {
  const spec = MODES[mode];
  const rowNames = spec.rows.map((row, i) => `let row${i} = ${row};`).join("\n    ");
  const loop = (weight) => (packed ? packedLoop(spec) : columnLoop({ rows: spec.rows, normed, weight }));
  const body = spec.ranks
    ? `for (var rank = 0u; rank < op.n_used; rank++) {
    let slot = z * op.n_used + rank;
    let base = experts[slot] * op.n_row;
    let share = expert_weights[slot];
    let x_first = slot * op.x_stride;
    ${rowNames}
    ${loop("share * ")}
  }`
    : `${spec.choose ?? ""}
    let x_first = (${spec.x}) * op.x_stride;
    ${rowNames}
    ${loop("")}`;
  const lanes = subgroups ? 64 : 32;
  const builtins = subgroups
    ? ",\n        @builtin(subgroup_id) subgroup: u32, @builtin(num_subgroups) n_subgroup: u32"
    : "";
  const code = /* wgsl */ `
const LANES = ${lanes}u;
const NONE = 0xffffffffu;
${BLOCK_TYPES[type].code}${packed ? PACKED_PRODUCT : ""}
${VECTOR_AT}${ACTIVATIONS[activation]}${SOFT_CAP}${subgroups ? REDUCE_SUBGROUPS : REDUCE}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) n_group: vec3<u32>,
        @builtin(local_invocation_index) thread: u32${builtins}) {
  let lane = thread % LANES;
  let z = group.z;
  let first = ((group.x + group.y * n_group.x) * ${64 / lanes}u + thread / LANES) * ${spec.outputs}u;
  var acc = vec4<f32>();
  var square = 0.0;
  ${body}
  let sums = ${subgroups ? "reduce(acc, square, subgroup, n_subgroup)" : "reduce(lane, thread - lane, acc, square)"};
  var value = sums.rows;
  ${normed ? "value *= 1.0 / sqrt(sums.square / f32(op.n_col) + op.eps);" : ""}
  ${spec.end}
}
`;
  return composeShader({
    label: `matvec ${type} ${mode}${normed ? " normed" : ""}${packed ? " packed" : ""}${subgroups ? " subgroups" : ""}`,
    enables: subgroups ? ["subgroups"] : [],
    op: OP,
    storage: [
      ...WEIGHT_STORAGE, VECTORS, ...(packed ? PACKED_X : PLAIN_X), ["y", "array<f32>", true], ...(spec.storage ?? []),
    ],
    code,
  });
}

// Outputs of one workgroup.
export const matvecOutputs = (mode, subgroups = false) => MODES[mode].outputs * (subgroups ? 1 : 2);
export const MATVEC_MODES = Object.keys(MODES);
