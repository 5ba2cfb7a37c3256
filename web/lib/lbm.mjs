// Language models in JavaScript: the same code in browsers, in their workers and in Node (docs/
// web.md; the types are in lbm.d.ts). Nothing here knows a page.

import { ABI_VERSION, LbmError, LbmModule, STEP_END, STEP_PROMPT } from "./lbm_module.mjs";

export { ABI_VERSION, LbmError };

const header = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0];
// Functions of one vector instruction: i8x16.popcnt, and i8x16.relaxed_swizzle.
const SIMD_PROBE = new Uint8Array([...header, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11]);
const RELAXED_PROBE = new Uint8Array([
  ...header, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11]);

const inNode = typeof process === "object" && Boolean(process.versions?.node);

// What this engine can do, which module that means, and what stands in the way of more.
export function capabilities() {
  const simd = WebAssembly.validate(SIMD_PROBE);
  const relaxedSimd = WebAssembly.validate(RELAXED_PROBE);
  const isolated = inNode || globalThis.crossOriginIsolated === true;
  const sharedMemory = isolated && typeof SharedArrayBuffer === "function";
  const notes = [];
  if (!simd) notes.push("This engine has no WebAssembly SIMD: no model can be run. A newer browser has it.");
  if (simd && !relaxedSimd) notes.push("No relaxed SIMD: slower kernels are used.");
  if (!isolated) {
    notes.push("The page is not cross-origin isolated: there is one thread. Two headers change that (COOP, COEP).");
  }
  return {
    abiVersion: ABI_VERSION,
    simd,
    relaxedSimd,
    sharedMemory,
    crossOriginIsolated: isolated,
    webgpu: typeof globalThis.navigator?.gpu === "object" && globalThis.navigator.gpu !== null,
    hardwareConcurrency: globalThis.navigator?.hardwareConcurrency ?? 1,
    maxModelBytes: 2 ** 31, // file and weights stand in 4 GiB side by side while a model is loaded
    module: simd ? (relaxedSimd ? "lbm-relaxed.wasm" : "lbm.wasm") : null,
    notes,
  };
}

// ---- bytes from anywhere ------------------------------------------------------------------------

async function open(url, signal) {
  if (inNode && url.protocol === "file:") {
    const { openAsBlob } = await import("node:fs");
    const { fileURLToPath } = await import("node:url");
    return openAsBlob(fileURLToPath(url));
  }
  const response = await fetch(url, { signal });
  if (!response.ok) throw new LbmError(`${url}: the server answers ${response.status} ${response.statusText}`);
  return response;
}

// { size, chunks } of what a model can be given as; see ModelSource in lbm.d.ts.
async function openSource(source, signal) {
  if (typeof source === "string" || source instanceof URL) {
    source = await open(new URL(source, globalThis.location?.href ?? import.meta.url), signal);
  }
  if (source instanceof ArrayBuffer) source = new Uint8Array(source);
  if (ArrayBuffer.isView(source)) {
    const bytes = new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    return { size: bytes.length, chunks: [bytes] };
  }
  if (source instanceof Blob) return { size: source.size, chunks: streamChunks(source.stream()) };
  if (source instanceof Response) {
    // The length is that of what is sent; what was compressed on the way is longer.
    const length = source.headers.get("content-length");
    if (length !== null && !source.headers.get("content-encoding") && source.body !== null) {
      return { size: Number(length), chunks: streamChunks(source.body) };
    }
    return openSource(await source.blob(), signal);
  }
  if (typeof source?.size === "number" && source.chunks !== undefined) return source;
  throw new LbmError("a model is a URL, a Blob, a Response, bytes, or { size, chunks }");
}

