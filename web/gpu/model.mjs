// The weights of a model on the GPU, by what the forward pass does with them.

import { NONE } from "./wgsl.mjs";

// Vectors (norms, biases) of all layers in one buffer; each begins at a vec4 and is padded with zeros
// to whole units of 8.
class Vectors {
  #values = [];
  #size = 0;

  add(values) {
    const place = this.#size / 4;
    this.#values.push([this.#size, values]);
    this.#size += Math.ceil(values.length / 8) * 8;
    return place;
  }
  upload(loader) {
    const all = new Float32Array(Math.max(this.#size, 4));
    for (const [at, values] of this.#values) all.set(values, at);
    return loader.floats("vectors", all);
  }
}

class ModelLoader {
  constructor(description, loader) {
    this.d = description;
    this.loader = loader;
    this.vectors = new Vectors();
  }

  // The place of a vector, NONE where the model has none.
  async vector(role) {
    const tensor = this.d.tensor(role);
    return tensor ? this.vectors.add(await this.loader.vector(tensor)) : NONE;
  }

  // Matrices whose outputs stand side by side: [{ matrix, first }], neighbours of one type in one.
  async side(roles) {
    const tensors = roles.map((role) => this.d.required(role));
    const result = [];
    let first = 0;
    for (let i = 0; i < tensors.length;) {
      let end = i + 1;
      while (end < tensors.length && tensors[end].dtype === tensors[i].dtype) ++end;
      const matrix = await this.loader.matrix(tensors.slice(i, end));
      result.push({ matrix, first });
      first += matrix.nRow;
      i = end;
    }
    return result;
  }

  // The biases of queries, keys and values in a row, as their heads stand; NONE without any.
  async qkvBias(layer) {
    const { d } = this;
    const nKv = d.layers[layer].n_head_kv * d.head_dim;
    const places = [["bq", 0, d.n_head * d.head_dim], ["bk", d.n_head * d.head_dim, nKv],
      ["bv", d.n_head * d.head_dim + nKv, nKv]];
    const found = places.filter(([name]) => d.tensor(`layers.${layer}.${name}`));
    if (found.length === 0) return NONE;
    const all = new Float32Array(d.n_head * d.head_dim + 2 * nKv);
    for (const [name, at] of found) all.set(await this.loader.vector(d.tensor(`layers.${layer}.${name}`)), at);
    return this.vectors.add(all);
  }

  async dense(layer) {
    const role = (name) => `layers.${layer}.ffn.${name}`;
    const gate = this.d.required(role("gate"));
    const up = this.d.required(role("up"));
    const together = gate.dtype === up.dtype;
    return {
      gated: together ? await this.loader.gatedMatrix(gate, up) : null,
      apart: together ? null : await this.side([role("gate"), role("up")]),
      down: await this.loader.matrix([this.d.required(role("down"))]),
      biasGate: await this.vector(role("b_gate")),
      biasUp: await this.vector(role("b_up")),
      biasDown: await this.vector(role("b_down")),
    };
  }

  async experts(layer) {
    const { n_expert: nExpert } = this.d.experts;
    const tensor = (i, name) => this.d.required(`layers.${layer}.experts.${i}.${name}`);
    const all = Array.from({ length: nExpert }, (_, i) => i);
    return {
      router: await this.loader.matrix([this.d.required(`layers.${layer}.router`)]),
      routerBias: await this.vector(`layers.${layer}.router_bias`),
      selectionBias: await this.vector(`layers.${layer}.selection_bias`),
      gated: await this.loader.wholeMatrix(all.flatMap((i) => [tensor(i, "gate"), tensor(i, "up")])),
      down: await this.loader.wholeMatrix(all.map((i) => tensor(i, "down"))),
    };
  }

  async layer(i) {
    const role = (name) => `layers.${i}.${name}`;
    const hasExperts = this.d.layers[i].experts;
    return {
      ...this.d.layers[i],
      index: i,
      attnNorm: await this.vector(role("attn_norm.weight")),
      qkv: await this.side(["wq", "wk", "wv"].map(role)),
      qkvBias: await this.qkvBias(i),
      qNorm: await this.vector(role("q_norm")),
      kNorm: await this.vector(role("k_norm")),
      wo: await this.loader.matrix([this.d.required(role("wo"))]),
      bo: await this.vector(role("bo")),
      attnPostNorm: await this.vector(role("attn_post_norm.weight")),
      ffnNorm: await this.vector(role("ffn_norm.weight")),
      dense: hasExperts ? null : await this.dense(i),
      moe: hasExperts ? await this.experts(i) : null,
      ffnPostNorm: await this.vector(role("ffn_post_norm.weight")),
    };
  }
}

// Reads all weights. `signal` ends it between two tensors of a layer.
export async function loadModel(description, loader, signal) {
  const reader = new ModelLoader(description, loader);
  const embedding = await loader.matrix([description.required("embedding")]);
  const layers = [];
  for (let i = 0; i < description.n_layer; ++i) {
    signal?.throwIfAborted();
    layers.push(await reader.layer(i));
  }
  const output = description.tied ? embedding : await loader.matrix([description.required("output")]);
  const outputNorm = await reader.vector("output_norm.weight");
  const outputBias = await reader.vector("output_bias");
  const factors = {};
  for (const name of ["rope_freqs", "rope_long", "rope_short"]) {
    const tensor = description.tensor(name);
    factors[name] = tensor ? await loader.vector(tensor) : null;
  }
  return { embedding, layers, output, outputNorm, outputBias, factors, vectors: reader.vectors.upload(loader) };
}
