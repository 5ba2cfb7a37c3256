// Starts the WebAssembly modules of web/ in Node: instances, workers, and calls with arrays; and
// counts tests.

import { readFileSync } from "node:fs";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { fileURLToPath } from "node:url";

const STACK_BYTES = 1024 * 1024;
const FIRST_PAGES = 2048; // of 64 KiB: more than the data of any of our modules
const MAX_PAGES = 65535;

// One instance, with what is needed to read its text.
export function startModule(path, module = new WebAssembly.Module(readFileSync(path))) {
  const shared = path.endsWith("-mt.wasm");
  const memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MAX_PAGES, shared });
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  const text = (address) => {
    const bytes = new Uint8Array(memory.buffer);
    // A copy, since text in shared memory can not be decoded in place.
    return new TextDecoder().decode(bytes.slice(address, bytes.indexOf(0, address)));
  };
  return { module, memory, exports, text };
}

export const KV_TYPES = ["f16", "f32", "q8_0"]; // KvType

export class ModuleError extends Error {}

// A module that evaluates models (web/wasm_module.cpp).
export class Lbm {
  #workers = [];

  // More than one thread needs a module for shared memory.
  static async start(path, threads = 1) {
    const self = new Lbm(startModule(path));
    self.exports.lbm_set_threads(threads);
    for (let i = 1; i < threads; ++i) await self.#startWorker();
    return self;
  }

  constructor({ module, memory, exports, text }) {
    Object.assign(this, { module, memory, exports, text });
  }

  // A worker runs the same module on the same memory, on a stack of its own.
  async #startWorker() {
    const stackTop = this.#allocate(STACK_BYTES) + STACK_BYTES;
    const { module, memory } = this;
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { module, memory, stackTop } });
    this.#workers.push(worker);
    await new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));
  }

  async stop() {
    await Promise.all(this.#workers.map((worker) => worker.terminate()));
  }

  #check(status) {
    if (status !== 0) throw new ModuleError(this.text(this.exports.lbm_message()));
  }
  #allocate(bytes) {
    const address = this.exports.lbm_allocate(bytes) >>> 0;
    if (address === 0) throw new ModuleError(this.text(this.exports.lbm_message()));
    return address;
  }
  // Calls f(address, count) with a copy of a typed array in the module's memory.
  #withArray(array, f) {
    const address = this.#allocate(array.byteLength);
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    new Uint8Array(this.memory.buffer).set(bytes, address);
    try {
      return f(address, array.length);
    } finally {
      this.exports.lbm_release(address, array.byteLength);
    }
  }

  tables() {
    return Array.from({ length: this.exports.lbm_n_table() }, (_, i) => this.text(this.exports.lbm_table_name(i)));
  }

  load(file, { table, n_ctx, n_batch = 32, kv = "f16" }) {
    const index = this.tables().indexOf(table);
    this.#withArray(file, (at, n) =>
      this.#check(this.exports.lbm_load(at, n, index, n_ctx, n_batch, KV_TYPES.indexOf(kv))));
  }

  // Evaluates `tokens` after the first nPast of those before.
  evaluate(nPast, tokens) {
    this.#withArray(Uint32Array.from(tokens), (at, n) => this.#check(this.exports.lbm_evaluate(nPast, at, n)));
  }

  // The eval digest of `tokens`.
  digest(tokens) {
    this.#withArray(Uint32Array.from(tokens), (at, n) => this.#check(this.exports.lbm_eval_digest(at, n)));
    return this.text(this.exports.lbm_digest());
  }

  // A greedy answer and its run digest.
  generate(prompt, maxTokens, speculate = false) {
    this.#withArray(Uint32Array.from(prompt), (at, n) =>
      this.#check(this.exports.lbm_generate(at, n, maxTokens, speculate ? 1 : 0)));
    const ids = [...new Uint32Array(this.memory.buffer, this.exports.lbm_output(), this.exports.lbm_n_output())];
    return { ids, digest: this.text(this.exports.lbm_digest()) };
  }

  // Tasks that other threads than this one have run so far.
  nTaskServed() {
    return this.exports.lbm_n_task_served();
  }
}

// Named tests, one after the other; the last line is the one that scripts/run_tests.py reads.
export class TestReport {
  #passed = 0;
  #failed = 0;

  run(name, test) {
    const start = performance.now();
    try {
      test();
      this.#count(name, start, null);
    } catch (error) {
      this.#count(name, start, error);
    }
  }
  // The same for tests that take their time; one at a time.
  async runAsync(name, test) {
    const start = performance.now();
    try {
      await test();
      this.#count(name, start, null);
    } catch (error) {
      this.#count(name, start, error);
    }
  }
  #count(name, start, error) {
    if (error === null) ++this.#passed;
    else ++this.#failed;
    const ms = Math.round(performance.now() - start);
    console.log(`[${error ? "FAILED" : "ok"}] ${name} (${ms} ms)${error ? `\n${error.message}` : ""}`);
  }
  finish() {
    console.log(`${this.#passed} passed, ${this.#failed} failed`);
    process.exitCode = this.#failed === 0 && this.#passed > 0 ? 0 : 1;
  }
}

// ---- the worker's side -------------------------------------------------------------------------

if (!isMainThread && workerData?.stackTop !== undefined) {
  const { module, memory, stackTop } = workerData;
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  exports.__stack_pointer.value = stackTop;
  parentPort.postMessage("ready");
  try {
    exports.lbm_serve();
  } finally {
    exports.lbm_thread_failed();
  }
}
