// The shaders of web/gpu that read weights, work on rows, and choose, each against its plain definition
// (CSS-6, CSS-8, G-3, MVP-2).
//
//   node tests/node/gpu_kernels_test.mjs

import { existsSync, readFileSync } from "node:fs";
import { NONE } from "../../web/gpu/wgsl.mjs";
import { BLOCK_TYPES } from "../../web/gpu/blocks.mjs";
import { embedShader, gatedShader, normShader, quantizeShader } from "../../web/gpu/wgsl_rows.mjs";
import { TOP_INPUT, TOP_K, TOP_NOT_FINITE, routeShader, topShader } from "../../web/gpu/wgsl_select.mjs";
import { check, golden } from "./gpu_device.mjs";
import {
  EXACT_ENOUGH, device, expectClose, floats, note, noVectors, padded, report, strided, types, unstrided,
  uploaded, weightArrays, weightOp,
} from "./gpu_kernel_support.mjs";
import * as ref from "./gpu_reference.mjs";
import { runShader } from "./gpu_run.mjs";

const QUANTS = new URL("quants/", golden);

// ---- weights and embedding ---------------------------------------------------------------------

// All rows of a matrix, as the embedding reads them.
async function readRows(matrix, ids, scale = 1, options = {}) {
  const stride = padded(matrix.nCol);
  const out = new Float32Array(ids.length * stride);
  const { parts } = await uploaded(matrix, options);
  for (const part of parts) {
    const { y } = await runShader(device, embedShader({ type: matrix.type }), {
      op: { ...weightOp(matrix, part), first_row: part.row, n_row: part.nRow, y_stride: stride / 4, scale },
      arrays: { ...weightArrays(part), tokens: Uint32Array.from(ids), y: new Float32Array(ids.length * stride) },
      grid: [Math.ceil(stride / 512), ids.length, 1],
    });
    floats(y).subarray(0, out.length).forEach((v, i) => (out[i] += v));
  }
  return { rows: unstrided(out, matrix.nCol, stride, ids.length), nPart: parts.length };
}

for (const type of types) {
  await report.run(`CSS-6 weights of ${type} are those of the definition`, async () => {
    const random = ref.randomOf(1);
    const matrix = ref.randomMatrix(random, type, 5, BLOCK_TYPES[type].block === 1 ? 37 : 512);
    const ids = [4, 0, 2, 2];
    const { rows } = await readRows(matrix, ids, 1.5);
    const expected = ids.flatMap((id) =>
      [...matrix.values.subarray(id * matrix.nCol, (id + 1) * matrix.nCol)].map((v) => v * 1.5));
    return note(expectClose(type, rows, expected, 1e-6));
  });
}

for (const type of types) {
  const vectors = new URL(`${type}.bin`, QUANTS);
  if (!existsSync(vectors)) {
    console.log(`skipped: golden vectors of ${type}`);
    continue;
  }
  await report.run(`CSS-6 golden vectors of ${type}`, async () => {
    const bytes = new Uint8Array(readFileSync(vectors));
    const expected = new Float32Array(readFileSync(new URL(`${type}.f32`, QUANTS)).buffer.slice(0));
    const nRow = 16;
    const { rows } = await readRows({ type, nRow, nCol: expected.length / nRow, bytes }, [...Array(nRow).keys()]);
    let differ = 0;
    expected.forEach((v, i) => {
      // 1e-6 of the value; where a scale is subnormal as f32, it may be flushed.
      if (Math.abs(rows[i] - v) > Math.max(1e-6 * Math.abs(v), 1e-30) && Number.isFinite(v)) ++differ;
    });
    check(differ === 0, `${differ} of ${expected.length} values differ`);
    return `${expected.length} values`;
  });
}

