// One module with its threads, its model and its backend: what a worker owns, or the page itself.
//
// RemoteEngine (remote_engine.mjs) has the same methods and is this one behind messages.

import { AnswerRun } from "./answer_run.mjs";
import { capabilities, capabilityLines } from "./capabilities.mjs";
import { GgufMetadata } from "./gguf_metadata.mjs";
import { describeAside, gpuCapabilities, loadGpuBackend } from "./gpu_path.mjs";
import { LbmError, LbmModule, STEP_END, STEP_EVALUATE, STEP_PROMPT } from "./lbm_module.mjs";
import { openModule } from "./module_file.mjs";
import { inputOfCall } from "./records.mjs";
import { Sha256 } from "./sha256.mjs";
import { openSource, rereadable, untilAborted } from "./sources.mjs";
import { nextTask } from "./spawn.mjs";
import { ThreadPool } from "./threads.mjs";

const BACKENDS = ["auto", "wasm", "webgpu"];
const OPEN_BRACE = 0x7b; // of tokenizer.json

export class Engine {
  #options;
  #emit;
  #file; // of openModule()
  #module;
  #pool = null;
  #gpu = null;
  #gpuFound = null; // of gpuCapabilities(), where a GPU may be used
  #lost = null; // a sentence: the GPU is gone, and the model with it
  #loaded = null; // { source, options } of the model, for the case that the GPU is lost
  #facts = null;
  #doing = "";
  #failure = null;

  // `options`: module, modules, threads, backend, gpu, gpuBackend, tokenizerOnly. emit(event): telemetry.
  static async create(options = {}, emit = () => {}) {
    const engine = new Engine(options, emit);
    await engine.#start();
    return engine;
  }

  constructor(options, emit) {
    if (!BACKENDS.includes(options.backend ?? "auto")) {
      throw new LbmError(`backend is one of ${BACKENDS.join(", ")}, not ${options.backend}`);
    }
    this.#options = options;
    this.#emit = emit;
  }

