// The plan of a model: its work buffers and the dispatches of a forward pass, made once.
//
// There are two lists of steps: for one token (matrix times vector, with norms and gates fused), and
// for several (matrix times tile, norms and gates on their own). Every step has its pipeline, its bind
// group and its constants ready; an evaluation only writes `batch`, tokens and angles, and replays.

import { WEIGHT_STORAGE, paddedColumns } from "./blocks.mjs";
import { MAX_CHUNKS } from "./chunks.mjs";
import { NONE, packOp } from "./wgsl.mjs";
import { attentionShader, headsShader, joinShader } from "./wgsl_attention.mjs";
import { TILE, matmulShader } from "./wgsl_matmul.mjs";
import { matvecOutputs, matvecShader } from "./wgsl_matvec.mjs";
import { embedShader, gatedShader, normShader } from "./wgsl_rows.mjs";
import { TOP_INPUT, TOP_K, routeShader, topShader } from "./wgsl_select.mjs";

export const USAGE = { STORAGE: 0x80, UNIFORM: 0x40, COPY_SRC: 0x04, COPY_DST: 0x08, MAP_READ: 0x01 };
const OP_STRIDE = 256; // every device aligns uniforms to this, or to less
const MAX_GROUPS = 32768; // of one dimension; the rest goes into the next one

const padded = (n) => Math.ceil(n / 8) * 8;

export class Plan {
  buffers = {}; // work buffers by name
  decode = [];
  prefill = [];
  head = []; // of the last token, behind either
  top = []; // behind `head`, for candidates
  shaders = new Map(); // by text: what pipelines.mjs compiles
  workBytes = 0;
  #device;
  #d;
  #model;
  #options;

  // `options`: { nCtx, nBatch, kv, half, subgroups }.
  constructor(device, description, model, options) {
    this.#device = device;
    this.#d = description;
    this.#model = model;
    this.#options = options;
    this.#createBuffers();
    this.#planEmbedding();
    for (const layer of model.layers) this.#planLayer(layer);
    this.#planHead();
    this.#planTop();
  }

  get steps() {
    return [...this.decode, ...this.prefill, ...this.head, ...this.top];
  }

  // ---- buffers -----------------------------------------------------------------------------------

