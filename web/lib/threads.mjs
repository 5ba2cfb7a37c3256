// The threads of a module beside the one that calls it.

import { Peer, inNode } from "./spawn.mjs";

const STACK_BYTES = 1024 * 1024;
const START_MS = 10_000;
const WORKER = new URL("./thread_worker.mjs", import.meta.url);

export const MAX_AUTO_THREADS = 8;

// What "auto" means where there are so many hardware threads: one is left to the page where it costs
// little.
export function autoThreads(nHardware) {
  const n = nHardware > 4 ? nHardware - 1 : nHardware;
  return Math.min(Math.max(n, 1), MAX_AUTO_THREADS);
}

// Waiting for threads is not allowed on a page's own thread.
export function mayWait() {
  return inNode || typeof globalThis.window === "undefined";
}

export class ThreadPool {
  #peers = [];
  notes = [];

  // Starts threads until there are `n`, the caller among them. Fewer are a note, never an error.
  // `onFailure` hears of a thread that ends later.
  static async start({ module, wasm, n, onFailure = () => {} }) {
    const pool = new ThreadPool();
    const started = await Promise.allSettled(
      Array.from({ length: n - 1 }, (_, i) => pool.#startOne(module, wasm, `lbm thread ${i + 1}`, onFailure)));
    const failed = started.filter(({ status }) => status === "rejected");
    if (failed.length > 0) {
      pool.notes.push(`${failed.length} of ${n} threads did not start: ${failed[0].reason.message}`);
    }
    module.exports.lbm_set_threads(pool.n);
    return pool;
  }

  get n() {
    return 1 + this.#peers.length;
  }

  async #startOne(module, wasm, name, onFailure) {
    const at = module.exports.lbm_allocate(STACK_BYTES) >>> 0;
    if (at === 0) throw new Error("no memory for a stack");
    const peer = new Peer(WORKER, name);
    try {
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no answer in ${START_MS / 1000} s`)), START_MS);
        const end = (f, value) => {
          clearTimeout(timer);
          f(value);
        };
        peer.onMessage = () => end(resolve);
        peer.onFailure = (message) => end(reject, new Error(message));
        peer.ref();
        peer.post({ wasm, memory: module.memory, stackTop: at + STACK_BYTES });
      });
    } catch (error) {
      peer.terminate();
      // The stack stays taken: a thread that is slow to end may still stand on it.
      throw error;
    }
    peer.unref();
    peer.onFailure = onFailure;
    this.#peers.push(peer);
  }

  async stop() {
    await Promise.all(this.#peers.splice(0).map((peer) => peer.terminate()));
  }
}