  async #start() {
    if (!this.#options.tokenizerOnly) await this.#tellCapabilities();
    this.#file = await openModule(this.#options.tokenizerOnly ? { ...this.#options, threads: 1 } : this.#options);
    this.#module = new LbmModule(this.#file.wasm, { shared: this.#file.shared });
    if (this.#file.nThread > 1) {
      this.#pool = await ThreadPool.start({
        module: this.#module, wasm: this.#file.wasm, n: this.#file.nThread,
        onFailure: (message) => (this.#failure ??= this.#panic(message)),
      });
      this.#file.notes.push(...this.#pool.notes);
    }
  }

  async #tellCapabilities() {
    const found = capabilities();
    if (this.#options.backend !== "wasm") this.#gpuFound = await gpuCapabilities(this.#options);
    const gpu = this.#gpuFound;
    this.#emit({ type: "capabilities", capabilities: found, gpu, lines: capabilityLines(found, gpu) });
  }

  // ---- what may go wrong -------------------------------------------------------------------------

  #panic(message) {
    const panic = this.#module.panicMessage() || message;
    return new LbmError(`the module has failed and is of no use any more: ${panic}`, 0, "panic");
  }
  // f() with the module. What traps there has left it in no state to go on with.
  #with(f) {
    if (this.#failure !== null) throw this.#failure;
    try {
      return f(this.#module);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      throw (this.#failure = this.#panic(error.message));
    }
  }
  get failed() {
    return this.#failure !== null;
  }
  #occupy(what) {
    if (this.#failure !== null) throw this.#failure;
    if (this.#doing) throw busy(this.#doing);
    this.#doing = what;
  }

  // ---- loading -----------------------------------------------------------------------------------

  // A model in the place of the one there is, which stays after an error. Returns info().
  async load(source, { transfer = false, ...options } = {}, { signal, onProgress } = {}) {
    this.#occupy("loading");
    try {
      return await this.#load(transfer ? moved(source) : source, options, { signal, onProgress });
    } finally {
      this.#doing = "";
    }
  }

  async #load(source, options, context) {
    const start = performance.now();
    const opened = await openSource(source, context.signal);
    const { gpu, source: reread, reasons } = await this.#chooseBackend(opened, options, context);
    let facts;
    try {
      facts = await this.#fill(reread, this.#loadOptions(options, gpu), context);
    } catch (error) {
      gpu?.destroy();
      if (!this.failed && this.#module.diagnostics().model === null) this.#forget();
      throw error;
    }
    this.#forget();
    this.#gpu = gpu;
    this.#loaded = gpu === null ? null : { source: reread, options };
    gpu?.lost.then((why) => this.#loseGpu(gpu, why));
    this.#facts = { ...facts, backend: gpu === null ? "wasm" : "webgpu", gpu: gpu?.info ?? null, reasons };
    const us = Math.round((performance.now() - start) * 1000);
    this.#emit({ type: "load", us, bytes: reread.size, backend: this.#facts.backend, reasons });
    this.#emit({ type: "memory", ...this.memory() });
    return this.info();
  }

  #forget() {
    this.#gpu?.destroy();
    this.#gpu = null;
    this.#lost = null;
    this.#loaded = null;
    this.#facts = null;
  }

  // A file is hashed, unless its hash is known or only its tokenizer is wanted; what is evaluated elsewhere
  // needs no weights here.
  #loadOptions(options, gpu) {
    const { tokenizerOnly = false } = this.#options;
    const hash = options.hash ?? (!tokenizerOnly && options.sha256 === undefined);
    return { ...options, hash, describeOnly: gpu !== null || tokenizerOnly, tokenizerOnly };
  }

  // The GPU where it is wanted and works; why not, where it does not.
  async #chooseBackend(opened, options, context) {
    const wanted = this.#options.backend ?? "auto";
    if (wanted === "wasm" || this.#options.tokenizerOnly) return { gpu: null, source: opened, reasons: [] };
    let source = opened;
    try {
      const { createGpuBackend, gpu } = await loadGpuBackend(this.#options, this.#gpuFound);
      source = await rereadable(opened, context.signal, context.onProgress);
      const { description, nCtx } = await describeAside(this.#file, source, options);
      const backend = await createGpuBackend({ gpu, description, read: source.read, nCtx, kv: options.kv, ...context });
      return { gpu: backend, source, reasons: [] };
    } catch (error) {
      context.signal?.throwIfAborted();
      if (wanted === "webgpu") throw new LbmError(error.message, error.code ?? 0, "webgpu");
      return { gpu: null, source, reasons: [`WebAssembly, not WebGPU: ${error.message}`] };
    }
  }

  async #fill(opened, options, { signal, onProgress }) {
    const { size } = opened;
    const metadata = new GgufMetadata();
    let json = null; // of a tokenizer.json: its hash is its version
    try {
      this.#with((module) => module.beginLoad(size, options));
      let done = 0;
      for await (const chunk of untilAborted(opened.chunks(), signal)) {
        if (done === 0 && chunk[0] === OPEN_BRACE) json = new Sha256();
        json?.update(chunk);
        metadata.add(chunk);
        const enough = this.#with((module) => module.writeLoad(chunk)) === true;
        done += chunk.length;
        onProgress?.({ phase: "load", done, total: size });
        if (enough && !options.hash && metadata.done) break;
      }
      signal?.throwIfAborted();
      this.#with((module) => module.commitLoad());
    } finally {
      if (!this.failed) this.#module.abortLoad(); // what a failure has left; nothing after a commit
    }
    return this.#describe(opened, options, metadata.result, json?.hex() ?? null);
  }

  #describe(opened, options, metadata, jsonHash) {
    const { abi_version, kernels, n_thread, model } = this.#module.diagnostics();
    return {
      abiVersion: abi_version,
      kernels,
      nThread: n_thread,
      module: this.#file.name,
      kernelHash: this.#file.hash,
      notes: [...this.#file.notes],
      name: options.name ?? opened.name,
      bytes: opened.size,
      kv: options.kv ?? "f16",
      nCtx: model.n_ctx,
      nCtxTrain: model.n_ctx_train,
      nVocab: model.n_vocab,
      modelHash: options.sha256 ?? (/^0*$/.test(model.sha256) ? null : model.sha256),
      tokenizerHash: jsonHash ?? metadata?.tokenizerHash ?? null,
      configHash: metadata?.configHash ?? null,
      ggufVersion: metadata?.version ?? null,
      values: metadata?.values ?? {},
    };
  }

  // What is loaded, as plain data; null where nothing is.
  info() {
    return this.#facts && { ...this.#facts };
  }
  memory() {
    return { moduleBytes: this.#module.memory.buffer.byteLength, gpuBytes: this.#gpu?.bytes ?? 0 };
  }

  // ---- answers -----------------------------------------------------------------------------------

  // Yields { id, text, reasoning } for each token and { prompt } for each piece of the prompt; returns
  // the state of the answer. onRecord(record) comes last in any case, once an answer has begun.
  async *generate(input, options = {}, { signal, onRecord } = {}) {
    const { raw = false, ...settings } = options;
    signal?.throwIfAborted();
    this.#occupy("an answer");
    let run = null;
    let ended = false;
    let failure = null;
    const notes = [];
    try {
      if (this.#lost !== null) notes.push(await this.#leaveGpu(signal));
      this.#begin(input, raw, settings);
      run = new AnswerRun(this.#facts, inputOfCall(input, raw), settings);
      yield* this.#steps(run, signal);
      ended = true;
      return this.#with((module) => module.diagnostics().answer);
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      const state = this.#endAnswer(ended);
      this.#doing = "";
      if (run !== null) {
        const record = run.end(state, signal?.aborted ? null : failure, notes);
        this.#emit({ type: "answer", record });
        onRecord?.(record);
      }
    }
  }

  #begin(input, raw, settings) {
    this.#with((module) => {
      if (raw) return module.beginRaw(input, settings);
      const messages = typeof input === "string" ? [{ role: "user", content: input }] : input;
      return module.beginChat(module.setMessages(messages), settings);
    });
  }

  async *#steps(run, signal) {
    const text = new TextDecoder("utf-8", { ignoreBOM: true }); // which is a character like any other
    let nText = 0;
    let nReasoning = 0;
    for (;;) {
      await nextTask();
      signal?.throwIfAborted();
      const id = this.#with((module) => module.step());
      if (id === STEP_EVALUATE) {
        await this.#evaluateOnGpu(signal);
        continue;
      }
      if (id === STEP_PROMPT) {
        yield { prompt: this.#module.diagnostics().answer };
        continue;
      }
      const newText = this.#module.textFrom(nText);
      const newReasoning = this.#module.reasoningFrom(nReasoning);
      nText += newText.length;
      nReasoning += newReasoning.length;
      if (id !== STEP_END) run.add(id);
      if (id !== STEP_END || newText.length > 0 || newReasoning.length > 0) {
        yield { id: id === STEP_END ? null : id, text: text.decode(newText), reasoning: text.decode(newReasoning) };
      }
      if (id === STEP_END) return;
    }
  }

  #endAnswer(ended) {
    if (this.failed) return null;
    try {
      if (!ended) this.#with((module) => module.cancel());
      return this.#module.diagnostics().answer;
    } catch {
      return null; // the module fails only now: the next call says so
    }
  }

  // ---- the GPU -----------------------------------------------------------------------------------

  async #evaluateOnGpu(signal) {
    const { tokens, nPast, topK } = this.#module.evaluation();
    try {
      if (this.#lost !== null) throw new Error(this.#lost);
      const result = await this.#gpu.evaluate(tokens, nPast, { topK, signal });
      this.#with((module) => module.giveEvaluation(result));
    } catch (error) {
      if (signal?.aborted || this.failed || error instanceof LbmError) throw error;
      this.#loseGpu(this.#gpu, error);
      throw new LbmError(
        `the GPU failed during the answer: ${this.#lost}; the next answer is made by WebAssembly`, 0, "gpu-lost");
    }
  }

  #loseGpu(gpu, why) {
    if (gpu !== this.#gpu || this.#lost !== null) return;
    this.#lost = why?.message || String(why?.reason ?? why);
    this.#emit({ type: "gpu-lost", reason: this.#lost });
  }

  // The same model in the module itself, from the source that it came from.
  async #leaveGpu(signal) {
    const reason = `WebAssembly since the GPU was lost: ${this.#lost}`;
    const { source, options } = this.#loaded;
    const facts = await this.#fill(source, this.#loadOptions(options, null), { signal });
    this.#gpu.destroy();
    this.#gpu = null;
    this.#lost = null;
    const modelHash = this.#facts.modelHash ?? facts.modelHash;
    this.#facts = { ...facts, modelHash, backend: "wasm", gpu: null, reasons: [reason] };
    this.#emit({ type: "backend", backend: "wasm", reasons: [reason] });
    return reason;
  }

  // ---- the rest ----------------------------------------------------------------------------------

  // Texts to arrays of ids, and back.
  async encode(texts, options) {
    return this.#with((module) => module.encodeAll(texts, options));
  }
  async decode(batch, options) {
    const nVocab = this.#facts?.nVocab ?? 0;
    const wrong = batch.flatMap((ids) => Array.from(ids)).find((id) => !(id >= 0 && id < nVocab));
    if (wrong !== undefined && nVocab > 0) {
      throw new LbmError(`${wrong} is no id of this vocabulary of ${nVocab} tokens`);
    }
    return this.#with((module) => module.decodeAll(batch, options));
  }
  // The ids in another order, which `seed` alone decides.
  async shuffle(ids, seed) {
    return this.#with((module) => module.shuffle(ids, seed));
  }
  async reset() {
    this.#occupy("a reset");
    this.#doing = "";
    this.#with((module) => module.reset());
  }
  async diagnostics() {
    const found = this.#with((module) => module.diagnostics());
    return { ...found, backend: this.#facts?.backend ?? null, gpu: this.#facts?.gpu ?? null, memory: this.memory() };
  }
  // Gives everything back; nothing can be asked then.
  async free() {
    this.#failure ??= new LbmError("the model was given back by free()", 0, "freed");
    this.#forget();
    await this.#pool?.stop();
    this.#module = null;
  }
}

export function busy(what) {
  return new LbmError(`the model is at work (${what}); wait for that to end, or abort it`, 0, "busy");
}

// Bytes that the caller gives away, as a worker would take them: the caller's buffer is detached.
function moved(source) {
  const buffer = ArrayBuffer.isView(source) ? source.buffer : source;
  return buffer instanceof ArrayBuffer ? structuredClone(source, { transfer: [buffer] }) : source;
}
