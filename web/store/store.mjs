// The artifact store for pages: a client of the worker that does the work (store_worker.mjs), so that
// hashing and writing never hold up the page. docs/store.md; the types are in store.d.ts.
//
// Where `files` is given, as tests in Node do, there is no worker.

import { StoreError } from "./errors.mjs";

export { StoreError };

// How many arguments a method has before its options.
const METHODS = {
  list: 0, active: 0, usage: 0, add: 1, resume: 1, cancel: 1, activate: 1, rollback: 0, file: 1, verify: 1, remove: 1,
  pin: 2, rotate: 2,
};

// Throws StoreError: unsupported where the browser keeps no files for this page.
export async function openStore(options = {}) {
  if (options.files !== undefined) return openHere(options);
  if (typeof Worker !== "function") throw new StoreError("unsupported", "no workers here: `files` are needed");
  const { createWorker = startWorker, ...rest } = options;
  const client = new StoreClient(createWorker());
  try {
    await client.call("open", [], rest);
  } catch (error) {
    client.store.close();
    throw error;
  }
  return client.store;
}

let policy; // a name can be taken once

// A page with Trusted Types has to allow the policy "lbm-store", which passes this one script.
function startWorker() {
  const { href } = new URL("./store_worker.mjs", import.meta.url);
  policy ??= globalThis.trustedTypes?.createPolicy("lbm-store", {
    createScriptURL(text) {
      if (text !== href) throw new TypeError(`${text} is not the worker of the store`);
      return text;
    },
  });
  return new Worker(policy?.createScriptURL(href) ?? href, { type: "module", name: "lbm-store" });
}

async function openHere({ files, ...options }) {
  const { ArtifactStore } = await import("./artifact_store.mjs");
  const store = await ArtifactStore.open(files, options);
  return Object.freeze({
    ...methods((name, args, options) => store[name](...args, options)),
    close: async () => {},
  });
}

// An object with all methods; each calls `call` with its arguments and its options apart.
function methods(call) {
  const entries = Object.entries(METHODS).map(([name, n]) => [
    name, (...given) => call(name, Array.from({ length: n }, (_, i) => given[i]), given[n] ?? {}),
  ]);
  return Object.fromEntries(entries);
}

// Asks that the browser keep this page's files when the disk is full. It may say no.
async function persist() {
  const storage = globalThis.navigator?.storage;
  try {
    return (await storage?.persisted?.()) || (await storage?.persist?.()) || false;
  } catch {
    return false;
  }
}

// A source as the worker understands it: addresses are those of the page.
function absolute(source) {
  if (typeof source !== "string" && !(source instanceof URL)) return source;
  try {
    return new URL(source, globalThis.document?.baseURI ?? globalThis.location?.href).href;
  } catch {
    return String(source); // the store says what is wrong with it
  }
}

// Calls are numbered. { call, method, args, options } goes out, where functions and signals of the
// options stay here; { call, progress }, { call, result } or { call, error } comes back; { abort: call } goes
// out where a signal is raised.
class StoreClient {
  #worker;
  #calls = new Map(); // number -> { resolve, reject, onProgress }
  #nCall = 0;
  #failure = null;
  #isStarted = false;
  store;

  constructor(worker) {
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onmessageerror = () => this.#fail(new StoreError("io", "an answer of the store could not be read"));
    worker.onerror = (event) => {
      event.preventDefault?.();
      const why = event.message ?? "its file could not be loaded";
      this.#fail(this.#isStarted ? new StoreError("io", `the worker of the store has ended: ${why}`)
        : new StoreError("unsupported", `the worker of the store did not start: ${why}`));
    };
    this.store = Object.freeze({
      ...methods(async (name, args, options) => {
        if (name !== "add") return this.call(name, args, options);
        await persist();
        return this.call(name, [absolute(args[0])], options);
      }),
      close: async () => this.#fail(new StoreError("closed", "the store is closed")),
    });
  }

  call(method, args, { signal, onProgress, ...options }) {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    const call = ++this.#nCall;
    return new Promise((resolve, reject) => {
      const abort = () => this.#worker.postMessage({ abort: call });
      const end = (f) => (value) => {
        signal?.removeEventListener("abort", abort);
        this.#calls.delete(call);
        f(value);
      };
      this.#calls.set(call, { resolve: end(resolve), reject: end(reject), onProgress });
      try {
        this.#worker.postMessage({ call, method, args, options });
      } catch (error) {
        end(reject)(new StoreError("bad_source", `this can not be given to the store: ${error.message}`));
        return;
      }
      signal?.addEventListener("abort", abort, { once: true });
      if (signal?.aborted) abort();
    });
  }

  #hear({ call, progress, result, error }) {
    this.#isStarted = true;
    const waiting = this.#calls.get(call);
    if (waiting === undefined) return;
    if (progress !== undefined) waiting.onProgress?.(progress);
    else if (error !== undefined) waiting.reject(StoreError.fromJSON(error));
    else waiting.resolve(result);
  }

  // The worker is of no use any more; one that still runs would hold files that a page loaded anew needs.
  #fail(error) {
    this.#worker.terminate();
    this.#failure ??= error;
    for (const waiting of [...this.#calls.values()]) waiting.reject(error);
  }
}
