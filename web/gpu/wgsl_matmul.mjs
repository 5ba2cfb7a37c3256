// Y = X W^T for a batch of tokens: a tile of 32 rows by 32 tokens for each workgroup.
//
// For every 32 columns the workgroup expands its weights once into workgroup memory, beside the
// activations of its tokens; each of the 64 threads then makes 4 x 4 outputs from there. With f16
// (`half`) the expanded weights are kept as f16: half the memory, so more workgroups at a time. The
// sums are f32 either way, and activations are never rounded: those of some models exceed f16.

import { VECTORS, VECTOR_AT, composeShader } from "./wgsl.mjs";
import { BLOCK_TYPES, WEIGHT_OP, WEIGHT_STORAGE } from "./blocks.mjs";

export const TILE = 32; // rows, and tokens

const OP = [
  ...WEIGHT_OP,
  ["w_first", "u32"], // first row of W
  ["n_row", "u32"],
  ["x_stride", "u32"], // vec4
  ["y_stride", "u32"],
  ["y_first", "u32"],
  ["bias", "u32"], // place in `vectors`, or NONE
  ["scale", "f32"],
  ["add", "u32"],
];

// y = scale (W x + bias), added to y where op.add is 1.
export function matmulShader({ type, half = false }) {
  const element = half ? "vec4<f16>" : "vec4<f32>";
  const code = /* wgsl */ `
const NONE = 0xffffffffu;
${BLOCK_TYPES[type].code}
${VECTOR_AT}
// [quad of columns][row or token], one more than 32 so that threads do not meet in a bank.
var<workgroup> tile_w: array<${element}, 264>;
var<workgroup> tile_x: array<vec4<f32>, 264>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let first_row = group.x * 32u;
  let first_token = group.y * 32u;
  let tr = (thread / 8u) * 4u;
  let tt = (thread % 8u) * 4u;
  var acc: array<vec4<f32>, 4>; // [token], of 4 rows
  for (var unit = 0u; unit < op.n_unit; unit += 4u) {
    for (var i = thread; i < 128u; i += 64u) {
      let u = unit + i % 4u;
      let r = i / 4u;
      var w = array<vec4<f32>, 2>();
      var a = array<vec4<f32>, 2>();
      if (u < op.n_unit) {
        w = weights(op.w_first + min(first_row + r, op.n_row - 1u), u);
        let at = min(first_token + r, batch.n_token - 1u) * op.x_stride + 2u * u;
        a[0] = x[at];
        a[1] = x[at + 1u];
      }
      let place = (i % 4u) * 66u + r;
      tile_w[place] = ${element}(w[0]);
      tile_w[place + 33u] = ${element}(w[1]);
      tile_x[place] = a[0];
      tile_x[place + 33u] = a[1];
    }
    workgroupBarrier();
    for (var quad = 0u; quad < 8u; quad++) {
      let from_w = quad * 33u + tr;
      let from_x = quad * 33u + tt;
      let w0 = vec4<f32>(tile_w[from_w]);
      let w1 = vec4<f32>(tile_w[from_w + 1u]);
      let w2 = vec4<f32>(tile_w[from_w + 2u]);
      let w3 = vec4<f32>(tile_w[from_w + 3u]);
      for (var j = 0u; j < 4u; j++) {
        let a = tile_x[from_x + j];
        acc[j] += vec4<f32>(dot(w0, a), dot(w1, a), dot(w2, a), dot(w3, a));
      }
    }
    workgroupBarrier();
  }
  for (var j = 0u; j < 4u; j++) {
    let token = first_token + tt + j;
    if (token >= batch.n_token) { break; }
    for (var i = 0u; i < 4u; i++) {
      let row = first_row + tr + i;
      if (row >= op.n_row) { break; }
      var v = acc[j][i];
      if (op.bias != NONE) { v += vector_at(op.bias, row); }
      let at = token * op.y_stride + op.y_first + row;
      v *= op.scale;
      if (op.add != 0u) { v += y[at]; }
      y[at] = v;
    }
  }
}
`;
  return composeShader({
    label: `matmul ${type}${half ? " f16" : ""}`,
    enables: half ? ["f16"] : [],
    op: OP,
    storage: [...WEIGHT_STORAGE, VECTORS, ["x", "array<vec4<f32>>", false], ["y", "array<f32>", true]],
    code,
  });
}
