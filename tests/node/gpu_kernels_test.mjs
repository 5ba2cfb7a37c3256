// Every shader of web/gpu alone, against its plain definition (CSS-6, G-3).
//
//   node tests/node/gpu_kernels_test.mjs

import { existsSync, readFileSync } from "node:fs";
import { NONE } from "../../web/gpu/wgsl.mjs";
import { BLOCK_TYPES, paddedColumns } from "../../web/gpu/blocks.mjs";
import { chunksOf } from "../../web/gpu/chunks.mjs";
import { WeightLoader } from "../../web/gpu/weights.mjs";
import { attentionShader, headsShader, joinShader } from "../../web/gpu/wgsl_attention.mjs";
import { matmulShader } from "../../web/gpu/wgsl_matmul.mjs";
import { matvecOutputs, matvecShader } from "../../web/gpu/wgsl_matvec.mjs";
import { embedShader, gatedShader, normShader } from "../../web/gpu/wgsl_rows.mjs";
import { TOP_INPUT, TOP_K, TOP_NOT_FINITE, routeShader, topShader } from "../../web/gpu/wgsl_select.mjs";
import { AsyncReport, check, golden, openGpu } from "./gpu_device.mjs";
import * as ref from "./gpu_reference.mjs";
import { runShader } from "./gpu_run.mjs";

const QUANTS = new URL("quants/", golden);
const EXACT_ENOUGH = 2e-6; // f32 sums in another order, relative to the largest value
const F16_CACHE = 1e-3;

const { gpu, why } = await openGpu();
if (!gpu) {
  console.log(`skipped: ${why}`);
  console.log("0 passed, 0 failed");
  process.exit(0);
}
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice({
  requiredFeatures: ["subgroups", "shader-f16"].filter((name) => adapter.features.has(name)),
});
const hasSubgroups = device.features.has("subgroups") && gpu.wgslLanguageFeatures.has("subgroup_id");
const report = new AsyncReport();
const types = Object.keys(BLOCK_TYPES);

// ---- helpers -----------------------------------------------------------------------------------

const padded = (n) => Math.ceil(n / 8) * 8;
const floats = (buffer) => new Float32Array(buffer);
// Rows of n values at a stride.
function strided(values, n, stride) {
  const out = new Float32Array((values.length / n) * stride);
  for (let i = 0; i < values.length; ++i) out[Math.floor(i / n) * stride + (i % n)] = values[i];
  return out;
}
function unstrided(values, n, stride, nRow) {
  return Array.from({ length: n * nRow }, (_, i) => values[Math.floor(i / n) * stride + (i % n)]);
}
function expectClose(what, got, expected, tolerance) {
  const error = ref.worstError(got, expected);
  check(error <= tolerance, `${what}: relative error ${error} above ${tolerance}`);
  return error;
}
const note = (error) => `error ${error.toExponential(1)}`;

// A matrix of the test on the GPU, through the loader that models use.
async function uploaded(matrix, options = {}) {
  const loader = new WeightLoader(options.device ?? device,
    async (offset, size) => matrix.bytes.subarray(offset, offset + size), () => {});
  const tensor = { name: "test", dtype: matrix.type, shape: [matrix.nRow, matrix.nCol], offset: 0 };
  return loader.matrix([tensor]);
}
function weightOp({ type, nCol }, part) {
  const [plane0 = 0, plane1 = 0, plane2 = 0, plane3 = 0] = part.planes;
  return { n_unit: paddedColumns(type, nCol) / 8, plane0, plane1, plane2, plane3 };
}
const weightArrays = (part) => ({ words: part.buffer, pairs: part.buffer });
const noVectors = new Float32Array(8);

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

// ---- matrix times vector -----------------------------------------------------------------------

const MATVEC_DEFAULTS = {
  y_first: 0, bias: NONE, bias_up: NONE, norm: NONE, eps: 1e-5, scale: 1, cap: 0, n_used: 1,
};
const columnsOf = (type) => (BLOCK_TYPES[type].block === 1 ? 43 : BLOCK_TYPES[type].block * 3);

