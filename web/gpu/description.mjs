// What the backend reads of a model's description (web/model_description.h), and which models it runs.

import { BLOCK_TYPES } from "./blocks.mjs";
import { GpuUnsupportedError } from "./errors.mjs";
import { ACTIVATIONS } from "./wgsl.mjs";
import { MAX_HEAD_DIM } from "./wgsl_attention.mjs";
import { MAX_EXPERTS, MAX_USED } from "./wgsl_select.mjs";

const GATINGS = ["softmax", "sigmoid", "softmax_selected"];

// Every reason why this model is not run, as [holds, what it is].
function obstacles(d) {
  const { experts } = d;
  return [
    [d.norm !== "rms", `norms of kind ${d.norm}`],
    [!(d.activation in ACTIVATIONS), `the activation ${d.activation}`],
    [d.parallel, "layers whose attention and FFN run side by side"],
    [d.qk_norm === "own_per_head", "norms with a weight for each head"],
    [d.gated_attention, "gated attention"],
    [d.layers.some(({ kind }) => kind !== "attention"), "recurrent layers"],
    [d.head_dim > MAX_HEAD_DIM, `heads of ${d.head_dim} values (at most ${MAX_HEAD_DIM})`],
    [experts && experts.n_ff_shared !== 0, "an expert that every token passes"],
    [experts && experts.n_expert > MAX_EXPERTS, `${experts?.n_expert} experts (at most ${MAX_EXPERTS})`],
    [experts && experts.n_used > MAX_USED, `${experts?.n_used} experts for a token (at most ${MAX_USED})`],
    [experts && !GATINGS.includes(experts.gating), `experts chosen by ${experts?.gating}`],
  ].filter(([holds]) => holds).map(([, what]) => what);
}

// What the tensors ask for that no shader does.
function tensorObstacles(d) {
  const reasons = new Set();
  for (const { role, dtype, shape } of d.tensors) {
    if (shape.length === 2 && !(dtype in BLOCK_TYPES)) reasons.add(`weights of type ${dtype}`);
    if (role === "positions") reasons.add("learned positions");
    if (role.endsWith(".sinks")) reasons.add("attention sinks");
    if (/\.experts\.\d+\.b_/.test(role)) reasons.add("biases of experts");
    if (d.experts && role.endsWith(".ffn_post_norm.weight")) reasons.add("norms behind experts");
  }
  const roles = new Set(d.tensors.map(({ role }) => role));
  d.layers.forEach((layer, i) => {
    if (!layer.experts && !roles.has(`layers.${i}.ffn.gate`)) reasons.add("an FFN without a gate");
  });
  return [...reasons];
}

export class Description {
  #tensors;

  // Throws GpuUnsupportedError with all that stands in the way.
  constructor(json) {
    const reasons = [...obstacles(json), ...tensorObstacles(json)];
    if (reasons.length) {
      throw new GpuUnsupportedError(`WebGPU does not run ${json.family} models with ${reasons.join(", ")}`);
    }
    Object.assign(this, json);
    this.#tensors = new Map(json.tensors.map((tensor) => [tensor.role, tensor]));
  }

  // The tensor of a role, or undefined.
  tensor(role) {
    return this.#tensors.get(role);
  }
  required(role) {
    const tensor = this.#tensors.get(role);
    if (!tensor) throw new GpuUnsupportedError(`the model's description has no tensor "${role}"`);
    return tensor;
  }
  // Bytes of the file that are read.
  get bytes() {
    return [...this.#tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
