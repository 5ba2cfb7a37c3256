// Plain definitions, in f64, of what the shaders of web/gpu compute. Nothing here is fast or shared
// with them.

import { floatOfHalf } from "../../web/gpu/weights.mjs";

// A small generator (mulberry32), so that every run sees the same numbers.
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
export const normals = (random, n, scale = 1) => Float32Array.from({ length: n }, () =>
  scale * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));

// ---- blocks of weights -------------------------------------------------------------------------

const half = (b, i) => floatOfHalf(b[i] | (b[i + 1] << 8));
const signed = (byte) => (byte << 24) >> 24;
const nibble32 = (qs) => (i) => (i < 16 ? qs[i] & 15 : qs[i - 16] >> 4);
const fifth32 = (qh) => (i) => ((qh[i >> 3] >> (i & 7)) & 1) << 4;
const fill = (n, f) => Array.from({ length: n }, (_, i) => f(i));

// Scale and minimum of part 0..7 of Q4_K and Q5_K.
function scalesK(s, part) {
  if (part < 4) return [s[part] & 63, s[part + 4] & 63];
  return [(s[part + 4] & 15) | ((s[part - 4] >> 6) << 4), (s[part + 4] >> 4) | ((s[part] >> 6) << 4)];
}

// type: [elements, bytes, (bytes of a block) => elements]
export const BLOCK_DEFINITIONS = {
  F32: [1, 4, (b) => [new DataView(b.buffer, b.byteOffset, 4).getFloat32(0, true)]],
  F16: [1, 2, (b) => [half(b, 0)]],
  BF16: [1, 2, (b) => [new DataView(Uint8Array.of(0, 0, b[0], b[1]).buffer).getFloat32(0, true)]],
  Q4_0: [32, 18, (b) => fill(32, (i) => half(b, 0) * (nibble32(b.subarray(2))(i) - 8))],
  Q4_1: [32, 20, (b) => fill(32, (i) => half(b, 0) * nibble32(b.subarray(4))(i) + half(b, 2))],
  Q5_0: [32, 22, (b) => fill(32, (i) =>
    half(b, 0) * ((nibble32(b.subarray(6))(i) | fifth32(b.subarray(2))(i)) - 16))],
  Q5_1: [32, 24, (b) => fill(32, (i) =>
    half(b, 0) * (nibble32(b.subarray(8))(i) | fifth32(b.subarray(4))(i)) + half(b, 2))],
  Q8_0: [32, 34, (b) => fill(32, (i) => half(b, 0) * signed(b[2 + i]))],
  Q4_K: [256, 144, (b) => fill(256, (i) => {
    const part = i >> 5;
    const [scale, minimum] = scalesK(b.subarray(4, 16), part);
    const q = (b[16 + 32 * (part >> 1) + (i & 31)] >> (4 * (part & 1))) & 15;
    return half(b, 0) * scale * q - half(b, 2) * minimum;
  })],
  Q5_K: [256, 176, (b) => fill(256, (i) => {
    const part = i >> 5;
    const [scale, minimum] = scalesK(b.subarray(4, 16), part);
    const low = (b[48 + 32 * (part >> 1) + (i & 31)] >> (4 * (part & 1))) & 15;
    const q = low | (((b[16 + (i & 31)] >> part) & 1) << 4);
    return half(b, 0) * scale * q - half(b, 2) * minimum;
  })],
  Q6_K: [256, 210, (b) => fill(256, (i) => {
    const part = i >> 5;
    const l = i & 31;
    const low = (b[64 * (part >> 2) + 32 * (part & 1) + l] >> (4 * ((part & 3) >> 1))) & 15;
    const high = (b[128 + 32 * (part >> 2) + l] >> (2 * (part & 3))) & 3;
    return half(b, 208) * signed(b[192 + 2 * part + (l >> 4)]) * ((low | (high << 4)) - 32);
  })],
};

// Where the f16 of a block stand, for making random ones.
const HALVES = {
  Q4_0: [0], Q4_1: [0, 2], Q5_0: [0], Q5_1: [0, 2], Q8_0: [0], Q4_K: [0, 2], Q5_K: [0, 2], Q6_K: [208], F16: [0],
};

// A random matrix: its bytes as in a file, and its values.
export function randomMatrix(random, type, nRow, nCol) {
  const [elements, blockBytes] = BLOCK_DEFINITIONS[type];
  const nBlock = (nRow * nCol) / elements;
  const bytes = Uint8Array.from({ length: nBlock * blockBytes }, () => random() * 256);
  for (let block = 0; block < nBlock; ++block) {
    const at = block * blockBytes;
    if (type === "F32") new DataView(bytes.buffer).setFloat32(at, 2 * random() - 1, true);
    // 2^-7 .. 2^-3, of either sign; a few subnormal ones.
    if (type === "BF16") bytes[at + 1] = (random() < 0.5 ? 0 : 0x80) | 0x3d;
    for (const i of HALVES[type] ?? []) {
      bytes[at + i + 1] = (random() < 0.5 ? 0 : 0x80) | (random() < 0.1 ? 2 : 0x20 + Math.floor(random() * 16));
    }
  }
  return { type, nRow, nCol, bytes, values: dequantize(type, bytes) };
}

export function dequantize(type, bytes) {
  const [elements, blockBytes, decode] = BLOCK_DEFINITIONS[type];
  const out = new Float64Array((bytes.length / blockBytes) * elements);
  for (let at = 0, block = 0; at < bytes.length; at += blockBytes, ++block) {
    out.set(decode(bytes.subarray(at, at + blockBytes)), block * elements);
  }
  return out;
}

// ---- the operations ----------------------------------------------------------------------------

export const dot = (w, row, x, n) => {
  let sum = 0;
  for (let i = 0; i < n; ++i) sum += w[row * n + i] * x[i];
  return sum;
};
export const silu = (x) => x / (1 + Math.exp(-x));
export const gelu = (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
export const softCap = (x, cap) => (cap === 0 ? x : cap * Math.tanh(x / cap));
export const rmsNorm = (x, weight, eps) => {
  const r = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + eps);
  return Array.from(x, (v, i) => v * r * weight[i]);
};
export function softmax(scores) {
  const most = Math.max(...scores);
  const p = scores.map((s) => Math.exp(s - most));
  const sum = p.reduce((a, b) => a + b, 0);
  return p.map((v) => v / sum);
}
// Indices by (value descending, index ascending).
export const ranking = (values) =>
  Array.from(values, (_, i) => i).sort((a, b) => values[b] - values[a] || a - b);

// The largest difference, relative to the largest value that was expected (at least 1e-3).
export function worstError(got, expected) {
  let worst = 0;
  let most = 1e-3;
  expected.forEach((v, i) => {
    worst = Math.max(worst, Number.isFinite(got[i]) ? Math.abs(got[i] - v) : Infinity);
    most = Math.max(most, Math.abs(v));
  });
  return worst / most;
}
