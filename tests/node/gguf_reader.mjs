// Reads a GGUF file for tests of the WebGPU backend: metadata, tensors, and from them the description
// that lbm_model_description() gives (web/model_description.h), for the families the backend runs.
//
// It shares nothing with the core, so that the two check each other.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const BLOCKS = {
  // id: [name, elements of a block, bytes of a block]
  0: ["F32", 1, 4], 1: ["F16", 1, 2], 2: ["Q4_0", 32, 18], 3: ["Q4_1", 32, 20], 6: ["Q5_0", 32, 22],
  7: ["Q5_1", 32, 24],
  8: ["Q8_0", 32, 34], 10: ["Q2_K", 256, 84], 11: ["Q3_K", 256, 110], 12: ["Q4_K", 256, 144], 13: ["Q5_K", 256, 176],
  14: ["Q6_K", 256, 210], 20: ["IQ4_NL", 32, 18], 30: ["BF16", 1, 2], 39: ["MXFP4", 32, 17],
};

class Cursor {
  constructor(bytes) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }
  #take(size) {
    this.at += size;
    return this.at - size;
  }
  u32() { return this.view.getUint32(this.#take(4), true); }
  u64() { return Number(this.view.getBigUint64(this.#take(8), true)); }
  string() {
    const n = this.u64();
    return new TextDecoder().decode(new Uint8Array(this.view.buffer, this.view.byteOffset + this.#take(n), n));
  }
  value(type) {
    switch (type) {
      case 0: return this.view.getUint8(this.#take(1));
      case 1: return this.view.getInt8(this.#take(1));
      case 2: return this.view.getUint16(this.#take(2), true);
      case 3: return this.view.getInt16(this.#take(2), true);
      case 4: return this.u32();
      case 5: return this.view.getInt32(this.#take(4), true);
      case 6: return this.view.getFloat32(this.#take(4), true);
      case 7: return this.view.getUint8(this.#take(1)) !== 0;
      case 8: return this.string();
      case 9: {
        const element = this.u32();
        return Array.from({ length: this.u64() }, () => this.value(element));
      }
      case 10: return this.u64();
      case 11: return Number(this.view.getBigInt64(this.#take(8), true));
      case 12: return this.view.getFloat64(this.#take(8), true);
      default: throw new Error(`metadata of type ${type}`);
    }
  }
}

// { size, metadata, tensors: Map name -> { name, dtype, dims, offset, bytes }, read(offset, size), close() }.
export function openGguf(path, headerBytes = 64 * 1024 * 1024) {
  const file = openSync(path);
  const { size } = fstatSync(file);
  const header = new Uint8Array(Math.min(headerBytes, size));
  readSync(file, header, 0, header.length, 0);
  const cursor = new Cursor(header);
  if (cursor.u32() !== 0x46554747) throw new Error(`${path} is no GGUF file`);
  cursor.u32(); // version
  const nTensor = cursor.u64();
  const nMetadata = cursor.u64();
  const metadata = {};
  for (let i = 0; i < nMetadata; ++i) {
    const key = cursor.string();
    metadata[key] = cursor.value(cursor.u32());
  }
  const list = Array.from({ length: nTensor }, () => {
    const name = cursor.string();
    const dims = Array.from({ length: cursor.u32() }, () => cursor.u64());
    const id = cursor.u32();
    const [dtype, block, blockBytes] = BLOCKS[id] ?? [`type ${id}`, 1, 1];
    const bytes = (dims.reduce((a, b) => a * b, 1) / block) * blockBytes;
    return { name, dtype, dims, bytes, offset: cursor.u64() };
  });
  const alignment = metadata["general.alignment"] ?? 32;
  const base = Math.ceil(cursor.at / alignment) * alignment;
  for (const tensor of list) tensor.offset += base;
  return {
    size, metadata,
    tensors: new Map(list.map((tensor) => [tensor.name, tensor])),
    async read(offset, size) {
      const bytes = new Uint8Array(size);
      const n = readSync(file, bytes, 0, size, offset);
      return bytes.subarray(0, n);
    },
    close: () => closeSync(file),
  };
}

// How the families differ from llama (core/model/families.cpp).
const FAMILIES = {
  llama: {},
  qwen2: { layout: "halves" },
  qwen3: { layout: "halves", qkNorm: "per_head" },
  gemma: { layout: "halves", activation: "gelu", rootScale: true },
  gemma2: {
    layout: "halves", activation: "gelu", rootScale: true, window: 4096, period: 2, attentionCap: 50, logitCap: 30,
  },
  gemma3: {
    layout: "halves", activation: "gelu", rootScale: true, qkNorm: "per_head", period: 6, localBase: 10000,
    localUnscaled: true,
  },
  smollm3: { noRopeEvery: 4 },
  granite: { scales: true },
  olmo2: { layout: "halves", qkNorm: "all_heads", period: 4, localUnscaled: true },
  phi3: { layout: "halves", fusedGateUp: true },
  qwen3moe: { layout: "halves", qkNorm: "per_head", splitFf: true },
  olmoe: { layout: "halves", qkNorm: "all_heads", notNormalised: true },
};

function ropeOf(get, family, headDim, nCtxTrain) {
  const factor = get("rope.scaling.factor", get("rope.scale_linear", 1)) || 1;
  const scaling = get("rope.scaling.type", factor !== 1 ? "linear" : "none");
  const yarn = scaling === "yarn";
  return {
    freq_base: get("rope.freq_base", 10000), freq_scale: scaling === "none" ? 1 : 1 / factor, scaling,
    layout: family.layout ?? "neighbours", n_rot: get("rope.dimension_count", headDim),
    n_ctx_orig: get("rope.scaling.original_context_length", nCtxTrain),
    yarn_ext_factor: get("rope.scaling.yarn_ext_factor", yarn ? 1 : 0),
    attn_factor: get("rope.scaling.attn_factor", 1), yarn_beta_fast: get("rope.scaling.yarn_beta_fast", 32),
    yarn_beta_slow: get("rope.scaling.yarn_beta_slow", 1),
  };
}

const ATTENTION = {
  "attn_norm.weight": "attn_norm.weight", "attn_q.weight": "wq", "attn_k.weight": "wk", "attn_v.weight": "wv",
  "attn_output.weight": "wo", "attn_q.bias": "bq", "attn_k.bias": "bk", "attn_v.bias": "bv", "attn_output.bias": "bo",
  "attn_q_norm.weight": "q_norm", "attn_k_norm.weight": "k_norm", "post_attention_norm.weight": "attn_post_norm.weight",
  "ffn_norm.weight": "ffn_norm.weight", "post_ffw_norm.weight": "ffn_post_norm.weight",
  "ffn_gate.weight": "ffn.gate", "ffn_up.weight": "ffn.up", "ffn_down.weight": "ffn.down",
  "ffn_gate.bias": "ffn.b_gate", "ffn_up.bias": "ffn.b_up", "ffn_down.bias": "ffn.b_down",
  "ffn_gate_inp.weight": "router", "exp_probs_b.bias": "selection_bias",
};
const OUTER = {
  "token_embd.weight": "embedding", "output_norm.weight": "output_norm.weight", "output.weight": "output",
  "rope_freqs.weight": "rope_freqs", "rope_factors_long.weight": "rope_long", "rope_factors_short.weight": "rope_short",
};

// Rows [first, first + n) of a tensor as a tensor of its own.
function rowsOf(tensor, role, first, n) {
  const allRows = tensor.dims.slice(1).reduce((a, b) => a * b, 1);
  const rowBytes = tensor.bytes / allRows;
  return {
    role, name: tensor.name, dtype: tensor.dtype, shape: [n, tensor.dims[0]], offset: tensor.offset + first * rowBytes,
    bytes: n * rowBytes,
  };
}

function* rolesOf(tensor, d, family) {
  const whole = (role) => ({
    role, name: tensor.name, dtype: tensor.dtype, shape: [...tensor.dims].reverse(), offset: tensor.offset,
    bytes: tensor.bytes,
  });
  if (OUTER[tensor.name]) return yield whole(OUTER[tensor.name]);
  const [, layer, name] = tensor.name.match(/^blk\.(\d+)\.(.*)$/) ?? [];
  const prefix = `layers.${layer}.`;
  const nQ = d.n_head * d.head_dim;
  const nKv = d.n_head_kv * d.head_dim;
  if (name === "attn_qkv.weight") {
    yield rowsOf(tensor, `${prefix}wq`, 0, nQ);
    yield rowsOf(tensor, `${prefix}wk`, nQ, nKv);
    yield rowsOf(tensor, `${prefix}wv`, nQ + nKv, nKv);
  } else if (name === "ffn_up.weight" && family.fusedGateUp) {
    yield rowsOf(tensor, `${prefix}ffn.gate`, 0, d.n_ff);
    yield rowsOf(tensor, `${prefix}ffn.up`, d.n_ff, d.n_ff);
  } else if (/^ffn_(gate|up|down)_exps.weight$/.test(name)) {
    const part = name.split("_")[1];
    const nRow = tensor.dims[1];
    for (let i = 0; i < d.experts.n_expert; ++i) yield rowsOf(tensor, `${prefix}experts.${i}.${part}`, i * nRow, nRow);
  } else if (ATTENTION[name]) {
    yield whole(prefix + ATTENTION[name]);
  } else {
    throw new Error(`no role for ${tensor.name}`);
  }
}

export function describeGguf(gguf, nCtx) {
  const architecture = gguf.metadata["general.architecture"];
  const family = FAMILIES[architecture];
  if (!family) throw new Error(`no family ${architecture}`);
  const get = (key, fallback) => gguf.metadata[`${architecture}.${key}`] ?? fallback;
  const nEmbd = get("embedding_length");
  const nHead = get("attention.head_count");
  const nLayer = get("block_count");
  const nHeadKv = get("attention.head_count_kv", nHead);
  const headDim = get("attention.key_length", nEmbd / nHead);
  const window = family.period ? get("attention.sliding_window", family.window ?? 0) : 0;
  const pattern = get("attention.sliding_window_pattern", family.period);
  const windowed = (i) => (Array.isArray(pattern) ? Boolean(pattern[i]) : i % pattern < pattern - 1);
  const nExpert = get("expert_count", 0);
  const rope = ropeOf(get, family, headDim, get("context_length"));
  const local = {
    ...rope, freq_base: get("rope.freq_base_swa", family.localBase ?? rope.freq_base),
    ...(family.localUnscaled ? { scaling: "none", freq_scale: 1, yarn_ext_factor: 0, attn_factor: 1 } : {}),
  };
  const twoRopes = window !== 0 &&
    (local.freq_base !== rope.freq_base || (family.localUnscaled && rope.scaling !== "none"));
  const description = {
    family: architecture, n_vocab: gguf.metadata["tokenizer.ggml.tokens"].length, n_embd: nEmbd, n_layer: nLayer,
    n_ff: get("feed_forward_length", 0), n_head: nHead, n_head_kv: nHeadKv, head_dim: headDim,
    n_ctx_train: get("context_length"), n_ctx: nCtx, norm: "rms",
    norm_eps: get("attention.layer_norm_rms_epsilon"), activation: family.activation ?? "silu", parallel: false,
    qk_norm: family.qkNorm ?? "none", qk_norm_after_rope: false, gated_attention: false,
    embedding_scale: family.rootScale ? Math.sqrt(nEmbd) : (family.scales && get("embedding_scale")) || 1,
    residual_scale: (family.scales && get("residual_scale")) || 1,
    attention_scale: (family.scales && get("attention.scale")) || 1 / Math.sqrt(headDim),
    logit_scale: 1 / ((family.scales && get("logit_scale")) || 1),
    attention_soft_cap: get("attn_logit_softcapping", family.attentionCap ?? 0),
    logit_soft_cap: get("final_logit_softcapping", family.logitCap ?? 0), window, rope,
    rope_local: twoRopes ? local : null,
    experts: nExpert === 0 ? null : {
      n_expert: nExpert, n_used: get("expert_used_count"),
      n_ff: get("expert_feed_forward_length",
        family.splitFf ? get("feed_forward_length") / get("expert_used_count") : get("feed_forward_length")),
      n_ff_shared: get("expert_shared_feed_forward_length", 0), gating: "softmax",
      normalised: get("expert_weights_norm", !family.notNormalised), scale: get("expert_weights_scale", 1) || 1,
    },
    short_conv: null, delta_net: null,
    layers: Array.from({ length: nLayer }, (_, i) => ({
      kind: "attention", rope: !(family.noRopeEvery && i % family.noRopeEvery === family.noRopeEvery - 1),
      windowed: window !== 0 && windowed(i), experts: nExpert !== 0, n_head_kv: nHeadKv,
    })),
    tied: !gguf.tensors.has("output.weight"),
    tensors: [],
  };
  for (const tensor of gguf.tensors.values()) description.tensors.push(...rolesOf(tensor, description, family));
  return description;
}
