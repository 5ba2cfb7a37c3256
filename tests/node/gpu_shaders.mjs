// Every shader that web/gpu can make: all types of weights, all variants.

import { BLOCK_TYPES } from "../../web/gpu/blocks.mjs";
import { ACTIVATIONS } from "../../web/gpu/wgsl.mjs";
import { attentionShader, headsShader, joinShader } from "../../web/gpu/wgsl_attention.mjs";
import { matmulShader } from "../../web/gpu/wgsl_matmul.mjs";
import { MATVEC_MODES, matvecShader } from "../../web/gpu/wgsl_matvec.mjs";
import { embedShader, gatedShader, normShader, quantizeShader } from "../../web/gpu/wgsl_rows.mjs";
import { routeShader, topShader } from "../../web/gpu/wgsl_select.mjs";

const flags = [false, true];

function* shaders() {
  for (const type of Object.keys(BLOCK_TYPES)) {
    yield embedShader({ type });
    for (const half of flags) yield matmulShader({ type, half });
    for (const mode of MATVEC_MODES) {
      const activations = mode.includes("gated") ? Object.keys(ACTIVATIONS) : ["silu"];
      for (const activation of activations) {
        for (const normed of mode.startsWith("expert") ? [false] : flags) {
          for (const subgroups of flags) yield matvecShader({ type, mode, activation, normed, subgroups });
        }
      }
    }
  }
  for (const [type, { quantized }] of Object.entries(BLOCK_TYPES)) {
    for (const mode of quantized ? ["plain", "gated"] : []) {
      for (const subgroups of flags) yield matvecShader({ type, mode, subgroups, packed: true });
    }
  }
  for (const normed of flags) yield quantizeShader({ normed });
  for (const add of flags) yield normShader({ add });
  for (const activation of Object.keys(ACTIVATIONS)) yield gatedShader({ activation });
  for (const kv of ["f32", "f16"]) {
    for (const partial of flags) yield attentionShader({ kv, partial });
    for (const norm of ["none", "head", "all"]) {
      for (const rope of ["none", "neighbours", "halves"]) {
        for (const normLast of flags) yield headsShader({ kv, norm, rope, normLast });
      }
    }
  }
  yield joinShader();
  for (const gating of ["softmax", "sigmoid", "softmax_selected"]) yield routeShader({ gating });
  for (const first of flags) yield topShader({ first });
}

// Without those that are the same text.
export function allShaders() {
  return [...new Map([...shaders()].map((shader) => [shader.text, shader])).values()];
}