  #buffer(name, floats, usage = 0) {
    const size = Math.max(16, Math.ceil(floats / 4) * 16);
    this.buffers[name] = this.#device.createBuffer({
      label: name, size, usage: USAGE.STORAGE | USAGE.COPY_DST | usage,
    });
    this.workBytes += size;
  }

  #createBuffers() {
    const d = this.#d;
    const { nCtx, nBatch, kv } = this.#options;
    const nQuad = Math.ceil(d.head_dim / 4);
    const nFf = Math.max(d.n_ff, d.experts?.n_ff ?? 0);
    const nUsed = d.experts?.n_used ?? 1;
    this.stride = {
      x: padded(d.n_embd), q: padded(d.n_head * d.head_dim), act: padded(nFf), gate: 2 * padded(nFf),
      qkv: padded((d.n_head + 2 * Math.max(...d.layers.map((l) => l.n_head_kv))) * d.head_dim),
      scores: padded(d.experts?.n_expert ?? 0),
    };
    this.nAngle = nBatch * (d.rope.n_rot / 2);
    this.#buffer("tokens", nBatch);
    this.#buffer("angles", 2 * this.nAngle * (d.rope_local ? 2 : 1));
    for (const name of ["x", "normed", "delta"]) this.#buffer(name, nBatch * this.stride.x);
    this.#buffer("qkv", nBatch * this.stride.qkv);
    this.#buffer("q", nBatch * this.stride.q);
    this.#buffer("attended", nBatch * this.stride.q);
    this.#buffer("partials", MAX_CHUNKS * d.n_head * (4 * nQuad + 2));
    this.#buffer("gate", nBatch * this.stride.gate);
    this.#buffer("act", nBatch * nUsed * this.stride.act);
    if (d.experts) {
      this.#buffer("scores", nBatch * this.stride.scores);
      this.#buffer("experts", nBatch * nUsed);
      this.#buffer("expert_weights", nBatch * nUsed);
    }
    this.#buffer("logits", padded(d.n_vocab), USAGE.COPY_SRC);
    d.layers.forEach((layer, i) => {
      const floats = nCtx * layer.n_head_kv * nQuad * (kv === "f32" ? 4 : 2);
      this.#buffer(`keys ${i}`, floats);
      this.#buffer(`values ${i}`, floats);
    });
    this.buffers.vectors = this.#model.vectors;
  }

  // ---- steps -------------------------------------------------------------------------------------

  // `storage` names buffers, or is one; `grid(batch)` the workgroups; `when(batch)`: default always.
  #step(list, shader, values, storage, grid, when = () => true) {
    const known = this.shaders.get(shader.text) ?? shader;
    this.shaders.set(shader.text, known);
    const buffers = storage.map((b) => (typeof b === "string" ? this.buffers[b] : b));
    list.push({ shader: known, constants: packOp(shader.op, values), buffers, grid, when });
  }

  #weights(part, nCol, type) {
    const [plane0 = 0, plane1 = 0, plane2 = 0, plane3 = 0] = part.planes;
    return {
      values: { n_unit: paddedColumns(type, nCol) / 8, plane0, plane1, plane2, plane3 },
      storage: WEIGHT_STORAGE.map(() => part.buffer),
    };
  }

  // y = W x for one token, with everything that matvecShader() fuses.
  #matvec(list, matrix, { mode, x, y, xStride, yStride, first = 0, nSlot = () => 1, extra = [], ...more }) {
    const { subgroups } = this.#options;
    const norm = more.norm ?? NONE;
    const shader = matvecShader({
      type: matrix.type, mode, subgroups, normed: norm !== NONE, activation: this.#d.activation,
    });
    for (const part of matrix.parts) {
      const { values, storage } = this.#weights(part, matrix.nCol, matrix.type);
      const nRow = more.nRow ?? part.nRow;
      const groups = Math.ceil(nRow / matvecOutputs(mode, subgroups));
      this.#step(list, shader, {
        ...values, n_row: nRow, x_stride: xStride / 4, y_stride: yStride, y_first: first + part.row,
        // Biases are those of the whole matrix; a place is in vec4, and parts begin at a multiple of 8.
        bias: shifted(more.bias, part.row), bias_up: shifted(more.biasUp, part.row), norm,
        eps: this.#d.norm_eps, n_col: matrix.nCol, scale: more.scale ?? 1, cap: more.cap ?? 0,
        n_used: this.#d.experts?.n_used ?? 1,
      }, [...storage, "vectors", x, y, ...extra],
      (batch) => [Math.min(groups, MAX_GROUPS), Math.ceil(groups / MAX_GROUPS), nSlot(batch)]);
    }
  }

  // The same for a batch. `pieces` of a part: [first row of the buffer, rows, first output].
  #matmul(matrix, { mode, x, y, xStride, yStride, first = 0, bias, scale = 1, pieces }) {
    const shader = matmulShader({ type: matrix.type, mode, half: this.#options.half });
    for (const part of matrix.parts) {
      for (const [from, nRow, to] of pieces?.(part) ?? [[0, part.nRow, part.row]]) {
        const { values, storage } = this.#weights(part, matrix.nCol, matrix.type);
        this.#step(this.prefill, shader, {
          ...values, w_first: from, n_row: nRow, x_stride: xStride / 4, y_stride: yStride, y_first: first + to,
          bias: shifted(bias, to), scale,
        }, [...storage, "vectors", x, y],
        ({ nToken }) => [Math.ceil(nRow / TILE), Math.ceil(nToken / TILE), 1]);
      }
    }
  }

  #norm(list, norm, { x, y, add = false, scale = 1 }) {
    this.#step(list, normShader({ add }), {
      n_col: this.#d.n_embd, x_stride: this.stride.x, y_stride: this.stride.x, norm, eps: this.#d.norm_eps, scale,
    }, ["vectors", x, y], ({ nToken }) => [nToken, 1, 1]);
  }

  // What a block of the prefill reads: x through its norm, where it has one.
  #normed(norm) {
    if (norm === NONE) return "x";
    this.#norm(this.prefill, norm, { x: "x", y: "normed" });
    return "normed";
  }

  #planEmbedding() {
    const { embedding } = this.#model;
    const nUnit = paddedColumns(embedding.type, embedding.nCol) / 8;
    for (const part of embedding.parts) {
      const { values, storage } = this.#weights(part, embedding.nCol, embedding.type);
      for (const list of [this.decode, this.prefill]) {
        this.#step(list, embedShader({ type: embedding.type }), {
          ...values, first_row: part.row, n_row: part.nRow, y_stride: this.stride.x / 4, scale: this.#d.embedding_scale,
        }, [...storage, "tokens", "x"], ({ nToken }) => [Math.ceil(nUnit / 64), nToken, 1]);
      }
    }
  }

  #planLayer(layer) {
    const qkv = { mode: "store", y: "qkv", xStride: this.stride.x, yStride: this.stride.qkv };
    const input = this.#normed(layer.attnNorm);
    for (const { matrix, first } of layer.qkv) {
      this.#matvec(this.decode, matrix, { ...qkv, x: "x", first, norm: layer.attnNorm });
      this.#matmul(matrix, { ...qkv, x: input, first });
    }
    this.#planAttention(layer);
    this.#addToX(layer.wo, "attended", this.stride.q, layer.bo, layer.attnPostNorm);
    if (layer.moe) {
      this.#planExperts(layer);
    } else {
      this.#planDense(layer);
      this.#addToX(layer.dense.down, "act", this.stride.act, layer.dense.biasDown, layer.ffnPostNorm);
    }
  }

  #planAttention(layer) {
    const d = this.#d;
    const { kv } = this.#options;
    const local = d.rope_local !== null && layer.windowed;
    const norm = { none: "none", per_head: "head", all_heads: "all" }[layer.qNorm === NONE ? "none" : d.qk_norm];
    const heads = headsShader({
      kv, norm, rope: layer.rope && d.rope.n_rot ? d.rope.layout : "none", normLast: d.qk_norm_after_rope,
    });
    const cache = [`keys ${layer.index}`, `values ${layer.index}`];
    const sizes = { n_head: d.n_head, n_head_kv: layer.n_head_kv, head_dim: d.head_dim };
    const attention = {
      ...sizes, q_stride: this.stride.q, y_stride: this.stride.q, window: layer.windowed ? d.window : NONE,
      scale: d.attention_scale, cap: d.attention_soft_cap,
    };
    for (const list of [this.decode, this.prefill]) {
      this.#step(list, heads, {
        ...sizes, n_rot: d.rope.n_rot, x_stride: this.stride.qkv, q_stride: this.stride.q, bias: layer.qkvBias,
        q_norm: layer.qNorm, k_norm: layer.kNorm, eps: d.norm_eps, angles: local ? this.nAngle : 0,
      }, ["vectors", "qkv", "angles", "q", ...cache],
      ({ nToken }) => [d.n_head + 2 * layer.n_head_kv, nToken, 1]);
      this.#step(list, attentionShader({ kv }), attention, ["q", ...cache, "attended"],
        ({ nToken }) => [d.n_head, nToken, 1], ({ nChunk }) => nChunk === 1);
    }
    this.#step(this.decode, attentionShader({ kv, partial: true }), attention, ["q", ...cache, "partials"],
      ({ nChunk }) => [d.n_head, 1, nChunk], ({ nChunk }) => nChunk > 1);
    this.#step(this.decode, joinShader(), { n_head: d.n_head, head_dim: d.head_dim }, ["partials", "attended"],
      () => [d.n_head, 1, 1], ({ nChunk }) => nChunk > 1);
  }

  // x += scale * W input, through a norm where the family has one there.
  #addToX(matrix, input, xStride, bias, postNorm) {
    const scale = this.#d.residual_scale;
    const direct = postNorm === NONE;
    const to = { mode: direct ? "add" : "store", x: input, y: direct ? "x" : "delta", xStride, yStride: this.stride.x };
    this.#matvec(this.decode, matrix, { ...to, bias, scale });
    this.#matmul(matrix, { ...to, bias, scale });
    if (direct) return;
    for (const list of [this.decode, this.prefill]) this.#norm(list, postNorm, { x: "delta", y: "x", add: true, scale });
  }

  #planDense(layer) {
    const { gated, apart, biasGate, biasUp } = layer.dense;
    const d = this.#d;
    const rows = { mode: "store", y: "gate", xStride: this.stride.x, yStride: this.stride.gate };
    const input = this.#normed(layer.ffnNorm);
    const separate = [this.prefill];
    if (gated) {
      this.#matvec(this.decode, gated, {
        mode: "gated", x: "x", y: "act", xStride: this.stride.x, yStride: this.stride.act, norm: layer.ffnNorm,
        bias: biasGate, biasUp,
      });
      const pieces = (part) => [[0, part.nRow, part.row], [part.nRow, part.nRow, d.n_ff + part.row]];
      this.#matmul(gated, { ...rows, x: input, pieces });
    } else {
      separate.push(this.decode);
      for (const { matrix, first } of apart) {
        this.#matvec(this.decode, matrix, { ...rows, x: "x", first, norm: layer.ffnNorm });
        this.#matmul(matrix, { ...rows, x: input, first });
      }
    }
    for (const list of separate) {
      this.#step(list, gatedShader({ activation: d.activation }), {
        n: d.n_ff, x_stride: this.stride.gate, y_stride: this.stride.act, bias: biasGate, bias_up: biasUp,
      }, ["vectors", "gate", "act"], ({ nToken }) => [Math.ceil(d.n_ff / 64), nToken, 1]);
    }
  }

  // Route; gate and up of the chosen experts into a slot for each; their outputs by rank into x.
  #planExperts(layer) {
    const { router, routerBias, selectionBias, gated, down } = layer.moe;
    const d = this.#d;
    const { n_expert: nExpert, n_used: nUsed, n_ff: nFf } = d.experts;
    const scores = { mode: "store", y: "scores", xStride: this.stride.x, yStride: this.stride.scores };
    let input = this.#normed(layer.ffnNorm);
    this.#matmul(router, { ...scores, x: input });
    if (input === "normed") this.#norm(this.decode, layer.ffnNorm, { x: "x", y: "normed" });
    this.#matvec(this.decode, router, { ...scores, x: input });
    const direct = layer.ffnPostNorm === NONE;
    for (const list of [this.decode, this.prefill]) {
      this.#step(list, routeShader({ gating: d.experts.gating }), {
        n_expert: nExpert, n_used: nUsed, x_stride: this.stride.scores, bias: routerBias, selection: selectionBias,
        normalised: d.experts.normalised ? 1 : 0, scale: d.experts.scale,
      }, ["vectors", "scores", "experts", "expert_weights"], ({ nToken }) => [nToken, 1, 1]);
      this.#matvec(list, gated, {
        mode: "expert_gated", x: input, y: "act", xStride: this.stride.x, yStride: this.stride.act, nRow: nFf,
        nSlot: ({ nToken }) => nToken * nUsed, extra: ["experts"],
      });
      if (!direct) throw new Error("experts with a norm behind them");
      this.#matvec(list, down, {
        mode: "expert_down", x: "act", y: "x", xStride: this.stride.act, yStride: this.stride.x, nRow: d.n_embd,
        nSlot: ({ nToken }) => nToken, extra: ["experts", "expert_weights"], scale: d.residual_scale,
      });
    }
  }

  #planHead() {
    const d = this.#d;
    this.#matvec(this.head, this.#model.output, {
      mode: "head", x: "x", y: "logits", xStride: this.stride.x, yStride: 0, norm: this.#model.outputNorm,
      bias: this.#model.outputBias, scale: d.logit_scale, cap: d.logit_soft_cap,
    });
  }

  // Passes that leave TOP_K of TOP_INPUT each time, until there is one group.
  #planTop() {
    let n = this.#d.n_vocab;
    let input = ["logits"];
    for (let pass = 0; ; ++pass) {
      const groups = Math.ceil(n / TOP_INPUT);
      const output = [`top ${pass}`, `top ids ${pass}`];
      for (const name of output) this.#buffer(name, groups * TOP_K, USAGE.COPY_SRC);
      this.#step(this.top, topShader({ first: pass === 0 }), { n }, [...input, ...output], () => [groups, 1, 1]);
      input = output;
      n = groups * TOP_K;
      if (groups === 1) break;
    }
    this.topBuffers = input;
  }

  destroy() {
    for (const buffer of Object.values(this.buffers)) buffer.destroy();
    this.uniforms?.destroy();
    this.batch?.destroy();
  }

  // Makes pipelines and bind groups.
  async compile(pipelines) {
    await pipelines.compile([...this.shaders.values()]);
    const device = this.#device;
    const { steps } = this;
    this.batch = device.createBuffer({ label: "batch", size: 16, usage: USAGE.UNIFORM | USAGE.COPY_DST });
    this.uniforms = device.createBuffer({
      label: "constants", size: steps.length * OP_STRIDE, usage: USAGE.UNIFORM | USAGE.COPY_DST,
    });
    const constants = new Uint8Array(steps.length * OP_STRIDE);
    steps.forEach((step, i) => {
      constants.set(step.constants, i * OP_STRIDE);
      const { pipeline, layout } = pipelines.get(step.shader);
      step.pipeline = pipeline;
      step.bindGroup = device.createBindGroup({
        label: step.shader.label,
        layout,
        entries: [
          { binding: 0, resource: { buffer: this.batch } },
          { binding: 1, resource: { buffer: this.uniforms, offset: i * OP_STRIDE, size: step.constants.length } },
          ...step.buffers.map((buffer, b) => ({ binding: b + 2, resource: { buffer } })),
        ],
      });
    });
    device.queue.writeBuffer(this.uniforms, 0, constants);
  }
}

// The place of element `row` of a vector; `row` is a multiple of 4.
const shifted = (place = NONE, row = 0) => (place === NONE ? NONE : place + row / 4);
