// What the tests of single shaders share: the device, comparisons, matrices on it.

import { BLOCK_TYPES, paddedColumns } from "../../web/gpu/blocks.mjs";
import { WeightLoader } from "../../web/gpu/weights.mjs";
import { AsyncReport, check, openGpu } from "./gpu_device.mjs";
import * as ref from "./gpu_reference.mjs";

export const EXACT_ENOUGH = 2e-6; // f32 sums in another order, relative to the largest value

const { gpu, why } = await openGpu();
if (!gpu) {
  console.log(`skipped: ${why}`);
  console.log("0 passed, 0 failed");
  process.exit(0);
}
const adapter = await gpu.requestAdapter();
export const device = await adapter.requestDevice({
  requiredFeatures: ["subgroups", "shader-f16"].filter((name) => adapter.features.has(name)),
});
export const hasSubgroups = device.features.has("subgroups") && gpu.wgslLanguageFeatures.has("subgroup_id");
export const report = new AsyncReport();
export const types = Object.keys(BLOCK_TYPES);

export const padded = (n) => Math.ceil(n / 8) * 8;
export const floats = (buffer) => new Float32Array(buffer);
// Rows of n values at a stride.
export function strided(values, n, stride) {
  const out = new Float32Array((values.length / n) * stride);
  for (let i = 0; i < values.length; ++i) out[Math.floor(i / n) * stride + (i % n)] = values[i];
  return out;
}
export function unstrided(values, n, stride, nRow) {
  return Array.from({ length: n * nRow }, (_, i) => values[Math.floor(i / n) * stride + (i % n)]);
}
export function expectClose(what, got, expected, tolerance) {
  const error = ref.worstError(got, expected);
  check(error <= tolerance, `${what}: relative error ${error} above ${tolerance}`);
  return error;
}
export const note = (error) => `error ${error.toExponential(1)}`;

// A matrix of the test on the GPU, through the loader that models use.
export async function uploaded(matrix, options = {}) {
  const loader = new WeightLoader(options.device ?? device,
    async (offset, size) => matrix.bytes.subarray(offset, offset + size), () => {});
  const tensor = { name: "test", dtype: matrix.type, shape: [matrix.nRow, matrix.nCol], offset: 0 };
  return loader.matrix([tensor]);
}
export function weightOp({ type, nCol }, part) {
  const [plane0 = 0, plane1 = 0, plane2 = 0, plane3 = 0] = part.planes;
  return { n_unit: paddedColumns(type, nCol) / 8, plane0, plane1, plane2, plane3 };
}
export const weightArrays = (part) => ({ words: part.buffer, pairs: part.buffer });
export const noVectors = new Float32Array(8);
