// Choosing: the experts of a token, and the most likely tokens.
//
// Both order by (value descending, index ascending), which leaves no ties, so how the work is cut does
// not show in the result.

import { VECTORS, VECTOR_AT, composeShader } from "./wgsl.mjs";

export const MAX_EXPERTS = 512;
export const MAX_USED = 64;

// The scores of a token become the experts it passes, by rank, and their weights. One workgroup is one
// token. `gating`: softmax over all experts, sigmoid of each, or softmax over those selected.
export const routeShader = ({ gating }) => composeShader({
  label: `route ${gating}`,
  op: [
    ["n_expert", "u32"], ["n_used", "u32"], ["x_stride", "u32"], ["bias", "u32"], ["selection", "u32"],
    ["normalised", "u32"], ["scale", "f32"],
  ],
  storage: [
    VECTORS, ["x", "array<f32>", false], ["experts", "array<u32>", true], ["expert_weights", "array<f32>", true],
  ],
  code: /* wgsl */ `
const NONE = 0xffffffffu;
const LEAST_SUM = 0x1p-14;
${VECTOR_AT}
var<workgroup> scores: array<f32, ${MAX_EXPERTS}>;
var<workgroup> choices: array<f32, ${MAX_EXPERTS}>;
var<workgroup> best: array<u32, 64>;
var<workgroup> chosen: array<u32, ${MAX_USED}>;

// Whether expert a goes before b; NONE goes last.
fn before(a: u32, b: u32) -> bool {
  if (a == NONE || b == NONE) { return a < b; }
  return choices[a] > choices[b] || (choices[a] == choices[b] && a < b);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let token = group.x;
  for (var i = thread; i < op.n_expert; i += 64u) {
    scores[i] = x[token * op.x_stride + i];
    if (op.bias != NONE) { scores[i] += vector_at(op.bias, i); }
  }
  workgroupBarrier();
  ${gating === "softmax" ? `var most = scores[0];
  for (var i = 1u; i < op.n_expert; i++) { most = max(most, scores[i]); }
  var sum = 0.0;
  for (var i = 0u; i < op.n_expert; i++) { sum += exp(scores[i] - most); }
  workgroupBarrier();
  for (var i = thread; i < op.n_expert; i += 64u) { scores[i] = exp(scores[i] - most) / sum; }
  workgroupBarrier();` : ""}
  ${gating === "sigmoid" ? `
  for (var i = thread; i < op.n_expert; i += 64u) { scores[i] = 1.0 / (1.0 + exp(-scores[i])); }
  workgroupBarrier();` : ""}
  for (var i = thread; i < op.n_expert; i += 64u) {
    choices[i] = scores[i];
    if (op.selection != NONE) { choices[i] += vector_at(op.selection, i); }
  }
  workgroupBarrier();
  for (var rank = 0u; rank < op.n_used; rank++) {
    var mine = NONE;
    for (var i = thread; i < op.n_expert; i += 64u) {
      var taken = false;
      for (var r = 0u; r < rank; r++) { taken = taken || chosen[r] == i; }
      if (!taken && before(i, mine)) { mine = i; }
    }
    best[thread] = mine;
    workgroupBarrier();
    if (thread == 0u) {
      var first = best[0];
      for (var i = 1u; i < 64u; i++) { if (before(best[i], first)) { first = best[i]; } }
      chosen[rank] = first;
    }
    workgroupBarrier();
  }
  if (thread >= op.n_used) { return; }
  var weight = scores[chosen[thread]];
  ${gating === "softmax_selected" ? `let highest = scores[chosen[0]];
  var all = 0.0;
  for (var r = 0u; r < op.n_used; r++) { all += exp(scores[chosen[r]] - highest); }
  weight = exp(weight - highest) / all;` : `if (op.normalised != 0u) {
    var all = 0.0;
    for (var r = 0u; r < op.n_used; r++) { all += scores[chosen[r]]; }
    weight /= max(all, LEAST_SUM);
  }`}
  experts[token * op.n_used + thread] = chosen[thread];
  expert_weights[token * op.n_used + thread] = weight * op.scale;
}
`,
});

// Candidates of one pass of topShader(): of every TOP_INPUT values the TOP_K best remain.
export const TOP_INPUT = 1024;
export const TOP_K = 128;
// Stands for a value that is NaN or infinite, so that it comes first and is seen.
export const TOP_NOT_FINITE = 3.4028234663852886e38;

// `first`: the input is logits, whose index is the token; else what a pass before has left.
// A pass leaves, for each workgroup, TOP_K values and then, in the other buffer, their tokens.
export const topShader = ({ first }) => composeShader({
  label: first ? "top of logits" : "top of candidates",
  op: [["n", "u32"]],
  storage: [
    ["x", "array<f32>", false], ...(first ? [] : [["x_ids", "array<u32>", false]]),
    ["y", "array<f32>", true], ["y_ids", "array<u32>", true],
  ],
  code: /* wgsl */ `
const N = ${TOP_INPUT}u;
var<workgroup> values: array<f32, ${TOP_INPUT}>;
var<workgroup> ids: array<u32, ${TOP_INPUT}>;

fn before(a: u32, b: u32) -> bool {
  return values[a] > values[b] || (values[a] == values[b] && ids[a] < ids[b]);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  for (var i = thread; i < N; i += 256u) {
    let at = group.x * N + i;
    values[i] = ${-TOP_NOT_FINITE};
    ids[i] = 0xffffffffu;
    if (at < op.n) {
      let value = x[at];
      let finite = (bitcast<u32>(value) & 0x7f800000u) != 0x7f800000u;
      values[i] = select(${TOP_NOT_FINITE}, value, finite);
      ids[i] = ${first ? "at" : "x_ids[at]"};
    }
  }
  workgroupBarrier();
  // A bitonic sort.
  for (var size = 2u; size <= N; size *= 2u) {
    for (var step = size / 2u; step > 0u; step /= 2u) {
      for (var pair = thread; pair < N / 2u; pair += 256u) {
        let a = 2u * step * (pair / step) + pair % step;
        let b = a + step;
        let ascending = (a & size) == 0u;
        if (select(before(a, b), before(b, a), ascending)) {
          let value = values[a];
          let id = ids[a];
          values[a] = values[b];
          ids[a] = ids[b];
          values[b] = value;
          ids[b] = id;
        }
      }
      workgroupBarrier();
    }
  }
  for (var i = thread; i < ${TOP_K}u; i += 256u) {
    y[group.x * ${TOP_K}u + i] = values[i];
    y_ids[group.x * ${TOP_K}u + i] = ids[i];
  }
}
`,
});
