// The attention of web/gpu: heads, cache, scores, each against its plain definition (G-3).
//
//   node tests/node/gpu_attention_test.mjs

import { NONE } from "../../web/gpu/wgsl.mjs";
import { chunksOf } from "../../web/gpu/chunks.mjs";
import { attentionShader, headsShader, joinShader } from "../../web/gpu/wgsl_attention.mjs";
import { EXACT_ENOUGH, device, expectClose, floats, note, padded, report, strided } from "./gpu_kernel_support.mjs";
import * as ref from "./gpu_reference.mjs";
import { runShader } from "./gpu_run.mjs";

const F16_CACHE = 1e-3;

const unpack = (kv, buffer) => (kv === "f32" ? floats(buffer)
  : Float32Array.from(new Uint16Array(buffer), (h) => ref.dequantize("F16", Uint8Array.of(h & 255, h >> 8))[0]));

for (const kv of ["f32", "f16"]) {
  for (const [norm, rope, normLast, headDim] of [
    ["none", "neighbours", false, 6], ["head", "halves", false, 64], ["all", "halves", false, 10],
    ["head", "neighbours", true, 256], ["none", "none", false, 18],
  ]) {
    const name = `G-3 heads of ${headDim}, norm ${norm}${normLast ? " last" : ""}, RoPE ${rope}, ${kv}`;
    await report.run(name, async () => {
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
          n_head: nHead, n_head_kv: nKv, head_dim: headDim, n_rot: nRot, x_stride: n,
          q_stride: nHead * headDim, bias: 0,
          q_norm: weightAt, k_norm: weightAt + qWeight.length / 4, eps: 1e-5, angles: 0,
        },
        batch: { n_token: nToken, first_pos: firstPos },
        arrays: {
          vectors: Float32Array.of(...bias, ...qWeight, ...kWeight), x, angles,
          q: new Float32Array(nToken * nHead * headDim),
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
        Array.from({ length: headDim }, (_, d) => {
          const at = (first + i) * headDim + d;
          return x[token * n + at] + bias[at];
        }));
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
        const expected = {
          keys: ready(headsOf(token, nHead, nKv), kWeight, token), values: headsOf(token, nHead + nKv, nKv),
        };
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
        n_head: nHead, n_head_kv: nKv, head_dim: headDim, q_stride: nHead * headDim,
        y_stride: nHead * headDim, window, scale, cap,
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

report.finish();