async function matvec(matrix, { mode, activation, normed = false, subgroups = false, x, nRow, y, op, vectors, extra, z = 1 }) {
  const { parts: [part] } = await uploaded(matrix);
  const shader = matvecShader({ type: matrix.type, mode, activation, normed, subgroups });
  const groups = Math.ceil(nRow / matvecOutputs(mode, subgroups));
  // More workgroups in y than are needed: their outputs are beyond the end.
  const grid = [Math.ceil(groups / 2), 2, z];
  const result = await runShader(device, shader, {
    op: {
      ...MATVEC_DEFAULTS, ...weightOp(matrix, part), n_row: nRow, n_col: matrix.nCol, x_stride: padded(matrix.nCol) / 4,
      y_stride: nRow, ...op,
    },
    arrays: { ...weightArrays(part), vectors: vectors ?? noVectors, x: strided(x, matrix.nCol, padded(matrix.nCol)), y, ...extra },
    grid,
  });
  return floats(result.y);
}

for (const subgroups of hasSubgroups ? [false, true] : [false]) {
  const variant = subgroups ? " with subgroups" : "";
  for (const type of types) {
    await report.run(`G-3 matrix times vector, ${type}${variant}`, async () => {
      const random = ref.randomOf(3);
      let worst = 0;
      for (const nRow of [1, 7, 33]) {
        const matrix = ref.randomMatrix(random, type, nRow, columnsOf(type));
        const x = ref.normals(random, matrix.nCol);
        const bias = ref.normals(random, padded(nRow));
        const y = await matvec(matrix, {
          mode: "store", subgroups, x, nRow, y: new Float32Array(nRow + 3).fill(7), vectors: bias,
          op: { bias: 0, y_first: 2 },
        });
        const expected = Array.from({ length: nRow }, (_, i) => ref.dot(matrix.values, i, x, matrix.nCol) + bias[i]);
        worst = Math.max(worst, expectClose(`${nRow} rows`, y.subarray(2), expected, EXACT_ENOUGH));
        check(y[0] === 7 && y[1] === 7 && y[nRow + 2] === 7, "a value beside the outputs was written");
      }
      return note(worst);
    });
  }

  await report.run(`G-3 norm, product and residual in one${variant}`, async () => {
    const random = ref.randomOf(4);
    const matrix = ref.randomMatrix(random, "Q4_1", 9, 96);
    const x = ref.normals(random, 96, 3);
    const weight = ref.normals(random, 96);
    const before = ref.normals(random, 9);
    const y = await matvec(matrix, {
      mode: "add", normed: true, subgroups, x, nRow: 9, y: before, vectors: weight, op: { norm: 0, scale: 0.25, eps: 1e-3 },
    });
    const normed = ref.rmsNorm(x, weight, 1e-3);
    const expected = [...before].map((v, i) => v + 0.25 * ref.dot(matrix.values, i, normed, 96));
    return note(expectClose("y", y, expected, EXACT_ENOUGH));
  });

  await report.run(`G-3 logits of the last token, scaled and capped${variant}`, async () => {
    const random = ref.randomOf(5);
    const matrix = ref.randomMatrix(random, "Q8_0", 21, 64);
    const x = ref.normals(random, 64);
    const y = await matvec(matrix, { mode: "head", subgroups, x, nRow: 21, y: new Float32Array(21), op: { scale: 0.5, cap: 3 } });
    const expected = Array.from({ length: 21 }, (_, i) => ref.softCap(0.5 * ref.dot(matrix.values, i, x, 64), 3));
    return note(expectClose("logits", y, expected, EXACT_ENOUGH));
  });

  for (const activation of ["silu", "gelu"]) {
    await report.run(`G-3 gate, up and ${activation} in one${variant}`, async () => {
      const random = ref.randomOf(6);
      const nFf = 13;
      const matrix = ref.randomMatrix(random, "Q5_0", 2 * nFf, 96);
      const x = ref.normals(random, 96, 2);
      const bias = ref.normals(random, 32);
      const y = await matvec(matrix, {
        mode: "gated", activation, subgroups, x, nRow: nFf, y: new Float32Array(nFf), vectors: bias,
        op: { bias: 0, bias_up: 4 },
      });
      const f = ref[activation];
      const expected = Array.from({ length: nFf }, (_, i) =>
        f(ref.dot(matrix.values, i, x, 96) + bias[i]) * (ref.dot(matrix.values, nFf + i, x, 96) + bias[16 + i]));
      return note(expectClose("act", y, expected, EXACT_ENOUGH));
    });
  }

  await report.run(`CSS-8 experts in two phases, by rank order${variant}`, async () => {
    const random = ref.randomOf(7);
    const [nExpert, nUsed, nToken, nEmbd, nFf] = [5, 3, 2, 64, 32];
    const gated = ref.randomMatrix(random, "Q4_0", nExpert * 2 * nFf, nEmbd);
    const down = ref.randomMatrix(random, "Q8_0", nExpert * nEmbd, nFf);
    const x = ref.normals(random, nToken * nEmbd);
    const chosen = Uint32Array.of(4, 0, 2, 1, 3, 0);
    const share = Float32Array.of(0.5, 0.3, 0.2, 0.7, 0.2, 0.1);
    const before = ref.normals(random, nToken * nEmbd);
    const act = await matvec(gated, {
      mode: "expert_gated", subgroups, x, nRow: nFf, y: new Float32Array(nToken * nUsed * nFf), op: { n_used: nUsed },
      extra: { experts: chosen }, z: nToken * nUsed,
    });
    const expectedAct = [...chosen].flatMap((expert, slot) => Array.from({ length: nFf }, (_, i) => {
      const row = x.subarray(Math.floor(slot / nUsed) * nEmbd);
      const at = expert * 2 * nFf + i;
      return ref.silu(ref.dot(gated.values, at, row, nEmbd)) * ref.dot(gated.values, at + nFf, row, nEmbd);
    }));
    expectClose("first phase", act, expectedAct, EXACT_ENOUGH);
    const y = await matvec(down, {
      mode: "expert_down", subgroups, x: Float32Array.from(expectedAct), nRow: nEmbd, y: before, op: { n_used: nUsed },
      extra: { experts: chosen, expert_weights: share }, z: nToken,
    });
    const expected = [...before].map((v, i) => {
      const [token, row] = [Math.floor(i / nEmbd), i % nEmbd];
      let sum = v;
      for (let slot = token * nUsed; slot < (token + 1) * nUsed; ++slot) {
        sum += share[slot] * ref.dot(down.values, chosen[slot] * nEmbd + row, expectedAct.slice(slot * nFf), nFf);
      }
      return sum;
    });
    return note(expectClose("second phase", y, expected, EXACT_ENOUGH));
  });
}

