// Attention: heads made ready and written to the cache, then scores and values.
//
// The cache of a layer is two buffers, keys and values: [position][KV head][head_dim], each head padded
// with zeros to whole vec4; f32, or f16 packed in pairs (pack2x16float), which needs no shader-f16.

import { SOFT_CAP, VECTORS, VECTOR_AT, composeShader } from "./wgsl.mjs";
import { SUM_64 } from "./wgsl_rows.mjs";

export const MAX_HEAD_DIM = 256;

// One workgroup is one head of one token: query heads, then KV heads' keys, then their values. Biases,
// norm and RoPE as the family has them; queries go to q, keys and values into the cache.
//   norm      "none"; "head": one weight for each head; "all": one norm over all heads together
//   rope      "none", "neighbours", "halves"
export const headsShader = ({ kv, norm, rope, normLast = false }) => {
  const store = kv === "f32"
    ? "CACHE[at * 4u + d] = h[d];"
    : "CACHE[at * 2u + d] = pack2x16float(vec2<f32>(h[2u * d], h[2u * d + 1u]));";
  const n = kv === "f32" ? "n_quad * 4u" : "n_quad * 2u";
  const storeTo = (name) => `for (var d = thread; d < ${n}; d += 64u) { ${store.replace("CACHE", name)} }`;
  const normCode = norm === "none" ? "" : /* wgsl */ `
  if (kind != 2u) {
    let place = select(op.k_norm, op.q_norm, kind == 0u);
    var square = 0.0;
    ${norm === "head"
    ? "for (var d = thread; d < op.head_dim; d += 64u) { square += h[d] * h[d]; }"
    : `let first_of_kind = select(op.n_head * op.head_dim, 0u, kind == 0u);
    let n_all = select(op.n_head_kv, op.n_head, kind == 0u) * op.head_dim;
    for (var i = thread; i < n_all; i += 64u) {
      let v = source(token, first_of_kind + i);
      square += v * v;
    }`}
    let n_normed = ${norm === "head" ? "op.head_dim" : "select(op.n_head_kv, op.n_head, kind == 0u) * op.head_dim"};
    let r = 1.0 / sqrt(sum_all(thread, square) / f32(n_normed) + op.eps);
    for (var d = thread; d < op.head_dim; d += 64u) {
      h[d] = h[d] * r * vector_at(place, d${norm === "all" ? " + index * op.head_dim" : ""});
    }
    workgroupBarrier();
  }
`;
  const pair = rope === "halves" ? ["i", "i + op.n_rot / 2u"] : ["2u * i", "2u * i + 1u"];
  const ropeCode = rope === "none" ? "" : /* wgsl */ `
  if (kind != 2u) {
    for (var i = thread; i < op.n_rot / 2u; i += 64u) {
      let angle = angles[op.angles + token * (op.n_rot / 2u) + i];
      let a = h[${pair[0]}];
      let b = h[${pair[1]}];
      h[${pair[0]}] = a * angle.x - b * angle.y;
      h[${pair[1]}] = a * angle.y + b * angle.x;
    }
    workgroupBarrier();
  }
`;
  const cacheType = kv === "f32" ? "array<f32>" : "array<u32>";
  return composeShader({
    label: `heads ${kv} norm ${norm} rope ${rope}${normLast ? " norm last" : ""}`,
    op: [
      ["n_head", "u32"], ["n_head_kv", "u32"], ["head_dim", "u32"], ["n_rot", "u32"], ["x_stride", "u32"],
      ["q_stride", "u32"], ["bias", "u32"], ["q_norm", "u32"], ["k_norm", "u32"], ["eps", "f32"], ["angles", "u32"],
    ],
    storage: [
      VECTORS, ["x", "array<f32>", false], ["angles", "array<vec2<f32>>", false], ["q", "array<f32>", true],
      ["keys", cacheType, true], ["values", cacheType, true],
    ],
    code: /* wgsl */ `
const NONE = 0xffffffffu;
${VECTOR_AT}${SUM_64}
var<workgroup> h: array<f32, ${MAX_HEAD_DIM}>;

fn source(token: u32, i: u32) -> f32 {
  var v = x[token * op.x_stride + i];
  if (op.bias != NONE) { v += vector_at(op.bias, i); }
  return v;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let token = group.y;
  // 0: a query, 1: a key, 2: a value; and its number among those.
  let kind = select(select(2u, 1u, group.x < op.n_head + op.n_head_kv), 0u, group.x < op.n_head);
  let index = select(select(group.x - op.n_head - op.n_head_kv, group.x - op.n_head,
                            group.x < op.n_head + op.n_head_kv), group.x, group.x < op.n_head);
  let n_quad = (op.head_dim + 3u) / 4u;
  for (var d = thread; d < ${MAX_HEAD_DIM}u; d += 64u) {
    h[d] = 0.0;
    if (d < op.head_dim) { h[d] = source(token, group.x * op.head_dim + d); }
  }
  workgroupBarrier();
  ${normLast ? ropeCode + normCode : normCode + ropeCode}
  if (kind == 0u) {
    for (var d = thread; d < op.head_dim; d += 64u) { q[token * op.q_stride + index * op.head_dim + d] = h[d]; }
    return;
  }
  let at = ((batch.first_pos + token) * op.n_head_kv + index) * n_quad;
  if (kind == 1u) {
    ${storeTo("keys")}
  } else {
    ${storeTo("values")}
  }
}
`,
  });
};

