// The matrix products of web/gpu, each against its plain definition (CSS-8, G-3).
//
//   node tests/node/gpu_products_test.mjs

import { NONE } from "../../web/gpu/wgsl.mjs";
import { BLOCK_TYPES } from "../../web/gpu/blocks.mjs";
import { matmulShader } from "../../web/gpu/wgsl_matmul.mjs";
import { matvecOutputs, matvecShader } from "../../web/gpu/wgsl_matvec.mjs";
import { check } from "./gpu_device.mjs";
import {
  EXACT_ENOUGH, device, expectClose, floats, hasSubgroups, note, noVectors, padded, report, strided, types,
  uploaded, weightArrays, weightOp,
} from "./gpu_kernel_support.mjs";
import * as ref from "./gpu_reference.mjs";
import { runShader } from "./gpu_run.mjs";

// ---- matrix times vector -----------------------------------------------------------------------

const MATVEC_DEFAULTS = {
  y_first: 0, bias: NONE, bias_up: NONE, norm: NONE, eps: 1e-5, scale: 1, cap: 0, add: 0, last: 0, n_used: 1,
};
const columnsOf = (type) => (BLOCK_TYPES[type].block === 1 ? 43 : BLOCK_TYPES[type].block * 3);

async function matvec(matrix, {
  mode = "plain", activation, normed = false, subgroups = false, x, nRow, y, op, vectors, extra, z = 1, nToken = 1,
}) {
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
    arrays: {
      ...weightArrays(part), vectors: vectors ?? noVectors, x: strided(x, matrix.nCol, padded(matrix.nCol)), y,
      ...extra,
    },
    batch: { n_token: nToken },
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
          subgroups, x, nRow, y: new Float32Array(nRow + 3).fill(7), vectors: bias,
          op: { bias: 0, y_first: 2 },
        });
        const expected = Array.from({ length: nRow }, (_, i) => ref.dot(matrix.values, i, x, matrix.nCol) + bias[i]);
        worst = Math.max(worst, expectClose(`${nRow} rows`, y.subarray(2), expected, EXACT_ENOUGH));
        check(y[0] === 7 && y[1] === 7 && y[nRow + 2] === 7, "a value beside the outputs was written");
      }
      return note(worst);
    });
  }

  for (const type of types.filter((name) => BLOCK_TYPES[name].quantized)) {
    await report.run(`G-3 packed dot products, ${type}${variant}`, async () => {
      const random = ref.randomOf(16);
      const nRow = 11;
      const matrix = ref.randomMatrix(random, type, nRow, columnsOf(type));
      const x = Int8Array.from({ length: matrix.nCol }, () => Math.floor(random() * 255) - 127);
      const scales = ref.normals(random, matrix.nCol / 32);
      const { parts: [part] } = await uploaded(matrix);
      const shader = matvecShader({ type, mode: "plain", subgroups, packed: true });
      const { y } = await runShader(device, shader, {
        op: {
          ...MATVEC_DEFAULTS, ...weightOp(matrix, part), n_row: nRow, n_col: matrix.nCol, x_stride: 0, y_stride: nRow,
        },
        arrays: { ...weightArrays(part), vectors: noVectors, x, x_scales: scales, y: new Float32Array(nRow) },
        grid: [Math.ceil(nRow / matvecOutputs("plain", subgroups)), 1, 1],
      });
      const values = Array.from(x, (q, i) => q * scales[i >> 5]);
      const expected = Array.from({ length: nRow }, (_, i) => ref.dot(matrix.values, i, values, matrix.nCol));
      return note(expectClose("y", floats(y), expected, EXACT_ENOUGH));
    });
  }

  await report.run(`G-3 norm, product and residual in one${variant}`, async () => {
    const random = ref.randomOf(4);
    const matrix = ref.randomMatrix(random, "Q4_1", 9, 96);
    const x = ref.normals(random, 96, 3);
    const weight = ref.normals(random, 96);
    const before = ref.normals(random, 9);
    const y = await matvec(matrix, {
      normed: true, subgroups, x, nRow: 9, y: before, vectors: weight, op: { norm: 0, scale: 0.25, eps: 1e-3, add: 1 },
    });
    const normed = ref.rmsNorm(x, weight, 1e-3);
    const expected = [...before].map((v, i) => v + 0.25 * ref.dot(matrix.values, i, normed, 96));
    return note(expectClose("y", y, expected, EXACT_ENOUGH));
  });

  await report.run(`G-3 logits of the last token, scaled and capped${variant}`, async () => {
    const random = ref.randomOf(5);
    const matrix = ref.randomMatrix(random, "Q8_0", 21, 64);
    const x = ref.normals(random, 3 * 64);
    const y = await matvec(matrix, {
      subgroups, x, nRow: 21, y: new Float32Array(21), op: { scale: 0.5, cap: 3, last: 1 }, nToken: 3,
    });
    const expected = Array.from({ length: 21 }, (_, i) =>
      ref.softCap(0.5 * ref.dot(matrix.values, i, x.subarray(128), 64), 3));
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
      mode: "expert_down", subgroups, x: Float32Array.from(expectedAct), nRow: nEmbd, y: before,
      op: { n_used: nUsed, add: 1 },
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
    for (const [nRow, nToken, add] of [[1, 2, 0], [35, 33, 1], [64, 7, 0]]) {
      const nCol = columnsOf(type);
      const matrix = ref.randomMatrix(random, type, nRow + 2, nCol);
      const { parts: [part] } = await uploaded(matrix);
      const x = ref.normals(random, nToken * nCol);
      const bias = ref.normals(random, padded(nRow));
      const before = ref.normals(random, nToken * nRow);
      const { y } = await runShader(device, matmulShader({ type }), {
        op: {
          ...weightOp(matrix, part), w_first: 2, n_row: nRow, x_stride: padded(nCol) / 4, y_stride: nRow, y_first: 0,
          bias: 0, scale: 0.5, add,
        },
        batch: { n_token: nToken },
        arrays: { ...weightArrays(part), vectors: bias, x: strided(x, nCol, padded(nCol)), y: before },
        grid: [Math.ceil(nRow / 32), Math.ceil(nToken / 32), 1],
      });
      const expected = [...before].map((v, i) => {
        const [token, row] = [Math.floor(i / nRow), i % nRow];
        return add * v + 0.5 * (ref.dot(matrix.values, row + 2, x.subarray(token * nCol), nCol) + bias[row]);
      });
      worst = Math.max(worst, expectClose(`${nRow} x ${nToken}`, floats(y), expected, EXACT_ENOUGH));
    }
    return note(worst);
  });
}

report.finish();
