// Language models in JavaScript: the same code in browsers, in their workers and in Node (docs/web.md; the
// types are in lbm.d.ts). Nothing here knows a page.

import { Engine } from "./engine.mjs";
import { LbmError } from "./lbm_module.mjs";
import { unknownIdOf } from "./metrics.mjs";
import { describeManifest, replay } from "./records.mjs";
import { RemoteEngine } from "./remote_engine.mjs";
import { inNode, workersExist } from "./spawn.mjs";

export { capabilities, capabilityLines } from "./capabilities.mjs";
export { gpuCapabilities } from "./gpu_path.mjs";
export { ABI_VERSION, LbmError } from "./lbm_module.mjs";
export { tokenizerMetrics } from "./metrics.mjs";
export { canonicalJson, checkRecord, replay } from "./records.mjs";

// Options of a module and its place; all others are those of a load.
const ENGINE_OPTIONS = ["module", "modules", "threads", "backend", "gpu", "gpuBackend"];

function split(options) {
  const { worker, onEvent, onProgress, signal, log, ...rest } = options;
  const ofEngine = {};
  const ofLoad = {};
  for (const [name, value] of Object.entries(rest)) (ENGINE_OPTIONS.includes(name) ? ofEngine : ofLoad)[name] = value;
  return { ofEngine, ofLoad };
}

// Telemetry goes to onEvent, and what a person should know once to the console of a page.
function listener({ onEvent, log = !inNode }) {
  return (event) => {
    if (log && event.type === "capabilities") console.info(event.lines.join("\n"));
    if (log && event.type === "load") console.info([`Models run on ${event.backend}.`, ...event.reasons].join("\n"));
    try {
      onEvent?.(event);
    } catch (error) {
      console.error(error); // of the listener: nothing here depends on it
    }
  };
}

// An engine in a worker, unless the caller wants none, or there are none.
async function startEngine(options, ofEngine) {
  const emit = listener(options);
  const { gpu, worker = gpu === undefined ? "auto" : false } = options;
  if (worker !== false && gpu !== undefined) {
    throw new LbmError("an implementation of WebGPU can not go to a worker; say worker: false");
  }
  if (worker === false || (worker === "auto" && !workersExist())) return Engine.create(ofEngine, emit);
  try {
    return await RemoteEngine.create(ofEngine, emit);
  } catch (error) {
    if (worker !== "auto" || error.kind !== "worker") throw error;
    emit({ type: "worker", reason: error.message });
    return Engine.create(ofEngine, emit);
  }
}

async function openEngine(source, options, more) {
  const { ofEngine, ofLoad } = split(options);
  options.signal?.throwIfAborted();
  const engine = await startEngine(options, { ...ofEngine, ...more });
  try {
    await engine.load(source, ofLoad, options);
  } catch (error) {
    await engine.free();
    throw error;
  }
  return engine;
}

// Stateless: no call knows of another.
class Tokenizer {
  #engine;
  constructor(engine) {
    this.#engine = engine;
  }

  // A text to ids; texts to arrays of them.
  async encode(text, options) {
    if (Array.isArray(text)) return this.#engine.encode(text, options);
    return (await this.#engine.encode([text], options))[0];
  }
  // Ids to a text; arrays of them to texts.
  async decode(ids, options) {
    const isBatch = Array.isArray(ids) && (ids.length === 0 || typeof ids[0] !== "number");
    return isBatch ? this.#engine.decode(ids, options) : (await this.#engine.decode([ids], options))[0];
  }

  get nVocab() {
    return this.#engine.info()?.nVocab ?? 0;
  }
  // SHA-256 of the artifact that made it.
  get version() {
    return this.#engine.info()?.tokenizerHash ?? null;
  }
  get unknownId() {
    return unknownIdOf(this.#engine.info()?.values ?? {});
  }
  free() {
    return this.#engine.free();
  }
}

// An answer in the making: an async iterator of tokens, and the promise of its record. It begins with the
// first next().
class Answer {
  #tokens;
  #refuse; // the record, where there is none yet
  constructor(start) {
    this.record = new Promise((resolve, reject) => {
      this.#refuse = reject;
      this.#tokens = start(resolve, reject);
    });
    this.record.catch(() => {}); // nobody has to ask for it
  }
  [Symbol.asyncIterator]() {
    return this;
  }
  next() {
    return this.#tokens.next();
  }
  async return(value) {
    const result = await this.#tokens.return(value);
    this.#refuse(new LbmError("this answer never began: it has no record"));
    return result;
  }
  async throw(error) {
    try {
      return await this.#tokens.throw(error);
    } finally {
      this.#refuse(error);
    }
  }
  async [Symbol.asyncDispose ?? Symbol("asyncDispose")]() {
    await this.return();
  }
}

class Model {
  #engine;
  constructor(engine) {
    this.#engine = engine;
    this.tokenizer = new Tokenizer(engine);
  }

  // What is loaded, where it runs and why there; null after free().
  get info() {
    return this.#engine.info();
  }

  encode(text, options) {
    return this.tokenizer.encode(text, options);
  }
  decode(ids, options) {
    return this.tokenizer.decode(ids, options);
  }
  // The items in another order, which `seed` alone decides: the generator that sampling draws from, too.
  async shuffle(items, seed) {
    const order = await this.#engine.shuffle(Uint32Array.from(items, (_, i) => i), seed);
    return Array.from(order, (i) => items[i]);
  }

  // Another model in the place of this one, which stays after an error.
  async load(source, options = {}) {
    const { ofLoad } = split(options);
    await this.#engine.load(source, ofLoad, options);
    return this.info;
  }

  // Answers messages, a question, or, with raw, goes on with a text. Yields { id, text, reasoning } for
  // every token; returns what diagnostics() says of the answer. The record is there when it has ended.
  generate(input, options = {}) {
    return new Answer((resolve, reject) => this.#tokens(input, options, resolve, reject));
  }

  async *#tokens(input, { signal, onPrompt, ...settings }, resolve, reject) {
    const steps = this.#engine.generate(input, settings, { signal, onRecord: resolve });
    try {
      for (;;) {
        const { done, value } = await steps.next();
        if (done) return value;
        if (value.prompt === undefined) yield value;
        else onPrompt?.(value.prompt);
      }
    } catch (error) {
      await steps.return(); // where it was not they that threw: they end, with a record
      reject(error); // of an answer that never began; else its record is there already
      throw error;
    } finally {
      await steps.return();
    }
  }

  // Makes the run of a record again, and reports the first token that differs.
  replay(record, options) {
    return replay(this, record, options);
  }
  // The parts of the model with version and hash, as a manifest.
  describeManifest() {
    if (this.info === null) throw new LbmError("no model is loaded; load one first");
    return describeManifest(this.info);
  }

  // Forgets what was said and evaluated.
  reset() {
    return this.#engine.reset();
  }
  diagnostics() {
    return this.#engine.diagnostics();
  }
  // Gives everything back, the worker included; whatever is asked then is an LbmError.
  free() {
    return this.#engine.free();
  }
}

export async function createModel(source, options = {}) {
  return new Model(await openEngine(source, options));
}

// The tokenizer of a GGUF file, or a tokenizer.json.
export async function loadTokenizer(source, options = {}) {
  return new Tokenizer(await openEngine(source, options, { tokenizerOnly: true }));
}