// ---- matrix times batch ------------------------------------------------------------------------

for (const type of types) {
  await report.run(`G-3 matrix times batch, ${type}`, async () => {
    const random = ref.randomOf(8);
    let worst = 0;
    // Both ways of storing for one type: a pipeline takes long to compile on a software adapter.
    const shapes = [[1, 2, "store"], [35, 33, type === "Q4_1" ? "add" : "store"], [64, 7, "store"]];
    for (const [nRow, nToken, mode] of shapes) {
      const nCol = columnsOf(type);
      const matrix = ref.randomMatrix(random, type, nRow + 2, nCol);
      const { parts: [part] } = await uploaded(matrix);
      const x = ref.normals(random, nToken * nCol);
      const bias = ref.normals(random, padded(nRow));
      const before = ref.normals(random, nToken * nRow);
      const { y } = await runShader(device, matmulShader({ type, mode }), {
        op: {
          ...weightOp(matrix, part), w_first: 2, n_row: nRow, x_stride: padded(nCol) / 4, y_stride: nRow, y_first: 0,
          bias: 0, scale: 0.5,
        },
        batch: { n_token: nToken },
        arrays: { ...weightArrays(part), vectors: bias, x: strided(x, nCol, padded(nCol)), y: before },
        grid: [Math.ceil(nRow / 32), Math.ceil(nToken / 32), 1],
      });
      const expected = [...before].map((v, i) => {
        const [token, row] = [Math.floor(i / nRow), i % nRow];
        const product = ref.dot(matrix.values, row + 2, x.subarray(token * nCol), nCol) + bias[row];
        return mode === "add" ? v + 0.5 * product : product;
      });
      worst = Math.max(worst, expectClose(`${nRow} x ${nToken}`, floats(y), expected, EXACT_ENOUGH));
    }
    return note(worst);
  });
}

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
    const normed = Array.from({ length: nRow }, (_, i) => ref.rmsNorm(x.subarray(i * n, (i + 1) * n), weight, 1e-6)).flat();
    const expected = normed.map((v, i) => (add ? before[Math.floor(i / n) * stride + (i % n)] + 0.5 * v : v));
    worst = Math.max(worst, expectClose(`add ${add}`, unstrided(floats(y), n, stride, nRow), expected, EXACT_ENOUGH));
  }
  return note(worst);
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

// ---- attention ---------------------------------------------------------------------------------

const unpack = (kv, buffer) => (kv === "f32" ? floats(buffer)
  : Float32Array.from(new Uint16Array(buffer), (h) => ref.dequantize("F16", Uint8Array.of(h & 255, h >> 8))[0]));

