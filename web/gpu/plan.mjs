// The plan of a model: its work buffers and the dispatches of a forward pass, made once.
//
// There are two lists of steps: for one token (matrix times vector, with norms and gates fused), and
// for several (matrix times tile, norms and gates on their own). Every step has its pipeline, its bind
// group and its constants ready; an evaluation only writes `batch`, tokens and angles, and replays.

import { BLOCK_TYPES, WEIGHT_STORAGE, paddedColumns } from "./blocks.mjs";
import { MAX_CHUNKS } from "./chunks.mjs";
import { NONE, packOp } from "./wgsl.mjs";
import { attentionShader, headsShader, joinShader } from "./wgsl_attention.mjs";
import { TILE, matmulShader } from "./wgsl_matmul.mjs";
import { matvecOutputs, matvecShader } from "./wgsl_matvec.mjs";
import { embedShader, gatedShader, normShader, quantizeShader } from "./wgsl_rows.mjs";
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
  workBytes = 0;
  #device;
  #pipelines;
  #ready = new Map(); // by group: a promise
  #quantized = new Map(); // by list: the row whose integers stand in `packed`
  #d;
  #model;
  #options;

  // `options`: { nCtx, nBatch, kv, half, subgroups, packedDot }.
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
    const widest = Math.max(this.stride.x, this.stride.q, this.stride.act);
    this.#buffer("packed", widest / 4);
    this.#buffer("packed scales", Math.ceil(widest / 32));
    d.layers.forEach((layer, i) => {
      const floats = nCtx * layer.n_head_kv * nQuad * (kv === "f32" ? 4 : 2);
      this.#buffer(`keys ${i}`, floats);
      this.#buffer(`values ${i}`, floats);
    });
    this.buffers.vectors = this.#model.vectors;
  }

  // ---- steps -------------------------------------------------------------------------------------

  // `storage` names buffers, or is one; `grid(batch)` the workgroups; `when(batch)`: default always. Steps of
  // a `group` other than "main" are compiled when they are first needed.
  #step(list, shader, values, storage, grid, { when = () => true, group = "main" } = {}) {
    const buffers = storage.map((b) => (typeof b === "string" ? this.buffers[b] : b));
    if (!shader.reads) this.#quantized.delete(list);
    list.push({ shader, constants: packOp(shader.op, values), buffers, grid, when, group });
  }

  #weights(part, nCol, type) {
    const [plane0 = 0, plane1 = 0, plane2 = 0, plane3 = 0] = part.planes;
    return {
      values: { n_unit: paddedColumns(type, nCol) / 8, plane0, plane1, plane2, plane3 },
      storage: WEIGHT_STORAGE.map(() => part.buffer),
    };
  }

  // y = W x for one token, with everything that matvecShader() fuses.
  #matvec(list, matrix, { mode = "plain", x, y, xStride, yStride, first = 0, nSlot = () => 1, extra = [], ...more }) {
    const { subgroups, packedDot } = this.#options;
    const norm = more.norm ?? NONE;
    const packed = packedDot && BLOCK_TYPES[matrix.type].quantized && !mode.startsWith("expert") &&
      list !== this.prefill;
    if (packed) this.#quantize(list, x, xStride, matrix.nCol, norm, more.last);
    const shader = matvecShader({
      type: matrix.type, mode, subgroups, normed: norm !== NONE && !packed, activation: this.#d.activation, packed,
    });
    // What was quantized stays so while products are all that follows.
    shader.reads = packed;
    for (const part of matrix.parts) {
      const { values, storage } = this.#weights(part, matrix.nCol, matrix.type);
      const nRow = more.nRow ?? part.nRow;
      const groups = Math.ceil(nRow / matvecOutputs(mode, subgroups));
      this.#step(list, shader, {
        ...values, n_row: nRow, x_stride: packed ? 0 : xStride / 4, y_stride: yStride, y_first: first + part.row,
        // Biases are those of the whole matrix; a place is in vec4, and parts begin at a multiple of 8.
        bias: shifted(more.bias, part.row), bias_up: shifted(more.biasUp, part.row), norm,
        eps: this.#d.norm_eps, n_col: matrix.nCol, scale: more.scale ?? 1, cap: more.cap ?? 0,
        add: more.add ? 1 : 0, last: more.last && !packed ? 1 : 0, n_used: this.#d.experts?.n_used ?? 1,
      }, [...storage, "vectors", ...(packed ? ["packed", "packed scales"] : [x]), y, ...extra],
      (batch) => [Math.min(groups, MAX_GROUPS), Math.ceil(groups / MAX_GROUPS), nSlot(batch)]);
    }
  }

  // One row as integers, unless they are there already (queries, keys and values read the same ones).
  #quantize(list, x, xStride, nCol, norm, last) {
    const row = `${x} ${norm}`;
    if (this.#quantized.get(list) === row) return;
    this.#step(list, quantizeShader({ normed: norm !== NONE }), {
      n_col: nCol, x_stride: xStride, last: last ? 1 : 0, norm, eps: this.#d.norm_eps,
    }, ["vectors", x, "packed", "packed scales"], () => [1, 1, 1]);
    this.#quantized.set(list, row);
  }

  // The same for a batch. `pieces` of a part: [first row of the buffer, rows, first output].
  #matmul(matrix, { x, y, xStride, yStride, first = 0, bias, scale = 1, add = false, pieces }) {
    const shader = matmulShader({ type: matrix.type, half: this.#options.half });
    for (const part of matrix.parts) {
      for (const [from, nRow, to] of pieces?.(part) ?? [[0, part.nRow, part.row]]) {
        const { values, storage } = this.#weights(part, matrix.nCol, matrix.type);
        this.#step(this.prefill, shader, {
          ...values, w_first: from, n_row: nRow, x_stride: xStride / 4, y_stride: yStride, y_first: first + to,
          bias: shifted(bias, to), scale, add: add ? 1 : 0,
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
    const qkv = { y: "qkv", xStride: this.stride.x, yStride: this.stride.qkv };
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
        ({ nToken }) => [d.n_head, nToken, 1], { when: ({ nChunk }) => nChunk === 1 });
    }
    const inChunks = { when: ({ nChunk }) => nChunk > 1, group: "chunks" };
    this.#step(this.decode, attentionShader({ kv, partial: true }), attention, ["q", ...cache, "partials"],
      ({ nChunk }) => [d.n_head, 1, nChunk], inChunks);
    this.#step(this.decode, joinShader(), { n_head: d.n_head, head_dim: d.head_dim }, ["partials", "attended"],
      () => [d.n_head, 1, 1], inChunks);
  }

  // x += scale * W input, through a norm where the family has one there.
  #addToX(matrix, input, xStride, bias, postNorm) {
    const scale = this.#d.residual_scale;
    const direct = postNorm === NONE;
    const to = direct ? { y: "x", add: true, scale } : { y: "delta" };
    for (const multiply of [(step) => this.#matvec(this.decode, matrix, step), (step) => this.#matmul(matrix, step)]) {
      multiply({ ...to, x: input, xStride, yStride: this.stride.x, bias });
    }
    if (direct) return;
    for (const list of [this.decode, this.prefill]) {
      this.#norm(list, postNorm, { x: "delta", y: "x", add: true, scale });
    }
  }

  #planDense(layer) {
    const { gated, apart, biasGate, biasUp } = layer.dense;
    const d = this.#d;
    const rows = { y: "gate", xStride: this.stride.x, yStride: this.stride.gate };
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
    const scores = { y: "scores", xStride: this.stride.x, yStride: this.stride.scores };
    const input = this.#normed(layer.ffnNorm);
    this.#matmul(router, { ...scores, x: input });
    if (input === "normed") this.#norm(this.decode, layer.ffnNorm, { x: "x", y: "normed" });
    this.#matvec(this.decode, router, { ...scores, x: input });
    for (const list of [this.decode, this.prefill]) {
      this.#step(list, routeShader({ gating: d.experts.gating }), {
        n_expert: nExpert, n_used: nUsed, x_stride: this.stride.scores, bias: routerBias, selection: selectionBias,
        normalised: d.experts.normalised ? 1 : 0, scale: d.experts.scale,
      }, ["vectors", "scores", "experts", "expert_weights"], ({ nToken }) => [nToken, 1, 1]);
      this.#matvec(list, gated, {
        mode: "expert_gated", x: input, y: "act", xStride: this.stride.x, yStride: this.stride.act, nRow: nFf,
        nSlot: ({ nToken }) => nToken * nUsed, extra: ["experts"],
      });
      this.#matvec(list, down, {
        mode: "expert_down", x: "act", y: "x", xStride: this.stride.act, yStride: this.stride.x, nRow: d.n_embd,
        nSlot: ({ nToken }) => nToken, extra: ["experts", "expert_weights"], scale: d.residual_scale, add: true,
      });
    }
  }

  #planHead() {
    const d = this.#d;
    this.#matvec(this.head, this.#model.output, {
      last: true, x: "x", y: "logits", xStride: this.stride.x, yStride: 0, norm: this.#model.outputNorm,
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
      this.#step(this.top, topShader({ first: pass === 0 }), { n }, [...input, ...output], () => [groups, 1, 1],
        { group: "top" });
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

  // Uploads the constants of all steps, and makes ready what every evaluation needs.
  async compile(pipelines) {
    const device = this.#device;
    const { steps } = this;
    this.#pipelines = pipelines;
    this.batch = device.createBuffer({ label: "batch", size: 16, usage: USAGE.UNIFORM | USAGE.COPY_DST });
    this.uniforms = device.createBuffer({
      label: "constants", size: steps.length * OP_STRIDE, usage: USAGE.UNIFORM | USAGE.COPY_DST,
    });
    const constants = new Uint8Array(steps.length * OP_STRIDE);
    steps.forEach((step, i) => {
      step.offset = i * OP_STRIDE;
      constants.set(step.constants, step.offset);
    });
    device.queue.writeBuffer(this.uniforms, 0, constants);
    await this.prepare("main");
  }

  // Makes the pipelines and bind groups of a group of steps, once.
  prepare(group) {
    if (!this.#ready.has(group)) {
      this.#ready.set(group, this.#prepare(this.steps.filter((step) => step.group === group)));
    }
    return this.#ready.get(group);
  }

  async #prepare(steps) {
    const shaders = new Map(steps.map(({ shader }) => [shader.text, shader]));
    await this.#pipelines.compile([...shaders.values()]);
    for (const step of steps) {
      const { pipeline, layout } = this.#pipelines.get(step.shader);
      step.pipeline = pipeline;
      step.bindGroup = this.#device.createBindGroup({
        label: step.shader.label,
        layout,
        entries: [
          { binding: 0, resource: { buffer: this.batch } },
          { binding: 1, resource: { buffer: this.uniforms, offset: step.offset, size: step.constants.length } },
          ...step.buffers.map((buffer, b) => ({ binding: b + 2, resource: { buffer } })),
        ],
      });
    }
  }
}

// The place of element `row` of a vector; `row` is a multiple of 4.
const shifted = (place = NONE, row = 0) => (place === NONE ? NONE : place + row / 4);