// Streams are async iterables only in some browsers.
async function* streamChunks(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function compile(module) {
  if (module instanceof WebAssembly.Module) return module;
  if (module === undefined) {
    const { module: name, notes } = capabilities();
    if (name === null) throw new LbmError(notes[0]);
    module = new URL(name, import.meta.url);
  }
  if (ArrayBuffer.isView(module) || module instanceof ArrayBuffer) return WebAssembly.compile(module);
  const opened = await open(new URL(module, import.meta.url));
  return WebAssembly.compile(await opened.arrayBuffer());
}

async function fill(module, source, options) {
  const { signal, onProgress } = options;
  const { size, chunks } = await openSource(source, signal);
  try {
    module.beginLoad(size, { replace: options.replace });
    let done = 0;
    for await (const chunk of chunks) {
      signal?.throwIfAborted();
      module.writeLoad(chunk);
      done += chunk.length;
      onProgress?.({ done, total: size });
    }
    signal?.throwIfAborted();
    module.commitLoad(options);
  } finally {
    module.abortLoad(); // what a failure has left; nothing after a commit
  }
}

// Lets everything else on this thread have its turn.
function nextTask() {
  if (typeof setImmediate === "function") return new Promise((resolve) => setImmediate(resolve));
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

// ---- tokenizers and models ----------------------------------------------------------------------

class Tokenizer {
  #module;
  constructor(module) {
    this.#module = module;
  }
  // A text to ids; texts to arrays of them.
  encode(text, options) {
    if (Array.isArray(text)) return text.map((one) => this.#module.encode(one, options));
    return this.#module.encode(text, options);
  }
  // Ids to a text; arrays of them to texts.
  decode(ids, options) {
    const isBatch = Array.isArray(ids) && ids.length > 0 && typeof ids[0] !== "number";
    return isBatch ? ids.map((one) => this.#module.decode(one, options)) : this.#module.decode(ids, options);
  }
  get nVocab() {
    return this.#module.diagnostics().model.n_vocab;
  }
}

class Model {
  #module;
  #busy = false;
  constructor(module) {
    this.#module = module;
    this.tokenizer = new Tokenizer(module);
  }

  encode(text, options) {
    return this.tokenizer.encode(text, options);
  }
  decode(ids, options) {
    return this.tokenizer.decode(ids, options);
  }

  // Another model in the place of this one, which stays after an error.
  async load(source, options = {}) {
    this.#occupy();
    try {
      await fill(this.#module, source, options);
    } finally {
      this.#busy = false;
    }
  }

  // Answers messages, a question, or, with raw, goes on with a text. Yields { id, text, reasoning }
  // for every token; returns what diagnostics() says of the answer.
  async *generate(input, options = {}) {
    const { signal, raw = false, ...settings } = options;
    signal?.throwIfAborted();
    this.#occupy();
    const module = this.#module;
    let ended = false;
    try {
      if (raw) {
        module.beginRaw(input, settings);
      } else {
        const messages = typeof input === "string" ? [{ role: "user", content: input }] : input;
        module.beginChat(module.setMessages(messages), settings);
      }
      const text = new TextDecoder();
      let nText = 0;
      let nReasoning = 0;
      for (;;) {
        await nextTask();
        signal?.throwIfAborted();
        const id = module.step();
        if (id === STEP_PROMPT) {
          options.onPrompt?.(module.diagnostics().answer);
          continue;
        }
        const newText = module.textFrom(nText);
        const newReasoning = module.reasoningFrom(nReasoning);
        nText += newText.length;
        nReasoning += newReasoning.length;
        if (id !== STEP_END || newText.length > 0 || newReasoning.length > 0) {
          yield { id: id === STEP_END ? null : id, text: text.decode(newText), reasoning: text.decode(newReasoning) };
        }
        if (id === STEP_END) break;
      }
      ended = true;
      return module.diagnostics().answer;
    } finally {
      if (!ended) module.cancel();
      this.#busy = false;
    }
  }

  #occupy() {
    if (this.#busy) throw new LbmError("the model is at work; wait for that to end, or abort it");
    this.#busy = true;
  }

  // Forgets what was said and evaluated.
  reset() {
    this.#module.reset();
  }
  diagnostics() {
    return this.#module.diagnostics();
  }
  // Gives the model's memory back; whatever is asked of it then is an LbmError.
  free() {
    this.#module.freeModel();
  }
}

export async function createModel(source, options = {}) {
  const module = new LbmModule(await compile(options.module));
  await fill(module, source, options);
  return new Model(module);
}

// The tokenizer of a GGUF file.
export async function loadTokenizer(source, options = {}) {
  const module = new LbmModule(await compile(options.module));
  await fill(module, source, { ...options, nCtx: 0 });
  return new Tokenizer(module);
}