for (const kv of ["f32", "f16"]) {
  for (const [norm, rope, normLast, headDim] of [
    ["none", "neighbours", false, 6], ["head", "halves", false, 64], ["all", "halves", false, 10],
    ["head", "neighbours", true, 256], ["none", "none", false, 18],
  ]) {
    await report.run(`G-3 heads of ${headDim}, norm ${norm}${normLast ? " last" : ""}, RoPE ${rope}, ${kv}`, async () => {
      const random = ref.randomOf(11);
      const [nHead, nKv, nToken, firstPos] = [4, 2, 3, 5];
      const nRot = headDim === 64 ? 32 : headDim; // a part of a head only
      const n = (nHead + 2 * nKv) * headDim;
      const nQuad = Math.ceil(headDim / 4);
      const x = ref.normals(random, nToken * n);
      const bias = ref.normals(random, padded(n));
      const weightAt = padded(n) / 4;
      const nWeight = norm === "all" ? nHead * headDim : headDim;
      const qWeight = ref.normals(random, padded(nWeight));
      const kWeight = ref.normals(random, padded(nWeight));
      const angles = Float32Array.from({ length: 2 * nToken * (nRot / 2) }, (_, i) =>
        (i % 2 ? Math.sin(i >> 1) : Math.cos(i >> 1)));
      const cacheSize = 16 * nKv * nQuad * 4 * (kv === "f32" ? 1 : 0.5);
      const result = await runShader(device, headsShader({ kv, norm, rope, normLast }), {
        op: {
          n_head: nHead, n_head_kv: nKv, head_dim: headDim, n_rot: nRot, x_stride: n, q_stride: nHead * headDim, bias: 0,
          q_norm: weightAt, k_norm: weightAt + qWeight.length / 4, eps: 1e-5, angles: 0,
        },
        batch: { n_token: nToken, first_pos: firstPos },
        arrays: {
          vectors: Float32Array.of(...bias, ...qWeight, ...kWeight), x, angles, q: new Float32Array(nToken * nHead * headDim),
          keys: new Float32Array(cacheSize), values: new Float32Array(cacheSize),
        },
        grid: [nHead + 2 * nKv, nToken, 1],
        read: ["q", "keys", "values"],
      });
      const rotate = (h, token) => {
        if (rope === "none") return h;
        for (let i = 0; i < nRot / 2; ++i) {
          const [a, b] = rope === "halves" ? [i, i + nRot / 2] : [2 * i, 2 * i + 1];
          const [c, s] = [0, 1].map((k) => angles[2 * (token * (nRot / 2) + i) + k]);
          [h[a], h[b]] = [h[a] * c - h[b] * s, h[a] * s + h[b] * c];
        }
        return h;
      };
      const normOf = (heads, weight) => {
        if (norm === "none") return heads;
        if (norm === "head") return heads.map((h) => ref.rmsNorm(h, weight, 1e-5));
        const all = ref.rmsNorm(heads.flat(), weight, 1e-5);
        return heads.map((_, i) => all.slice(i * headDim, (i + 1) * headDim));
      };
      const headsOf = (token, first, count) => Array.from({ length: count }, (_, i) =>
        Array.from({ length: headDim }, (_, d) => x[token * n + (first + i) * headDim + d] + bias[(first + i) * headDim + d]));
      const ready = (heads, weight, token) => (normLast
        ? normOf(heads.map((h) => rotate(h, token)), weight)
        : normOf(heads, weight).map((h) => rotate(h, token)));
      const tolerance = kv === "f32" ? EXACT_ENOUGH : F16_CACHE;
      const cached = { keys: unpack(kv, result.keys), values: unpack(kv, result.values) };
      let worst = 0;
      for (let token = 0; token < nToken; ++token) {
        const q = ready(headsOf(token, 0, nHead), qWeight, token).flat();
        const at = token * nHead * headDim;
        worst = Math.max(worst, expectClose("q", floats(result.q).subarray(at, at + q.length), q, EXACT_ENOUGH));
        const expected = { keys: ready(headsOf(token, nHead, nKv), kWeight, token), values: headsOf(token, nHead + nKv, nKv) };
        for (const name of ["keys", "values"]) {
          const place = (firstPos + token) * nKv * nQuad * 4;
          const got = cached[name].subarray(place, place + nKv * nQuad * 4);
          const want = expected[name].flatMap((h) => [...h, ...Array(nQuad * 4 - headDim).fill(0)]);
          worst = Math.max(worst, expectClose(name, got, want, tolerance));
        }
      }
      return note(worst);
    });
  }

  for (const [headDim, nHead, nKv, nToken, firstPos, window, cap] of [
    [6, 3, 1, 3, 0, NONE, 0], [64, 4, 2, 1, 129, NONE, 0], [20, 4, 4, 5, 70, 40, 0], [256, 2, 1, 1, 64, NONE, 4],
    [128, 2, 2, 1, 700, NONE, 0],
  ]) {
    const chunks = chunksOf(nToken, firstPos + nToken);
    const name = `G-3 attention, ${nHead}/${nKv} heads of ${headDim}, ${nToken} tokens after ${firstPos}` +
      `${window === NONE ? "" : `, window ${window}`}${cap ? `, cap ${cap}` : ""}, ${chunks.nChunk} chunks, ${kv}`;
    await report.run(name, async () => {
      const random = ref.randomOf(12);
      const nQuad = Math.ceil(headDim / 4);
      const nPos = firstPos + nToken;
      const q = ref.normals(random, nToken * nHead * headDim, 2);
      const cache = () => strided(ref.normals(random, nPos * nKv * headDim), headDim, nQuad * 4);
      const halves = (values) => Uint16Array.from(values, (v) => halfOfFloat(v));
      const [keys, values] = [cache(), cache()].map((c) => (kv === "f32" ? c : halves(c)));
      const scale = 1 / Math.sqrt(headDim);
      const op = {
        n_head: nHead, n_head_kv: nKv, head_dim: headDim, q_stride: nHead * headDim, y_stride: nHead * headDim, window, scale, cap,
      };
      const partial = chunks.nChunk > 1;
      const size = partial ? chunks.nChunk * nHead * (4 * nQuad + 2) : nToken * nHead * headDim;
      const batch = { n_token: nToken, first_pos: firstPos, n_chunk: chunks.nChunk, chunk: chunks.chunk };
      let { y } = await runShader(device, attentionShader({ kv, partial }), {
        op, batch, arrays: { q, keys, values, y: new Float32Array(size) }, grid: [nHead, nToken, chunks.nChunk],
      });
      if (partial) {
        ({ y } = await runShader(device, joinShader(), {
          op: { n_head: nHead, head_dim: headDim }, batch,
          arrays: { x: floats(y), y: new Float32Array(nHead * headDim) }, grid: [nHead, 1, 1],
        }));
      }
      const k = kv === "f32" ? keys : unpack(kv, keys.buffer);
      const v = kv === "f32" ? values : unpack(kv, values.buffer);
      const expected = [];
      for (let token = 0; token < nToken; ++token) {
        for (let head = 0; head < nHead; ++head) {
          const kvHead = Math.floor(head / (nHead / nKv));
          const last = firstPos + token;
          const first = window === NONE ? 0 : Math.max(0, last + 1 - window);
          const at = (pos, d) => (pos * nKv + kvHead) * nQuad * 4 + d;
          const scores = [];
          for (let pos = first; pos <= last; ++pos) {
            let score = 0;
            for (let d = 0; d < headDim; ++d) score += q[(token * nHead + head) * headDim + d] * k[at(pos, d)];
            scores.push(ref.softCap(score * scale, cap));
          }
          const p = ref.softmax(scores);
          for (let d = 0; d < headDim; ++d) {
            expected.push(p.reduce((sum, share, i) => sum + share * v[at(first + i, d)], 0));
          }
        }
      }
      return note(expectClose("attention", floats(y), expected, 1e-5));
    });
  }
}

// The f16 nearest to a value that is neither tiny nor huge.
function halfOfFloat(value) {
  if (value === 0) return 0;
  const sign = value < 0 ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude)));
  const fraction = Math.round((magnitude / 2 ** exponent) * 1024);
  return sign | (fraction < 1024 ? fraction : ((exponent + 15) << 10) + fraction - 1024);
}

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
          n_expert: nExpert, n_used: nUsed, x_stride: 72, bias: NONE, selection: selection ? 0 : NONE, normalised: 1, scale: 2,
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
        const shares = (gating === "softmax_selected" ? ref.softmax(chosen) : chosen.map((v) => v / sum)).map((v) => 2 * v);
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
    order.forEach((id, i) => check(ids[i] === id && x[i] === logits[id], `${n} logits, rank ${i}: ${ids[i]}, expected ${id}`));
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
