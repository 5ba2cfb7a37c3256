// Starts the WebAssembly modules of web/ in Node: instances, workers, and calls with arrays.

import { readFileSync } from "node:fs";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { fileURLToPath } from "node:url";

const PAGE_BYTES = 64 * 1024;
const STACK_BYTES = 1024 * 1024;
const MAX_PAGES = 65535;

// A module with one relaxed instruction: valid where the proposal is accepted.
const RELAXED_PROBE = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2,
  253, 15, 253, 128, 2, 11];
export const hasRelaxed = () => WebAssembly.validate(new Uint8Array(RELAXED_PROBE));

// Pages of memory that a module asks for, at least: its data and its first stack.
const FIRST_PAGES = 64;

export class ModuleError extends Error {}

export class LbmModule {
  // `path` of a .wasm file; threads > 1 need one that was linked for shared memory.
  static async start(path, threads = 1) {
    const shared = path.endsWith("-mt.wasm");
    const memory = new WebAssembly.Memory({ initial: FIRST_PAGES, maximum: MAX_PAGES, shared });
    const module = new WebAssembly.Module(readFileSync(path));
    const instance = new WebAssembly.Instance(module, { env: { memory } });
    const self = new LbmModule(memory, instance.exports);
    self.exports.lbm_set_threads?.(threads);
    for (let i = 1; i < threads; ++i) await self.#startWorker(module);
    return self;
  }

  constructor(memory, exports) {
    this.memory = memory;
    this.exports = exports;
    this.workers = [];
  }

  // A worker runs the same module on the same memory, on a stack of its own.
  async #startWorker(module) {
    const stack = this.exports.lbm_allocate(STACK_BYTES);
    if (stack === 0) throw new ModuleError(this.message());
    const worker = new Worker(fileURLToPath(import.meta.url), {
      workerData: { module, memory: this.memory, stackTop: stack + STACK_BYTES },
    });
    this.workers.push(worker);
    await new Promise((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
    });
  }

  async stop() {
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }

  text(address) {
    const bytes = new Uint8Array(this.memory.buffer);
    // A copy, since text of shared memory can not be decoded in place.
    return new TextDecoder().decode(bytes.slice(address, bytes.indexOf(0, address)));
  }
  message() {
    return this.text(this.exports.lbm_message());
  }

  // Calls f(address, count) with a copy of an array in the module's memory.
  withArray(array, f) {
    const address = this.exports.lbm_allocate(array.byteLength);
    if (address === 0) throw new ModuleError(this.message());
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    new Uint8Array(this.memory.buffer).set(bytes, address);
    try {
      return f(address, array.length);
    } finally {
      this.exports.lbm_release(address, array.byteLength);
    }
  }

  #check(status) {
    if (status !== 0) throw new ModuleError(this.message());
  }

  tables() {
    const names = [];
    for (let i = 0; i < this.exports.lbm_n_table(); ++i) names.push(this.text(this.exports.lbm_table_name(i)));
    return names;
  }

  load(file, { table = this.tables().at(-1), n_ctx = 0, n_batch = 32, kv = "f16" } = {}) {
    const index = this.tables().indexOf(table);
    if (index < 0) throw new ModuleError(`no table ${table} here: ${this.tables().join(", ")}`);
    this.withArray(file, (at, n) => this.#check(this.exports.lbm_load(at, n, index, n_ctx, n_batch, kv === "f32" ? 1 : 0)));
  }

  digest(tokens) {
    this.withArray(Uint32Array.from(tokens), (at, n) => this.#check(this.exports.lbm_eval_digest(at, n)));
    return this.text(this.exports.lbm_digest());
  }

  generate(prompt, maxTokens, speculate = false) {
    this.withArray(Uint32Array.from(prompt), (at, n) =>
      this.#check(this.exports.lbm_generate(at, n, maxTokens, speculate ? 1 : 0)));
    const at = this.exports.lbm_output();
    const ids = [...new Uint32Array(this.memory.buffer, at, this.exports.lbm_n_output())];
    return { ids, digest: this.text(this.exports.lbm_digest()) };
  }
}

// ---- the worker's side -------------------------------------------------------------------------

if (!isMainThread && workerData?.stackTop) {
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
