// The forward pass of a model on WebGPU. Tokens go in, logits come out; tokenizer and sampling stay in
// the core. Runs in a worker, on a page's main thread, and in Node with an implementation of WebGPU.

import { Description } from "./description.mjs";
import { requestDevice, summaryOf } from "./device.mjs";
import { GpuDeviceError, GpuNumericError, GpuUnsupportedError } from "./errors.mjs";
import { Forward } from "./forward.mjs";
import { loadModel } from "./model.mjs";
import { pipelinesOf } from "./pipelines.mjs";
import { Plan } from "./plan.mjs";
import { Rope } from "./rope.mjs";
import { WeightLoader } from "./weights.mjs";
import { TOP_K } from "./wgsl_select.mjs";

export { gpuCapabilities } from "./caps.mjs";
export { GpuDeviceError, GpuNumericError, GpuUnsupportedError };

const BATCH = 128; // tokens of one submit
const CACHES = ["f16", "f32"];

// `subgroups` and `f16` of the options say false to leave them, default is what the device has. Packed
// dot products are taken on demand: they round activations, and cost a dispatch before each product.
function variantsOf(device, summary, wanted = {}) {
  return {
    half: device.features.has("shader-f16") && wanted.f16 !== false,
    // Software adapters run subgroup operations several times slower than without.
    subgroups: device.features.has("subgroups") && Boolean(summary.subgroups) &&
      (wanted.subgroups ?? !summary.software),
    packedDot: Boolean(summary.packedDot) && wanted.packedDot === true,
  };
}

function ropesOf(description, factors, nCtx) {
  if (description.rope.n_rot === 0) return [];
  const { n_ctx_orig: nCtxOrig } = description.rope;
  const chosen = factors.rope_freqs ?? (nCtx > nCtxOrig ? factors.rope_long : factors.rope_short);
  const ropes = [new Rope(description.rope, chosen)];
  if (description.rope_local) ropes.push(new Rope(description.rope_local, null));
  return ropes;
}

// Calls `make`; what the device refused meanwhile is thrown as an error with `what`.
async function guarded(device, what, make) {
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  let failure = null;
  let made;
  try {
    made = await make();
  } catch (error) {
    failure = error;
  }
  const memory = await device.popErrorScope();
  const invalid = await device.popErrorScope();
  if (memory) throw new GpuDeviceError(`${what} does not fit into the memory of the GPU: ${memory.message}`);
  if (failure) throw failure;
  if (invalid) throw new GpuDeviceError(`${what} failed: ${invalid.message}`);
  return made;
}

class GpuBackend {
  info;
  bytes = 0;
  lost;
  #device;
  #ownsDevice;
  #loader;
  #plan;
  #forward;
  #failure = null;
  #busy = false;

  constructor(device, ownsDevice, summary) {
    this.#device = device;
    this.#ownsDevice = ownsDevice;
    this.info = { ...summary };
    this.lost = device.lost.then(({ reason, message }) => {
      const error = new GpuDeviceError(`the GPU device was lost (${reason}): ${message}`);
      this.#failure ??= error;
      return error;
    });
    device.addEventListener("uncapturederror", this.#onRefused);
  }

  #onRefused = ({ error }) => {
    this.#failure ??= new GpuDeviceError(`the GPU refused a command: ${error.message}`);
  };

  // Errors that a lost device brings about are no news beside the loss.
  async load(options) {
    try {
      await this.#load(options);
      this.#check(options.signal);
    } catch (error) {
      throw this.#failure ?? error;
    }
  }

  async #load({ description: json, read, nCtx = json.n_ctx, nBatch = BATCH, kv = "f16", onProgress, signal, variants }) {
    const device = this.#device;
    const description = new Description(json);
    if (!CACHES.includes(kv)) throw new GpuUnsupportedError(`WebGPU has no cache of type ${kv} (${CACHES.join(", ")})`);
    const options = { nCtx, nBatch, kv, ...variantsOf(device, this.info, variants) };
    this.info = { ...this.info, variant: options, topK: TOP_K };
    const total = description.bytes;
    let done = 0;
    this.#loader = new WeightLoader(device, read, (bytes) => {
      done += bytes;
      onProgress?.({ phase: "gpu", done, total });
    });
    const model = await guarded(device, "the model", () => loadModel(description, this.#loader, signal));
    onProgress?.({ phase: "compile", done: 0, total: 1 });
    await guarded(device, "the plan of the model", async () => {
      this.#plan = new Plan(device, description, model, options);
      await this.#plan.compile(pipelinesOf(device));
      this.#forward = new Forward(device, this.#plan, ropesOf(description, model.factors, nCtx),
        { nVocab: description.n_vocab, nCtx, nBatch });
    });
    onProgress?.({ phase: "compile", done: 1, total: 1 });
    this.bytes = this.#loader.bytes + this.#plan.workBytes;
  }

  // What ends any work: a device that is gone, an abort.
  #check(signal) {
    if (this.#failure) throw this.#failure;
    signal?.throwIfAborted();
  }

  async evaluate(tokens, nPast, { topK = 0, signal } = {}) {
    if (this.#busy) throw new Error("an evaluation is under way");
    this.#check();
    this.#busy = true;
    try {
      const result = await this.#forward.evaluate(Uint32Array.from(tokens), nPast, topK <= TOP_K ? topK : 0,
        () => this.#check(signal));
      this.#check();
      return result;
    } catch (error) {
      throw this.#failure ?? error;
    } finally {
      this.#busy = false;
    }
  }

  // Keeps the first nPast tokens.
  rewind(nPast) {
    if (!Number.isInteger(nPast) || nPast < 0 || nPast > this.#forward.nPast) {
      throw new RangeError(`position ${nPast} is behind the ${this.#forward.nPast} that were evaluated`);
    }
    this.#forward.nPast = nPast;
  }

  destroy() {
    this.#failure ??= new GpuDeviceError("the backend was destroyed");
    this.#device.removeEventListener("uncapturederror", this.#onRefused);
    this.#forward?.destroy();
    this.#plan?.destroy();
    for (const buffer of this.#loader?.buffers ?? []) buffer.destroy();
    if (this.#ownsDevice) this.#device.destroy();
  }
}

// Puts a model on the GPU. `gpu` is a GPU object (navigator.gpu), or `device` a device that the caller
// keeps; `description` the object of lbm_model_description(); `read(offset, size)` promises bytes of
// the model file. Types and meanings: backend.d.ts.
export async function createGpuBackend({ gpu = globalThis.navigator?.gpu, device = null, ...options }) {
  new Description(options.description); // before anything is asked of the device
  const own = device === null;
  const found = own
    ? await requestDevice(gpu)
    : { device, summary: device.adapterInfo
      ? summaryOf({ info: device.adapterInfo, features: device.features, limits: device.limits }, gpu) : {} };
  const backend = new GpuBackend(found.device, own, found.summary);
  try {
    await backend.load(options);
  } catch (error) {
    backend.destroy();
    throw error;
  }
  return backend;
}
