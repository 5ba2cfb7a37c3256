// What it takes to evaluate a model on WebGPU: the backend's code, the GPU, and a description of the model.

import { LbmError, LbmModule } from "./lbm_module.mjs";
import { absoluteUrl } from "./sources.mjs";

const DEFAULT_BACKEND = new URL("../gpu/backend.mjs", import.meta.url);
const PIECE_BYTES = 1024 * 1024;

const importBackend = (url) => import(/* @vite-ignore */ (url === undefined ? DEFAULT_BACKEND : absoluteUrl(url)).href);

// What the GPU offers: { available, adapter, notes }. Never throws.
export async function gpuCapabilities({ gpu = globalThis.navigator?.gpu, gpuBackend } = {}) {
  const none = (note) => ({ available: false, adapter: null, notes: [note] });
  if (gpuBackend === undefined && !gpu) {
    return none(globalThis.isSecureContext === false
      ? "There is no WebGPU, because the page is no secure context (https, or localhost)."
      : "There is no WebGPU here.");
  }
  try {
    const backend = await importBackend(gpuBackend);
    return (await backend.gpuCapabilities?.(gpu)) ?? { available: true, adapter: null, notes: [] };
  } catch (error) {
    return none(`The WebGPU backend can not be loaded: ${error.message}`);
  }
}

// { createGpuBackend, gpu }. `options.gpuBackend` is the URL of another backend, `options.gpu` another GPU;
// a backend of one's own may do without one. A software adapter is used only where WebGPU is demanded.
export async function loadGpuBackend(options, found) {
  if (!found.available) throw new LbmError(found.notes.join(" "));
  if (found.adapter?.software && options.backend !== "webgpu") {
    throw new LbmError(`the adapter (${found.adapter.name}) is software, and WebAssembly is faster than that`);
  }
  const { createGpuBackend } = await importBackend(options.gpuBackend);
  return { createGpuBackend, gpu: options.gpu ?? globalThis.navigator?.gpu };
}

// The description of the model in a file, by an instance of its own: the model that is loaded, and all that
// is known of it, stays as it is.
export async function describeAside({ wasm, shared }, source, options) {
  const module = new LbmModule(wasm, { shared });
  module.beginLoad(source.size, { ...options, describeOnly: true, hash: false });
  for (let at = 0; at < source.size; at += PIECE_BYTES) {
    if (module.writeLoad(await source.read(at, PIECE_BYTES)) === true) break;
  }
  module.commitLoad({ ...options, describeOnly: true, hash: false });
  return { description: module.description(), nCtx: module.diagnostics().model.n_ctx };
}