// One workgroup is one query head of one token (y), and one chunk of the positions (z). Positions go by
// tiles of 64, one for each thread; the maximum and the sum of the softmax are carried along. With
// `partial` the chunk's sum, maximum and values are left for joinShader().
export const attentionShader = ({ kv, partial = false }) => {
  const cacheType = kv === "f32" ? "array<vec4<f32>>" : "array<vec2<u32>>";
  const cached = (name, at) => (kv === "f32"
    ? `${name}[${at}]`
    : `vec4<f32>(unpack2x16float(${name}[${at}].x), unpack2x16float(${name}[${at}].y))`);
  return composeShader({
    label: `attention ${kv}${partial ? " partial" : ""}`,
    op: [
      ["n_head", "u32"], ["n_head_kv", "u32"], ["head_dim", "u32"], ["q_stride", "u32"], ["y_stride", "u32"],
      ["window", "u32"], ["scale", "f32"], ["cap", "f32"],
    ],
    storage: [
      ["q", "array<f32>", false], ["keys", cacheType, false], ["values", cacheType, false], ["y", "array<f32>", true],
    ],
    code: /* wgsl */ `
${SOFT_CAP}
const LEAST = -3.0e38;
var<workgroup> query: array<vec4<f32>, ${MAX_HEAD_DIM / 4}>;
var<workgroup> scores: array<f32, 64>;
var<workgroup> maxima: array<f32, 8>;
var<workgroup> sums: array<vec4<f32>, 64>;
var<workgroup> totals: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let head = group.x;
  let token = group.y;
  let kv_head = head / (op.n_head / op.n_head_kv);
  let n_quad = (op.head_dim + 3u) / 4u;
  let n_share = 64u / n_quad; // threads that share a quad of the values
  let quad = thread % n_quad;
  let share = thread / n_quad; // >= n_share: no work on values
  if (thread < n_quad) {
    let at = token * op.q_stride + head * op.head_dim + 4u * thread;
    let left = op.head_dim - 4u * thread;
    query[thread] = vec4<f32>(q[at], select(0.0, q[at + min(1u, left - 1u)], left > 1u),
                              select(0.0, q[at + min(2u, left - 1u)], left > 2u),
                              select(0.0, q[at + min(3u, left - 1u)], left > 3u));
  }
  workgroupBarrier();
  let end = min(batch.first_pos + token + 1u, (group.z + 1u) * batch.chunk);
  let visible = batch.first_pos + token + 1u;
  let begin = max(group.z * batch.chunk, select(0u, visible - op.window, visible > op.window));
  var highest = LEAST;
  var total = 0.0;
  var sum = vec4<f32>();
  for (var tile = begin; tile < end; tile += 64u) {
    var score = LEAST;
    if (tile + thread < end) {
      let at = ((tile + thread) * op.n_head_kv + kv_head) * n_quad;
      var product = 0.0;
      for (var i = 0u; i < n_quad; i++) { product += dot(query[i], ${cached("keys", "at + i")}); }
      score = soft_cap(product * op.scale, op.cap);
    }
    scores[thread] = score;
    workgroupBarrier();
    if (thread < 8u) {
      var most = scores[thread];
      for (var i = thread + 8u; i < 64u; i += 8u) { most = max(most, scores[i]); }
      maxima[thread] = most;
    }
    workgroupBarrier();
    var most = highest;
    for (var i = 0u; i < 8u; i++) { most = max(most, maxima[i]); }
    let shrink = exp(max(highest - most, -200.0));
    highest = most;
    var p = 0.0;
    if (tile + thread < end) { p = exp(max(score - most, -200.0)); }
    total = total * shrink + p;
    scores[thread] = p;
    workgroupBarrier();
    sum *= shrink;
    if (share < n_share) {
      let n = min(64u, end - tile);
      for (var j = share; j < n; j += n_share) {
        let at = ((tile + j) * op.n_head_kv + kv_head) * n_quad + quad;
        sum += scores[j] * ${cached("values", "at")};
      }
    }
    workgroupBarrier();
  }
  sums[thread] = sum;
  totals[thread] = total;
  workgroupBarrier();
  if (thread >= n_quad) { return; }
  var all = 0.0;
  for (var i = 0u; i < 64u; i++) { all += totals[i]; }
  var result = sums[thread];
  for (var i = 1u; i < n_share; i++) { result += sums[thread + i * n_quad]; }
  ${partial
    ? `let place = (group.z * op.n_head + head) * (4u * n_quad + 2u);
  if (thread == 0u) {
    y[place] = highest;
    y[place + 1u] = all;
  }
  for (var i = 0u; i < 4u; i++) { y[place + 2u + 4u * thread + i] = result[i]; }`
    : `for (var i = 0u; i < 4u; i++) {
    let d = 4u * thread + i;
    if (d < op.head_dim) { y[token * op.y_stride + head * op.head_dim + d] = result[i] / all; }
  }`}
}
`,
  });
};

// Puts the chunks of one token together, by ascending position. One workgroup is one head.
export const joinShader = () => composeShader({
  label: "join attention",
  op: [["n_head", "u32"], ["head_dim", "u32"]],
  storage: [["x", "array<f32>", false], ["y", "array<f32>", true]],
  code: /* wgsl */ `
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  let stride = ((op.head_dim + 3u) / 4u) * 4u + 2u;
  var highest = -3.0e38;
  for (var c = 0u; c < batch.n_chunk; c++) { highest = max(highest, x[(c * op.n_head + group.x) * stride]); }
  for (var d = thread; d < op.head_dim; d += 64u) {
    var total = 0.0;
    var sum = 0.0;
    for (var c = 0u; c < batch.n_chunk; c++) {
      let at = (c * op.n_head + group.x) * stride;
      let share = exp(max(x[at] - highest, -200.0));
      total += share * x[at + 1u];
      sum += share * x[at + 2u + d];
    }
    y[group.x * op.head_dim + d] = sum / total;
  }
}
`,
});