await report.run("CSS-6 a matrix larger than a binding is cut by rows", async () => {
  const matrix = ref.randomMatrix(ref.randomOf(2), "Q6_K", 50, 256);
  const small = {
    limits: { maxStorageBufferBindingSize: 16 * 256, maxBufferSize: 1 << 20 },
    createBuffer: (descriptor) => device.createBuffer(descriptor),
  };
  const ids = [...Array(50).keys()];
  const { rows, nPart } = await readRows(matrix, ids, 1, { device: small });
  check(nPart === 4, `${nPart} parts`);
  return note(expectClose("rows", rows, [...matrix.values], 1e-6));
});


// ---- rows --------------------------------------------------------------------------------------

await report.run("G-3 RMSNorm of rows, alone and added", async () => {
  const random = ref.randomOf(9);
  const [nRow, n, stride] = [3, 77, 80];
  const x = ref.normals(random, nRow * n, 5);
  const weight = ref.normals(random, 80);
  const before = ref.normals(random, nRow * stride);
  let worst = 0;
  for (const add of [false, true]) {
    const { y } = await runShader(device, normShader({ add }), {
      op: { n_col: n, x_stride: stride, y_stride: stride, norm: 0, eps: 1e-6, scale: 0.5 },
      arrays: { vectors: weight, x: strided(x, n, stride), y: before },
      grid: [nRow, 1, 1],
    });
    const rows = Array.from({ length: nRow }, (_, i) => x.subarray(i * n, (i + 1) * n));
    const normed = rows.flatMap((row) => ref.rmsNorm(row, weight, 1e-6));
    const expected = normed.map((v, i) => (add ? before[Math.floor(i / n) * stride + (i % n)] + 0.5 * v : v));
    worst = Math.max(worst, expectClose(`add ${add}`, unstrided(floats(y), n, stride, nRow), expected, EXACT_ENOUGH));
  }
  return note(worst);
});

await report.run("G-3 a row as 8-bit integers, by the rule of the core (R3)", async () => {
  const random = ref.randomOf(17);
  const n = 2112; // more blocks than threads
  for (const normed of [false, true]) {
    const x = ref.normals(random, 2 * n, 4);
    x.fill(0, n + 32, n + 64);
    const weight = normed ? ref.normals(random, n) : noVectors;
    const result = await runShader(device, quantizeShader({ normed }), {
      op: { n_col: n, x_stride: n, last: 1, norm: 0, eps: 1e-5 },
      batch: { n_token: 2 },
      arrays: { vectors: weight, x, y: new Uint32Array(n / 4), y_scales: new Float32Array(n / 32) },
      grid: [1, 1, 1],
      read: ["y", "y_scales"],
    });
    const row = normed ? ref.rmsNorm(x.subarray(n), weight, 1e-5) : [...x.subarray(n)];
    const got = [...new Int8Array(result.y)].map((q, i) => q * floats(result.y_scales)[i >> 5]);
    row.forEach((v, i) => {
      const block = row.slice(i - (i % 32), i - (i % 32) + 32);
      const step = Math.max(...block.map(Math.abs)) / 127;
      // Half a step, and what f32 adds to it.
      check(Math.abs(got[i] - v) <= step * 0.5001 + 1e-9, `normed ${normed}, value ${i}: ${got[i]} for ${v}`);
    });
  }
});

await report.run("G-3 SwiGLU and GeGLU of a batch, with large values", async () => {
  const random = ref.randomOf(10);
  const [nRow, n] = [2, 70];
  const x = ref.normals(random, nRow * 2 * n, 60);
  let worst = 0;
  for (const activation of ["silu", "gelu"]) {
    const { y } = await runShader(device, gatedShader({ activation }), {
      op: { n, x_stride: 2 * n, y_stride: n, bias: NONE, bias_up: NONE },
      arrays: { vectors: noVectors, x, y: new Float32Array(nRow * n) },
      grid: [2, nRow, 1],
    });
    const expected = Array.from({ length: nRow * n }, (_, i) => {
      const at = Math.floor(i / n) * 2 * n + (i % n);
      return ref[activation](x[at]) * x[at + n];
    });
    worst = Math.max(worst, expectClose(activation, floats(y), expected, EXACT_ENOUGH));
  }
  return note(worst);
});


// ---- choices -----------------------------------------------------------------------------------

for (const gating of ["softmax", "sigmoid", "softmax_selected"]) {
  await report.run(`CSS-8 routing by ${gating}, ties to the lowest index`, async () => {
    const [nExpert, nUsed] = [70, 4];
    const random = ref.randomOf(13);
    const bias = ref.normals(random, 72);
    const rows = [
      Array(nExpert).fill(1), // all alike
      [...ref.normals(random, nExpert)],
      Array.from({ length: nExpert }, (_, i) => (i % 7 === 3 ? 2 : -1)), // ten alike above the others
    ];
    for (const selection of [false, true]) {
      const result = await runShader(device, routeShader({ gating }), {
        op: {
          n_expert: nExpert, n_used: nUsed, x_stride: 72, bias: NONE, selection: selection ? 0 : NONE, normalised: 1,
          scale: 2,
        },
        arrays: {
          vectors: bias, x: strided(rows.flat(), nExpert, 72), experts: new Uint32Array(rows.length * nUsed),
          expert_weights: new Float32Array(rows.length * nUsed),
        },
        grid: [rows.length, 1, 1],
        read: ["experts", "expert_weights"],
      });
      rows.forEach((row, token) => {
        const scores = gating === "softmax" ? ref.softmax(row)
          : gating === "sigmoid" ? row.map((v) => 1 / (1 + Math.exp(-v))) : row;
        const order = ref.ranking(scores.map((v, i) => Math.fround(v) + (selection ? bias[i] : 0))).slice(0, nUsed);
        const chosen = order.map((i) => scores[i]);
        const sum = chosen.reduce((a, b) => a + b, 0);
        const parts = gating === "softmax_selected" ? ref.softmax(chosen) : chosen.map((v) => v / sum);
        const shares = parts.map((v) => 2 * v);
        const at = token * nUsed;
        const got = [...new Uint32Array(result.experts)].slice(at, at + nUsed);
        check(got.join() === order.join(), `token ${token}: experts ${got}, expected ${order}`);
        expectClose("weights", floats(result.expert_weights).subarray(at, at + nUsed), shares, EXACT_ENOUGH);
      });
    }
  });
}

// Passes until one group is left.
async function topOf(logits) {
  let arrays = { x: logits };
  for (let n = logits.length, first = true; ; first = false) {
    const groups = Math.ceil(n / TOP_INPUT);
    const result = await runShader(device, topShader({ first }), {
      op: { n },
      arrays: { ...arrays, y: new Float32Array(groups * TOP_K), y_ids: new Uint32Array(groups * TOP_K) },
      grid: [groups, 1, 1],
      read: ["y", "y_ids"],
    });
    n = groups * TOP_K;
    arrays = { x: floats(result.y), x_ids: new Uint32Array(result.y_ids) };
    if (groups === 1) return arrays;
  }
}

await report.run("MVP-2 candidates: the best by logit, ties to the lower id", async () => {
  const random = ref.randomOf(14);
  for (const n of [5, 1024, 9001]) {
    // Of few values, so that there are many ties.
    const logits = Float32Array.from({ length: n }, () => Math.round(random() * 40) - 20);
    const { x, x_ids: ids } = await topOf(logits);
    const order = ref.ranking(logits).slice(0, TOP_K);
    order.forEach((id, i) => {
      check(ids[i] === id && x[i] === logits[id], `${n} logits, rank ${i}: ${ids[i]}, expected ${id}`);
    });
  }
});

await report.run("MVP-2 candidates: a logit that is no number comes first and is seen", async () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const logits = ref.normals(ref.randomOf(15), 3000);
    logits[2345] = bad;
    const { x, x_ids: ids } = await topOf(logits);
    check(x[0] >= TOP_NOT_FINITE && ids[0] === 2345, `${bad}: ${ids[0]} with ${x[0]}`);
  }
});

report.finish();
